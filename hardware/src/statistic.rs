//! The statistic of single runs that stands for all of them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The statistic of a model's runs that `time_ms` is: in the journal, as an objective, and in messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Statistic {
    /// The median, which other programs on the machine hardly move.
    Median,
    /// The arithmetic mean, outliers included.
    Mean,
    /// The 90th percentile.
    P90,
    /// The 95th percentile.
    P95,
    /// The 99th percentile.
    P99,
}

impl Statistic {
    /// Its name in an experiment file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Median => "median",
            Self::Mean => "mean",
            Self::P90 => "p90",
            Self::P95 => "p95",
            Self::P99 => "p99",
        }
    }

    /// Fewest runs that have it: with fewer, a percentile would only repeat the slowest run.
    pub(crate) fn least_runs(self) -> usize {
        match self {
            Self::Median | Self::Mean => 1,
            Self::P90 => 10,
            Self::P95 => 20,
            Self::P99 => 100,
        }
    }

    /// The quantile that it is; `None` for the mean.
    pub(crate) fn quantile(self) -> Option<f64> {
        match self {
            Self::Mean => None,
            Self::Median => Some(0.50),
            Self::P90 => Some(0.90),
            Self::P95 => Some(0.95),
            Self::P99 => Some(0.99),
        }
    }
}

impl fmt::Display for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
