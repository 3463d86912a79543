//! How a measurement is shown: as text, as a table, and as JSON.

use std::io;

use hardware::{Energy, Measurement, Model, Statistic};
use serde_json::{Value, json};

use super::Measured;
use crate::report::{lines, plain_table};
use crate::terminal::say;

/// Prints one measurement in full.
pub(super) fn print(
    model: &Model,
    device: &str,
    measurement: &Measurement,
    statistic: Statistic,
    why_no_energy: Option<&str>,
) -> io::Result<()> {
    let latency = &measurement.latency;
    say(format_args!("{}\n  on {device}", model.architecture))?;
    // Not every tool reports a deviation.
    let deviation = if latency.std_ms.is_some() { " ± σ" } else { "" };
    let time_ms = latency.statistic_ms(statistic).unwrap_or(latency.mean_ms);
    line(&format!("time ({statistic}{deviation})"), with_deviation(time_ms, latency.std_ms, "ms"))?;
    let others = [("min", latency.min_ms), ("median", latency.p50_ms), ("mean", Some(latency.mean_ms))];
    let others = others.into_iter().filter(|(name, _)| *name != statistic.as_str());
    let others: Vec<(&str, f64)> = others.filter_map(|(name, ms)| Some((name, ms?))).collect();
    let runs = latency.runs.map_or_else(String::new, |runs| format!("  ({runs} runs)"));
    if !others.is_empty() {
        let names: Vec<&str> = others.iter().map(|(name, _)| *name).collect();
        let values: Vec<String> = others.iter().map(|(_, ms)| number(*ms)).collect();
        line(&names.join(", "), format!("{} ms{runs}", values.join(", ")))?;
    } else if !runs.is_empty() {
        line("measured in", runs)?;
    }
    if let (Some(p95), Some(p99)) = (latency.p95_ms, latency.p99_ms) {
        line("p95, p99", format!("{}, {} ms", number(p95), number(p99)))?;
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
    if let Some(batch) = model.batch() {
        say(format_args!("  note: the model takes a batch of {batch}: time and energy are those of all its images"))?;
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
            line("above idle", format!("{} mJ{above}", number(above_idle)))?;
        }
        None => line(label, text)?,
    }
    if let (Some(mean), Some(idle)) = (energy.mean_power_mw, energy.idle_power_mw) {
        let interval = energy.power_interval.map_or_else(String::new, |share| format!(" ± {:.1} %", share * 100.0));
        let samples = energy.power_samples.map_or_else(String::new, |samples| format!("  ({samples} readings)"));
        line("power, idle power", format!("{mean:.0}{interval}, {idle:.0} mW{samples}"))?;
    }
    for rail in &energy.rails {
        let above = rail.above_idle_mj.map_or_else(String::new, |above| format!(", {} mJ above idle", number(above)));
        say(format_args!("    {:<18}{} mJ{above}", rail.rail, number(rail.per_inference_mj)))?;
    }
    line("measured by", energy.source.to_string())
}

fn line(label: &str, text: String) -> io::Result<()> {
    say(format_args!("  {:<19} {text}", format!("{label}:")))
}

/// A value with its deviation, if that is known.
fn with_deviation(value: f64, deviation: Option<f64>, unit: &str) -> String {
    let deviation = deviation.map_or_else(String::new, |deviation| format!(" ± {}", number(deviation)));
    format!("{}{deviation} {unit}", number(value))
}

/// A number of which at least four digits count, without the sign of a zero.
fn number(value: f64) -> String {
    let magnitude = if value == 0.0 { 0.0 } else { value.abs().log10().floor() };
    // From 4 to 7: a small whole number.
    let decimals = (3.0 - magnitude).clamp(4.0, 7.0) as usize;
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(zero) if zero.bytes().all(|byte| matches!(byte, b'0' | b'.')) => zero.to_owned(),
        _ => text,
    }
}

/// A number without the last digits, in which only the arithmetic shows.
fn rounded(value: Option<f64>) -> Option<f64> {
    value.map(|value| format!("{value:.11e}").parse().unwrap_or(value))
}

