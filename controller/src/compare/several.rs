//! Any number of runs side by side: their progress under one reference, and the spread over seeds.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Serialize;
use statrs::distribution::{ContinuousCDF as _, StudentsT};

use super::judge::reference;
use crate::config::Experiment;
use crate::objective::{Bounds, Objective, Objectives};
use crate::pareto::Given;
use crate::report::{Member, Step, Summary};
use crate::run::Recorded;

/// Runs under a common reference.
#[derive(Debug, Clone, Serialize)]
pub struct Several {
    /// The objectives that all runs have.
    pub objectives: Objectives,
    /// Reference point of all hypervolumes.
    pub reference: Vec<f64>,
    pub runs: Vec<Course>,
    /// Runs that differ in nothing but their seeds and budgets.
    pub groups: Vec<Group>,
    /// Settings that are not the same in all runs, with their value in each; `None` where a run has none.
    pub differing: Vec<(String, Vec<Option<String>>)>,
}

/// One run.
#[derive(Debug, Clone, Serialize)]
pub struct Course {
    pub folder: PathBuf,
    /// The target, of a run that has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    pub seed: u64,
    /// Labels of the devices in its journal.
    pub devices: BTreeSet<String>,
    /// Progress under the common reference.
    pub hypervolume: Vec<Step>,
    #[serde(skip)]
    pub front: Vec<Member>,
    #[serde(skip)]
    settings: Vec<[String; 2]>,
}

/// Runs with the same settings.
#[derive(Debug, Clone, Serialize)]
pub struct Group {
    /// Their places among the runs. Of several with one seed, which are not independent, it is the one with the most
    /// evaluations.
    pub runs: Vec<usize>,
    /// By number of evaluations, up to where all of them have come.
    pub spread: Vec<Spread>,
}

/// Hypervolume of several runs after the same number of evaluations.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    pub evaluations: u64,
    pub mean: f64,
    /// Half the width of the 95 % interval of the mean, by Student's t; `None` for a single run.
    pub half_width: Option<f64>,
}

/// Settings that runs of one group may differ in: each is a search of the same kind.
const OF_ONE_RUN: [&str; 5] =
    ["search.seed", "search.evaluations", "search.epochs", "search.hours", "search.remeasure"];

/// Reads some runs, and puts them under one reference; each target of a run is one, or of runs that have several the one
/// with a name.
///
/// A coordinate of the reference is the bound that all runs have; else 1.1 × the worst value of all fronts, and for the
/// error at most 1.
///
/// # Errors
/// If a folder cannot be read, a run lacks the target, or the runs have fewer than two objectives in common.
pub fn several(folders: &[PathBuf], target: Option<&str>) -> Result<Several> {
    let mut places = Vec::new();
    let mut recorded = Vec::new();
    for folder in folders {
        let run = Recorded::read(folder).with_context(|| format!("cannot read {}", folder.display()))?;
        let of_targets = match target.filter(|_| run.problem.targets().are_several()) {
            Some(name) => {
                let run = run.of_one_target(Some(name)).with_context(|| folder.display().to_string())?;
                vec![(Some(name.to_owned()), run)]
            }
            None => run.by_target()?,
        };
        for (target, run) in of_targets {
            places.push((folder, target));
            recorded.push(run);
        }
    }
    if let Some(name) = target {
        let is_known = places.iter().any(|(_, target)| target.is_some());
        ensure!(is_known, "--target {name}: each of the runs has only one target, which needs no name");
    }
    let Some(first) = recorded.first() else { bail!("name the runs to compare") };
    let is_common =
        |objective: &Objective| recorded.iter().all(|one| one.problem.objectives().position(*objective).is_some());
    let common: Vec<Objective> = first.problem.objectives().iter().filter(is_common).collect();
    let objectives = Objectives::new(common)
        .context("the runs share too little to compare: at least two objectives must be the same")?;
    let bounds = |one: &Experiment| -> Result<Bounds> {
        let bounds = &one.search.bounds.all;
        Bounds::new(objectives.iter().filter_map(|objective| Some((objective, bounds.get(objective)?))))
    };
    let (mut summaries, mut all_bounds) = (Vec::new(), Vec::new());
    for one in &recorded {
        all_bounds.push(bounds(&one.experiment)?);
        let problem = one.experiment.with_objectives(&objectives)?.problem()?;
        summaries.push(Summary::of(&problem, one.rows.clone())?);
    }
    let reference = common_reference(&objectives, &all_bounds, &summaries);
    let given: Given = objectives.iter().zip(reference.iter().copied()).collect();
    let mut runs = Vec::new();
    for ((folder, target), one) in places.into_iter().zip(&recorded) {
        let problem = one.experiment.with_objectives(&objectives)?.problem()?.with_reference(given.clone())?;
        let Summary { hypervolume, members, rows, .. } = Summary::of(&problem, one.rows.clone())?;
        let devices = rows.into_iter().filter_map(|row| row.device).filter(|device| !device.is_empty()).collect();
        let settings = one.experiment.flat()?;
        let (folder, seed) = (folder.clone(), one.experiment.search.seed);
        runs.push(Course { folder, target, seed, devices, hypervolume, front: members, settings });
    }
    Ok(Several { groups: groups(&runs), differing: differing(&runs), objectives, reference, runs })
}

impl Several {
    /// Whether a run has several targets, each of which is one here.
    pub fn has_targets(&self) -> bool {
        self.runs.iter().any(|run| run.target.is_some())
    }

    /// Whether all runs were measured on the same devices, so that their times can be compared.
    pub fn is_of_one_device(&self) -> bool {
        self.runs.iter().all(|run| run.devices == self.runs[0].devices)
            && self.differing.iter().all(|(name, _)| !name.starts_with("devices.") && name != "replay.log")
    }
}

