//! What a measurement has besides its row in the journal, for people who look at a network.

use std::collections::BTreeMap;

use hardware::Measurement;
use hardware::shown::clean;
use serde::{Deserialize, Serialize};

/// Numbers and texts of a measurement that the journal does not have. Nothing depends on them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Supplement {
    /// By name with its unit; one that was not measured is absent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub numbers: BTreeMap<String, f64>,
    /// Energy of one inference on each supply rail, in mJ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rails_mj: Vec<(String, f64)>,
    /// Source of the energy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The warnings, each in full.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Energy that meters recorded during a measurement, and the time of it.
pub(crate) const RECORDED: [&str; 2] = ["recorded_mj", "recorded_s"];

impl Supplement {
    /// Most rails, and most warnings.
    const MOST: usize = 20;
    /// Longest text, in characters.
    const LONGEST: usize = 2000;

    pub(crate) fn of(measurement: &Measurement) -> Self {
        let Measurement { latency, latency_without_transfer, throughput_per_s, energy, conditions, warnings } =
            measurement;
        let of_energy = |get: fn(&hardware::Energy) -> Option<f64>| energy.as_ref().and_then(get);
        let [recorded_mj, recorded_s] = RECORDED;
        let numbers = [
            ("time_ms_min", latency.min_ms),
            ("time_ms_mean", Some(latency.mean_ms)),
            ("time_ms_p90", latency.p90_ms),
            ("time_without_transfer_ms", latency_without_transfer.as_ref().map(|latency| latency.mean_ms)),
            ("throughput_per_s", *throughput_per_s),
            ("temperature_before_c", conditions.temperature_before_c),
            ("temperature_after_c", conditions.temperature_after_c),
            ("clock_before_mhz", conditions.clock_before_mhz),
            ("clock_after_mhz", conditions.clock_after_mhz),
            ("mean_power_mw", of_energy(|energy| energy.mean_power_mw)),
            ("power_interval", of_energy(|energy| energy.power_interval)),
            ("above_idle_mj", of_energy(|energy| energy.above_idle_mj)),
            (recorded_mj, of_energy(|energy| Some(energy.recorded?.energy_mj))),
            (recorded_s, of_energy(|energy| Some(energy.recorded?.seconds))),
        ];
        let rails = energy.iter().flat_map(|energy| &energy.rails).take(Self::MOST);
        Self {
            numbers: numbers.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect(),
            rails_mj: rails.map(|rail| (short(&rail.rail), rail.per_inference_mj)).collect(),
            source: energy.as_ref().map(|energy| short(&energy.source)),
            warnings: warnings.iter().take(Self::MOST).map(|warning| short(&warning.to_string())).collect(),
        }
    }

    /// Cleans its texts, which came from another machine and are shown.
    pub(crate) fn clean(&mut self) {
        let rails = self.rails_mj.iter_mut().map(|(rail, _)| rail);
        rails.chain(&mut self.source).chain(&mut self.warnings).for_each(|text| *text = clean(text));
    }
}

fn short(text: &str) -> String {
    text.chars().take(Supplement::LONGEST).collect()
}
