//! The processors that children are trained on.

use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use child::backend::Processor;

/// Gives each training the processor with the fewest trainings.
pub(super) struct Processors {
    all: Vec<Processor>,
    /// Trainings on each.
    trainings: Mutex<Vec<usize>>,
}

/// A processor for one training.
pub(super) struct Assigned<'a> {
    pub(super) processor: &'a Processor,
    index: usize,
    of: &'a Processors,
}

impl Processors {
    pub(super) fn new(all: Vec<Processor>) -> Self {
        let trainings = Mutex::new(vec![0; all.len()]);
        Self { all, trainings }
    }

    /// The first of those with the fewest trainings.
    pub(super) fn assign(&self) -> Result<Assigned<'_>> {
        let mut trainings = self.trainings();
        let index = (0..self.all.len()).min_by_key(|index| trainings[*index]).context("no processor to train on")?;
        trainings[index] += 1;
        Ok(Assigned { processor: &self.all[index], index, of: self })
    }

    /// Whether all of them are GPUs, whose memory is not this machine's.
    pub(super) fn are_gpus(&self) -> bool {
        self.all.iter().all(Processor::is_gpu)
    }

    fn trainings(&self) -> MutexGuard<'_, Vec<usize>> {
        self.trainings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Assigned<'_> {
    fn drop(&mut self) {
        self.of.trainings()[self.index] -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_training_takes_the_processor_with_the_fewest_trainings() {
        let processors = Processors::new(vec![Processor::Native, Processor::Native]);
        let [first, second, third] = [(); 3].map(|()| processors.assign().unwrap());
        assert_eq!([first.index, second.index, third.index], [0, 1, 0]);
        drop(second);
        assert_eq!(processors.assign().unwrap().index, 1);
        drop((first, third));
        assert_eq!(*processors.trainings(), [0, 0]);
        assert!(Processors::new(Vec::new()).assign().is_err());
    }
}
