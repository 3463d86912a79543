//! What a device measured.

use std::iter;

use thiserror::Error;

use crate::statistic::Statistic;
use crate::statistics;
use crate::warning::Warning;

/// Latency and energy of one inference of one model on one device. A value that was not measured is `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// Time of one inference as a program on the device sees it, input and output included.
    pub latency: Latency,
    /// Time of one inference without moving input and output to and from the accelerator, where the device
    /// distinguishes the two.
    pub latency_without_transfer: Option<Latency>,
    /// Inferences per second while the device may run several at a time, if the settings ask for it.
    pub throughput_per_s: Option<f64>,
    /// Energy of one inference; `None` without a meter.
    pub energy: Option<Energy>,
    /// State of the device around the measurement.
    pub conditions: Conditions,
    /// Reasons to doubt the numbers.
    pub warnings: Vec<Warning>,
}

/// Time of one inference, in milliseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Latency {
    /// Arithmetic mean over all runs, outliers included.
    pub mean_ms: f64,
    /// Sample standard deviation (n − 1) of single runs.
    pub std_ms: Option<f64>,
    /// The fastest run.
    pub min_ms: Option<f64>,
    /// Median.
    pub p50_ms: Option<f64>,
    /// 90th percentile.
    pub p90_ms: Option<f64>,
    /// 95th percentile.
    pub p95_ms: Option<f64>,
    /// 99th percentile.
    pub p99_ms: Option<f64>,
    /// Number of timed runs.
    pub runs: Option<u64>,
}

/// Energy of one inference and the power that it is computed from.
#[derive(Debug, Clone, PartialEq)]
pub struct Energy {
    /// Energy per inference, in mJ, idle power included.
    pub per_inference_mj: f64,
    /// Energy per inference above that of the idle device in the same time, in mJ. Below zero where the load is smaller
    /// than the noise.
    pub above_idle_mj: Option<f64>,
    /// Whether an inference is charged with the latter, which must then be zero or above:
    /// [`counted_mj`](Self::counted_mj).
    pub counts_above_idle: bool,
    /// Standard deviation of the energy per inference, in mJ.
    pub std_mj: Option<f64>,
    /// Power of the idle device, in mW.
    pub idle_power_mw: Option<f64>,
    /// Mean power while the model ran, in mW.
    pub mean_power_mw: Option<f64>,
    /// Number of power samples that were integrated.
    pub power_samples: Option<u64>,
    /// Half-width of the 95 % confidence interval of the mean power, relative to the mean.
    pub power_interval: Option<f64>,
    /// Energy of the device's single supply rails, where the meter sees them.
    pub rails: Vec<RailEnergy>,
    /// Source of the energy: the meter, the rail, the log.
    pub source: String,
    /// All that the meter recorded; `None` where only the result is known.
    pub recorded: Option<Recorded>,
}

/// The energy that a meter recorded from begin to end of a measurement: idle, warm-up and load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recorded {
    /// Energy in mJ.
    pub energy_mj: f64,
    /// Time of the record in s.
    pub seconds: f64,
}

impl Energy {
    /// Energy that an inference is charged with, in mJ: its energy above idle where the settings ask for it and it is
    /// known, else all of it.
    pub fn counted_mj(&self) -> f64 {
        self.above_idle_mj.filter(|_| self.counts_above_idle).unwrap_or(self.per_inference_mj)
    }
}

/// Energy of one supply rail.
#[derive(Debug, Clone, PartialEq)]
pub struct RailEnergy {
    /// Name of the rail as the board gives it: `VDD_SYS_GPU`.
    pub rail: String,
    /// Energy per inference, in mJ. Monitors read a rail without load as slightly below zero.
    pub per_inference_mj: f64,
    /// Energy per inference above the idle device's, in mJ.
    pub above_idle_mj: Option<f64>,
}

/// State of a device right before and right after the timed runs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Conditions {
    /// Temperature before, in °C.
    pub temperature_before_c: Option<f64>,
    /// Temperature after, in °C.
    pub temperature_after_c: Option<f64>,
    /// Clock before, in MHz.
    pub clock_before_mhz: Option<f64>,
    /// Clock after, in MHz.
    pub clock_after_mhz: Option<f64>,
}

/// An impossible number in a measurement, or none at all.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("{0}")]
pub struct InvalidMeasurement(String);

