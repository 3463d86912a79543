//! What is searched for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use child::graph::{CanonicalKey, Shape};
use child::space::{Architecture, ArchitectureError, SearchSpace};

use crate::objective::{Bounds, BoundsError, Objectives};
use crate::reward::{RewardConfig, RewardConfigError};

/// A search problem: the space, what the networks take and give, and what is wanted of them.
pub struct Problem {
    space: Arc<dyn SearchSpace>,
    input: Shape,
    classes: usize,
    objectives: Objectives,
    bounds: Bounds,
    reward: RewardConfig,
    keys: Mutex<HashMap<Architecture, CanonicalKey>>,
}

impl Problem {
    /// A problem over this space for images of a shape and a number of classes.
    ///
    /// # Errors
    /// If a bound is on something that is not an objective, or a weight of the reward makes no sense.
    pub fn new(
        space: Arc<dyn SearchSpace>,
        input: Shape,
        classes: usize,
        objectives: Objectives,
        bounds: Bounds,
        reward: RewardConfig,
    ) -> Result<Self, ProblemError> {
        bounds.check(&objectives)?;
        reward.check()?;
        Ok(Self { space, input, classes, objectives, bounds, reward, keys: Mutex::default() })
    }

    /// The space that is searched.
    pub fn space(&self) -> &dyn SearchSpace {
        self.space.as_ref()
    }

    /// Shape of the images.
    pub fn input(&self) -> Shape {
        self.input
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// What is minimised.
    pub fn objectives(&self) -> &Objectives {
        &self.objectives
    }

    /// Upper bounds on it.
    pub fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// How evaluations are rewarded.
    pub fn reward(&self) -> &RewardConfig {
        &self.reward
    }

    /// What identifies the network that an architecture means; computed once for each architecture.
    ///
    /// # Errors
    /// If it is not of the space or its layers do not fit the images.
    pub fn key(&self, architecture: &Architecture) -> Result<CanonicalKey, ArchitectureError> {
        // A poisoned cache is whole: entries are inserted one by one.
        let known = self.keys.lock().unwrap_or_else(PoisonError::into_inner).get(architecture).copied();
        if let Some(key) = known {
            return Ok(key);
        }
        let key = self.space.graph(architecture, self.input, self.classes)?.canonical();
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).insert(architecture.clone(), key);
        Ok(key)
    }
}

impl std::fmt::Debug for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Problem")
            .field("space", &self.space.name())
            .field("input", &self.input)
            .field("classes", &self.classes)
            .field("objectives", &self.objectives)
            .field("bounds", &self.bounds)
            .field("reward", &self.reward)
            .finish_non_exhaustive()
    }
}

/// A problem that contradicts itself.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum ProblemError {
    /// A bound that makes no sense.
    #[error(transparent)]
    Bounds(#[from] BoundsError),
    /// A weight of the reward that makes no sense.
    #[error(transparent)]
    Reward(#[from] RewardConfigError),
}
