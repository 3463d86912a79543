//! The output of a device's program: one JSON object with the keys of `controller measure --json`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::device::Plan;
use crate::doubts;
use crate::measurement::{Conditions, Energy, Latency, Measurement, RailEnergy};
use crate::remote::RemoteError;
use crate::shown::{ends_of, line_of};
use crate::statistic::Statistic;
use crate::warning::Warning;

/// The object; everything may be absent but a time.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Answer {
    /// Why the device cannot run the model; with it no time is needed.
    pub error: Option<String>,
    /// The device's name.
    pub device: Option<String>,
    /// Single runs, in place of statistics.
    pub times_ms: Option<Vec<f64>>,
    time_ms: Option<f64>,
    /// Where `time_ms` is another statistic.
    time_ms_mean: Option<f64>,
    #[serde(rename = "statistic")]
    _statistic: IgnoredAny,
    time_ms_std: Option<f64>,
    time_ms_min: Option<f64>,
    time_ms_p50: Option<f64>,
    time_ms_p90: Option<f64>,
    time_ms_p95: Option<f64>,
    time_ms_p99: Option<f64>,
    time_runs: Option<u64>,
    time_ms_without_transfer: Option<f64>,
    throughput_per_s: Option<f64>,
    pub energy_mj: Option<f64>,
    energy_mj_std: Option<f64>,
    energy_mj_above_idle: Option<f64>,
    energy_counts_above_idle: Option<bool>,
    energy_source: Option<String>,
    power_mw: Option<f64>,
    power_interval: Option<f64>,
    power_samples: Option<u64>,
    idle_power_mw: Option<f64>,
    rails: Option<BTreeMap<String, Rail>>,
    temperature_before_c: Option<f64>,
    temperature_after_c: Option<f64>,
    clock_before_mhz: Option<f64>,
    clock_after_mhz: Option<f64>,
    warnings: Option<Vec<String>>,
    /// Begin and end of the timed runs, in ns of `CLOCK_REALTIME` on the program's machine.
    pub started_ns: Option<u64>,
    pub ended_ns: Option<u64>,
    #[serde(rename = "model")]
    _model: IgnoredAny,
    #[serde(rename = "sha256")]
    _sha256: IgnoredAny,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rail {
    energy_mj: f64,
    #[serde(default)]
    energy_mj_above_idle: Option<f64>,
}

impl Answer {
    /// Reads the last JSON object in what the program printed.
    ///
    /// # Errors
    /// If the object is missing, a key is unknown, or the program reports an error.
    pub fn parse(printed: &str) -> Result<Self, RemoteError> {
        let failed = |problem: String| RemoteError::Failed { problem };
        let begins = printed.rfind("\n{").map_or(0, |at| at + 1);
        let object = printed[begins..].trim();
        if !object.starts_with('{') {
            let found = if object.is_empty() { "nothing".to_owned() } else { format!("{:?}", line_of(printed.trim())) };
            return Err(failed(format!(
                "the program must print one JSON object such as {{\"time_ms\": 1.5}}; it printed {found}"
            )));
        }
        let answer: Self = serde_json::from_str(object).map_err(|error| {
            failed(format!("the program printed JSON that is not understood: {error}: {:?}", line_of(object)))
        })?;
        match answer.error {
            Some(reason) => Err(RemoteError::Refused { reason: ends_of(&reason) }),
            None => Ok(answer),
        }
    }

    /// Number of timed runs.
    pub fn runs(&self) -> Option<u64> {
        self.times_ms.as_ref().map(|times| times.len() as u64).or(self.time_runs)
    }

    /// Whether it has a statistic of single runs.
    pub fn gives(&self, statistic: Statistic) -> bool {
        self.times_ms.is_some()
            || match statistic {
                Statistic::Mean => true,
                Statistic::Median => self.time_ms_p50.is_some(),
                Statistic::P90 => self.time_ms_p90.is_some(),
                Statistic::P95 => self.time_ms_p95.is_some(),
                Statistic::P99 => self.time_ms_p99.is_some(),
            }
    }