impl Measurement {
    /// The measurement itself if every number in it is possible. Every [`Device`](crate::Device) passes its
    /// measurements through here, so that later code need not check them again.
    ///
    /// # Errors
    ///
    /// The error names the first value that is not finite, is negative, or (a latency) is zero. Energy above idle may be
    /// negative where it does not count.
    pub fn validated(self) -> Result<Self, InvalidMeasurement> {
        for latency in iter::once(&self.latency).chain(&self.latency_without_transfer) {
            positive("mean latency (ms)", Some(latency.mean_ms))?;
            not_negative("standard deviation of the latency (ms)", latency.std_ms)?;
            positive("fastest run (ms)", latency.min_ms)?;
            positive("median latency (ms)", latency.p50_ms)?;
            positive("90th percentile of the latency (ms)", latency.p90_ms)?;
            positive("95th percentile of the latency (ms)", latency.p95_ms)?;
            positive("99th percentile of the latency (ms)", latency.p99_ms)?;
        }
        positive("throughput (1/s)", self.throughput_per_s)?;
        if let Some(energy) = &self.energy {
            not_negative("energy per inference (mJ)", Some(energy.per_inference_mj))?;
            not_negative("standard deviation of the energy (mJ)", energy.std_mj)?;
            not_negative("idle power (mW)", energy.idle_power_mw)?;
            not_negative("mean power (mW)", energy.mean_power_mw)?;
            finite("energy above idle (mJ)", energy.above_idle_mj)?;
            not_negative("energy above idle, which counts (mJ),", Some(energy.counted_mj()))?;
            not_negative("interval of the mean power", energy.power_interval)?;
            for rail in &energy.rails {
                finite("energy of a rail (mJ)", Some(rail.per_inference_mj))?;
                finite("energy of a rail above idle (mJ)", rail.above_idle_mj)?;
            }
        }
        let conditions = &self.conditions;
        finite("temperature before (°C)", conditions.temperature_before_c)?;
        finite("temperature after (°C)", conditions.temperature_after_c)?;
        not_negative("clock before (MHz)", conditions.clock_before_mhz)?;
        not_negative("clock after (MHz)", conditions.clock_after_mhz)?;
        Ok(self)
    }
}

impl Latency {
    /// Statistics of timed runs, in milliseconds and in the order they ran.
    ///
    /// The mean is over all of them. The standard deviation needs two runs, the 90th percentile ten, the 95th twenty
    /// and the 99th a hundred: with fewer it would only repeat the slowest run.
    ///
    /// # Errors
    ///
    /// If there are no samples, or one is not finite and positive.
    pub fn from_samples(samples_ms: &[f64]) -> Result<Self, InvalidMeasurement> {
        for &sample in samples_ms {
            positive("time of one run (ms)", Some(sample))?;
        }
        let sorted = statistics::sorted(samples_ms);
        let Some(&min_ms) = sorted.first() else {
            return Err(InvalidMeasurement("no run was timed".to_owned()));
        };
        let percentile = |statistic: Statistic| {
            statistic
                .quantile()
                .filter(|_| sorted.len() >= statistic.least_runs())
                .map(|q| statistics::quantile(&sorted, q))
        };
        Ok(Self {
            mean_ms: statistics::mean(samples_ms),
            std_ms: statistics::standard_deviation(samples_ms),
            min_ms: Some(min_ms),
            p50_ms: percentile(Statistic::Median),
            p90_ms: percentile(Statistic::P90),
            p95_ms: percentile(Statistic::P95),
            p99_ms: percentile(Statistic::P99),
            runs: Some(sorted.len() as u64),
        })
    }

    /// A statistic of the runs, in ms; `None` where the device did not give it.
    pub fn statistic_ms(&self, statistic: Statistic) -> Option<f64> {
        match statistic {
            Statistic::Median => self.p50_ms,
            Statistic::Mean => Some(self.mean_ms),
            Statistic::P90 => self.p90_ms,
            Statistic::P95 => self.p95_ms,
            Statistic::P99 => self.p99_ms,
        }
    }

    /// The time of one inference that stands for all of them, in ms.
    ///
    /// # Errors
    /// If the device did not give this statistic, with the remedy.
    pub fn time_ms(&self, statistic: Statistic) -> Result<f64, InvalidMeasurement> {
        self.statistic_ms(statistic).ok_or_else(|| {
            let runs = self.runs.map_or_else(String::new, |runs| format!(" (there was time for {runs})"));
            let needs = match statistic.least_runs() {
                1 => String::new(),
                least => format!("; it needs at least {least} runs{runs}: raise measuring.time_limit_ms, or"),
            };
            let between = if needs.is_empty() { ":" } else { "" };
            InvalidMeasurement(format!(
                "measuring.statistic is \"{statistic}\", which the device did not give{needs}{between} choose another one, \
                 such as \"{}\"",
                if statistic == Statistic::Median { Statistic::Mean } else { Statistic::Median }
            ))
        })
    }

    /// A latency of which only the mean, and perhaps the standard deviation, is known.
    pub fn from_mean(mean_ms: f64, std_ms: Option<f64>) -> Self {
        Self { mean_ms, std_ms, min_ms: None, p50_ms: None, p90_ms: None, p95_ms: None, p99_ms: None, runs: None }
    }
}

