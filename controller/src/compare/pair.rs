//! Two runs that can be compared.

use std::collections::HashMap;

use child::backend::Backend;
use child::data::Source;
use child::graph::CanonicalKey;
use child::space::Architecture;
use child::train::TrainingConfig;
use hardware::log::{Row, Status};

use super::judge::{Member, OnDevice, Origin, is_of_device, judge};
use super::side::Side;
use crate::config::{Experiment, InputConfig};
use crate::evaluate::{candidate_of, evaluation_of};
use crate::history::{Evaluation, History};
use crate::objective::{Bounds, Objective, Objectives};
use crate::reward::RewardConfig;
use crate::strategy::Problem;

/// Two runs that cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// Other networks were searched.
    #[error(
        "the two runs are of different search spaces, so no network of one can be looked for in the other: \
         {differences}"
    )]
    Spaces {
        /// Keys that differ, with both values.
        differences: String,
    },
    /// Other images or classes.
    #[error(
        "the two runs are of different inputs, so their networks are not the same: A's images have the shape {a:?} and \
         {a_classes} classes, B's {b:?} and {b_classes}"
    )]
    Inputs {
        /// A's shape.
        a: [usize; 3],
        /// A's classes.
        a_classes: usize,
        /// B's shape.
        b: [usize; 3],
        /// B's classes.
        b_classes: usize,
    },
    /// Trained on other images.
    #[error("the two runs were trained on different data sets, so their errors do not compare: A on {a}, B on {b}")]
    Data {
        /// A's data set.
        a: String,
        /// B's data set.
        b: String,
    },
    /// Too little that both measured.
    #[error(
        "the two runs share too little to compare: A has {a}, B has {b}; at least two objectives must be the same, and \
         one of them time_ms or energy_mj, for only these depend on the device"
    )]
    Objectives {
        /// A's objectives.
        a: String,
        /// B's objectives.
        b: String,
    },
}

/// A member of a front, as it was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its number in the run that found it.
    pub evaluation: u64,
    /// The network.
    pub architecture: Architecture,
    /// Its text.
    pub text: String,
    /// Its values where it was found.
    pub there: Vec<f64>,
}

/// Two runs of the same networks, by the objectives that they share.
pub struct Pair {
    /// The runs.
    pub sides: [Side; 2],
    /// What both minimise.
    pub objectives: Objectives,
    problems: [Problem; 2],
    histories: [History; 2],
    /// What was measured on each device for the comparison.
    measured: [HashMap<CanonicalKey, Row>; 2],
}

impl Pair {
    /// Pairs two runs, and tells what the user should know about it.
    ///
    /// # Errors
    /// If they are not of the same networks, or share no objective of a device; or a row is not of its space.
    pub fn new(a: Side, b: Side) -> anyhow::Result<(Self, Vec<String>)> {
        let mut notices = check(&a, &b)?;
        let shared: Vec<_> =
            a.objectives.iter().filter(|objective| b.objectives.position(*objective).is_some()).collect();
        let objectives = Objectives::new(shared.clone()).ok().filter(|_| shared.iter().copied().any(is_of_device));
        let Some(objectives) = objectives else {
            let [a, b] = [&a, &b].map(|side| names(&side.objectives));
            return Err(CompareError::Objectives { a, b }.into());
        };
        let [first, second] = [&a, &b].map(|side| problem(side, &objectives));
        let problems = [first?, second?];
        for (letter, side) in super::LETTERS.into_iter().zip([&a, &b]) {
            let bounds = &side.experiment.search.bounds;
            let dropped = Objective::ALL
                .into_iter()
                .filter(|objective| bounds.get(*objective).is_some() && objectives.position(*objective).is_none());
            for objective in dropped {
                notices
                    .push(format!("{letter}'s bound on {objective} is left out, for only one of the runs measured it"));
            }
        }
        let histories = [history(&a, &problems[0])?, history(&b, &problems[1])?];
        let measured = [HashMap::new(), HashMap::new()];
        Ok((Self { sides: [a, b], objectives, problems, histories, measured }, notices))
    }

    /// The search problem of one run, with the shared objectives alone.
    pub fn problem(&self, side: usize) -> &Problem {
        &self.problems[side]
    }

