//! `controller measure MODEL|ARCHITECTURE`.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use hardware::options::DeviceOptions;
use hardware::{Energy, Measurement, Model};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::export::{fresh_network, input_of};
use super::options::ExperimentOptions;
use crate::config::Experiment;
use crate::evaluate::untrained_model;
use crate::run::temporary_folder;
use crate::terminal::say;

/// Measure one model or architecture on a device.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  controller measure runs/short/models/12.onnx
  controller measure '|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|' --device host --json
  controller measure runs/short/models/12.onnx --experiment experiments/tx2.toml --device tx2
  controller measure runs/short/models/12.onnx --experiment experiments/ncs.toml --json")]
pub(super) struct Measure {
    /// An ONNX file with batch 1, or an architecture in the text form of the experiment's search space.
    model: String,
    /// Device by its name in the experiment [default: the only one].
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    #[command(flatten)]
    experiment: ExperimentOptions,
    /// For other programs.
    #[arg(long)]
    json: bool,
}

impl Measure {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let experiment = self.experiment.read()?;
        let config = self.device_of(&experiment)?;
        let scratch = temporary_folder()?;
        let path = PathBuf::from(&self.model);
        let model = if path.extension().is_some_and(|extension| extension == "onnx") || path.is_file() {
            model_of_file(&path)?
        } else {
            let (input, deployment) = input_of(&experiment)?;
            let network = fresh_network(&experiment, &self.model, input)?;
            let path = scratch.path().join("model.onnx");
            untrained_model(&network, &self.model, deployment.as_ref(), &path, experiment.export)?
        };
        let mut device = config.open()?;
        // On a terminal only, and removed at the end.
        let progress = ProgressBar::new_spinner().with_message("identifying the device");
        progress.set_style(ProgressStyle::with_template("{spinner} {msg} ({elapsed})")?);
        progress.enable_steady_tick(Duration::from_millis(100));
        let label = device.describe()?.label();
        progress.set_message(format!("measuring on {label}"));
        let measurement = device.measure(&model, &experiment.measuring)?;
        progress.finish_and_clear();
        if self.json {
            say(format_args!("{:#}", json(&model, &label, &measurement)))?;
        } else {
            print(&model, &label, &measurement, config.why_no_energy().as_deref())?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn device_of<'a>(&self, experiment: &'a Experiment) -> anyhow::Result<&'a DeviceOptions> {
        let names = || experiment.devices.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        match &self.device {
            Some(name) => match experiment.devices.get(name) {
                Some(found) => Ok(found),
                None => bail!("the experiment has no device `{name}`; it has: {}", names()),
            },
            None if experiment.devices.len() > 1 => bail!("choose one with --device: {}", names()),
            None => experiment.devices.values().next().context("the experiment has no device"),
        }
    }
}

fn model_of_file(path: &Path) -> anyhow::Result<Model> {
    let model = Model::load(path.display().to_string(), path)?;
    if model.inputs.is_empty() {
        bail!("{} is not a model that can be measured: it is not ONNX, or has no input", path.display());
    }
    Ok(model)
}

fn print(model: &Model, device: &str, measurement: &Measurement, why_no_energy: Option<&str>) -> io::Result<()> {
    let latency = &measurement.latency;
    say(format_args!("{}\n  on {device}", model.architecture))?;
    // Not every tool reports a deviation.
    let label = if latency.std_ms.is_some() { "time (mean ± σ)" } else { "time (mean)" };
    line(label, with_deviation(latency.mean_ms, latency.std_ms, "ms"))?;
    let runs = latency.runs.map_or_else(String::new, |runs| format!("  ({runs} runs)"));
    match (latency.min_ms, latency.p50_ms) {
        (Some(min), Some(p50)) => line("min, median", format!("{min:.4}, {p50:.4} ms{runs}"))?,
        (Some(min), None) => line("min", format!("{min:.4} ms{runs}"))?,
        (None, Some(p50)) => line("median", format!("{p50:.4} ms{runs}"))?,
        (None, None) if !runs.is_empty() => line("measured in", runs)?,
        (None, None) => (),
    }
    if let (Some(p95), Some(p99)) = (latency.p95_ms, latency.p99_ms) {
        line("p95, p99", format!("{p95:.4}, {p99:.4} ms"))?;
    }
    if let Some(compute) = &measurement.latency_without_transfer {
        line("without transfer", with_deviation(compute.mean_ms, compute.std_ms, "ms"))?;
    }
    if let Some(throughput) = measurement.throughput_per_s {
        line("throughput", format!("{throughput:.1} inferences/s"))?;
    }
    match &measurement.energy {
        Some(energy) => print_energy(energy)?,
        None => {
            let why = why_no_energy.unwrap_or("the device has no power meter");
            line("energy", format!("not measured: {why}"))?;
        }
    }
    let conditions = &measurement.conditions;
    let temperatures = conditions.temperature_before_c.zip(conditions.temperature_after_c);
    let clocks = conditions.clock_before_mhz.zip(conditions.clock_after_mhz);
    for (label, change, unit) in [("temperature", temperatures, "°C"), ("clock", clocks, "MHz")] {
        if let Some((before, after)) = change {
            line(label, format!("{before:.0} {unit} before, {after:.0} {unit} after"))?;
        }
    }
    measurement.warnings.iter().try_for_each(|warning| say(format_args!("  warning: {warning}")))
}