fn check(quantity: &str, value: Option<f64>, bound: &str, holds: fn(f64) -> bool) -> Result<(), InvalidMeasurement> {
    match value {
        Some(value) if !(value.is_finite() && holds(value)) => {
            Err(InvalidMeasurement(format!("{quantity} is {value}; it must be a finite number{bound}")))
        }
        _ => Ok(()),
    }
}

fn finite(quantity: &str, value: Option<f64>) -> Result<(), InvalidMeasurement> {
    check(quantity, value, "", |_| true)
}

fn positive(quantity: &str, value: Option<f64>) -> Result<(), InvalidMeasurement> {
    check(quantity, value, " above zero", |value| value > 0.0)
}

fn not_negative(quantity: &str, value: Option<f64>) -> Result<(), InvalidMeasurement> {
    check(quantity, value, ", zero or above", |value| value >= 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measurement() -> Measurement {
        Measurement {
            latency: Latency::from_mean(2.0, Some(0.1)),
            latency_without_transfer: None,
            throughput_per_s: None,
            energy: Some(Energy {
                per_inference_mj: 5.0,
                above_idle_mj: None,
                counts_above_idle: false,
                power_interval: None,
                rails: Vec::new(),
                std_mj: None,
                idle_power_mw: Some(1200.0),
                mean_power_mw: None,
                power_samples: Some(30),
                source: "test".to_owned(),
                recorded: None,
            }),
            conditions: Conditions { temperature_before_c: Some(-3.5), ..Conditions::default() },
            warnings: Vec::new(),
        }
    }

    #[test]
    fn statistics_of_a_known_sample() {
        let latency = Latency::from_samples(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).unwrap();
        assert_eq!(latency.mean_ms, 5.0);
        assert!((latency.std_ms.unwrap() - (32.0_f64 / 7.0).sqrt()).abs() < 1e-12);
        assert_eq!(latency.min_ms, Some(2.0));
        assert_eq!(latency.p50_ms, Some(4.5));
        assert_eq!(latency.runs, Some(8));
        assert_eq!((latency.p95_ms, latency.p99_ms), (None, None));
    }

    #[test]
    fn percentiles_of_a_hundred_runs() {
        let samples: Vec<f64> = (1..=101).rev().map(f64::from).collect();
        let latency = Latency::from_samples(&samples).unwrap();
        assert_eq!(latency.p50_ms, Some(51.0));
        assert_eq!(latency.p95_ms, Some(96.0));
        assert_eq!(latency.p99_ms, Some(100.0));
    }

    #[test]
    fn each_statistic_is_its_own_number_or_says_what_it_needs() {
        let samples: Vec<f64> = (1..=101).map(f64::from).collect();
        let latency = Latency { mean_ms: 60.0, ..Latency::from_samples(&samples).unwrap() };
        let values = [Statistic::Median, Statistic::Mean, Statistic::P90, Statistic::P95, Statistic::P99]
            .map(|statistic| latency.time_ms(statistic).unwrap());
        assert_eq!(values, [51.0, 60.0, 91.0, 96.0, 100.0]);
        let few = Latency::from_samples(&samples[..37]).unwrap();
        let error = few.time_ms(Statistic::P99).unwrap_err().to_string();
        assert!(error.contains("at least 100 runs (there was time for 37)"), "{error}");
        assert!(Latency::from_mean(2.0, None).time_ms(Statistic::Median).unwrap_err().to_string().contains("\"mean\""));
    }

    #[test]
    fn one_run_has_no_deviation() {
        let latency = Latency::from_samples(&[3.0]).unwrap();
        assert_eq!((latency.mean_ms, latency.std_ms), (3.0, None));
    }

    #[test]
    fn impossible_runs_are_rejected() {
        let error = Latency::from_samples(&[]).unwrap_err();
        assert_eq!(error.to_string(), "no run was timed");
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Latency::from_samples(&[1.0, bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_valid_measurement_passes_and_may_be_below_freezing() {
        assert_eq!(measurement().validated(), Ok(measurement()));
        let mut noise = measurement();
        noise.energy.as_mut().unwrap().above_idle_mj = Some(-0.2);
        assert!(noise.validated().is_ok(), "it does not count");
    }

    #[test]
    fn every_impossible_number_is_named() {
        type Break = fn(&mut Measurement);
        let broken: [(&str, Break); 5] = [
            ("mean latency", |m| m.latency.mean_ms = 0.0),
            ("median", |m| m.latency.p50_ms = Some(f64::NAN)),
            ("energy per inference", |m| {
                m.energy.as_mut().unwrap().per_inference_mj = -1.0;
            }),
            ("energy above idle, which counts", |m| {
                let energy = m.energy.as_mut().unwrap();
                (energy.above_idle_mj, energy.counts_above_idle) = (Some(-0.2), true);
            }),
            ("temperature after", |m| {
                m.conditions.temperature_after_c = Some(f64::INFINITY);
            }),
        ];
        for (name, break_it) in broken {
            let mut measurement = measurement();
            break_it(&mut measurement);
            let error = measurement.validated().unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
