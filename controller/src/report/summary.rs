//! A run's front and progress, out of its folder alone.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use hardware::log::{Row, Status};
use serde::Serialize;

use crate::config::Experiment;
use crate::evaluate::{candidate_of, evaluation_of};
use crate::history::History;
use crate::objective::{Objective, Objectives};
use crate::run::RunError;
use crate::strategy::Problem;

/// What a run came to so far.
#[derive(Debug, Clone)]
pub struct Summary {
    /// What is minimised.
    pub objectives: Objectives,
    /// Every evaluation, in order.
    pub rows: Vec<Row>,
    /// For every evaluation, its values.
    pub values: Vec<Vec<Option<f64>>>,
    /// The front, sorted by the first objective.
    pub members: Vec<Member>,
    /// Hypervolume as a share of the box from 0 to the reference point, after each evaluation that has one.
    pub hypervolume: Vec<(u64, f64)>,
    /// The reference point, where it is fixed already.
    pub reference: Option<Vec<f64>>,
}

/// A member of the front.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its row of the journal.
    pub row: Row,
    /// Its value for each objective.
    pub values: Vec<f64>,
    /// Whether it keeps every bound.
    pub feasible: bool,
}

impl Summary {
    /// Reads a run folder, also one that is being searched in.
    ///
    /// # Errors
    /// If it is no run folder, or its journal is damaged.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let config = folder.join("config.toml");
        if !config.is_file() {
            return Err(RunError::NotARun(folder.to_owned()).into());
        }
        let experiment = Experiment::read(&config, &[])?;
        let problem = problem_of(&experiment).with_context(|| format!("{} is not resolved", config.display()))?;
        let journal = folder.join("measurements.csv");
        let rows = if journal.exists() { hardware::log::read_whole_lines(&journal)?.0 } else { Vec::new() };
        Self::of(&problem, rows)
    }

    /// Summarises rows of a problem.
    ///
    /// # Errors
    /// If a row is not of the problem.
    pub fn of(problem: &Problem, rows: Vec<Row>) -> anyhow::Result<Self> {
        let mut history = History::new(problem.objectives().clone(), problem.bounds().clone());
        let mut hypervolume = Vec::new();
        for row in &rows {
            history.push(evaluation_of(problem, candidate_of(problem, row)?, row)?)?;
            if let Some(share) = history.hypervolume_share() {
                hypervolume.push((row.evaluation, share));
            }
        }
        let mut members: Vec<Member> = history
            .front()
            .filter_map(|evaluation| {
                let row = rows.iter().find(|row| row.evaluation == evaluation.number)?.clone();
                let feasible = evaluation.is_feasible(problem.objectives(), problem.bounds());
                Some(Member { row, values: evaluation.complete()?, feasible })
            })
            .collect();
        members.sort_by(|a, b| a.values[0].total_cmp(&b.values[0]).then(a.row.evaluation.cmp(&b.row.evaluation)));
        Ok(Self {
            objectives: problem.objectives().clone(),
            values: history.evaluations().iter().map(|evaluation| evaluation.values.clone()).collect(),
            reference: history.reference().get().map(<[f64]>::to_vec),
            rows,
            members,
            hypervolume,
        })
    }

    /// How many evaluations ended in a way.
    pub fn count(&self, status: Status) -> usize {
        self.rows.iter().filter(|row| row.status == status).count()
    }

    /// The front as JSON: objectives, reference point, hypervolume and members.
    ///
    /// # Errors
    /// If a value cannot be written as JSON; none of ours is such.
    pub fn to_json(&self) -> serde_json::Result<String> {
        let member = |member: &Member| JsonMember {
            evaluation: member.row.evaluation,
            architecture: member.row.architecture.clone(),
            objectives: self.objectives.iter().zip(member.values.iter().copied()).collect(),
            accuracy: member.row.accuracy,
            time_ms: member.row.time_ms,
            time_ms_std: member.row.time_ms_std,
            energy_mj: member.row.energy_mj,
            energy_mj_std: member.row.energy_mj_std,
            device: member.row.device.clone(),
            feasible: member.feasible,
        };
        serde_json::to_string_pretty(&Json {
            objectives: self.objectives.as_slice(),
            evaluations: self.rows.len(),
            reference: self.reference.as_deref(),
            hypervolume_share: self.hypervolume.last().map(|(_, share)| *share),
            front: self.members.iter().map(member).collect(),
        })
    }
}

/// The problem of a resolved experiment, without its data.
fn problem_of(experiment: &Experiment) -> anyhow::Result<Problem> {
    let objectives = experiment.search.objectives.clone().context("search.objectives is missing")?;
    let input = experiment.input.context("the section [input] is missing")?;
    let space = Arc::from(experiment.space.build()?);
    let bounds = experiment.search.bounds.clone();
    Ok(Problem::new(space, input.shape(), input.classes, objectives, bounds, experiment.reward.clone())?)
}

#[derive(Serialize)]
struct Json<'a> {
    objectives: &'a [Objective],
    evaluations: usize,
    reference: Option<&'a [f64]>,
    hypervolume_share: Option<f64>,
    front: Vec<JsonMember>,
}

#[derive(Serialize)]
struct JsonMember {
    evaluation: u64,
    architecture: String,
    objectives: std::collections::BTreeMap<Objective, f64>,
    accuracy: Option<f64>,
    time_ms: Option<f64>,
    time_ms_std: Option<f64>,
    energy_mj: Option<f64>,
    energy_mj_std: Option<f64>,
    device: Option<String>,
    feasible: bool,
}
