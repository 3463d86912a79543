//! `controller measure MODEL|ARCHITECTURE`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use child::onnx;
use clap::Args;
use hardware::options::DeviceOptions;
use hardware::{Energy, Measurement, Model};
use indicatif::{ProgressBar, ProgressStyle};

use super::export::{fresh_network, input_of};
use super::options::ExperimentOptions;
use crate::config::Experiment;
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
            let input = input_of(&experiment)?;
            let network = fresh_network(&experiment, &self.model, input)?;
            let path = scratch.path().join("model.onnx");
            onnx::write(&path, &network, &self.model, experiment.export.into())?;
            Model::load(self.model.as_str(), &path)?
        };
        let mut device = config.open()?;
        // On a terminal only, and gone when it is done.
        let progress = ProgressBar::new_spinner().with_message("asking the device what it is");
        progress.set_style(ProgressStyle::with_template("{spinner} {msg} ({elapsed})")?);
        progress.enable_steady_tick(Duration::from_millis(100));
        let label = device.describe()?.label();
        progress.set_message(format!("measuring on {label}"));
        let measurement = device.measure(&model, &experiment.measuring.plan())?;
        progress.finish_and_clear();
        if self.json {
            say(serde_json::to_string_pretty(&json(&model, &label, &measurement))?)?;
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

fn print(model: &Model, label: &str, measurement: &Measurement, why_no_energy: Option<&str>) -> std::io::Result<()> {
    let latency = &measurement.latency;
    say(format_args!("{}\n  on {label}", model.architecture))?;
    let time = with_deviation(latency.mean_ms, latency.std_ms, "ms");
    // Without a deviation none is claimed: not every tool tells one.
    let label = if latency.std_ms.is_some() { "time (mean ± σ):" } else { "time (mean):" };
    say(format_args!("  {label:<19} {time}"))?;
    let runs = latency.runs.map_or_else(String::new, |runs| format!("  ({runs} runs)"));
    match (latency.min_ms, latency.p50_ms) {
        (Some(min), Some(p50)) => say(format_args!("  min, median:        {min:.4}, {p50:.4} ms{runs}"))?,
        (Some(min), None) => say(format_args!("  min:                {min:.4} ms{runs}"))?,
        (None, Some(p50)) => say(format_args!("  median:             {p50:.4} ms{runs}"))?,
        (None, None) if !runs.is_empty() => say(format_args!("  measured in:       {runs}"))?,
        (None, None) => (),
    }
    if let (Some(p95), Some(p99)) = (latency.p95_ms, latency.p99_ms) {
        say(format_args!("  p95, p99:           {p95:.4}, {p99:.4} ms"))?;
    }
    if let Some(compute) = &measurement.latency_without_transfer {
        say(format_args!("  without transfer:   {}", with_deviation(compute.mean_ms, compute.std_ms, "ms")))?;
    }
    if let Some(throughput) = measurement.throughput_per_s {
        say(format_args!("  throughput:         {throughput:.1} inferences/s"))?;
    }
    match &measurement.energy {
        Some(energy) => print_energy(energy)?,
        None => say(format_args!(
            "  energy:             not measured: {}",
            why_no_energy.unwrap_or("the device has no power meter")
        ))?,
    }
    let conditions = &measurement.conditions;
    let change = |before: Option<f64>, after: Option<f64>, unit: &str| {
        let (before, after) = before.zip(after)?;
        Some(format!("{before:.0} {unit} before, {after:.0} {unit} after"))
    };
    if let Some(text) = change(conditions.temperature_before_c, conditions.temperature_after_c, "°C") {
        say(format_args!("  temperature:        {text}"))?;
    }
    if let Some(text) = change(conditions.clock_before_mhz, conditions.clock_after_mhz, "MHz") {
        say(format_args!("  clock:              {text}"))?;
    }
    for warning in &measurement.warnings {
        say(format_args!("  warning: {warning}"))?;
    }
    Ok(())
}

fn print_energy(energy: &Energy) -> std::io::Result<()> {
    let [all, above] = if energy.counts_above_idle { ["", "  (counted)"] } else { ["  (counted)", ""] };
    let label = if energy.std_mj.is_some() { "energy (mean ± σ):" } else { "energy (mean):" };
    let text = with_deviation(energy.per_inference_mj, energy.std_mj, "mJ");
    match energy.above_idle_mj {
        Some(above_idle) => {
            say(format_args!("  {label:<19} {text}{all}"))?;
            say(format_args!("  above idle:         {above_idle:.4} mJ{above}"))?;
        }
        None => say(format_args!("  {label:<19} {text}"))?,
    }
    if let (Some(mean), Some(idle)) = (energy.mean_power_mw, energy.idle_power_mw) {
        let interval = energy.power_interval.map_or_else(String::new, |share| format!(" ± {:.1} %", share * 100.0));
        let samples = energy.power_samples.map_or_else(String::new, |samples| format!("  ({samples} readings)"));
        say(format_args!("  power, idle power:  {mean:.0}{interval}, {idle:.0} mW{samples}"))?;
    }
    for rail in &energy.rails {
        let above = rail.above_idle_mj.map_or_else(String::new, |above| format!(", {above:.4} mJ above idle"));
        say(format_args!("    {:<18}{:.4} mJ{above}", rail.rail, rail.per_inference_mj))?;
    }
    say(format_args!("  measured by:        {}", energy.source))
}

/// A value with its deviation where that is known.
fn with_deviation(value: f64, deviation: Option<f64>, unit: &str) -> String {
    let deviation = deviation.map_or_else(String::new, |deviation| format!(" ± {deviation:.4}"));
    format!("{value:.4}{deviation} {unit}")
}

fn json(model: &Model, label: &str, measurement: &Measurement) -> serde_json::Value {
    let (latency, conditions) = (&measurement.latency, &measurement.conditions);
    let rails: serde_json::Map<String, serde_json::Value> = measurement
        .energy
        .iter()
        .flat_map(|energy| &energy.rails)
        .map(|rail| {
            let energy =
                serde_json::json!({"energy_mj": rail.per_inference_mj, "energy_mj_above_idle": rail.above_idle_mj});
            (rail.rail.clone(), energy)
        })
        .collect();
    serde_json::json!({
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
        "energy_mj": measurement.energy.as_ref().map(|energy| energy.per_inference_mj),
        "energy_mj_std": measurement.energy.as_ref().and_then(|energy| energy.std_mj),
        "energy_mj_above_idle": measurement.energy.as_ref().and_then(|energy| energy.above_idle_mj),
        "energy_counts_above_idle": measurement.energy.as_ref().map(|energy| energy.counts_above_idle),
        "power_mw": measurement.energy.as_ref().and_then(|energy| energy.mean_power_mw),
        "power_interval": measurement.energy.as_ref().and_then(|energy| energy.power_interval),
        "power_samples": measurement.energy.as_ref().and_then(|energy| energy.power_samples),
        "idle_power_mw": measurement.energy.as_ref().and_then(|energy| energy.idle_power_mw),
        "energy_source": measurement.energy.as_ref().map(|energy| &energy.source),
        "rails": rails,
        "time_ms_without_transfer": measurement.latency_without_transfer.as_ref().map(|latency| latency.mean_ms),
        "temperature_before_c": conditions.temperature_before_c,
        "temperature_after_c": conditions.temperature_after_c,
        "clock_before_mhz": conditions.clock_before_mhz,
        "clock_after_mhz": conditions.clock_after_mhz,
        "warnings": measurement.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}
