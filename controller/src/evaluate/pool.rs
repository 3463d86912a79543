//! The devices of a search: each measures one model at a time, and all share the work.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use anyhow::{Context as _, Error, Result, bail};
use hardware::options::DeviceOptions;
use hardware::{Description, Measurement, Model, Plan, Statistic};
use thiserror::Error;
use tokio::sync::Semaphore;

use super::Stage;
use super::member::{Member, Outcome, Spec};
use crate::terminal::note;

/// A failed measurement of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PoolError {
    /// The model could not be measured.
    #[error("{0}")]
    Failed(String),
    /// The model could not be measured, nor could the models before it for the same reason, so that the device may be at
    /// fault. It is no longer used, and no other is left.
    #[error("{reason}")]
    Suspect {
        /// Why this model could not be measured.
        reason: String,
        /// Why the search has to end.
        end: String,
    },
    /// The search was stopped while the model waited for a device.
    #[error("the search was stopped")]
    Stopped,
    /// No device is left.
    #[error("{0}")]
    NoneLeft(String),
}

/// Devices that share the work.
pub struct DevicePool {
    free: Mutex<Vec<Member>>,
    permits: Semaphore,
    /// Whether measuring competes with training.
    pub shares_machine: bool,
    /// Whether every device measures energy.
    pub measures_energy: bool,
    plan: Plan,
    devices: usize,
    /// Number of devices that are no longer used.
    lost: AtomicUsize,
    /// Why the last device is no longer used.
    none_left: OnceLock<String>,
    /// Devices whose descriptions differ in what changes a result, and the difference.
    unlike: Option<String>,
    /// What the first device says of itself.
    description: Option<Description>,
}

impl DevicePool {
    /// Opens and describes every device, so that a missing one is noticed before the search.
    pub fn open<'a>(
        devices: impl IntoIterator<Item = (&'a String, &'a DeviceOptions)>,
        plan: Plan,
    ) -> anyhow::Result<Self> {
        let pools = Self::open_all(&[devices.into_iter().collect()], plan)?;
        pools.into_iter().next().context("there is no pool")
    }

    /// The same for the devices of each target. They measure by one plan, and those of one machine take turns.
    pub fn open_all(targets: &[Vec<(&String, &DeviceOptions)>], mut plan: Plan) -> anyhow::Result<Vec<Self>> {
        let place = |device: &DeviceOptions| device.address().unwrap_or_else(|| "here".to_owned());
        // By machine, how many devices it has, and their turns.
        let mut turns: BTreeMap<String, (usize, Arc<Mutex<()>>)> = BTreeMap::new();
        targets.iter().flatten().for_each(|(_, device)| turns.entry(place(device)).or_default().0 += 1);
        let mut opened = Vec::new();
        for devices in targets {
            let (mut members, mut descriptions) = (Vec::new(), Vec::new());
            for (name, config) in devices {
                let context = || format!("the device `{name}` cannot be used");
                let device = config.open().with_context(context)?;
                let turn = turns.get(&place(config)).filter(|(devices, _)| *devices > 1).map(|(_, turn)| turn.clone());
                let spec = Spec { name: (*name).clone(), patience: config.patience(), turn };
                let (member, description) = Member::open(device, spec).with_context(context)?;
                plan = plan.for_device(member.device.as_ref()).map_err(Error::msg).with_context(context)?;
                members.push(member);
                descriptions.push((name.as_str(), description));
            }
            opened.push((members, descriptions));
        }
        let pool = |(members, descriptions): (Vec<Member>, Vec<(&str, Description)>)| {
            let unlike = unlike(&descriptions);
            let description = descriptions.into_iter().next().map(|(_, description)| description);
            Self { unlike, description, ..Self::of(members, plan.clone()) }
        };
        Ok(opened.into_iter().map(pool).collect())
    }

    /// Number of devices, those that are lost included.
    pub fn len(&self) -> usize {
        self.devices
    }

    /// The statistic that `time_ms` is.
    pub fn statistic(&self) -> Statistic {
        self.plan.statistic()
    }

    pub(super) fn of(members: Vec<Member>, plan: Plan) -> Self {
        let shares_machine = members.iter().any(|member| member.device.shares_machine());
        let measures_energy = members.iter().all(|member| member.device.measures_energy());
        let devices = members.len();
        Self {
            free: Mutex::new(members),
            permits: Semaphore::new(devices),
            shares_machine,
            measures_energy,
            plan,
            devices,
            lost: AtomicUsize::new(0),
            none_left: OnceLock::new(),
            unlike: None,
            description: None,
        }
    }

    /// Two devices whose results cannot be compared, by what the devices say of themselves, as a sentence.
    pub fn unlike(&self) -> Option<&str> {
        self.unlike.as_deref()
    }

    /// What its devices say of themselves; `None` without a device.
    pub fn description(&self) -> Option<&Description> {
        self.description.as_ref()
    }

    /// Measures a model on the first free device; returns the measurement and the device's label. `attend` receives the
    /// stages, and returns whether to go on.
    ///
    /// A device that does not work is waited for, for as long as its patience lasts, and then no longer used: another one
    /// measures the model. One whose settings cannot work is not waited for.
    ///
    /// # Errors
    /// If the device cannot measure the model, `attend` returns false, or no device is left.
    pub async fn measure(
        &self,
        model: Model,
        attend: impl Fn(Stage) -> bool + Clone + Send + 'static,
    ) -> Result<(Measurement, String), PoolError> {
        loop {
            let permit = self.permits.acquire().await.map_err(|_| self.none_left())?;
            let taken = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(mut member) = taken else { return Err(self.none_left()) };
            if !attend(member.stage()) {
                self.give_back(member);
                return Err(PoolError::Stopped);
            }
            let (model, plan, attending) = (model.clone(), self.plan.clone(), attend.clone());
            let measuring = tokio::task::spawn_blocking(move || {
                let outcome = member.measure(&model, &plan, attending);
                (member, outcome)
            });
            // Only a runtime that shuts down drops the task.
            let (member, outcome) = measuring.await.map_err(|_| PoolError::Stopped)?;
            let label = member.label().to_owned();
            let result = match outcome {
                Outcome::Measured(measurement) => Ok((*measurement, label)),
                Outcome::Failed(reason) => Err(PoolError::Failed(reason)),
                Outcome::Stopped => Err(PoolError::Stopped),
                Outcome::Suspect { reason, end } => {
                    permit.forget();
                    attend(member.lost(&end));
                    let is_last = self.lose(&label, end.clone());
                    let failed = PoolError::Failed(reason.clone());
                    return Err(if is_last { PoolError::Suspect { reason, end } } else { failed });
                }
                Outcome::Lost(reason) => {
                    permit.forget();
                    attend(member.lost(&reason));
                    if self.lose(&label, reason) {
                        return Err(self.none_left());
                    }
                    continue;
                }
            };
            self.give_back(member);
            return result;
        }
    }

    fn give_back(&self, member: Member) {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(member);
    }

    /// Counts a device that is no longer used. Returns whether it was the last one.
    fn lose(&self, label: &str, reason: String) -> bool {
        let left = self.devices - (self.lost.fetch_add(1, Ordering::Relaxed) + 1);
        match left {
            0 => {
                // Set before the permits are closed, which wakes the waiting evaluations.
                let _ = self.none_left.set(reason);
                self.permits.close();
            }
            1 => note(format_args!("warning: {label} is lost and no longer used; one other device goes on: {reason}")),
            _ => note(format_args!("warning: {label} is lost and no longer used; {left} others go on: {reason}")),
        }
        left == 0
    }

    fn none_left(&self) -> PoolError {
        let reason = self.none_left.get().map_or("no device is left", String::as_str);
        PoolError::NoneLeft(reason.to_owned())
    }
}

