//! The front and progress of a run, from its folder alone.

use std::collections::HashSet;
use std::path::Path;

use hardware::log::{Row, Status};

use crate::history::{Evaluation, History};
use crate::objective::Objectives;
use crate::pareto::noise::lead_is_within_noise;
use crate::pareto::{Uncertain, dominates};
use crate::problem::Problem;
use crate::run::Recorded;

/// The results of a run so far.
#[derive(Debug, Clone)]
pub struct Summary {
    pub objectives: Objectives,
    pub rows: Vec<Row>,
    /// Number of evaluations that measured a network again.
    pub repeats: u64,
    /// The values of each network.
    pub values: Vec<Vec<Option<f64>>>,
    pub members: Vec<Member>,
    /// Numbers of the evaluations off the front that members dominate only within the noise.
    pub near: Vec<u64>,
    /// Hypervolume as a share of the box from 0 to the reference point, after each evaluation.
    pub hypervolume: Vec<(u64, f64)>,
    pub reference: Option<Vec<f64>>,
    /// Reservations about the numbers of the devices, as sentences.
    pub notes: Vec<String>,
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
    /// Numbers of the evaluations over which its lead is within the noise in all objectives.
    pub within_noise_of: Vec<u64>,
}

impl Summary {
    /// Reads a run folder, also during its search.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let recorded = Recorded::read(folder)?;
        let notes = recorded.experiment.reservations();
        Ok(Self { notes, ..Self::of(&recorded.problem, recorded.rows)? })
    }

    /// Summarises rows of a problem.
    pub fn of(problem: &Problem, rows: Vec<Row>) -> anyhow::Result<Self> {
        let mut history = History::new(problem.objectives().clone(), problem.bounds().clone());
        let mut hypervolume = Vec::new();
        for row in &rows {
            history.enter(problem, row)?;
            if let Some(share) = history.hypervolume_share() {
                hypervolume.push((row.evaluation, share));
            }
        }
        let mut members: Vec<Member> =
            history.front().filter_map(|evaluation| Member::of(evaluation, &history, &rows)).collect();
        members.sort_by(|a, b| a.values[0].total_cmp(&b.values[0]).then(a.row.evaluation.cmp(&b.row.evaluation)));
        Ok(Self {
            objectives: problem.objectives().clone(),
            values: history.evaluations().iter().map(|evaluation| evaluation.values.clone()).collect(),
            reference: history.reference.get().map(<[f64]>::to_vec),
            notes: Vec::new(),
            repeats: history.repeats(),
            near: near_front(&history),
            rows,
            members,
            hypervolume,
        })
    }

    pub fn count(&self, status: Status) -> usize {
        self.rows.iter().filter(|row| row.status == status).count()
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
            feasible: evaluation.is_feasible(history.objectives(), history.bounds()),
            within_noise_of: within_noise(evaluation, history),
        })
    }
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
    let off = history.evaluations().iter().filter(|evaluation| !history.archive.contains(evaluation.number));
    let near = off.filter(|evaluation| evaluation.uncertain().is_some_and(|point| is_near(&point)));
    near.map(|evaluation| evaluation.number).collect()
}
