//! The search problem of an experiment.

use std::sync::Arc;

use anyhow::{Context as _, Result};

use super::Experiment;
use crate::problem::Problem;

impl Experiment {
    /// The search problem of an experiment with resolved objectives and input.
    ///
    /// # Errors
    /// If these are missing, or the space, the bounds or the reward cannot be used.
    pub(crate) fn problem(&self) -> Result<Problem> {
        let objectives = self.search.objectives.clone().context("search.objectives is missing")?;
        let input = self.input.context("the section [input] is missing")?;
        let space = Arc::from(self.space.build()?);
        let (bounds, reward) = (self.search.bounds.clone(), self.reward.clone());
        let problem = Problem::new(space, input.shape(), input.classes, objectives, bounds, reward)?;
        Ok(problem.with_identity(self.identity()))
    }
}
