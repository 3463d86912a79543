//! Evaluations for real: measured first, then trained.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use burn::tensor::Device as TensorDevice;
use child::backend::Backend;
use child::graph::Graph;
use child::network::Network;
use child::onnx::{self, OnnxError};
use child::train::{EpochReport, TrainError, Trainer, TrainingConfig, Validation};
use hardware::Model;
use hardware::log::{Row, Status};
use jiff::Timestamp;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};
use tokio::sync::RwLock;

use super::memory::{Need, Trainers, free_memory};
use super::{DevicePool, Evaluating, Evaluator, Finished, Job, PoolError, Stage, TrainingSet, panic_text, values};
use crate::objective::Objective;
use crate::search::Stop;
use crate::strategy::Problem;
use crate::terminal::note;

/// What a live evaluator works with.
pub struct LiveSettings {
    /// What is searched for.
    pub problem: Arc<Problem>,
    /// What children are trained on.
    pub data: TrainingSet,
    /// How they are trained.
    pub training: TrainingConfig,
    /// Where they are trained.
    pub tensor_device: TensorDevice,
    /// What they are measured on.
    pub devices: Arc<DevicePool>,
    /// How they are written.
    pub export: onnx::Options,
    /// Seed of the run.
    pub seed: u64,
    /// Children trained side by side.
    pub trainers: usize,
    /// Threads that each of them computes with.
    pub trainer_threads: usize,
    /// Folder for models that are being measured.
    pub scratch: PathBuf,
    /// Who may ask the search to stop.
    pub stop: Stop,
}

/// Trains children and measures them, several at once: a child is measured as soon as a device is free, and trained as
/// soon as a trainer is. Where a device is this machine itself, it measures while nothing is trained.
pub struct Live {
    settings: LiveSettings,
    trainers: Trainers,
    /// Taken to write by what must have this machine for itself.
    machine: RwLock<()>,
}

impl Live {
    /// An evaluator with these settings.
    pub fn new(settings: LiveSettings) -> Self {
        Self { trainers: Trainers::new(settings.trainers), machine: RwLock::new(()), settings }
    }

    /// The generator of a child's weights and training, from the run's seed and the network alone, so that it is the
    /// same in whatever order children are evaluated.
    fn generator(&self, job: &Job) -> ChaCha8Rng {
        let mut hash = Sha256::new();
        hash.update(self.settings.seed.to_le_bytes());
        hash.update(job.candidate.key.to_string());
        ChaCha8Rng::from_seed(hash.finalize().into())
    }

    async fn run(self: Arc<Self>, job: Job) -> Option<Finished> {
        let mut row = Row::new(job.number, &job.text, Status::Failed);
        row.started_at = Some(Timestamp::now().to_string());
        let model = match self.evaluate_into(&mut row, &job).await {
            Ok(model) => model,
            Err(End::Stopped) => return None,
            Err(End::Early { status, reason }) => {
                row.status = status;
                // Before what the measurement warned of.
                let warnings = row.message.replace(reason);
                warnings.iter().for_each(|warnings| add_message(&mut row, warnings));
                None
            }
        };
        Some(Finished { row, model })
    }

    /// Fills the row as far as the evaluation comes, and gives the trained model, unless it was only measured again.
    async fn evaluate_into(self: &Arc<Self>, row: &mut Row, job: &Job) -> Result<Option<Vec<u8>>, End> {
        let problem = &self.settings.problem;
        let architecture = &job.candidate.architecture;
        let written = problem.space().graph(architecture, problem.input(), problem.classes()).map_err(failed)?;
        let graph = Arc::new(written.pruned());
        if !graph.is_connected() {
            return Err(failed("no path leads from the image to the logits"));
        }
        self.measure(row, job, &graph).await?;
        if job.remeasure {
            row.status = Status::Ok;
            return Ok(None);
        }
        let measured = values(problem.objectives(), row, &graph.cost());
        let broken = broken_bounds(problem, &measured);
        if !broken.is_empty() {
            let reason = format!("not trained: {}", broken.join(", "));
            return Err(End::Early { status: Status::Bounded, reason });
        }
        self.train(row, job, graph).await.map(Some)
    }

    async fn measure(self: &Arc<Self>, row: &mut Row, job: &Job, graph: &Arc<Graph>) -> Result<(), End> {
        let (this, graph, prepared) = (Arc::clone(self), Arc::clone(graph), job.clone());
        let model = blocking(move || this.untrained_model(&prepared, graph)).await??;
        let path = model.path.clone();
        let exclusive = if self.settings.devices.shares_machine() { Some(self.machine.write().await) } else { None };
        let mut started = None;
        let begin = || {
            started = Some(Instant::now());
            if !self.stopped() {
                job.tell(Stage::Measuring);
            }
            !self.stopped()
        };
        let result = self.settings.devices.measure(model, begin).await;
        drop(exclusive);
        job.tell(Stage::Waiting);
        row.measure_seconds = started.map(seconds);
        // A file that cannot be removed only takes room: the folder goes when the search ends.
        let _ = std::fs::remove_file(path);
        let (measurement, label) = result.map_err(|error| match error {
            PoolError::Failed(reason) => failed(reason),
            PoolError::Lost { device, reason, left } => {
                let others =
                    if left == 1 { "one other device goes on".to_owned() } else { format!("{left} others go on") };
                note(format_args!("warning: {device} is not asked any more, for it is gone; {others}: {reason}"));
                failed(reason)
            }
            PoolError::Stopped => End::Stopped,
            PoolError::NoneLeft(reason) => self.cannot_go_on(reason),
        })?;
        row.set_measurement(&measurement);
        row.device = Some(label);
        for warning in &measurement.warnings {
            add_message(row, &warning.to_string());
        }
        Ok(())
    }

