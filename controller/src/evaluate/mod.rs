//! Evaluating a network: for real, or out of a log.

mod live;
mod memory;
mod pool;
mod replay;
mod training_set;

pub use live::{Live, LiveSettings};
pub use memory::{Need, NoRoom, Work, free_memory};
pub use pool::{DevicePool, PoolError};
pub use replay::Replayed;
pub use training_set::TrainingSet;

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use anyhow::Context as _;
use child::graph::Cost;
use child::space::Architecture;
use hardware::log::Row;
use tokio::sync::mpsc::UnboundedSender;

use crate::history::{Candidate, Evaluation};
use crate::objective::{Objective, Objectives};
use crate::strategy::Problem;

/// A network to evaluate.
#[derive(Debug, Clone)]
pub struct Job {
    /// Number of the evaluation.
    pub number: u64,
    /// The network.
    pub candidate: Candidate,
    /// Its text.
    pub text: String,
    /// Whether it was evaluated before and only the devices are asked again: it is not trained, and its row has no
    /// accuracy.
    pub remeasure: bool,
    /// Where to tell what is being done.
    pub activity: UnboundedSender<Activity>,
}

impl Job {
    /// Tells what is being done. Nobody may be listening any more, which changes nothing.
    fn tell(&self, stage: Stage) {
        let _ = self.activity.send(Activity { number: self.number, stage });
    }
}

/// What an evaluation is doing at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activity {
    /// Number of the evaluation.
    pub number: u64,
    /// What it is doing.
    pub stage: Stage,
}

/// Stages of an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// A device runs it.
    Measuring,
    /// It waits for a trainer.
    Waiting,
    /// It is being trained.
    Training {
        /// Epochs that are done.
        epoch: usize,
        /// Epochs in all.
        epochs: usize,
    },
}

/// An evaluation that has ended, well or not.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Its row of the journal.
    pub row: Row,
    /// The trained network as ONNX, where it was trained.
    pub model: Option<Vec<u8>>,
}

/// The future of an evaluation; `None` if the search was stopped before it ended.
pub type Evaluating = Pin<Box<dyn Future<Output = Option<Finished>> + Send>>;

/// What evaluates networks. Whatever goes wrong with one network is the end of that evaluation alone, and stands in its
/// row.
pub trait Evaluator: Send + Sync {
    /// Evaluates a network.
    fn evaluate(self: Arc<Self>, job: Job) -> Evaluating;

    /// All that it can evaluate, where that is a list and not the whole space.
    fn available(&self) -> Option<&[Architecture]> {
        None
    }

    /// Whether it can evaluate an architecture.
    fn covers(&self, _text: &str) -> bool {
        true
    }
}

/// What a panic says.
fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given")
}

/// The network that a row of the journal is of.
///
/// # Errors
/// If its text is not an architecture of the problem's space.
pub fn candidate_of(problem: &Problem, row: &Row) -> anyhow::Result<Candidate> {
    let parsed = problem.space().parse(&row.architecture);
    let architecture = parsed.with_context(|| format!("evaluation {} of the journal", row.evaluation))?;
    Ok(Candidate { key: problem.key(&architecture)?, architecture })
}

/// A row of the journal as the search sees it, with the costs of its network for the objectives that are not measured.
///
/// # Errors
/// If the network is not one of the problem's space.
pub fn evaluation_of(problem: &Problem, candidate: Candidate, row: &Row) -> anyhow::Result<Evaluation> {
    let Candidate { architecture, key } = candidate;
    let graph = problem.space().graph(&architecture, problem.input(), problem.classes())?;
    let values = values(problem.objectives(), row, &graph.pruned().cost());
    let deviations = deviations(problem.objectives(), row);
    Ok(Evaluation { number: row.evaluation, architecture, key, values, deviations, status: row.status })
}

/// For each objective, its value in a row of the journal and the costs of the network, where it was found out.
fn values(objectives: &Objectives, row: &Row, cost: &Cost) -> Vec<Option<f64>> {
    let value = |objective| match objective {
        Objective::Error => row.accuracy.map(|accuracy| 1.0 - accuracy),
        Objective::Time => row.time_ms,
        Objective::Energy => row.energy_mj,
        Objective::Parameters => Some(cost.parameters as f64),
        Objective::Macs => Some(cost.macs as f64),
        Objective::ActivationBytes => Some(cost.peak_activation_bytes as f64),
    };
    objectives.iter().map(value).collect()
}

/// For each objective, the standard deviation of its value in a row of the journal, where it is known.
///
/// A row's deviations are those between single runs. They are taken whole, not divided by the root of the number of
/// runs: see [`noise`](crate::pareto::noise).
fn deviations(objectives: &Objectives, row: &Row) -> Vec<Option<f64>> {
    let deviation = |objective| match objective {
        Objective::Error => None,
        Objective::Time => row.time_ms.and(row.time_ms_std),
        Objective::Energy => row.energy_mj.and(row.energy_mj_std),
        Objective::Parameters | Objective::Macs | Objective::ActivationBytes => Some(0.0),
    };
    objectives.iter().map(deviation).collect()
}

#[cfg(test)]
mod tests;