/// A measurement for other programs.
pub(super) fn json(model: &Model, label: &str, measurement: &Measurement, statistic: Statistic) -> Value {
    let (latency, conditions, energy) = (&measurement.latency, &measurement.conditions, measurement.energy.as_ref());
    let rails = energy.iter().flat_map(|energy| &energy.rails).map(|rail| {
        let values = json!({
            "energy_mj": rounded(Some(rail.per_inference_mj)),
            "energy_mj_above_idle": rounded(rail.above_idle_mj),
        });
        (rail.rail.clone(), values)
    });
    json!({
        "model": model.architecture,
        "sha256": model.sha256,
        "device": label,
        "statistic": statistic.as_str(),
        "time_ms": rounded(latency.statistic_ms(statistic)),
        "time_ms_mean": rounded(Some(latency.mean_ms)),
        "time_ms_std": rounded(latency.std_ms),
        "time_ms_min": rounded(latency.min_ms),
        "time_ms_p50": rounded(latency.p50_ms),
        "time_ms_p90": rounded(latency.p90_ms),
        "time_ms_p95": rounded(latency.p95_ms),
        "time_ms_p99": rounded(latency.p99_ms),
        "time_runs": latency.runs,
        "throughput_per_s": rounded(measurement.throughput_per_s),
        "energy_mj": rounded(energy.map(|energy| energy.per_inference_mj)),
        "energy_mj_std": rounded(energy.and_then(|energy| energy.std_mj)),
        "energy_mj_above_idle": rounded(energy.and_then(|energy| energy.above_idle_mj)),
        "energy_counts_above_idle": energy.map(|energy| energy.counts_above_idle),
        "power_mw": rounded(energy.and_then(|energy| energy.mean_power_mw)),
        "power_interval": rounded(energy.and_then(|energy| energy.power_interval)),
        "power_samples": energy.and_then(|energy| energy.power_samples),
        "idle_power_mw": rounded(energy.and_then(|energy| energy.idle_power_mw)),
        "energy_source": energy.map(|energy| &energy.source),
        "rails": rails.collect::<serde_json::Map<_, _>>(),
        "time_ms_without_transfer": rounded(
            measurement.latency_without_transfer.as_ref().map(|latency| latency.statistic_ms(statistic).unwrap_or(latency.mean_ms)),
        ),
        "temperature_before_c": rounded(conditions.temperature_before_c),
        "temperature_after_c": rounded(conditions.temperature_after_c),
        "clock_before_mhz": rounded(conditions.clock_before_mhz),
        "clock_after_mhz": rounded(conditions.clock_after_mhz),
        "warnings": measurement.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

/// Prints several measurements as a table, and below it what there is to say about each.
pub(super) fn print_table(measured: &[Measured], device: &str, statistic: Statistic) -> io::Result<()> {
    let has_energy =
        measured.iter().any(|one| one.result.as_ref().is_ok_and(|(_, measured)| measured.energy.is_some()));
    let time = format!("time ms ({statistic})");
    let mut header = vec![time.as_str(), "± σ", "p95", "runs"];
    header.extend(has_energy.then_some("energy mJ"));
    let right_aligned = header.len();
    header.push("model");
    let mut table = plain_table(&header);
    for one in measured {
        let mut row = match &one.result {
            Ok((_, Measurement { latency, energy, .. })) => {
                let shown = |value: Option<f64>| value.map_or_else(String::new, number);
                let time = number(latency.statistic_ms(statistic).unwrap_or(latency.mean_ms));
                let runs = latency.runs.map_or_else(String::new, |runs| runs.to_string());
                let mut row = vec![time, shown(latency.std_ms), shown(latency.p95_ms), runs];
                row.extend(has_energy.then(|| shown(energy.as_ref().map(Energy::counted_mj))));
                row
            }
            Err(_) => {
                let mut row = vec![String::new(); right_aligned];
                row[0] = "failed".to_owned();
                row
            }
        };
        row.push(one.name.clone());
        table.add_row(row);
    }
    say(lines(table, right_aligned).trim_end())?;
    say(format_args!("on {device}"))?;
    for one in measured {
        match &one.result {
            Ok((_, measurement)) => {
                let mut warnings = measurement.warnings.iter();
                warnings.try_for_each(|warning| say(format_args!("warning: {}: {warning}", one.name)))?;
            }
            // Most reasons name the model.
            Err(reason) if reason.contains(&one.name) => say(format_args!("failed: {reason}"))?,
            Err(reason) => say(format_args!("failed: {}: {reason}", one.name))?,
        }
    }
    Ok(())
}

/// The same for other programs: a list, in which a model that failed has its `error`.
pub(super) fn json_of_all(measured: &[Measured], device: &str, statistic: Statistic) -> Value {
    let one = |one: &Measured| match &one.result {
        Ok((model, measurement)) => json(model, device, measurement, statistic),
        Err(reason) => json!({"model": one.name, "device": device, "error": reason}),
    };
    measured.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_four_digits_and_no_negative_zero() {
        let shown = [-0.0, -0.000001, 0.0036543, 12.5, 1234.56789, -0.5].map(number);
        assert_eq!(shown, ["0.0000", "-0.0000010", "0.003654", "12.5000", "1234.5679", "-0.5000"]);
        assert_eq!(number(-1e-9), "0.0000000");
        assert_eq!(rounded(Some(0.09251999999999999)), Some(0.09252));
        assert_eq!(rounded(None), None);
    }
}
