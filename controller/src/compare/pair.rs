//! Two runs that can be compared.

use std::collections::HashMap;

use anyhow::{Result, bail, ensure};
use child::graph::CanonicalKey;
use hardware::Statistic;
use hardware::log::{Row, Status};

use super::LETTERS;
use super::judge::{Found, OnDevice, Origin, judge};
use super::side::Side;
use crate::config::Experiment;
use crate::history::{History, candidate_of};
use crate::objective::{Bounds, Objective, Objectives};
use crate::problem::Problem;
use crate::report::data_set;

/// Two runs of the same search space, compared by their common objectives.
pub struct Pair {
    pub sides: [Side; 2],
    pub objectives: Objectives,
    /// The search problem of each run, with the common objectives.
    pub problems: [Problem; 2],
    histories: [History; 2],
    /// Measurements for the comparison on each device.
    measured: [HashMap<CanonicalKey, Row>; 2],
}

impl Pair {
    /// Pairs two runs; returns notices for the user besides.
    ///
    /// # Errors
    /// If the runs are of different networks, have no common objective of a device, or a row is not of its space.
    pub fn new(a: Side, b: Side) -> Result<(Self, Vec<String>)> {
        let mut notices = check(&a, &b)?;
        let shared: Vec<_> =
            a.objectives.iter().filter(|objective| b.objectives.position(*objective).is_some()).collect();
        let objectives =
            Objectives::new(shared.clone()).ok().filter(|_| shared.iter().any(|one| one.depends_on_device()));
        let Some(objectives) = objectives else {
            let [a, b] = [&a, &b].map(|side| side.objectives.names());
            bail!(
                "the two runs share too little to compare: A has {a}, B has {b}; at least two objectives must be the same, \
                 and one of them time_ms or energy_mj, for only these depend on the device"
            );
        };
        let problems = [problem(&a, &objectives)?, problem(&b, &objectives)?];
        for (letter, side) in LETTERS.into_iter().zip([&a, &b]) {
            for objective in Objective::ALL {
                if side.experiment.search.bounds.all.get(objective).is_some()
                    && objectives.position(objective).is_none()
                {
                    let notice = "is left out, because only one of the runs measured it";
                    notices.push(format!("{letter}'s bound on {objective} {notice}"));
                }
            }
        }
        let history = |problem: &Problem, side: &Side| History::of_rows(problem, &side.rows);
        let histories = [history(&problems[0], &a)?, history(&problems[1], &b)?];
        let measured = [HashMap::new(), HashMap::new()];
        Ok((Self { sides: [a, b], objectives, problems, histories, measured }, notices))
    }

    /// The feasible front of one run by its own measurements, the best in the first objective first.
    pub fn front(&self, side: usize) -> Result<Vec<Found>> {
        let (history, problem) = (&self.histories[side], &self.problems[side]);
        let mut members = Vec::new();
        for evaluation in history.front() {
            if history.targets().is_feasible(&evaluation.values) {
                members.push(Found {
                    evaluation: evaluation.number,
                    architecture: evaluation.architecture.clone(),
                    text: problem.space().format(&evaluation.architecture)?,
                    values: evaluation.complete().unwrap_or_default(),
                    origin: Origin::Journal,
                });
            }
        }
        members.sort_by(|a, b| a.values[0].total_cmp(&b.values[0]).then(a.evaluation.cmp(&b.evaluation)));
        Ok(members)
    }

    /// Adds measurements on the device of one run.
    pub fn add_measured(&mut self, side: usize, rows: Vec<Row>) -> Result<()> {
        for row in rows.into_iter().filter(|row| row.status == Status::Ok) {
            let key = candidate_of(&self.problems[side], &row)?.key;
            self.measured[side].insert(key, row);
        }
        Ok(())
    }

    /// The front of the other run on the device of this one: members with known values, and those without.
    pub fn other_front(&self, side: usize) -> Result<(Vec<Found>, Vec<Found>)> {
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for found in self.front(1 - side)? {
            match self.known_on(side, &found)? {
                Some((values, origin)) => known.push(Found { values, origin, ..found }),
                None => unknown.push(found),
            }
        }
        Ok((known, unknown))
    }

    /// Compares both fronts on the device of each run, and finds the best networks within each of the bounds `within`.
    pub fn compare(&self, within: &[Bounds]) -> Result<[OnDevice; 2]> {
        let on = |side: usize| -> Result<OnDevice> {
            let (other, unknown) = self.other_front(side)?;
            let bounds = self.problems[side].bounds();
            Ok(OnDevice { unknown, ..judge(&self.objectives, bounds, self.front(side)?, other, within) })
        };
        Ok([on(0)?, on(1)?])
    }

