//! The layers of networks, and what was measured of them besides the journal's columns.

use anyhow::Result;
use child::graph::LayerCost;
use child::space::Architecture;
use serde_json::{Value, json};

use crate::evaluate::{RECORDED, Supplement};
use crate::problem::Problem;

/// Costs and layers of a network, without dead branches, as a device executes them, and the rest of its measurement.
pub(super) fn details(
    problem: &Problem,
    architecture: &Architecture,
    supplement: Option<&Supplement>,
) -> Result<Value> {
    let graph = problem.graph(architecture)?.pruned();
    let cost = graph.cost();
    let layers = graph.layer_costs().map(|LayerCost { operation, shape, macs, parameters }| {
        let shape = format!("{}×{}×{}", shape.channels, shape.height, shape.width);
        json!([operation, shape, macs, parameters])
    });
    let mut details = json!({
        "macs": cost.macs,
        "parameters": cost.parameters,
        "activation_bytes": cost.peak_activation_bytes,
        "layers": layers.collect::<Vec<_>>(),
    });
    if let Some(supplement) = supplement {
        details["measured"] = json!(in_words(supplement));
        details["warnings"] = json!(supplement.warnings);
    }
    Ok(details)
}

/// Pairs of a name and a text, in the order of the page.
fn in_words(supplement: &Supplement) -> Vec<[String; 2]> {
    let number = |name: &str| supplement.numbers.get(name).copied();
    let single = |name: &str| number(name).map(digits);
    let change = |before: &str, after: &str| match (single(before), single(after)) {
        (Some(before), Some(after)) => Some(format!("{before} before, {after} after")),
        (Some(before), None) => Some(format!("{before} before")),
        (None, after) => after.map(|after| format!("{after} after")),
    };
    let mean_power = single("mean_power_mw").map(|mean| match number("power_interval") {
        Some(share) => format!("{mean} ± {} % (95 % interval)", digits(100.0 * share)),
        None => mean,
    });
    let rails: Vec<String> = supplement.rails_mj.iter().map(|(rail, mj)| format!("{rail} {}", digits(*mj))).collect();
    let [recorded_mj, recorded_s] = RECORDED;
    let recorded = number(recorded_mj).zip(number(recorded_s));
    let pairs = [
        ("time (ms), fastest run", single("time_ms_min")),
        ("time (ms), mean", single("time_ms_mean")),
        ("time (ms), 90th percentile", single("time_ms_p90")),
        ("time without transfer (ms)", single("time_without_transfer_ms")),
        ("throughput (1/s)", single("throughput_per_s")),
        ("temperature (°C)", change("temperature_before_c", "temperature_after_c")),
        ("clock (MHz)", change("clock_before_mhz", "clock_after_mhz")),
        ("power under load (mW)", mean_power),
        ("energy above idle (mJ)", single("above_idle_mj")),
        ("energy by rail (mJ)", (!rails.is_empty()).then(|| rails.join(", "))),
        ("energy measured by", supplement.source.clone()),
        ("recorded by the meter", recorded.map(|(mj, s)| format!("{} J in {} s", digits(mj / 1e3), digits(s)))),
    ];
    pairs.into_iter().filter_map(|(name, text)| Some([name.to_owned(), text?])).collect()
}

/// A number with four significant digits.
fn digits(value: f64) -> String {
    let size = if value == 0.0 { 0.0 } else { value.abs().log10().floor() };
    let decimals = (3.0 - size).clamp(0.0, 9.0) as usize;
    let text = format!("{value:.decimals$}");
    text.parse::<f64>().map_or(text, |rounded| rounded.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_absent() {
        let numbers = [("temperature_before_c", 41.04), ("mean_power_mw", 3712.345), ("power_interval", 0.0123)];
        let supplement = Supplement {
            numbers: numbers.map(|(name, value)| (name.to_owned(), value)).into(),
            rails_mj: vec![("GPU".to_owned(), 0.0), ("CPU".to_owned(), -0.012_345)],
            ..Supplement::default()
        };
        let expected = [
            ["temperature (°C)", "41.04 before"],
            ["power under load (mW)", "3712 ± 1.23 % (95 % interval)"],
            ["energy by rail (mJ)", "GPU 0, CPU -0.01235"],
        ];
        assert_eq!(in_words(&supplement), expected.map(|pair| pair.map(str::to_owned)));
    }
}
