//! Targets in an experiment: which devices are one, and the settings of each.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

use anyhow::{Context as _, Result, bail, ensure};
use hardware::options::DeviceOptions;
use serde::{Deserialize, Serialize};

use super::{ByTarget, Experiment};
use crate::evaluate::check_alike;
use crate::objective::{Bounds, Objective, Objectives};
use crate::target::{Target, Targets};

/// `[devices.NAME]`: a device, and the target whose work it shares.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DeviceConfig {
    /// Devices of one target are alike and share its work [default: alike devices are one target, which has the name of the
    /// first].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The device.
    #[serde(flatten)]
    pub options: DeviceOptions,
}

impl Deref for DeviceConfig {
    type Target = DeviceOptions;

    fn deref(&self) -> &DeviceOptions {
        &self.options
    }
}

impl DerefMut for DeviceConfig {
    fn deref_mut(&mut self) -> &mut DeviceOptions {
        &mut self.options
    }
}

/// `[targets.NAME]`: settings of one of several targets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TargetConfig {
    /// Weight of its front beside those of others; with 0 it is no longer searched for, and its measurements only teach about the
    /// others.
    pub weight: f64,
    /// Its objectives [default: those of the search that it measures].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objectives: Option<Objectives>,
}

impl Default for TargetConfig {
    fn default() -> Self {
        Self { weight: 1.0, objectives: None }
    }
}

/// `[extended]`, which `controller extend` writes: the run whose rows this one begins with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtendedConfig {
    /// Its folder, for people.
    pub run: String,
    /// Rows of its journal.
    pub rows: u64,
    /// Its evaluations are those of lower numbers.
    pub evaluations: u64,
    /// Networks to measure on each new target before the search goes on, trained or not [default: all that the run trained].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measure: Option<u64>,
}

/// Checks the name of a target, which bounds and columns have before a point: `tx2.time_ms`.
///
/// # Errors
/// If it is empty, or has other characters than letters, digits, `_` and `-`.
pub fn check_target_name(name: &str) -> Result<()> {
    let is_allowed = |sign: char| sign.is_alphanumeric() || matches!(sign, '_' | '-');
    ensure!(
        !name.is_empty() && name.chars().all(is_allowed),
        "`{name}` cannot be the name of a target: letters, digits, `_` and `-` can"
    );
    Ok(())
}

/// Devices by name, as a pool takes them.
pub type Devices<'a> = Vec<(&'a String, &'a DeviceOptions)>;

/// The devices of each target, by its name.
///
/// # Errors
/// If devices that name one target are not alike: their times would share one front.
fn devices_of_targets(devices: &BTreeMap<String, DeviceConfig>) -> Result<BTreeMap<String, Devices<'_>>> {
    let mut targets: BTreeMap<String, Devices<'_>> = BTreeMap::new();
    for (name, device) in devices.iter().filter(|(_, device)| device.target.is_some()) {
        let target = device.target.clone().unwrap_or_default();
        targets.entry(target).or_default().push((name, &device.options));
    }
    for (name, device) in devices.iter().filter(|(_, device)| device.target.is_none()) {
        let is_alike = |members: &Devices<'_>| members[0].1.difference(device).is_none();
        let unnamed = |members: &Devices<'_>| devices[members[0].0].target.is_none();
        let group = targets.values_mut().find(|members| unnamed(members) && is_alike(members));
        match group {
            Some(members) => members.push((name, &device.options)),
            None => targets.entry(name.clone()).or_default().push((name, &device.options)),
        }
    }
    for (target, members) in &targets {
        check_alike(members).with_context(|| format!("the target `{target}`"))?;
    }
    Ok(targets)
}