    /// The values of a network of the other run on this device, if all that depend on the device are known.
    fn known_on(&self, side: usize, found: &Found) -> Result<Option<(Vec<f64>, Origin)>> {
        // By network or by text, depending on the problem's `Identity`.
        let key = self.problems[side].key(&found.architecture)?;
        if let Some(known) = self.histories[side].known(&key)
            && let Some(values) = self.merged(&known.values, found)
        {
            return Ok(Some((values, Origin::Journal)));
        }
        let measured = |row: &Row| {
            let here: Vec<_> = self.objectives.iter().map(|objective| objective.measured(row)).collect();
            self.merged(&here, found)
        };
        let replayed = self.sides[side].replayed.as_ref();
        if let Some(values) = replayed.and_then(|replayed| measured(replayed.table().get(&found.text)?)) {
            return Ok(Some((values, Origin::Log)));
        }
        let values = self.measured[side].get(&key).and_then(measured);
        Ok(values.map(|values| (values, Origin::Measured)))
    }

    /// Values on a device for the objectives that depend on it, with those of the other run for the rest.
    fn merged(&self, here: &[Option<f64>], found: &Found) -> Option<Vec<f64>> {
        let both = here.iter().zip(&found.values);
        let values = self.objectives.iter().zip(both);
        values
            .map(|(objective, (here, there))| if objective.depends_on_device() { *here } else { Some(*there) })
            .collect()
    }
}

/// Rejects runs of different networks or data, and returns notices of differences that are allowed.
fn check(a: &Side, b: &Side) -> Result<Vec<String>> {
    let [first, second] = [&a.experiment, &b.experiment];
    if first.space != second.space {
        let [first, second] =
            [first, second].map(|experiment| Experiment { space: experiment.space.clone(), ..Experiment::default() });
        let differences = crate::run::differences(&first, &second)?.join(", ");
        let differences = differences.replace(" there, ", " in A, ").replace(" here)", " in B)");
        bail!(
            "the two runs are of different search spaces, so no network of one can be looked for in the other: \
             {differences}"
        );
    }
    let [input, other] = [first, second].map(|experiment| experiment.input.unwrap_or_default());
    ensure!(
        input == other,
        "the two runs are of different inputs, so their networks are not the same: A's images have the shape {:?} and {} \
         classes, B's {:?} and {}",
        input.shape,
        input.classes,
        other.shape,
        other.classes
    );
    let mut notices = Vec::new();
    // The data and training of a log's networks are not known.
    if a.has_device() && b.has_device() {
        let [data, other] = [first, second].map(|experiment| data_set(&experiment.data.source));
        ensure!(
            data == other,
            "the two runs were trained on different data sets, so their errors do not compare: A on {data}, B on {other}"
        );
        let [training, other] = [first, second]
            .map(|experiment| (experiment.training.recipe(), experiment.data.limit, experiment.data.validation));
        if training != other {
            let notice = "the two runs trained differently ([training] or [data]), which is a part of the difference \
                          between their fronts";
            notices.push(notice.to_owned());
        }
        let [statistic, other] =
            [first, second].map(|experiment| experiment.measuring.statistic.unwrap_or(Statistic::Mean));
        let is_timed = |side: &Side| side.objectives.position(Objective::Time).is_some();
        if statistic != other && is_timed(a) && is_timed(b) {
            notices.push(format!(
                "warning: time_ms is the {statistic} of the runs in A, and their {other} in B: on each device the fronts \
                 are compared by its own, but the searches looked for different networks, and a bound means different \
                 times. `--set measuring.statistic={statistic}` gives a run like A"
            ));
        }
    }
    for (letter, side) in LETTERS.into_iter().zip([a, b]) {
        let (done, path) = (side.rows.len() as u64, side.path.display());
        if let Some(budget) = side.budget.filter(|budget| done < *budget) {
            notices.push(format!("{letter} ({path}) has {done} of {budget} evaluations: its front may still change"));
        }
    }
    let [first, second] = [a, b].map(|side| std::fs::canonicalize(&side.path).ok());
    if first.is_some() && first == second {
        notices.push("A and B are the same run: nothing is lost between them".to_owned());
    }
    Ok(notices)
}

/// The problem of a run with the shared objectives, and its bounds on these.
fn problem(side: &Side, objectives: &Objectives) -> Result<Problem> {
    side.experiment.with_objectives(objectives)?.problem()
}