/// Checks that the settings of all devices of a pool are alike: the times of different ones would share one front.
///
/// # Errors
/// With the first two that differ, and the setting.
pub(crate) fn check_alike(devices: &[(&String, &DeviceOptions)]) -> Result<()> {
    let Some((first, one)) = devices.first() else { return Ok(()) };
    for (name, other) in devices {
        if let Some(difference) = one.difference(other) {
            bail!("{}", not_alike(first, name, &difference));
        }
    }
    Ok(())
}

fn not_alike(one: &str, other: &str, difference: &str) -> String {
    format!(
        "the devices `{one}` and `{other}` are not alike, and their times would share one front; they differ in \
         {difference}. Name a target for each: target = \"…\""
    )
}

/// The first two devices whose descriptions differ in what changes a result.
pub(crate) fn unlike(devices: &[(&str, Description)]) -> Option<String> {
    /// Details by which equal devices differ.
    const OF_ONE: [&str; 4] = ["host", "machine", "power by", "L4T"];
    let (first, one) = devices.first()?;
    let value = |of: &Description, name: &str| {
        let found = of.details.iter().find(|(detail, _)| detail == name);
        found.map_or_else(|| "absent".to_owned(), |(_, value)| value.clone())
    };
    for (name, other) in devices {
        // A program may name the single board.
        if one.kind != "command" && one.name != other.name {
            return Some(not_alike(first, name, &format!("name: {} and {}", one.name, other.name)));
        }
        let details = one.details.iter().chain(&other.details).map(|(detail, _)| detail.as_str());
        let mut details = details.filter(|detail| !OF_ONE.contains(detail));
        if let Some(detail) = details.find(|detail| value(one, detail) != value(other, detail)) {
            let difference = format!("{detail}: {} and {}", value(one, detail), value(other, detail));
            return Some(not_alike(first, name, &difference));
        }
    }
    None
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