impl Experiment {
    /// The devices of each target, by its name. A run that was begun with one target has only this one.
    ///
    /// # Errors
    /// If devices of one target are not alike.
    pub(crate) fn devices_of_targets(&self) -> Result<BTreeMap<String, Devices<'_>>> {
        if self.has_one_target {
            let all = self.devices.iter().map(|(name, device)| (name, &device.options)).collect();
            return Ok(BTreeMap::from([(String::new(), all)]));
        }
        devices_of_targets(&self.devices)
    }

    /// Whether a target that is no longer searched for has an objective.
    pub(crate) fn had(&self, objective: Objective) -> bool {
        let earlier = self.targets.values().filter(|target| target.weight == 0.0);
        earlier.filter_map(|target| target.objectives.as_ref()).any(|had| had.position(objective).is_some())
    }

    /// Whether the target of a name is searched for.
    pub(crate) fn is_searched(&self, name: &str) -> bool {
        self.targets.get(name).is_none_or(|target| target.weight > 0.0)
    }

    /// Whether it is resolved for several targets.
    pub(crate) fn has_targets(&self) -> bool {
        self.targets.len() > 1
    }

    /// The targets of a resolved experiment.
    ///
    /// # Errors
    /// If objectives are missing, or bounds or settings are of targets that it does not have.
    pub(crate) fn search_targets(&self) -> Result<Targets> {
        let objectives = self.search.objectives.clone().context("search.objectives is missing")?;
        let search = &self.search;
        if !self.has_targets() {
            let name = self.targets.keys().next().cloned().unwrap_or_default();
            let (bounds, reference) = (search.bounds.of(&name), search.reference.of(&name));
            let single = Target { reference, ..Target::unnamed(objectives, bounds) };
            self.check_names(&[name])?;
            return Targets::new(vec![single]);
        }
        self.check_names(&self.targets.keys().cloned().collect::<Vec<_>>())?;
        let target = |(name, config): (&String, &TargetConfig)| {
            let objectives = config.objectives.clone().unwrap_or_else(|| objectives.clone());
            let has = |objective: &Objective| objectives.position(*objective).is_some();
            // A bound of all targets may be on an objective that this one does not measure.
            let own = search.bounds.of.get(name).cloned().unwrap_or_default();
            let shared = search.bounds.all.as_map().iter().map(|(objective, value)| (*objective, *value));
            let bounds = Bounds::new(shared.filter(|(objective, _)| has(objective)))?.overridden_by(&own);
            let mut reference = search.reference.of(name);
            reference.retain(|objective, _| has(objective));
            Ok(Target { name: name.clone(), objectives: objectives.clone(), bounds, reference, weight: config.weight })
        };
        Targets::new(self.targets.iter().map(target).collect::<Result<_>>()?)
    }

    /// A resolved experiment as one for a single target: what readers of a run need.
    ///
    /// # Errors
    /// If bounds contradict objectives.
    pub(crate) fn of_target(&self, name: &str) -> Result<Self> {
        let targets = self.search_targets()?;
        let target = targets.iter().find(|target| target.name == name);
        let Target { objectives, bounds, reference, .. } =
            target.with_context(|| format!("unknown target `{name}`"))?;
        let mut experiment = self.clone();
        experiment.search.objectives = Some(objectives.clone());
        experiment.search.bounds = ByTarget::of_all(bounds.clone());
        experiment.search.reference = ByTarget::of_all(reference.clone());
        experiment.targets.clear();
        let devices = self.devices_of_targets()?;
        let own: Vec<&String> = devices.get(name).into_iter().flatten().map(|(device, _)| *device).collect();
        experiment.devices.retain(|device, _| own.contains(&device));
        if let Some(replay) = &mut experiment.replay {
            replay.columns = replay.columns.of_target(name);
        }
        Ok(experiment)
    }

    /// Checks that bounds and references are of targets that there are.
    fn check_names(&self, known: &[String]) -> Result<()> {
        let bounds = self.search.bounds.of.keys().map(|name| ("search.bounds", name));
        let references = self.search.reference.of.keys().map(|name| ("search.reference", name));
        for (key, name) in bounds.chain(references) {
            ensure!(known.contains(name), "{key}.{name}: unknown target `{name}`{}", among(known));
        }
        Ok(())
    }

    /// Completes the section of targets: those with these names, each of which measures some objectives.
    ///
    /// # Errors
    /// If an objective is measured on no target, or settings are of a target that there is not.
    pub(crate) fn resolve_targets(&mut self, measured: &BTreeMap<String, Vec<Objective>>) -> Result<()> {
        let known: Vec<String> = measured.keys().cloned().collect();
        let mut searched = self.targets.iter().filter(|(_, target)| target.weight > 0.0);
        if let Some((name, _)) = searched.find(|(name, _)| !measured.contains_key(*name)) {
            bail!("targets.{name}: unknown target `{name}`{}", among(&known));
        }
        let found = || Objective::MEASURED.into_iter().filter(|one| measured.values().any(|all| all.contains(one)));
        let objectives = match self.search.objectives.clone() {
            Some(objectives) => objectives,
            None => Objectives::new(found().collect::<Vec<_>>())?,
        };
        let is_known = |one: Objective| found().any(|found| found == one) || self.had(one);
        let missing = objectives.iter().find(|one| Objective::MEASURED.contains(one) && !is_known(*one));
        if let Some(missing) = missing {
            bail!("no target measures `{missing}`: remove it from search.objectives");
        }
        for (name, has) in measured {
            let is_known = |one: &Objective| !Objective::MEASURED.contains(one) || has.contains(one);
            let config = self.targets.entry(name.clone()).or_default();
            let wanted = config.objectives.clone().unwrap_or_else(|| objectives.clone());
            let kept: Vec<Objective> = wanted.iter().filter(is_known).collect();
            let knows_error = wanted.position(Objective::Error).is_none() || has.contains(&Objective::Error);
            ensure!(knows_error, "targets.{name}: the log has no accuracy for it: name the column in [replay.columns]");
            config.objectives = Some(Objectives::new(kept).with_context(|| format!("targets.{name}.objectives"))?);
        }
        self.search.objectives = Some(objectives);
        Ok(())
    }
}