/// The bound that all runs have; else 1.1 × the worst value of all fronts, and for the error at most 1.
fn common_reference(objectives: &Objectives, bounds: &[Bounds], summaries: &[Summary]) -> Vec<f64> {
    let bound = |objective| {
        let mut of_runs = bounds.iter().map(|bounds| bounds.get(objective));
        let first = of_runs.next().flatten();
        first.filter(|_| of_runs.all(|bound| bound == first))
    };
    let members = summaries.iter().flat_map(|summary| &summary.members);
    reference(objectives, bound, members.map(|member| member.values.as_slice()))
}

impl Course {
    /// Hypervolume after some evaluations; 0 before the first that has one.
    pub fn share_after(&self, evaluations: u64) -> f64 {
        let known = self.hypervolume.partition_point(|step| step.evaluations <= evaluations);
        known.checked_sub(1).map_or(0.0, |last| self.hypervolume[last].share)
    }

    /// Evaluations that have ended.
    pub fn evaluations(&self) -> u64 {
        self.hypervolume.last().map_or(0, |step| step.evaluations)
    }

    fn settings_of_group(&self) -> impl Iterator<Item = &[String; 2]> {
        self.settings.iter().filter(|[name, _]| !OF_ONE_RUN.contains(&name.as_str()))
    }
}

fn groups(runs: &[Course]) -> Vec<Group> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (place, run) in runs.iter().enumerate() {
        let same = groups.iter_mut().find(|group| {
            let first = &runs[group[0]];
            let is_same = first.target == run.target && first.devices == run.devices;
            is_same && first.settings_of_group().eq(run.settings_of_group())
        });
        match same {
            Some(group) => group.push(place),
            None => groups.push(vec![place]),
        }
    }
    let group = |members: Vec<usize>| {
        let members = one_of_each_seed(runs, &members);
        let least = members.iter().map(|place| runs[*place].evaluations()).min().unwrap_or(0);
        let spread = (1..=least).map(|evaluations| {
            let shares: Vec<f64> = members.iter().map(|place| runs[*place].share_after(evaluations)).collect();
            Spread::of(evaluations, &shares)
        });
        Group { spread: spread.collect(), runs: members }
    };
    groups.into_iter().map(group).collect()
}

/// Of runs with the same seed the one with the most evaluations, and of these the first.
fn one_of_each_seed(runs: &[Course], places: &[usize]) -> Vec<usize> {
    let mut kept: Vec<usize> = Vec::new();
    for &place in places {
        match kept.iter_mut().find(|known| runs[**known].seed == runs[place].seed) {
            Some(known) if runs[place].evaluations() > runs[*known].evaluations() => *known = place,
            Some(_) => {}
            None => kept.push(place),
        }
    }
    kept
}

impl Spread {
    fn of(evaluations: u64, shares: &[f64]) -> Self {
        let count = shares.len() as f64;
        let mean = shares.iter().sum::<f64>() / count;
        let freedom = count - 1.0;
        let half_width = StudentsT::new(0.0, 1.0, freedom).ok().filter(|_| freedom > 0.0).map(|student| {
            let variance = shares.iter().map(|share| (share - mean).powi(2)).sum::<f64>() / freedom;
            student.inverse_cdf(0.975) * (variance / count).sqrt()
        });
        Self { evaluations, mean, half_width }
    }
}

fn differing(runs: &[Course]) -> Vec<(String, Vec<Option<String>>)> {
    let names: BTreeSet<&String> = runs.iter().flat_map(|run| &run.settings).map(|[name, _]| name).collect();
    let value = |run: &Course, name: &String| {
        run.settings.iter().find(|[known, _]| known == name).map(|[_, value]| value.clone())
    };
    let values = |name: &String| runs.iter().map(|run| value(run, name)).collect::<Vec<_>>();
    let all = names.into_iter().map(|name| (name.clone(), values(name)));
    all.filter(|(_, values)| values.iter().any(|value| *value != values[0])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_students() {
        // Three values of mean 2 and deviation 1: t(2) at 97.5 % is 4.3027.
        let found = Spread::of(5, &[1.0, 2.0, 3.0]);
        assert_eq!((found.evaluations, found.mean), (5, 2.0));
        assert!((found.half_width.unwrap() - 4.302_652_7 / 3_f64.sqrt()).abs() < 1e-6);
        assert_eq!(Spread::of(5, &[1.0]).half_width, None);
    }

    fn course(seed: u64, shares: &[(u64, f64)]) -> Course {
        let step = |(evaluations, share): &(u64, f64)| Step {
            evaluations: *evaluations,
            epochs: 0,
            hours: None,
            share: *share,
        };
        Course {
            folder: PathBuf::new(),
            target: None,
            seed,
            devices: BTreeSet::new(),
            hypervolume: shares.iter().map(step).collect(),
            front: Vec::new(),
            settings: Vec::new(),
        }
    }

    #[test]
    fn each_seed_counts_once_in_an_interval() {
        let runs = [course(1, &[(1, 0.2)]), course(2, &[(1, 0.4), (2, 0.5)]), course(1, &[(1, 0.2), (2, 0.3)])];
        let [group] = &groups(&runs)[..] else { panic!("the settings are the same") };
        assert_eq!(group.runs, [2, 1]);
        assert_eq!(group.spread, [Spread::of(1, &[0.2, 0.4]), Spread::of(2, &[0.3, 0.5])]);
    }

    #[test]
    fn a_share_is_that_of_the_last_evaluation_before() {
        let run = course(1, &[(2, 0.25), (5, 0.5)]);
        assert_eq!([1, 2, 4, 5, 9].map(|count| run.share_after(count)), [0.0, 0.25, 0.25, 0.5, 0.5]);
    }
}
