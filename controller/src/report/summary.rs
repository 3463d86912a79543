//! The front and progress of a run, from its folder alone.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hardware::log::{Joined, Row, Status, join};

use serde::Serialize;

use crate::evaluate::{BROKEN_OFF, USELESS};
use crate::history::{Evaluation, History};
use crate::objective::{Objective, Objectives};
use crate::pareto::noise::lead_is_within_noise;
use crate::pareto::{Uncertain, dominates};
use crate::problem::Problem;
use crate::run::MODELS;

/// The results of a run so far.
#[derive(Debug, Clone)]
pub struct Summary {
    pub objectives: Objectives,
    /// The evaluations, a row each.
    pub rows: Vec<Row>,
    /// Number of evaluations that measured a network again.
    pub repeats: u64,
    /// The values of each network.
    pub values: Vec<Vec<Option<f64>>>,
    pub members: Vec<Member>,
    /// Numbers of the evaluations that nothing dominates, and that still are not members, because others are better.
    pub set_aside: SetAside,
    /// Numbers of the evaluations off the front that members dominate only within the noise.
    pub near: Vec<u64>,
    /// The hypervolume after each evaluation.
    pub hypervolume: Vec<Step>,
    pub reference: Option<Vec<f64>>,
    /// The reference and the origin of its coordinates.
    pub reference_in_words: Option<String>,
    /// The run folder, where its models were looked for.
    pub folder: Option<PathBuf>,
    /// Reservations about the numbers of the devices, as sentences.
    pub notes: Vec<String>,
}

/// How far the search had come after an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Step {
    /// Evaluations that had ended.
    pub evaluations: u64,
    /// Epochs of all trainings.
    pub epochs: u64,
    /// Time since the first network was begun; `None` where the journal has no times.
    pub hours: Option<f64>,
    /// Hypervolume as a share of the box from 0 to the reference point.
    pub share: f64,
}

/// Non-dominated evaluations that are not members of the front, where better ones are known.
#[derive(Debug, Clone, Default)]
pub struct SetAside {
    /// Those that break a bound, while another one keeps all.
    pub beyond_bounds: Vec<u64>,
    /// Those that are no more accurate than answering one class always, while another one is.
    pub useless: Vec<u64>,
}

#[derive(Debug, Clone)]
pub struct Member {
    /// Its row of the journal. After several measurements, time and energy are the means, their standard deviations
    /// those of the means, and runs and power samples the sums.
    pub row: Row,
    pub values: Vec<f64>,
    /// The standard deviation of each value, if it is known, as defined in [`noise`](crate::pareto::noise).
    pub deviations: Vec<Option<f64>>,
    pub measurements: usize,
    pub feasible: bool,
    /// File of the trained network inside the run folder, if it is there.
    pub model: Option<PathBuf>,
    /// Numbers of the evaluations over which its lead is within the noise in all objectives.
    pub within_noise_of: Vec<u64>,
}

impl Summary {
    /// With the models that a run folder holds.
    #[must_use]
    pub fn with_models(mut self, folder: &Path) -> Self {
        for member in &mut self.members {
            let model = Path::new(MODELS).join(format!("{}.onnx", member.row.evaluation));
            member.model = folder.join(&model).is_file().then_some(model);
        }
        self.folder = Some(folder.to_owned());
        self
    }

    /// Summarises the journal of a problem with one target.
    pub fn of(problem: &Problem, rows: Vec<Row>) -> anyhow::Result<Self> {
        let mut followed = Followed::new(problem);
        followed.enter(problem, rows)?;
        Ok(followed.summary(problem))
    }

    /// Numbers of the failed evaluations whose network was tried again, so that a later row counts.
    pub fn retried(&self) -> HashSet<u64> {
        let mut later = HashSet::new();
        let of_later = self.rows.iter().rev().filter_map(|row| {
            let is_last = row.status == Status::Measured || later.insert(&row.architecture);
            (!is_last && matches!(row.status, Status::Failed | Status::Diverged)).then_some(row.evaluation)
        });
        of_later.collect()
    }

    /// Reasons of unsuccessful evaluations with their frequency, the most frequent first. Texts that differ in the
    /// architecture or in the number of the evaluation alone are one reason, and the last try of a network counts.
    pub fn reasons(&self) -> Vec<(String, usize)> {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let retried = self.retried();
        for row in self.rows.iter().filter(|row| !retried.contains(&row.evaluation)) {
            let reason = match row.status {
                Status::Ok | Status::Measured => continue,
                // Bound and excess differ from row to row.
                Status::Bounded => "a bound was broken, so it was not trained".to_owned(),
                Status::Stopped => BROKEN_OFF.to_owned(),
                Status::Failed | Status::Diverged => general_reason(row),
            };
            *counts.entry(reason).or_default() += 1;
        }
        let mut reasons: Vec<_> = counts.into_iter().collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        reasons
    }

