//! `controller measure MODEL|ARCHITECTURE…`.

mod progress;
mod show;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail, ensure};
use clap::Args;
use hardware::options::DeviceOptions;
use hardware::path::expand_home;
use hardware::{Device, DeviceError, InputShape, Measurement, Model, Plan};

use super::export::{fresh_network, input_of};
use super::options::ExperimentOptions;
use crate::config::Experiment;
use crate::evaluate::untrained_model;
use crate::run::temporary_folder;
use crate::terminal::say;
use progress::Progress;

/// Measure models or architectures on a device.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  controller measure runs/short/models/12.onnx
  controller measure runs/short/models/*.onnx
  controller measure resnet50.onnx --input-shape 1,3,224,224
  controller measure bert.onnx --input-shape input_ids:1,128 --input-shape attention_mask:1,128
  controller measure '|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|' --device host --json
  controller measure runs/short/models/12.onnx --experiment experiments/tx2.toml --device tx2
  controller measure runs/short/models/12.onnx --experiment experiments/ncs.toml --json")]
pub(super) struct Measure {
    /// ONNX files, or architectures in the text form of the experiment's search space.
    #[arg(required = true, value_name = "MODEL")]
    models: Vec<String>,
    /// Sizes of an input that a file leaves open: 1,3,224,224, or NAME:1,3,224,224 for a model of several inputs; may be
    /// repeated.
    #[arg(long, value_name = "SHAPE")]
    input_shape: Vec<InputShape>,
    /// Device by its name in the experiment [default: the only one].
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    #[command(flatten)]
    experiment: ExperimentOptions,
    /// For other programs: an object, or a list of them for several models.
    #[arg(long)]
    json: bool,
}

/// A model with its measurement, or the reason why there is none.
struct Measured {
    /// As it was given.
    name: String,
    result: Result<(Model, Measurement), String>,
}

/// Extensions of model files, of which only the first is measured everywhere: a file that is missing is none of the
/// search space's architectures.
const EXTENSIONS: [&str; 12] =
    ["onnx", "pb", "pt", "pth", "tflite", "h5", "keras", "xml", "engine", "plan", "ort", "safetensors"];

impl Measure {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let experiment = self.experiment.read()?;
        let config = self.device_of(&experiment)?;
        let scratch = temporary_folder()?;
        let load = |(index, given): (usize, &String)| {
            let folder = scratch.path().join(index.to_string());
            std::fs::create_dir(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
            self.model(given, &experiment, config, &folder)
        };
        let mut loaded: Vec<anyhow::Result<Model>> = self.models.iter().enumerate().map(load).collect();
        // The error of a single model is that of the program, before a device is opened.
        let single = if loaded.len() == 1 { loaded.pop().transpose()? } else { None };
        let mut device = config.open()?;
        let mut progress = Progress::new(self.models.len());
        let label = progress.during("identifying the device", || device.describe())?.label();
        let plan = experiment.measuring.clone().for_device(device.as_ref()).map_err(|problem| anyhow!(problem))?;
        let statistic = plan.statistic();
        if let Some(model) = single {
            let measurement = progress.model(&self.models[0], &plan, || measure(device.as_mut(), &model, &plan))??;
            drop(progress);
            if self.json {
                say(format_args!("{:#}", show::json(&model, &label, &measurement, statistic)))?;
            } else {
                show::print(&model, &label, &measurement, statistic, config.why_no_energy().as_deref())?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        let measured = self.measure_all(loaded, device.as_mut(), &plan, &mut progress);
        drop(progress);
        if self.json {
            say(format_args!("{:#}", show::json_of_all(&measured, &label, statistic)))?;
        } else {
            show::print_table(&measured, &label, statistic)?;
        }
        let all_are = measured.iter().all(|one| one.result.is_ok());
        Ok(if all_are { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Measures one model after the other. One that fails does not keep the others from being measured; a device that is
    /// lost does.
    fn measure_all(
        &self,
        loaded: Vec<anyhow::Result<Model>>,
        device: &mut dyn Device,
        plan: &Plan,
        progress: &mut Progress,
    ) -> Vec<Measured> {
        let mut lost: Option<String> = None;
        let mut all = Vec::new();
        for (name, model) in self.models.iter().zip(loaded) {
            let result = match (model, &lost) {
                (Err(error), _) => Err(super::describe(&error)),
                (Ok(_), Some(reason)) => {
                    Err(format!("not measured, since the device cannot be used any more: {reason}"))
                }
                (Ok(model), None) => match progress.model(name, plan, || measure(device, &model, plan)) {
                    Ok(Ok(measurement)) => Ok((model, measurement)),
                    Ok(Err(problem)) => Err(problem.to_string()),
                    Err(error) => {
                        lost = error.is_fatal().then(|| error.to_string());
                        Err(error.to_string())
                    }
                },
            };
            all.push(Measured { name: name.clone(), result });
        }
        all
    }

    fn model(
        &self,
        given: &str,
        experiment: &Experiment,
        config: &DeviceOptions,
        scratch: &Path,
    ) -> anyhow::Result<Model> {
        let path = expand_home(Path::new(given));
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.exists() || extension.is_some_and(|extension| EXTENSIONS.contains(&extension)) {
            ensure!(!path.is_dir(), "{given} is a folder: name the model's file in it");
            let model = Model::load_whole(&path, &self.input_shape, scratch)?;
            match &model.not_onnx {
                // Its program may read any format.
                Some(why) if !matches!(config, DeviceOptions::Command(_)) => {
                    bail!("{given} is not a model that can be measured: {why}")
                }
                _ => return Ok(model),
            }
        }
        ensure!(self.input_shape.is_empty(), "--input-shape is for files: {given} is none that exists");
        let (input, deployment) = input_of(experiment)?;
        let network = fresh_network(experiment, given, input)?;
        untrained_model(&network, given, deployment.as_ref(), &scratch.join("model.onnx"), experiment.export)
    }

    fn device_of<'a>(&self, experiment: &'a Experiment) -> anyhow::Result<&'a DeviceOptions> {
        let names = || experiment.devices.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        match &self.device {
            Some(name) => match experiment.devices.get(name) {
                Some(found) => Ok(&found.options),
                None => bail!("the experiment has no device `{name}`; it has: {}", names()),
            },
            None if experiment.devices.len() > 1 => bail!("choose one with --device: {}", names()),
            None => {
                let first = experiment.devices.values().next();
                first.map(|device| &device.options).context("the experiment has no device")
            }
        }
    }
}

/// Measures a model, and checks that the statistic was measured.
fn measure(device: &mut dyn Device, model: &Model, plan: &Plan) -> Result<anyhow::Result<Measurement>, DeviceError> {
    let measurement = device.measure(model, plan)?;
    let time_ms = measurement.latency.time_ms(plan.statistic());
    Ok(time_ms.map(|_| measurement).map_err(Into::into))
}