    /// The measurement, without what a meter beside the program measured.
    ///
    /// # Errors
    /// If the time is missing, or a number is impossible.
    pub fn measurement(self, plan: &Plan) -> Result<Measurement, RemoteError> {
        let failed = |problem: String| RemoteError::Failed { problem };
        let energy = self.energy();
        let mut warnings: Vec<Warning> =
            self.warnings.into_iter().flatten().map(|text| Warning::Program { text: ends_of(&text) }).collect();
        let latency = match (&self.times_ms, self.time_ms) {
            (Some(times), _) => {
                let latency = Latency::from_samples(times).map_err(|error| failed(format!("times_ms: {error}")))?;
                warnings.extend(doubts::of_runs(times, plan));
                latency
            }
            (None, Some(time_ms)) => Latency {
                mean_ms: self.time_ms_mean.unwrap_or(time_ms),
                std_ms: self.time_ms_std,
                min_ms: self.time_ms_min,
                p50_ms: self.time_ms_p50,
                p90_ms: self.time_ms_p90,
                p95_ms: self.time_ms_p95,
                p99_ms: self.time_ms_p99,
                runs: self.time_runs,
            },
            (None, None) => {
                return Err(failed(
                    "the program printed no time: give time_ms, or times_ms, a list of single runs".to_owned(),
                ));
            }
        };
        let conditions = Conditions {
            temperature_before_c: self.temperature_before_c,
            temperature_after_c: self.temperature_after_c,
            clock_before_mhz: self.clock_before_mhz,
            clock_after_mhz: self.clock_after_mhz,
        };
        let latency_without_transfer = self.time_ms_without_transfer.map(|mean_ms| Latency::from_mean(mean_ms, None));
        let throughput_per_s = self.throughput_per_s;
        let measurement =
            Measurement { latency, latency_without_transfer, throughput_per_s, energy, conditions, warnings };
        measurement.validated().map_err(|error| failed(error.to_string()))
    }

    fn energy(&self) -> Option<Energy> {
        let rails = self.rails.iter().flatten().map(|(rail, energy)| RailEnergy {
            rail: rail.clone(),
            per_inference_mj: energy.energy_mj,
            above_idle_mj: energy.energy_mj_above_idle,
        });
        Some(Energy {
            per_inference_mj: self.energy_mj?,
            above_idle_mj: self.energy_mj_above_idle,
            counts_above_idle: self.energy_counts_above_idle.unwrap_or(false),
            std_mj: self.energy_mj_std,
            idle_power_mw: self.idle_power_mw,
            mean_power_mw: self.power_mw,
            power_samples: self.power_samples,
            power_interval: self.power_interval,
            rails: rails.collect(),
            source: self.energy_source.clone().unwrap_or_else(|| "the device's program".to_owned()),
            recorded: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn measurement(printed: &str) -> Result<Measurement, RemoteError> {
        Answer::parse(printed)?.measurement(&Plan::default())
    }

    #[test]
    fn a_time_is_enough() {
        let measured = measurement("{\"time_ms\": 1.5}").unwrap();
        assert_eq!((measured.latency, measured.energy), (Latency::from_mean(1.5, None), None));
        let measured = measurement("loading\n{\n  \"times_ms\": [1.0, 3.0]\n}\n").unwrap();
        assert_eq!((measured.latency.mean_ms, measured.latency.runs), (2.0, Some(2)));
    }

    #[test]
    fn an_answer_without_a_time_is_rejected_with_what_was_printed() {
        for (printed, part) in [
            ("", "it printed nothing"),
            ("1.5 ms", "1.5 ms"),
            ("[1.5]", "[1.5]"),
            ("{\"time_ms\": 1.5", "EOF"),
            ("{\"time\": 1.5}", "unknown field `time`"),
            ("{\"energy_mj\": 3}", "time_ms"),
            ("{\"times_ms\": []}", "no run was timed"),
            ("{\"times_ms\": [1.0, -1.0]}", "-1"),
            ("{\"time_ms\": 0}", "mean latency"),
            ("{\"time_ms\": 1, \"energy_mj\": -3}", "energy"),
            ("{\"time_ms\": \"fast\"}", "fast"),
            ("{\"error\": \"no such operator\"}", "no such operator"),
        ] {
            let error = measurement(printed).unwrap_err().to_string();
            assert!(error.contains(part), "{printed}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_output_makes_it_panic(printed in "\\PC{0,80}|\\{(\"(time_ms|times_ms|rails|warnings)\": ?[0-9\\[\\]{}\",-]{0,9},?){0,4}\\}") {
            let _ = measurement(&printed);
        }
    }
}