fn among(known: &[String]) -> String {
    match known {
        [] => String::new(),
        [name] if name.is_empty() => ": the search has only one, without a name".to_owned(),
        _ => format!(" (there are {})", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn devices(text: &str) -> BTreeMap<String, DeviceConfig> {
        toml::from_str(text).unwrap()
    }

    fn names(text: &str) -> Result<Vec<String>> {
        let devices = devices(text);
        let targets = devices_of_targets(&devices)?;
        let joined =
            |members: &Devices<'_>| members.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join("+");
        Ok(targets.iter().map(|(target, members)| format!("{target}={}", joined(members))).collect())
    }

    #[test]
    fn alike_devices_are_one_target_and_unlike_ones_are_not() {
        let board =
            |name: &str, more: &str| format!("[{name}]\nkind = 'jetson'\nhost = '{name}'\nuser = 'me'\n{more}\n");
        let all = [board("a", ""), board("b", ""), board("c", "precision = 'fp32'"), "[d]\nkind = 'host'".to_owned()];
        assert_eq!(names(&all.concat()).unwrap(), ["a=a+b", "c=c", "d=d"]);
        let named = [board("a", "target = 'tx2'"), board("b", "target = 'tx2'"), board("c", "")];
        assert_eq!(names(&named.concat()).unwrap(), ["c=c", "tx2=a+b"]);
        let unlike = [board("a", "target = 'tx2'"), board("b", "target = 'tx2'\nprecision = 'fp32'")];
        let message = format!("{:#}", names(&unlike.concat()).unwrap_err());
        assert!(message.contains("target `tx2`: the devices `a` and `b` are not alike"), "{message}");
    }

    #[test]
    fn a_device_keeps_its_keys_beside_its_target() {
        let text = "kind = \"host\"\ntarget = \"desk\"\n";
        let device: DeviceConfig = toml::from_str(text).unwrap();
        assert_eq!(device.target.as_deref(), Some("desk"));
        assert_eq!(toml::from_str::<DeviceConfig>(&toml::to_string(&device).unwrap()).unwrap(), device);
        let unknown =
            toml::from_str::<DeviceConfig>("kind = 'host'\ntarget = 'a'\ntreads = 4").unwrap_err().to_string();
        assert!(unknown.contains("unknown field `treads`"), "{unknown}");
    }
}