    pub fn count(&self, status: Status) -> usize {
        self.rows.iter().filter(|row| row.status == status).count()
    }
}

/// A journal as far as its rows are entered: when it has grown, only the new rows are.
#[derive(Clone)]
pub(crate) struct Followed {
    pub history: History,
    /// All rows, one for each job.
    pub rows: Vec<Row>,
    /// The rows of each network as one.
    pub joined: Vec<Joined>,
    hypervolume: Vec<Step>,
    /// When the first network was begun, in seconds since 1970.
    first: Option<f64>,
}

impl Followed {
    pub fn new(problem: &Problem) -> Self {
        Self {
            history: History::of(Arc::clone(problem.targets())),
            rows: Vec::new(),
            joined: Vec::new(),
            hypervolume: Vec::new(),
            first: None,
        }
    }

    /// Enters what the rows of the journal have beyond those that are known; another journal is entered from its begin.
    ///
    /// # Errors
    /// If a row is not of this problem.
    pub fn enter(&mut self, problem: &Problem, rows: Vec<Row>) -> anyhow::Result<()> {
        if !rows.starts_with(&self.rows) {
            *self = Self::new(problem);
        }
        for row in &rows[self.rows.len()..] {
            let before = self.history.ended();
            self.history.enter(problem, row)?;
            let begun = row.started_at.as_deref().and_then(seconds_of);
            self.first = self.first.or(begun);
            let (evaluations, epochs) = (self.history.ended(), self.history.epochs());
            let Some(share) = self.history.hypervolume_share() else { continue };
            let last = self.hypervolume.last_mut().filter(|last| last.evaluations == evaluations);
            if let Some(last) = last {
                // A network that was trained before was measured on a target that came later.
                last.share = share;
            } else if evaluations > before || share > 0.0 {
                let took = row.train_seconds.unwrap_or(0.0) + row.measure_seconds.unwrap_or(0.0);
                let hours = begun.zip(self.first).map(|(begun, first)| (begun - first + took) / 3600.0);
                self.hypervolume.push(Step { evaluations, epochs, hours, share });
            }
        }
        self.joined = join(rows.iter().cloned(), problem.fidelity().short_epochs);
        self.rows = rows;
        Ok(())
    }

    pub fn summary(&self, problem: &Problem) -> Summary {
        let history = &self.history;
        let rows: Vec<Row> = self.joined.iter().map(|joined| joined.row.clone()).collect();
        let mut members: Vec<Member> =
            history.front().filter_map(|evaluation| Member::of(evaluation, history, &rows)).collect();
        let set_aside = set_aside(&mut members, problem, &rows);
        members.sort_by(|a, b| a.values[0].total_cmp(&b.values[0]).then(a.row.evaluation.cmp(&b.row.evaluation)));
        Summary {
            objectives: problem.objectives().clone(),
            values: history.evaluations().iter().map(|evaluation| evaluation.values.clone()).collect(),
            reference: history.reference(0).get().map(<[f64]>::to_vec),
            reference_in_words: history.reference(0).in_words(problem.objectives()),
            notes: Vec::new(),
            repeats: history.repeats(),
            near: near_front(history),
            rows,
            members,
            set_aside,
            hypervolume: self.hypervolume.clone(),
            folder: None,
        }
    }
}

impl Member {
    /// A member from the history and the rows of its network; `None` if the history is not of these rows.
    fn of(evaluation: &Evaluation, history: &History, rows: &[Row]) -> Option<Self> {
        let measured = history.measurements(&evaluation.key);
        let numbers: HashSet<u64> = measured.iter().map(|measurement| measurement.number).collect();
        let own: Vec<&Row> = rows.iter().filter(|row| numbers.contains(&row.evaluation)).collect();
        let first = own.iter().find(|row| row.evaluation == evaluation.number)?;
        let successful: Vec<&Row> = own.iter().copied().filter(|row| row.status == Status::Ok).collect();
        Some(Self {
            row: if successful.len() > 1 { mean_row(first, &successful) } else { (*first).clone() },
            values: evaluation.complete()?,
            deviations: evaluation.deviations.clone(),
            measurements: successful.len().max(1),
            feasible: history.targets().is_feasible(&evaluation.values),
            model: None,
            within_noise_of: within_noise(evaluation, history),
        })
    }
}

/// The reason in a row's message without the parts that belong to its network alone.
fn general_reason(row: &Row) -> String {
    // The reason comes before the warnings of the measurement.
    let message = row.message.as_deref().unwrap_or("no reason given");
    let without = match row.architecture.is_empty() {
        true => message.to_owned(),
        false => message.replace(&row.architecture, "the network"),
    };
    let reason = without.split("; ").next().unwrap_or_default();
    reason.replace(&format!("{}.onnx", row.evaluation), "N.onnx")
}