    /// The front that one run found, by its own measurements, the best in the first objective first.
    ///
    /// # Errors
    /// If a network cannot be written as text.
    pub fn front(&self, side: usize) -> anyhow::Result<Vec<Found>> {
        let (history, problem) = (&self.histories[side], &self.problems[side]);
        let feasible =
            history.front().filter(|evaluation| evaluation.is_feasible(history.objectives(), history.bounds()));
        let member = |evaluation: &Evaluation| {
            Ok(Found {
                evaluation: evaluation.number,
                architecture: evaluation.architecture.clone(),
                text: problem.space().format(&evaluation.architecture)?,
                there: evaluation.complete().unwrap_or_default(),
            })
        };
        let mut members = feasible.map(member).collect::<anyhow::Result<Vec<_>>>()?;
        members.sort_by(|a, b| a.there[0].total_cmp(&b.there[0]).then(a.evaluation.cmp(&b.evaluation)));
        Ok(members)
    }

    /// Takes over what was measured on the device of one run.
    ///
    /// # Errors
    /// If a row is not of the space.
    pub fn learn(&mut self, side: usize, rows: Vec<Row>) -> anyhow::Result<()> {
        for row in rows.into_iter().filter(|row| row.status == Status::Ok) {
            let key = candidate_of(&self.problems[side], &row)?.key;
            self.measured[side].insert(key, row);
        }
        Ok(())
    }

    /// The front of the other run on the device of this one: what is known, and of what nothing is.
    ///
    /// # Errors
    /// If a network is not one of the space.
    pub fn foreign(&self, side: usize) -> anyhow::Result<(Vec<Member>, Vec<Found>)> {
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for foreign in self.front(1 - side)? {
            match self.known_on(side, &foreign)? {
                Some((values, origin)) => {
                    known.push(Member { evaluation: foreign.evaluation, architecture: foreign.text, values, origin })
                }
                None => unknown.push(foreign),
            }
        }
        Ok((known, unknown))
    }

    /// Judges both fronts on both devices. `asked` are the bounds for which the best networks are wanted.
    ///
    /// # Errors
    /// If a network is not one of the space.
    pub fn compare(&self, asked: &[Bounds]) -> anyhow::Result<Comparison<'_>> {
        let [(a, unknown_on_a), (b, unknown_on_b)] = [self.on(0, asked)?, self.on(1, asked)?];
        Ok(Comparison { pair: self, on: [a, b], unknown: [unknown_on_a, unknown_on_b] })
    }

    /// Both fronts on the device of one run, and what of the other's front could not be found out there.
    fn on(&self, side: usize, asked: &[Bounds]) -> anyhow::Result<(OnDevice, Vec<Found>)> {
        let member = |own: Found| Member {
            evaluation: own.evaluation,
            architecture: own.text,
            values: own.there,
            origin: Origin::Journal,
        };
        let own = self.front(side)?.into_iter().map(member).collect();
        let (foreign, unknown) = self.foreign(side)?;
        Ok((judge(&self.objectives, self.problems[side].bounds(), own, foreign, asked), unknown))
    }

    /// The values of a network of the other run on this device, where each that depends on it is known.
    fn known_on(&self, side: usize, foreign: &Found) -> anyhow::Result<Option<(Vec<f64>, Origin)>> {
        let problem = &self.problems[side];
        // A search of networks is asked by network, however it is written; one of a log by text. See `Identity`.
        let key = problem.key(&foreign.architecture)?;
        let merge = |here: &[Option<f64>]| -> Option<Vec<f64>> {
            let both = self.objectives.iter().zip(here).zip(&foreign.there);
            both.map(|((objective, here), there)| if is_of_device(objective) { *here } else { Some(*there) }).collect()
        };
        let of_row = |row: &Row| {
            let value = |objective| match objective {
                Objective::Time => row.time_ms,
                Objective::Energy => row.energy_mj,
                _ => None,
            };
            merge(&self.objectives.iter().map(value).collect::<Vec<_>>())
        };
        let journal = self.histories[side].known(&key).and_then(|known| merge(&known.values));
        let log = || of_row(self.sides[side].replayed.as_ref()?.table().get(&foreign.text)?);
        let measured = || self.measured[side].get(&key).and_then(of_row);
        Ok(journal
            .map(|values| (values, Origin::Journal))
            .or_else(|| log().map(|values| (values, Origin::Log)))
            .or_else(|| measured().map(|values| (values, Origin::Measured))))
    }
}

