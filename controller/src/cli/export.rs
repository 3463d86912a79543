//! `controller export ARCHITECTURE`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use child::data::Deployment;
use child::network::Network;
use child::onnx;
use child::space::{Architecture, SearchSpace};
use clap::Args;
use hardware::path::folder_of;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::load_images::load_images;
use super::options::{ExperimentOptions, local_path};
use crate::config::{Experiment, InputConfig};
use crate::evaluate::untrained_network;
use crate::run::{CONFIG, IMPORTED, JOURNAL, OBSERVATIONS, PARETO, REPORT, STATUS, write_atomically};
use crate::terminal::{note, say};

/// Write an architecture as an ONNX file with fresh weights, as devices measure it. For trained weights, see `train`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  controller export '|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|' --to small.onnx --set export.opset=11")]
pub(super) struct Export {
    /// Architecture in the text form of the experiment's search space.
    architecture: String,
    /// File to write.
    #[arg(long, value_name = "FILE.onnx", value_parser = local_path())]
    to: PathBuf,
    #[command(flatten)]
    experiment: ExperimentOptions,
}

impl Export {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        check_writable(&self.to)?;
        let experiment = self.experiment.read()?;
        let (input, deployment) = input_of(&experiment)?;
        let network = fresh_network(&experiment, &self.architecture, input)?;
        let description = onnx::Description::untrained(&self.architecture, deployment.as_ref());
        write_output(&self.to, &onnx::to_bytes(&network, &description, experiment.export)?)?;
        if !network.graph().is_connected() {
            note("warning: no path leads from the image to the logits, so the network answers the same to every image");
        }
        let cost = network.graph().cost();
        say(format_args!("{}: {} parameters, {} MACs", self.to.display(), cost.parameters, cost.macs))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Files of a run folder that no other result may replace.
const OF_RUN: [&str; 7] = [CONFIG, JOURNAL, IMPORTED, PARETO, REPORT, STATUS, OBSERVATIONS];

/// The place that a path leads to over links, and whether that is a pipe or a device, which is written to and not replaced.
fn place_of(path: &Path) -> (PathBuf, bool) {
    let place = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let is_written_to = place.exists() && !place.is_file();
    (place, is_written_to)
}

/// Writes a result where the user wants it: a file as a whole or not at all; anything else, such as a pipe, is written to. A link
/// stays one.
pub(super) fn write_output(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let (place, is_written_to) = place_of(path);
    if is_written_to {
        return std::fs::write(&place, content).with_context(|| format!("cannot write {}", path.display()));
    }
    write_atomically(&place, content)
}

/// Checks that a file can be written, before work that may take hours.
pub(super) fn check_writable(path: &Path) -> anyhow::Result<()> {
    let shown = path.display();
    ensure!(!path.is_dir(), "cannot write {shown}: it is a folder; name a file in it");
    if path.file_name().is_none() || shown.to_string().ends_with(std::path::MAIN_SEPARATOR) {
        bail!("cannot write {shown}: it names no file");
    }
    let (place, is_written_to) = place_of(path);
    if is_written_to {
        return Ok(());
    }
    let folder = folder_of(&place);
    let is_of_run = OF_RUN.iter().any(|name| place.file_name().is_some_and(|file| file == *name));
    ensure!(
        !(is_of_run && folder.join(CONFIG).is_file()),
        "cannot write {shown}: {} is the folder of a run, which needs this file; choose another name",
        folder.display()
    );
    ensure!(folder.is_dir(), "cannot write {shown}: {} is not a folder; create it first", folder.display());
    tempfile::NamedTempFile::new_in(folder).with_context(|| format!("cannot write {shown}"))?;
    Ok(())
}

/// Input and classes of an experiment's networks: as stated, or those of its data, with their deployment.
pub(super) fn input_of(experiment: &Experiment) -> anyhow::Result<(InputConfig, Option<Deployment>)> {
    if let Some(input) = experiment.input {
        return Ok((input, None));
    }
    let data = load_images(experiment, false)?;
    Ok((InputConfig::new(data.shape, data.classes), Some(data.deployment)))
}

/// The network of an architecture's text, dead branches removed, with weights drawn from the experiment's seed.
pub(super) fn fresh_network(experiment: &Experiment, text: &str, input: InputConfig) -> anyhow::Result<Network> {
    let space = experiment.space.build()?;
    let architecture = architecture_of(space.as_ref(), text)?;
    let graph = space.graph(&architecture, input.shape(), input.classes)?.pruned();
    untrained_network(graph, &mut ChaCha8Rng::seed_from_u64(experiment.search.seed))
}

/// Reads the text of an architecture; errors name the space.
pub(super) fn architecture_of(space: &dyn SearchSpace, text: &str) -> anyhow::Result<Architecture> {
    let context = || format!("not an architecture of the space `{}` (another experiment: --experiment)", space.name());
    space.parse(text).with_context(context)
}
