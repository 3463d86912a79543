//! Saving and restoring a learner: after a restore the search continues bit by bit as it would have.

use std::fmt::Display;

use anyhow::{Result, anyhow};
use burn::module::Module;
use burn::store::ModuleRecord;
use burn::tensor::Bytes;
use serde::{Deserialize, Serialize};

use super::update::Learner;
use crate::seal::{open, seal};

/// State of a learner besides its weights and its optimiser's moments.
#[derive(Serialize, Deserialize)]
struct Progress {
    updates: u64,
    /// Bits of the exponential baseline, so that no digit is lost.
    average: Option<u64>,
}

impl Learner {
    const KIND: &'static str = "policy";

    /// Policy, optimiser and baseline as bytes.
    ///
    /// # Errors
    /// If the weights cannot be fetched from their device.
    pub fn save(&self) -> Result<Vec<u8>> {
        let weights = self.policy.weights.clone().into_record().into_bytes().map_err(misfit)?;
        let optimiser = self.optimiser.into_bytes().map_err(misfit)?;
        let progress = Progress { updates: self.updates, average: self.average.map(f64::to_bits) };
        Ok(seal(Self::KIND, &[&weights, &optimiser, &serde_json::to_vec(&progress)?]))
    }

    /// Replaces the state by a saved one of a learner with the same decisions, objectives and sizes.
    ///
    /// # Errors
    /// If the state is damaged or belongs to a different policy: the learner is unchanged then.
    pub fn restore(&mut self, state: &[u8]) -> Result<()> {
        let [weights, optimiser, progress] = open(Self::KIND, state)?;
        let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(weights.to_vec())).map_err(misfit)?;
        let weights = self.policy.weights.clone().try_load_record(record).map_err(misfit)?;
        let bytes = Bytes::from_bytes_vec(optimiser.to_vec());
        let optimiser = Self::fresh_optimiser().from_bytes(bytes).map_err(misfit)?;
        let progress: Progress = serde_json::from_slice(progress).map_err(misfit)?;
        self.policy.weights = weights;
        self.optimiser = optimiser;
        self.average = progress.average.map(f64::from_bits);
        self.updates = progress.updates;
        Ok(())
    }
}

fn misfit(reason: impl Display) -> anyhow::Error {
    anyhow!("the saved state does not fit: {reason}")
}