/// Both fronts on both devices.
pub struct Comparison<'a> {
    /// What is compared.
    pub pair: &'a Pair,
    /// The fronts on the device of each run.
    pub on: [OnDevice; 2],
    /// For each of these, the members of the other run's front whose values there are not known.
    pub unknown: [Vec<Found>; 2],
}

fn names(objectives: &Objectives) -> String {
    objectives.iter().map(Objective::name).collect::<Vec<_>>().join(", ")
}

/// Refuses runs of different networks or data, and tells of what is different but may be.
fn check(a: &Side, b: &Side) -> Result<Vec<String>, CompareError> {
    let (mine, other) = (&a.experiment, &b.experiment);
    if mine.space != other.space {
        let space_alone =
            |experiment: &Experiment| Experiment { space: experiment.space.clone(), ..Default::default() };
        let [mine, other] = [mine, other].map(space_alone);
        let differences = space_differences(&mine, &other);
        return Err(CompareError::Spaces { differences });
    }
    let [input, other_input] = [mine, other].map(|experiment| experiment.input.unwrap_or_default());
    if input != other_input {
        let InputConfig { shape, classes } = other_input;
        return Err(CompareError::Inputs { a: input.shape, a_classes: input.classes, b: shape, b_classes: classes });
    }
    let mut notices = Vec::new();
    // What a log's networks were trained on, and how, only its owner knows.
    if a.has_device() && b.has_device() {
        let [data, other_data] = [mine, other].map(|experiment| data_set(&experiment.data.source));
        if data != other_data {
            return Err(CompareError::Data { a: data, b: other_data });
        }
        let how = |experiment: &Experiment| {
            // Another backend computes the same.
            let training = TrainingConfig { backend: Backend::default(), ..experiment.training.clone() };
            (training, experiment.data.limit, experiment.data.validation)
        };
        let is_same = how(mine) == how(other);
        if !is_same {
            notices.push(
                "the two runs trained differently ([training] or [data]): part of what differs between their \
                          fronts is that"
                    .to_owned(),
            );
        }
    }
    for (letter, side) in super::LETTERS.into_iter().zip([a, b]) {
        let (done, path) = (side.rows.len() as u64, side.path.display());
        if let Some(budget) = side.budget.filter(|budget| done < *budget) {
            notices.push(format!("{letter} ({path}) has {done} of {budget} evaluations: its front is that of now"));
        }
    }
    let [first, second] = [a, b].map(|side| std::fs::canonicalize(&side.path).ok());
    if first.is_some() && first == second {
        notices.push("A and B are the same run: nothing is lost between them".to_owned());
    }
    Ok(notices)
}

fn space_differences(mine: &Experiment, other: &Experiment) -> String {
    match crate::run::differences(mine, other) {
        Ok(found) => found.join(", ").replace(" there, ", " in A, ").replace(" here)", " in B)"),
        Err(error) => error.to_string(),
    }
}

/// A data set by what it is, wherever it lies on the machine that trained on it.
fn data_set(source: &Source) -> String {
    match source {
        Source::Digits => "digits".to_owned(),
        Source::Cifar10 { .. } => "cifar10".to_owned(),
        Source::Folder { dir, .. } => {
            format!("the folder {}", dir.file_name().unwrap_or(dir.as_os_str()).to_string_lossy())
        }
    }
}

/// The problem of a run with the shared objectives, and those of its bounds that are on them.
fn problem(side: &Side, objectives: &Objectives) -> anyhow::Result<Problem> {
    let experiment = &side.experiment;
    let input = experiment.input.unwrap_or_default();
    let bounds = &experiment.search.bounds;
    let shared = Bounds::new(objectives.iter().filter_map(|objective| Some((objective, bounds.get(objective)?))))?;
    let space = side.space()?.into();
    let reward = RewardConfig::default();
    let problem = Problem::new(space, input.shape(), input.classes, objectives.clone(), shared, reward)?;
    Ok(problem.with_identity(experiment.identity()))
}

fn history(side: &Side, problem: &Problem) -> anyhow::Result<History> {
    let mut history = History::new(problem.objectives().clone(), problem.bounds().clone());
    for row in &side.rows {
        history.push(evaluation_of(problem, candidate_of(problem, row)?, row)?)?;
    }
    Ok(history)
}
