//! Jobs: what is done to a network, one thing at a time.

use serde::{Deserialize, Serialize};

use super::Candidate;

/// What a job does to its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// A device measures time and energy.
    Measure,
    /// A trainer trains it from fresh weights, on the whole schedule of so many epochs.
    Train {
        /// The epochs.
        epochs: u64,
    },
}

impl Work {
    /// Epochs that it trains for.
    pub fn epochs(self) -> u64 {
        match self {
            Self::Measure => 0,
            Self::Train { epochs } => epochs,
        }
    }
}

/// One thing that is done to one network. A network has at most one job at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Number of the network's evaluation: the same for all of its jobs.
    pub number: u64,
    /// The network.
    pub candidate: Candidate,
    /// The measurement or training.
    pub work: Work,
}
