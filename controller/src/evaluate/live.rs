//! Live evaluations: networks are measured on devices and trained here.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use child::backend::Processor;
use child::data::Deployment;
use child::graph::Graph;
use child::onnx;
use child::train::TrainingConfig;
use hardware::Model;
use hardware::log::{Row, Status};
use jiff::Timestamp;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};
use tokio::sync::RwLock;

use super::memory::Trainers;
use super::pool::PoolError;
use super::processors::Processors;
use super::{
    Assignment, Capacity, DevicePool, Evaluating, Evaluator, Finished, Stage, Supplement, TrainingSet, panic_text,
    seconds, set_measured, untrained_model, untrained_network,
};
use crate::history::{Job, Work};
use crate::problem::Problem;
use crate::stop::Stop;

pub struct LiveSettings {
    pub problem: Arc<Problem>,
    /// What the files of networks say of the data set.
    pub deployment: Deployment,
    /// The images to train on; without them, networks are measured alone.
    pub data: Option<TrainingSet>,
    pub training: TrainingConfig,
    /// At least one; each training takes the one with the fewest trainings.
    pub processors: Vec<Processor>,
    /// By target, its devices; `None` for one that is no longer searched for.
    pub pools: Vec<Option<Arc<DevicePool>>>,
    pub export: onnx::Options,
    pub seed: u64,
    /// Children trained concurrently.
    pub trainers: usize,
    /// Threads of each training.
    pub trainer_threads: usize,
    /// Folder for models during measurement.
    pub scratch: PathBuf,
    /// Folder for trainings that are not finished.
    pub trainings: PathBuf,
    pub stop: Stop,
}

/// Measures and trains children, several concurrently. If a device is this machine itself, measurements and trainings exclude each other.
pub struct Live {
    pub(super) settings: LiveSettings,
    pub(super) trainers: Trainers,
    pub(super) processors: Processors,
    /// Write-locked by work that needs this machine for itself.
    pub(super) machine: Arc<RwLock<()>>,
}

impl Live {
    /// `machine` is shared with what else measures and trains on this machine.
    pub fn new(settings: LiveSettings, machine: Arc<RwLock<()>>) -> Self {
        let trainers = Trainers::new(settings.trainers);
        let processors = Processors::new(settings.processors.clone());
        Self { trainers, processors, machine, settings }
    }

    /// The generator of a child's weights and training, from the run's seed and the network alone, so that it is
    /// independent of the order of evaluations.
    pub(super) fn generator(&self, job: &Assignment) -> ChaCha8Rng {
        let mut hash = Sha256::new();
        hash.update(self.settings.seed.to_le_bytes());
        hash.update(job.job.candidate.key.to_string());
        ChaCha8Rng::from_seed(hash.finalize().into())
    }

    async fn finish(self: Arc<Self>, job: Assignment) -> Option<Finished> {
        let mut row = Row::new(job.job.number, &job.text, Status::Failed);
        row.started_at = Some(Timestamp::now().to_string());
        let model = match self.work(&mut row, &job).await {
            Ok(model) => model,
            Err(End::Stopped) => return None,
            Err(End::Early { status, reason, epochs }) => {
                (row.status, row.epochs) = (status, epochs);
                // The reason comes before the warnings of the measurement.
                row.message = Some(match row.message.take() {
                    Some(warnings) => format!("{reason}; {warnings}"),
                    None => reason,
                });
                None
            }
        };
        Some(Finished { row, model })
    }

    /// Fills the row as far as the job comes, and returns the model of a full training.
    async fn work(self: &Arc<Self>, row: &mut Row, job: &Assignment) -> Result<Option<Vec<u8>>, End> {
        let graph = self.settings.problem.graph(&job.job.candidate.architecture).map_err(failed)?.pruned();
        if !graph.is_connected() {
            return Err(failed("no path leads from the image to the logits"));
        }
        match job.job.work {
            Work::Measure { target } => {
                self.measure(row, job, &graph, target).await?;
                row.status = Status::Measured;
                Ok(None)
            }
            Work::Train { epochs } => {
                let config = TrainingConfig { epochs: epochs as usize, ..self.settings.training.clone() };
                let model = self.train(row, job, config, graph.into()).await?;
                Ok(Some(model).filter(|_| epochs >= self.settings.problem.fidelity().full_epochs))
            }
        }
    }

