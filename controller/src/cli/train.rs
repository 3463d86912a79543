//! `controller train ARCHITECTURE`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use child::data::{DataConfig, Source, cifar10};
use child::network::Network;
use child::onnx::{self, Accuracy};
use child::train::{Trainer, TrainingConfig, Validation, evaluate};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::export::{architecture_of, check_writable, write_output};
use super::load_images::load_images;
use super::options::{ExperimentOptions, local_path};
use super::training_progress::TrainingProgress;
use crate::evaluate::{Need, free_memory};
use crate::terminal::{note, say};

/// Train one architecture with the experiment's settings, and print its accuracy after every epoch and at
/// the end, on the test images too, if the data set has any.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  controller train '|nor_conv_3x3~0|+|skip_connect~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|'
  controller train ARCHITECTURE --experiment experiments/cifar10.toml --set training.epochs=200 --export best.onnx")]
pub(super) struct Train {
    /// Architecture in the text form of the experiment's search space.
    architecture: String,
    #[command(flatten)]
    experiment: ExperimentOptions,
    /// Download the data set into its folder first, if it can be downloaded (CIFAR-10).
    #[arg(long)]
    download: bool,
    /// Write the trained network to this file.
    #[arg(long, value_name = "FILE.onnx", value_parser = local_path())]
    export: Option<PathBuf>,
}

impl Train {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let experiment = self.experiment.read()?;
        let space = experiment.space.build()?;
        let architecture = architecture_of(space.as_ref(), &self.architecture)?;
        if let Some(path) = &self.export {
            check_writable(path)?;
        }
        if self.download {
            download(&experiment.data, false)?;
        }
        let processor = experiment.training.processor()?;
        let data = load_images(&experiment, false)?;
        experiment.training.augmentation.check(data.shape)?;
        let graph = Arc::new(space.graph(&architecture, data.shape, data.classes)?.pruned());
        let cost = graph.cost();
        say(format_args!("{} parameters, {} MACs; {}", cost.parameters, cost.macs, data.in_words()))?;
        data.notes.iter().for_each(note);
        if !processor.is_gpu() {
            let TrainingConfig { backend, batch_size, .. } = experiment.training;
            let need = Need::of_training(&graph, backend, batch_size.min(data.splits.train.len()));
            say(format_args!("memory: {need}"))?;
            need.check(free_memory())?;
        }
        let mut rng = ChaCha8Rng::seed_from_u64(experiment.search.seed);
        let network = Network::init(graph, &mut rng);
        let trainer = Trainer {
            data: &data.splits,
            normalisation: &data.normalisation,
            config: &experiment.training,
            processor: &processor,
            validation: Validation::EveryEpoch,
            checkpoint: None,
        };
        let mut progress = TrainingProgress::new(&experiment.training, data.splits.train.len());
        let trained = trainer.train(network, &mut rng, &mut progress)?;
        let mut accuracies = vec![data.validated(trained.accuracy)];
        // A reader of the output that has gone does not keep the network from being written.
        let mut said = say(format_args!("validation accuracy {}", percent(&accuracies[0])));
        if let Some(test) = &data.test {
            accuracies.push(data.tested(evaluate(&trained.network, test, &data.normalisation, &processor)));
            said = said.and_then(|()| say(format_args!("test accuracy {}", percent(&accuracies[1]))));
        }
        if let Some(reason) = data.useless(trained.accuracy) {
            note(format_args!("warning: the network is {reason}"));
        }
        if let Some(path) = &self.export {
            let description = onnx::Description {
                architecture: &self.architecture,
                deployment: Some(&data.deployment),
                accuracies: &accuracies,
            };
            write_output(path, &onnx::to_bytes(&trained.network, &description, experiment.export)?)?;
            said = said.and_then(|()| say(format_args!("written to {}", path.display())));
        }
        said?;
        Ok(ExitCode::SUCCESS)
    }
}

/// An accuracy with its images, such as `97.33 % (450 validation images held out of the training images)`.
fn percent(accuracy: &Accuracy) -> String {
    format!("{:.2} % ({})", 100.0 * accuracy.share, accuracy.images)
}

/// Downloads the data set if it can be downloaded.
pub(super) fn download(data: &DataConfig, quiet: bool) -> anyhow::Result<()> {
    let Source::Cifar10 { dir } = &data.source else { return Ok(()) };
    let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::no_length() };
    let template = "downloading CIFAR-10 {bar:24} {bytes}/{total_bytes}, ETA {eta}";
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    let mut progress = |done, total| {
        if let Some(total) = total {
            bar.set_length(total);
        }
        bar.set_position(done);
    };
    cifar10::download(dir, &mut progress).with_context(|| format!("cannot download CIFAR-10 to {}", dir.display()))?;
    bar.finish_and_clear();
    Ok(())
}
