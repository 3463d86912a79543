//! What is searched for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use child::graph::{CanonicalKey, Shape};
use child::space::{Architecture, ArchitectureError, SearchSpace};
use sha2::{Digest, Sha256};

use crate::objective::{Bounds, BoundsError, Objectives};
use crate::reward::{RewardConfig, RewardConfigError};

/// When two architectures are one, so that one evaluation answers for both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Identity {
    /// If they mean the same network once dead branches are removed.
    #[default]
    Network,
    /// Only if every choice is the same: in a log, each text was trained and measured by itself, and by a runtime that
    /// may not have removed dead branches. On NAS-Bench-201 with Jetson TX2 figures (HW-NAS-Bench), one row for each
    /// network would reach only 83 % of the hypervolume of the table's front below an error of 20 %.
    Architecture,
}

/// A search problem: the space, what the networks take and give, and what is wanted of them.
pub struct Problem {
    space: Arc<dyn SearchSpace>,
    input: Shape,
    classes: usize,
    objectives: Objectives,
    bounds: Bounds,
    reward: RewardConfig,
    identity: Identity,
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
        Ok(Self {
            space,
            input,
            classes,
            objectives,
            bounds,
            reward,
            identity: Identity::default(),
            keys: Mutex::default(),
        })
    }

    /// The same problem with another notion of when two architectures are one.
    #[must_use]
    pub fn with_identity(self, identity: Identity) -> Self {
        Self { identity, keys: Mutex::default(), ..self }
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

    /// What identifies an architecture, by the problem's [`Identity`]. That of a network is computed once for each
    /// architecture.
    ///
    /// # Errors
    /// If it is not of the space or, where networks are told apart, its layers do not fit the images.
    pub fn key(&self, architecture: &Architecture) -> Result<CanonicalKey, ArchitectureError> {
        if self.identity == Identity::Architecture {
            self.space.check(architecture)?;
            let mut hash = Sha256::new();
            architecture.choices().iter().for_each(|choice| hash.update((*choice as u64).to_be_bytes()));
            let mut bits = [0; 16];
            bits.copy_from_slice(&hash.finalize()[..16]);
            return Ok(CanonicalKey::from(bits));
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::Objective;
    use child::space::SpaceConfig;

    #[test]
    fn a_log_tells_texts_apart_that_mean_one_network() {
        let config: SpaceConfig = toml::from_str("name = 'nasbench201'").unwrap();
        let space: Arc<dyn SearchSpace> = config.build().unwrap().into();
        let objectives = Objectives::new([Objective::Error, Objective::Time]).unwrap();
        let reward = RewardConfig::default();
        let problem = Problem::new(space, Shape::new(3, 32, 32), 10, objectives, Bounds::default(), reward).unwrap();
        let [dead, live] = [
            "|none~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|none~2|",
            "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
        ]
        .map(|text| problem.space().parse(text).unwrap());
        assert_eq!(problem.key(&dead), problem.key(&live));
        let problem = problem.with_identity(Identity::Architecture);
        assert_ne!(problem.key(&dead), problem.key(&live));
        assert_eq!(problem.key(&dead), problem.key(&dead.clone()));
        assert!(problem.key(&Architecture::new([9; 6])).is_err() && problem.key(&Architecture::new([0; 7])).is_err());
    }
}