    async fn measure(
        self: &Arc<Self>,
        row: &mut Row,
        job: &Assignment,
        graph: &Graph,
        target: usize,
    ) -> Result<(), End> {
        let pool =
            self.settings.pools.get(target).cloned().flatten().ok_or_else(|| failed("the target has no device"))?;
        let model = self.write_model(job, graph).await?;
        let path = model.path.clone();
        let exclusive = if pool.shares_machine { Some(self.machine.write().await) } else { None };
        let started = Arc::new(OnceLock::new());
        let (begun, this, of_job) = (Arc::clone(&started), Arc::clone(self), job.clone());
        let attend = move |stage: Stage| {
            let goes_on = !this.stopped();
            begun.get_or_init(Instant::now);
            if goes_on {
                of_job.report(stage);
            }
            goes_on
        };
        let result = pool.measure(model, attend).await;
        drop(exclusive);
        row.measure_seconds = started.get().copied().map(seconds);
        // A file that cannot be removed only takes space: the end of the search removes the folder.
        let _ = std::fs::remove_file(path);
        let (measurement, label) = result.map_err(|error| match error {
            PoolError::Failed(reason) => failed(reason),
            PoolError::Suspect { reason, end } => {
                // The evaluation keeps its row; the next ones do not begin.
                self.settings.stop.ask_because(end);
                failed(reason)
            }
            PoolError::Stopped => End::Stopped,
            PoolError::NoneLeft(reason) => self.cannot_go_on(reason),
        })?;
        job.report(Stage::Measured(Box::new(Supplement::of(&measurement))));
        set_measured(row, &measurement, pool.statistic(), label).map_err(failed)
    }

    /// Writes the untrained model to measure.
    async fn write_model(self: &Arc<Self>, job: &Assignment, graph: &Graph) -> Result<Model, End> {
        let (this, graph, job) = (Arc::clone(self), graph.clone(), job.clone());
        blocking(move || {
            let mut rng = this.generator(&job);
            let network = untrained_network(graph, &mut rng).map_err(failed)?;
            let path = this.settings.scratch.join(format!("{}.onnx", job.job.number));
            let deployment = Some(&this.settings.deployment);
            // A full disk would fail the next networks as well.
            untrained_model(&network, &job.text, deployment, &path, this.settings.export)
                .map_err(|error| this.cannot_go_on(error))
        })
        .await?
    }

    /// Stops the search for a reason that would fail the next networks as well.
    fn cannot_go_on(&self, reason: impl ToString) -> End {
        self.settings.stop.ask_because(reason.to_string());
        End::Stopped
    }

    pub(super) fn stopped(&self) -> bool {
        self.settings.stop.asked()
    }
}

impl Evaluator for Live {
    fn run(self: Arc<Self>, assignment: Assignment) -> Evaluating {
        Box::pin(self.finish(assignment))
    }

    fn capacity(&self) -> Capacity {
        let measurements = self.settings.pools.iter().flatten().map(|pool| pool.len()).sum();
        let trainings = self.settings.trainers;
        Capacity { measurements, trainings, together: measurements + trainings }
    }

    fn measurements_on(&self, target: usize) -> usize {
        self.settings.pools.get(target).and_then(Option::as_ref).map_or(0, |pool| pool.len())
    }

    fn recorded(&self, job: &Job) {
        self.remove_checkpoint(job);
    }

    fn resumed(&self, pending: &[Job]) {
        self.remove_checkpoints_but(pending);
    }

    fn saved_training(&self, job: &Job) -> Option<PathBuf> {
        self.checkpoint_path(job)
    }
}

/// The early end of a job.
pub(super) enum End {
    /// The network failed, diverged after so many epochs, or was broken off.
    Early { status: Status, reason: String, epochs: Option<u64> },
    /// The search is being stopped.
    Stopped,
}

pub(super) fn failed(reason: impl ToString) -> End {
    End::Early { status: Status::Failed, reason: reason.to_string(), epochs: None }
}

/// Runs long computations off the asynchronous threads. A panic of a library ends this evaluation only.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, End> {
    tokio::task::spawn_blocking(work).await.map_err(|error| match error.try_into_panic() {
        Ok(panic) => failed(format!("the child broke down: {}", panic_text(panic.as_ref()))),
        Err(_) => End::Stopped,
    })
}