fn print_energy(energy: &Energy) -> io::Result<()> {
    let label = if energy.std_mj.is_some() { "energy (mean ± σ)" } else { "energy (mean)" };
    let text = with_deviation(energy.per_inference_mj, energy.std_mj, "mJ");
    match energy.above_idle_mj {
        Some(above_idle) => {
            let [all, above] = if energy.counts_above_idle { ["", "  (counted)"] } else { ["  (counted)", ""] };
            line(label, format!("{text}{all}"))?;
            line("above idle", format!("{above_idle:.4} mJ{above}"))?;
        }
        None => line(label, text)?,
    }
    if let (Some(mean), Some(idle)) = (energy.mean_power_mw, energy.idle_power_mw) {
        let interval = energy.power_interval.map_or_else(String::new, |share| format!(" ± {:.1} %", share * 100.0));
        let samples = energy.power_samples.map_or_else(String::new, |samples| format!("  ({samples} readings)"));
        line("power, idle power", format!("{mean:.0}{interval}, {idle:.0} mW{samples}"))?;
    }
    for rail in &energy.rails {
        let above = rail.above_idle_mj.map_or_else(String::new, |above| format!(", {above:.4} mJ above idle"));
        say(format_args!("    {:<18}{:.4} mJ{above}", rail.rail, rail.per_inference_mj))?;
    }
    line("measured by", energy.source.to_string())
}

fn line(label: &str, text: String) -> io::Result<()> {
    say(format_args!("  {:<19} {text}", format!("{label}:")))
}

/// A value with its deviation, if that is known.
fn with_deviation(value: f64, deviation: Option<f64>, unit: &str) -> String {
    let deviation = deviation.map_or_else(String::new, |deviation| format!(" ± {deviation:.4}"));
    format!("{value:.4}{deviation} {unit}")
}

fn json(model: &Model, label: &str, measurement: &Measurement) -> Value {
    let (latency, conditions, energy) = (&measurement.latency, &measurement.conditions, measurement.energy.as_ref());
    let rails = energy.iter().flat_map(|energy| &energy.rails).map(|rail| {
        let values = json!({"energy_mj": rail.per_inference_mj, "energy_mj_above_idle": rail.above_idle_mj});
        (rail.rail.clone(), values)
    });
    json!({
        "model": model.architecture,
        "sha256": model.sha256,
        "device": label,
        "time_ms": latency.mean_ms,
        "time_ms_std": latency.std_ms,
        "time_ms_min": latency.min_ms,
        "time_ms_p50": latency.p50_ms,
        "time_ms_p95": latency.p95_ms,
        "time_ms_p99": latency.p99_ms,
        "time_runs": latency.runs,
        "throughput_per_s": measurement.throughput_per_s,
        "energy_mj": energy.map(|energy| energy.per_inference_mj),
        "energy_mj_std": energy.and_then(|energy| energy.std_mj),
        "energy_mj_above_idle": energy.and_then(|energy| energy.above_idle_mj),
        "energy_counts_above_idle": energy.map(|energy| energy.counts_above_idle),
        "power_mw": energy.and_then(|energy| energy.mean_power_mw),
        "power_interval": energy.and_then(|energy| energy.power_interval),
        "power_samples": energy.and_then(|energy| energy.power_samples),
        "idle_power_mw": energy.and_then(|energy| energy.idle_power_mw),
        "energy_source": energy.map(|energy| &energy.source),
        "rails": rails.collect::<serde_json::Map<_, _>>(),
        "time_ms_without_transfer": measurement.latency_without_transfer.as_ref().map(|latency| latency.mean_ms),
        "temperature_before_c": conditions.temperature_before_c,
        "temperature_after_c": conditions.temperature_after_c,
        "clock_before_mhz": conditions.clock_before_mhz,
        "clock_after_mhz": conditions.clock_after_mhz,
        "warnings": measurement.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}
