//! Training of one network of a live search.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use child::graph::Graph;
use child::network::Network;
use child::onnx;
use child::train::{
    Continued, EpochReport, Observer, TrainError, Trained, Trainer, TrainingCheckpoint, TrainingConfig, Validation,
};
use hardware::log::{Row, Status};

use super::live::{End, blocking, failed};
use super::memory::Need;
use super::{Assignment, BROKEN_OFF, Live, Stage, TrainingSet, seconds};
use crate::history::{Job, Work};
use crate::terminal::note;

/// Time between two saves of a training: the epochs of small networks are shorter than a save.
const INTERVAL: Duration = Duration::from_secs(1);

/// A network that was trained.
struct Child {
    trained: Trained,
    /// The network as ONNX.
    model: Vec<u8>,
    /// Seconds that epochs took before the training was interrupted.
    seconds_before: f64,
}

/// Reports the progress of a training, and stops it with the search.
struct Progress<'a> {
    live: &'a Live,
    job: &'a Assignment,
    seconds_before: f64,
}

impl Progress<'_> {
    fn is_broken_off(&self) -> bool {
        self.job.broken_off.load(Ordering::Relaxed)
    }
}

impl Observer for Progress<'_> {
    fn continued(&mut self, from: &Continued) {
        self.seconds_before = from.seconds;
        self.job.report(Stage::Training { epoch: from.epoch, epochs: from.epochs, loss: None });
    }

    fn note(&mut self, message: &str) {
        note(format_args!("warning: the training of evaluation {}: {message}", self.job.job.number));
    }

    fn epoch(&mut self, report: &EpochReport) -> ControlFlow<()> {
        let EpochReport { epoch, epochs, loss, .. } = *report;
        self.job.report(Stage::Training { epoch, epochs, loss: Some(loss).filter(|loss| loss.is_finite()) });
        if self.live.stopped() || self.is_broken_off() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl Live {
    pub(super) async fn train(
        self: &Arc<Self>,
        row: &mut Row,
        job: &Assignment,
        config: TrainingConfig,
        graph: Arc<Graph>,
    ) -> Result<Vec<u8>, End> {
        let data = self.images().map_err(failed)?;
        job.report(Stage::Waiting);
        let _trainer = self.trainers.acquire(self.need(&graph, data)).await.map_err(failed)?;
        let _shared = self.machine.read().await;
        if self.stopped() {
            return Err(End::Stopped);
        }
        let epochs = config.epochs;
        job.report(Stage::Training { epoch: 0, epochs, loss: None });
        let started = Instant::now();
        let (this, training) = (Arc::clone(self), job.clone());
        let result = blocking(move || this.train_blocking(&training, &config, graph)).await;
        row.train_seconds = Some(seconds(started));
        let Child { trained, model, seconds_before } = result??;
        row.train_seconds = Some(seconds(started) + (seconds_before * 1e3).round() / 1e3);
        let accuracy = trained.accuracy;
        row.epochs = Some(epochs as u64);
        row.accuracy = Some(accuracy);
        row.trainer = Some(trained.trainer);
        let useless = data.useless(accuracy);
        row.message = useless.into_iter().chain(row.message.take()).reduce(|first, rest| format!("{first}; {rest}"));
        row.status = Status::Ok;
        Ok(model)
    }

    /// The images to train on.
    pub(super) fn images(&self) -> anyhow::Result<&TrainingSet> {
        self.settings.data.as_ref().context("the images to train on are missing")
    }

    /// The memory that training a network needs on this machine; `None` for a GPU, whose free memory is not known.
    pub(super) fn need(&self, graph: &Graph, data: &TrainingSet) -> Option<Need> {
        let settings = &self.settings;
        let batch = settings.training.batch_size.min(data.splits.train.len());
        let backend = settings.training.backend;
        (!self.processors.are_gpus()).then(|| Need::of_training(graph, backend, batch))
    }

    /// Trains on a separate pool of threads, so that children do not wait for each other.
    fn train_blocking(&self, job: &Assignment, config: &TrainingConfig, graph: Arc<Graph>) -> Result<Child, End> {
        let threads =
            rayon::ThreadPoolBuilder::new().num_threads(self.settings.trainer_threads).build().map_err(failed)?;
        threads.install(|| {
            let settings = &self.settings;
            let data = self.images().map_err(failed)?;
            let mut rng = self.generator(job);
            let path = self.checkpoint_path(&job.job);
            let identity = data.in_words();
            let network = Network::init(graph, &mut rng);
            let assigned = self.processors.assign().map_err(failed)?;
            let trainer = Trainer {
                data: &data.splits,
                normalisation: &data.normalisation,
                config,
                processor: assigned.processor,
                validation: Validation::AtEnd,
                checkpoint: path.as_deref().map(|path| TrainingCheckpoint {
                    path,
                    identity: &identity,
                    interval: INTERVAL,
                }),
            };
            let mut observe = Progress { live: self, job, seconds_before: 0.0 };
            let trained = trainer.train(network, &mut rng, &mut observe).map_err(|error| match error {
                TrainError::Stopped { epoch } if observe.is_broken_off() && !self.stopped() => {
                    End::Early { status: Status::Stopped, reason: BROKEN_OFF.to_owned(), epochs: Some(epoch as u64) }
                }
                TrainError::Stopped { .. } => End::Stopped,
                TrainError::Diverged { epoch } => {
                    End::Early { status: Status::Diverged, reason: error.to_string(), epochs: Some(epoch as u64) }
                }
            })?;
            let description = onnx::Description {
                architecture: &job.text,
                deployment: Some(&settings.deployment),
                accuracies: &[data.validated(trained.accuracy)],
            };
            let model = onnx::to_bytes(&trained.network, &description, settings.export).map_err(failed)?;
            Ok(Child { trained, model, seconds_before: observe.seconds_before })
        })
    }

    /// The file that a training is saved to; `None` if its folder cannot be made, which only costs time after a kill.
    pub(super) fn checkpoint_path(&self, job: &Job) -> Option<PathBuf> {
        let folder = &self.settings.trainings;
        // Not the folders above it: a run folder that was deleted stays so.
        match fs::create_dir(folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => None,
            _ => Some(folder.join(name_of(job)?)),
        }
    }

    /// Removes the file of a training whose row is on the disk. One that cannot be removed only takes space: the end of the
    /// search removes the folder.
    pub(super) fn remove_checkpoint(&self, job: &Job) {
        if let Some(name) = name_of(job) {
            let path = self.settings.trainings.join(name);
            let _ = TrainingCheckpoint { path: &path, identity: "", interval: INTERVAL }.remove();
        }
    }

    /// Removes the files of all trainings but these.
    pub(super) fn remove_checkpoints_but(&self, pending: &[Job]) {
        let kept: HashSet<String> = pending.iter().filter_map(name_of).collect();
        for entry in fs::read_dir(&self.settings.trainings).into_iter().flatten().flatten() {
            if !entry.file_name().to_str().is_some_and(|name| kept.contains(name)) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// Name of the file that a training is saved to.
fn name_of(job: &Job) -> Option<String> {
    match job.work {
        Work::Measure { .. } => None,
        Work::Train { epochs } => Some(format!("{}-{epochs}", job.number)),
    }
}
