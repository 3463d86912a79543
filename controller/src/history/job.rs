//! Jobs: what is done to a network, one thing at a time.

use hardware::log::Row;
use serde::{Deserialize, Serialize};

use super::Candidate;
use crate::target::Targets;

/// What a job does to its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Saved", into = "Saved")]
pub enum Work {
    /// A device of a target measures time and energy.
    Measure {
        /// Place of the target among those of the search.
        target: usize,
    },
    /// A trainer trains it from fresh weights, on the whole schedule of so many epochs.
    Train {
        /// The epochs.
        epochs: u64,
    },
}

/// The same in files, where a measurement on the only target is `measure` alone.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Saved {
    Measure,
    MeasureOn { target: usize },
    Train { epochs: u64 },
}

impl From<Saved> for Work {
    fn from(saved: Saved) -> Self {
        match saved {
            Saved::Measure => Self::Measure { target: 0 },
            Saved::MeasureOn { target } => Self::Measure { target },
            Saved::Train { epochs } => Self::Train { epochs },
        }
    }
}

impl From<Work> for Saved {
    fn from(work: Work) -> Self {
        match work {
            Work::Measure { target: 0 } => Self::Measure,
            Work::Measure { target } => Self::MeasureOn { target },
            Work::Train { epochs } => Self::Train { epochs },
        }
    }
}

impl Work {
    /// Whether it measures.
    pub fn is_measurement(self) -> bool {
        matches!(self, Self::Measure { .. })
    }

    /// Whether a row can be the result of this: where there are several targets, a measurement names its own.
    fn has_row(self, row: &Row, targets: &Targets) -> bool {
        match (self, &row.target) {
            _ if !targets.are_several() => true,
            (Self::Measure { target }, Some(name)) => targets.position(name) == Some(target),
            (Self::Train { .. }, None) => true,
            _ => false,
        }
    }

    /// Whether it may wait beside another job of the same network: both measure, on different targets.
    pub(crate) fn is_beside(self, other: Self) -> bool {
        self.is_measurement() && other.is_measurement() && self != other
    }

    /// Epochs that it trains for.
    pub fn epochs(self) -> u64 {
        match self {
            Self::Measure { .. } => 0,
            Self::Train { epochs } => epochs,
        }
    }
}

/// One thing that is done to one network. A network has at most one job under way at a time; measurements on several targets
/// may wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Number of the network's evaluation: the same for all of its jobs.
    pub number: u64,
    /// The network.
    pub candidate: Candidate,
    /// The measurement or training.
    pub work: Work,
}

impl Job {
    /// Whether a row of a journal is the result of this job. Without a target it is that of the only one.
    pub(crate) fn has_row(&self, row: &Row, targets: &Targets) -> bool {
        self.number == row.evaluation && self.work.has_row(row, targets)
    }
}
