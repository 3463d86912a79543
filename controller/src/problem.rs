//! The search problem: space, targets with their objectives and bounds, and the reward.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use child::Error;
use child::graph::{CanonicalKey, Graph, Shape};
use child::space::{Architecture, SearchSpace};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use crate::objective::{Bounds, Objectives};
use crate::pareto::Given;
use crate::preference::Preference;
use crate::scalarisation::RewardConfig;
use crate::target::{Target, Targets};

/// How far networks are evaluated before their full training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fidelity {
    /// Epochs of a short training; 0 where there is none.
    pub short_epochs: u64,
    /// Epochs of a full training.
    pub full_epochs: u64,
    /// Networks to measure before a round of trainings is decided on, out of which the best are trained; 0 for those alone
    /// that are trained.
    pub measure_ahead: usize,
    /// A full training is broken off while its chance to enter the front is less; 0 for never.
    pub least_chance: f64,
}

impl Fidelity {
    /// Short trainings for each full one; 0 where there are none.
    ///
    /// About half of the epochs go into short ones: with fewer, the best networks are not found; with more, those found are
    /// not trained.
    pub fn short_trainings(&self) -> usize {
        const MOST: f64 = 8.0;
        match self.short_epochs {
            0 => 0,
            short => (0.5 * self.full_epochs as f64 / short as f64).round().clamp(1.0, MOST) as usize,
        }
    }

    /// Epochs of a full training and of the short ones that go with it, in full trainings.
    pub fn cost(&self) -> f64 {
        1.0 + (self.short_trainings() as u64 * self.short_epochs) as f64 / self.full_epochs.max(1) as f64
    }
}

impl Default for Fidelity {
    /// Full trainings alone, of one epoch.
    fn default() -> Self {
        Self { short_epochs: 0, full_epochs: 1, measure_ahead: 0, least_chance: 0.0 }
    }
}

/// When two architectures count as one, so that one evaluation serves both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Identity {
    /// If they encode the same network once dead branches are removed.
    #[default]
    Network,
    /// Only if every choice is the same: a log has trained and measured each text by itself, with a runtime that may
    /// not have removed dead branches. On NAS-Bench-201 with Jetson TX2 figures (HW-NAS-Bench), one row for each
    /// network would reach only 83 % of the hypervolume of the table's front below an error of 20 %.
    Architecture,
}

/// By architecture, the key of its network, and whether a path leads from the image to the logits.
type Keys = HashMap<Architecture, (CanonicalKey, bool)>;

/// A search problem: the space, the networks' input and classes, the targets with their objectives and bounds, and the reward.
#[derive(Clone)]
pub struct Problem {
    space: Arc<dyn SearchSpace>,
    input: Shape,
    classes: usize,
    targets: Arc<Targets>,
    reward: RewardConfig,
    fidelity: Fidelity,
    available: Option<BTreeSet<Architecture>>,
    identity: Identity,
    keys: Arc<Mutex<Keys>>,
}

impl Problem {
    /// A problem over this space for images of a shape and a number of classes, with one target.
    ///
    /// # Errors
    /// If a bound is on something that is not an objective, or a weight of the reward is out of range.
    pub fn new(
        space: Arc<dyn SearchSpace>,
        input: Shape,
        classes: usize,
        objectives: Objectives,
        bounds: Bounds,
        reward: RewardConfig,
    ) -> Result<Self> {
        bounds.check(&objectives)?;
        reward.check()?;
        let targets = Arc::new(Targets::one(objectives, bounds));
        let (identity, keys) = (Identity::default(), Arc::default());
        let (fidelity, available) = (Fidelity::default(), None);
        Ok(Self { space, input, classes, targets, reward, fidelity, available, identity, keys })
    }

    /// The same problem for other targets.
    #[must_use]
    pub(crate) fn with_targets(self, targets: Targets) -> Self {
        Self { targets: Arc::new(targets), ..self }
    }

    /// The same problem for one of its targets alone.
    #[must_use]
    pub fn of_target(&self, target: usize) -> Self {
        let alone = Targets::single(Target { weight: 1.0, ..self.targets.get(target).clone() });
        Self { targets: Arc::new(alone), ..self.clone() }
    }

    /// The same problem with other bounds, where it has one target.
    ///
    /// # Errors
    /// If a bound is on something that is not an objective.
    pub(crate) fn with_bounds(self, bounds: Bounds) -> Result<Self> {
        let targets = Targets::new(vec![Target { bounds, ..self.targets.get(0).clone() }])?;
        Ok(self.with_targets(targets))
    }

    /// The same problem with coordinates of the hypervolume's reference point, where it has one target. They have no effect on
    /// the search.
    ///
    /// # Errors
    /// If one is not possible, or of something that is not an objective.
    pub fn with_reference(self, reference: Given) -> Result<Self> {
        let targets = Targets::new(vec![Target { reference, ..self.targets.get(0).clone() }])?;
        Ok(self.with_targets(targets))
    }

    /// The same problem with another notion of when two architectures are one.
    #[must_use]
    pub fn with_identity(self, identity: Identity) -> Self {
        Self { identity, keys: Arc::default(), ..self }
    }