/// A time of the journal in seconds since 1970; `None` if it cannot be read.
pub fn seconds_of(text: &str) -> Option<f64> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(time.as_second() as f64)
}

/// Removes the members that break a bound, or know nothing, if there are better ones.
fn set_aside(members: &mut Vec<Member>, problem: &Problem, rows: &[Row]) -> SetAside {
    let chance = 1.0 / problem.classes() as f64;
    let least = rows.iter().filter_map(|row| row.accuracy).fold(f64::INFINITY, f64::min);
    let is_useless = |member: &Member| {
        let row = &member.row;
        let is_known = row.message.as_ref().is_some_and(|message| message.contains(USELESS));
        // The classes of a table need not be those of the experiment: then some of its accuracies lie far below.
        let are_classes_right = row.train_seconds.is_some() || least >= 0.9 * chance;
        is_known || are_classes_right && row.accuracy.is_some_and(|accuracy| accuracy <= chance + 1e-9)
    };
    let beyond_bounds = remove_unless_all(members, |member| !member.feasible);
    let counts_accuracy = problem.objectives().position(Objective::Error).is_some();
    let useless = remove_unless_all(members, |member| counts_accuracy && is_useless(member));
    SetAside { beyond_bounds, useless }
}

/// Removes the members that are worse, unless all are, and returns their numbers.
fn remove_unless_all(members: &mut Vec<Member>, is_worse: impl Fn(&Member) -> bool) -> Vec<u64> {
    if members.iter().all(&is_worse) {
        return Vec::new();
    }
    let mut removed: Vec<u64> =
        members.extract_if(.., |member| is_worse(member)).map(|one| one.row.evaluation).collect();
    removed.sort_unstable();
    removed
}

/// The row `first` with the means of all measurements.
fn mean_row(first: &Row, measured: &[&Row]) -> Row {
    let mean = |value: fn(&Row) -> (Option<f64>, Option<f64>)| {
        let known = measured.iter().filter_map(|row| {
            let (value, deviation) = value(row);
            Some(Uncertain { value: value?, deviation })
        });
        let mean = Uncertain::mean(&known.collect::<Vec<_>>());
        (mean.map(|mean| mean.value), mean.and_then(|mean| mean.deviation))
    };
    // `None` if no row has a count: a plain sum would give 0.
    let total = |count: fn(&Row) -> Option<u64>| measured.iter().filter_map(|row| count(row)).reduce(|a, b| a + b);
    let (time_ms, time_ms_std) = mean(|row| (row.time_ms, row.time_ms_std));
    let (energy_mj, energy_mj_std) = mean(|row| (row.energy_mj, row.energy_mj_std));
    let percentile = |value: fn(&Row) -> Option<f64>| {
        let known: Vec<f64> = measured.iter().filter_map(|row| value(row)).collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    };
    Row {
        time_ms,
        time_ms_p50: percentile(|row| row.time_ms_p50),
        time_ms_p95: percentile(|row| row.time_ms_p95),
        time_ms_p99: percentile(|row| row.time_ms_p99),
        time_ms_std,
        time_runs: total(|row| row.time_runs),
        energy_mj,
        energy_mj_std,
        power_samples: total(|row| row.power_samples),
        ..first.clone()
    }
}

/// Numbers of the evaluations over which the lead of `evaluation` is within the noise in all objectives.
fn within_noise(evaluation: &Evaluation, history: &History) -> Vec<u64> {
    let Some(values) = evaluation.uncertain() else { return Vec::new() };
    let others = history.evaluations().iter().filter(|other| other.number != evaluation.number);
    let near = others.filter(|other| other.uncertain().is_some_and(|other| lead_is_within_noise(&values, &other)));
    near.map(|other| other.number).collect()
}

/// Numbers of the evaluations off the front that members dominate only within the noise.
fn near_front(history: &History) -> Vec<u64> {
    let members: Vec<_> = history.front().filter_map(Evaluation::uncertain).collect();
    let values = |vector: &[Uncertain]| vector.iter().map(|one| one.value).collect::<Vec<_>>();
    let is_near = |point: &[Uncertain]| {
        let mut dominating = members.iter().filter(|member| dominates(&values(member), &values(point)));
        dominating.all(|member| lead_is_within_noise(member, point))
    };
    let off = history.evaluations().iter().filter(|evaluation| !history.archive(0).contains(evaluation.number));
    let near = off.filter(|evaluation| evaluation.uncertain().is_some_and(|point| is_near(&point)));
    near.map(|evaluation| evaluation.number).collect()
}