    /// The model to measure. Time and energy do not depend on the weights, so it need not be trained.
    fn untrained_model(&self, job: &Job, graph: Arc<Graph>) -> Result<Model, End> {
        Need::of_measuring(&graph).check(free_memory()).map_err(failed)?;
        let network = Network::init(graph, &self.settings.tensor_device, &mut self.generator(job));
        let path = self.settings.scratch.join(format!("{}.onnx", job.number));
        onnx::write(&path, &network, &job.text, self.settings.export).map_err(|error| match error {
            // A full disk is no fault of this network: the next ones would fail as well.
            OnnxError::Write { .. } => self.cannot_go_on(error),
            OnnxError::Opset(_) => failed(error),
        })?;
        Model::load(job.text.as_str(), &path).map_err(|error| self.cannot_go_on(error))
    }

    /// Stops the search for a reason that is no network's own.
    fn cannot_go_on(&self, reason: impl ToString) -> End {
        self.settings.stop.ask_because(reason.to_string());
        End::Stopped
    }

    async fn train(self: &Arc<Self>, row: &mut Row, job: &Job, graph: Arc<Graph>) -> Result<Vec<u8>, End> {
        let _trainer = self.trainers.acquire(self.need(&graph)).await.map_err(failed)?;
        let _shared = self.machine.read().await;
        if self.stopped() {
            return Err(End::Stopped);
        }
        job.tell(Stage::Training { epoch: 0, epochs: self.settings.training.epochs });
        let started = Instant::now();
        let (this, training) = (Arc::clone(self), job.clone());
        let result = blocking(move || this.train_blocking(&training, graph)).await;
        row.train_seconds = Some(seconds(started));
        let (accuracy, model) = result??;
        row.epochs = Some(self.settings.training.epochs as u64);
        row.accuracy = Some(accuracy);
        row.status = Status::Ok;
        Ok(model)
    }

    /// What training a network takes, where that is memory of this machine: what a GPU has left is not known here.
    fn need(&self, graph: &Graph) -> Option<Need> {
        let Self { settings, .. } = self;
        let batch = settings.training.batch_size.min(settings.data.splits.train.len());
        (settings.training.backend != Backend::Cuda).then(|| Need::of_training(graph, batch))
    }

    /// Trains on threads of its own, so that children do not wait for each other's.
    fn train_blocking(&self, job: &Job, graph: Arc<Graph>) -> Result<(f64, Vec<u8>), End> {
        let threads =
            rayon::ThreadPoolBuilder::new().num_threads(self.settings.trainer_threads).build().map_err(failed)?;
        threads.install(|| {
            let settings = &self.settings;
            let mut rng = self.generator(job);
            let network = Network::init(graph, &settings.tensor_device, &mut rng);
            let trainer = Trainer {
                data: &settings.data.splits,
                normalisation: &settings.data.normalisation,
                config: &settings.training,
                device: &settings.tensor_device,
                validation: Validation::AtEnd,
            };
            let mut observe = |report: &EpochReport| {
                job.tell(Stage::Training { epoch: report.epoch, epochs: report.epochs });
                if self.stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let trained = trainer.train(network, &mut rng, &mut observe).map_err(|error| match error {
                TrainError::Stopped { .. } => End::Stopped,
                diverged => End::Early { status: Status::Diverged, reason: diverged.to_string() },
            })?;
            let model = onnx::to_bytes(&trained.network, &job.text, settings.export).map_err(failed)?;
            Ok((trained.accuracy, model))
        })
    }

    fn stopped(&self) -> bool {
        self.settings.stop.asked()
    }
}

impl Evaluator for Live {
    fn evaluate(self: Arc<Self>, job: Job) -> Evaluating {
        Box::pin(self.run(job))
    }
}

/// Why an evaluation gave no model.
enum End {
    /// It failed, diverged, or broke a bound.
    Early { status: Status, reason: String },
    /// The search is being stopped.
    Stopped,
}

fn failed(reason: impl ToString) -> End {
    End::Early { status: Status::Failed, reason: reason.to_string() }
}

/// Runs what computes for long off the asynchronous threads. A panic of a library is the end of this evaluation only.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, End> {
    tokio::task::spawn_blocking(work).await.map_err(|error| match error.try_into_panic() {
        Ok(panic) => failed(format!("the child broke down: {}", panic_text(panic.as_ref()))),
        Err(_) => End::Stopped,
    })
}

/// Each broken bound as text, such as `time_ms 5.2 is above 4`.
fn broken_bounds(problem: &Problem, measured: &[Option<f64>]) -> Vec<String> {
    let describe = |(objective, value): (Objective, &Option<f64>)| {
        let (bound, value) = (problem.bounds().get(objective)?, (*value)?);
        (value > bound).then(|| format!("{objective} {value} is above its bound {bound}"))
    };
    problem.objectives().iter().zip(measured).filter_map(describe).collect()
}

fn add_message(row: &mut Row, text: &str) {
    let message = row.message.get_or_insert_default();
    if !message.is_empty() {
        message.push_str("; ");
    }
    message.push_str(text);
}

/// Seconds since an instant, to the millisecond: the journal is read by people.
fn seconds(since: Instant) -> f64 {
    (since.elapsed().as_secs_f64() * 1e3).round() / 1e3
}