    /// The same problem with other epochs of its trainings.
    #[must_use]
    pub fn with_fidelity(self, fidelity: Fidelity) -> Self {
        Self { fidelity, ..self }
    }

    /// The same problem where only some architectures of the space can be evaluated.
    #[must_use]
    pub fn with_available(self, available: impl IntoIterator<Item = Architecture>) -> Self {
        Self { available: Some(available.into_iter().collect()), ..self }
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
    pub(crate) fn classes(&self) -> usize {
        self.classes
    }

    /// The minimised objectives in words: `error, time_ms`, or `error, time_ms, energy_mj on tx2; error, time_ms on ncs`.
    pub(crate) fn minimised(&self) -> String {
        let on = |target: &Target| format!("{} on {}", target.objectives.names(), target.name);
        match self.targets.are_several() {
            true => self.targets.iter().map(on).collect::<Vec<_>>().join("; "),
            false => self.objectives().names(),
        }
    }

    /// Draws a preference; where there are several targets, for one of them, as likely as its weight.
    pub(crate) fn sample_preference(&self, rng: &mut ChaCha8Rng) -> Preference {
        let mut target = 0;
        if self.targets.are_several() {
            let all: f64 = self.targets.iter().map(|target| target.weight).sum();
            let mut left = rng.random::<f64>() * all;
            while target + 1 < self.targets.len() && left >= self.targets.get(target).weight {
                left -= self.targets.get(target).weight;
                target += 1;
            }
        }
        Preference::sample(rng, self.targets.get(target).objectives.len()).on(target)
    }

    /// The boards that networks are searched for.
    pub fn targets(&self) -> &Arc<Targets> {
        &self.targets
    }

    /// The minimised objectives of the only target, or the first, in order.
    pub fn objectives(&self) -> &Objectives {
        &self.targets.get(0).objectives
    }

    /// Upper bounds on the objectives of the only target, or the first.
    pub fn bounds(&self) -> &Bounds {
        &self.targets.get(0).bounds
    }

    /// Coordinates of the hypervolume's reference point that are given for the only target, or the first.
    pub fn reference(&self) -> &Given {
        &self.targets.get(0).reference
    }

    /// Epochs of short and full trainings, and how many networks are measured ahead.
    pub fn fidelity(&self) -> Fidelity {
        self.fidelity
    }

    /// The architectures that can be evaluated, in their order; `None` for the whole space.
    pub fn available(&self) -> Option<&BTreeSet<Architecture>> {
        self.available.as_ref()
    }

    /// Settings of the reward.
    pub fn reward(&self) -> &RewardConfig {
        &self.reward
    }

    /// The network of an architecture with all its branches, for the problem's images and classes.
    ///
    /// # Errors
    /// If the architecture is not of the space, or its layers do not fit the images.
    pub fn graph(&self, architecture: &Architecture) -> Result<Graph, Error> {
        self.space.graph(architecture, self.input, self.classes)
    }

    /// The key of an architecture by the problem's [`Identity`]; the key of a network is cached.
    ///
    /// # Errors
    /// If the architecture is not of the space or, with [`Identity::Network`], its layers do not fit the images.
    pub fn key(&self, architecture: &Architecture) -> Result<CanonicalKey, Error> {
        if self.identity == Identity::Architecture {
            self.space.check(architecture)?;
            let mut hash = Sha256::new();
            architecture.choices().iter().for_each(|choice| hash.update((*choice as u64).to_be_bytes()));
            let mut bits = [0; 16];
            bits.copy_from_slice(&hash.finalize()[..16]);
            return Ok(CanonicalKey::from(bits));
        }
        Ok(self.network(architecture)?.0)
    }

    /// Whether an architecture can be evaluated: a path leads from its image to its logits. A log has values for any.
    ///
    /// # Errors
    /// As [`key`](Self::key).
    pub fn is_connected(&self, architecture: &Architecture) -> Result<bool, Error> {
        match self.identity {
            Identity::Architecture => Ok(true),
            Identity::Network => Ok(self.network(architecture)?.1),
        }
    }

    fn network(&self, architecture: &Architecture) -> Result<(CanonicalKey, bool), Error> {
        // A poisoned cache is whole: entries are inserted one by one.
        let known = self.keys.lock().unwrap_or_else(PoisonError::into_inner).get(architecture).copied();
        if let Some(network) = known {
            return Ok(network);
        }
        let graph = self.graph(architecture)?;
        let network = (graph.canonical(), graph.is_connected());
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).insert(architecture.clone(), network);
        Ok(network)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::Objective;
    use child::space::SpaceConfig;

    #[test]
    fn isomorphic_architectures_of_a_log_have_different_keys() {
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
        let cut = problem.space().parse("|none~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|skip_connect~2|").unwrap();
        assert_eq!([&live, &cut].map(|architecture| problem.is_connected(architecture).unwrap()), [true, false]);
        let problem = problem.with_identity(Identity::Architecture);
        assert_ne!(problem.key(&dead), problem.key(&live));
        assert!(problem.is_connected(&cut).unwrap(), "a log has a row for it");
        assert_eq!(problem.key(&dead), problem.key(&dead.clone()));
        assert!(problem.key(&Architecture::new([9; 6])).is_err() && problem.key(&Architecture::new([0; 7])).is_err());
    }
}
