//! The file of `trtexec --exportTimes`, which contains every run.

use std::fmt;

use crate::shown::ends_of;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Most runs that are read: a day at 17 ms each.
const MAX_RUNS: usize = 5_000_000;
/// Longest plausible time, in ms.
const LARGEST_MS: f64 = 1e12;

/// Times of all runs, in the order of the file.
///
/// Starts and ends count from when `trtexec` began to warm up, by the GPU's clock. They are
/// written with six digits, so that after 10 s they are known to 0.1 ms only; durations have all
/// digits.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::jetson) struct Runs {
    /// Duration of each run on the GPU, in ms, without transfers.
    pub compute_ms: Vec<f64>,
    /// Duration with the transfer of input and output, in ms. `None` where an entry lacks it.
    pub latency_ms: Option<Vec<f64>>,
    /// Beginning of each run, in ms: of its computation, by which `trtexec` distinguishes warm-up runs from timed ones;
    /// or of the transfer of its input if that is missing. (The input of a run may be transferred while the run before
    /// it computes.)
    pub starts_ms: Vec<f64>,
    /// End of each run, in ms: of the transfer of its output, or of the computation if that is missing.
    pub end_ms: Vec<f64>,
}

/// Reads the text of the file. Other keys are ignored.
///
/// # Errors
///
/// If it is not such a file, is cut, has no run or more than 5,000,000, or if a run has a time that is not finite, did
/// not take longer than 0 ms, or ended before it began.
pub(in crate::jetson) fn parse(json: &str) -> Result<Runs, String> {
    let runs: Runs = serde_json::from_str(json)
        .map_err(|error| format!("not the times that trtexec exports: {}", ends_of(&error.to_string())))?;
    if runs.compute_ms.is_empty() {
        return Err("the times that trtexec exported have no run".to_owned());
    }
    Ok(runs)
}

impl Runs {
    /// The timed runs only: up to version 8.5 or so the file contains the warm-up runs, too.
    ///
    /// If the number of timed runs is known, from [`Report::queries`](super::Report::queries), the last ones remain.
    /// (That number must not count a batch: no `--batch`.) Otherwise the runs from the first that began `warm_up_ms`
    /// after the beginning remain, if any, as in the statistics of `trtexec` itself (`printPerformanceReport` in
    /// `samples/common/sampleReporting.cpp` of NVIDIA/TensorRT). Newer versions leave the warm-up out and count time as
    /// before, so that both ways keep all runs.
    #[must_use]
    pub fn without_warm_up(mut self, queries: Option<u64>, warm_up_ms: f64) -> Self {
        let runs = self.compute_ms.len();
        let dropped = match queries {
            Some(queries) => runs.saturating_sub(usize::try_from(queries).unwrap_or(usize::MAX)),
            None => self.starts_ms.iter().take_while(|&&start| start < warm_up_ms).count(),
        };
        for times in [&mut self.compute_ms, &mut self.starts_ms, &mut self.end_ms] {
            times.drain(..dropped);
        }
        if let Some(latency_ms) = &mut self.latency_ms {
            latency_ms.drain(..dropped);
        }
        self
    }
}

/// Version 8.4 renamed `in` and `out` to `h2d` and `d2h`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(alias = "startH2dMs")]
    start_in_ms: Option<f64>,
    #[serde(alias = "endD2hMs")]
    end_out_ms: Option<f64>,
    start_compute_ms: Option<f64>,
    end_compute_ms: Option<f64>,
    compute_ms: f64,
    latency_ms: Option<f64>,
}

// Read entry by entry, so that memory does not hold a long file as a tree, and by hand, so that the error about an
// impossible value names its place.
impl<'de> Deserialize<'de> for Runs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Runs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of runs")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Runs, A::Error> {
                let (compute_ms, starts_ms, end_ms) = (Vec::new(), Vec::new(), Vec::new());
                let mut runs = Runs { compute_ms, latency_ms: Some(Vec::new()), starts_ms, end_ms };
                while let Some(entry) = entries.next_element()? {
                    runs.push(entry).map_err(de::Error::custom)?;
                }
                Ok(runs)
            }
        }

        deserializer.deserialize_seq(Entries)
    }
}

impl Runs {
    /// Mean time from the end of one run to the end of the next, in ms: the time that a run takes in a long series.
    /// Runs overlap, so that the sum of their durations exceeds the whole time. `None` for fewer than three runs.
    pub fn period_ms(&self) -> Option<f64> {
        let (first, last) = (self.end_ms.first()?, self.end_ms.last()?);
        let period_ms = (last - first) / (self.end_ms.len() - 1) as f64;
        (self.end_ms.len() > 2 && period_ms > 0.0).then_some(period_ms)
    }

    fn push(&mut self, entry: Entry) -> Result<(), String> {
        let run = self.compute_ms.len() + 1;
        if run > MAX_RUNS {
            return Err(format!("more than {MAX_RUNS} runs"));
        }
        let start_ms = entry.start_compute_ms.or(entry.start_in_ms).ok_or("no startComputeMs")?;
        let end_ms = entry.end_out_ms.or(entry.end_compute_ms).ok_or("no endComputeMs")?;
        for (name, ms) in [("start", start_ms), ("end", end_ms)] {
            if !ms.is_finite() || ms.abs() > LARGEST_MS {
                return Err(format!("run {run}: its {name} is at {ms} ms, which cannot be"));
            }
        }
        if end_ms < start_ms {
            return Err(format!("run {run} ended at {end_ms} ms, before it began at {start_ms} ms"));
        }
        for (name, ms) in [("computeMs", Some(entry.compute_ms)), ("latencyMs", entry.latency_ms)] {
            if ms.is_some_and(|ms| !(ms > 0.0 && ms <= LARGEST_MS)) {
                return Err(format!("run {run}: {name} is {}, which no run can take", ms.unwrap_or_default()));
            }
        }
        self.compute_ms.push(entry.compute_ms);
        self.starts_ms.push(start_ms);
        self.end_ms.push(end_ms);
        match (&mut self.latency_ms, entry.latency_ms) {
            (Some(latencies_ms), Some(ms)) => latencies_ms.push(ms),
            _ => self.latency_ms = None,
        }
        Ok(())
    }
}
