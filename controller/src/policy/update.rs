//! Improving the policy from rewards.

use anyhow::{Context as _, Result, bail, ensure};
use burn::optim::{AdamConfig, ModuleOptimizer};
use burn::tensor::{Tensor, TensorData};
use child::space::Architecture;
use serde::{Deserialize, Serialize};

use super::advantage::{Baseline, leave_one_out, moving_average, normalise};
use super::lstm::{Lstm, logits};
use super::network::{Policy, Weights};
use super::values::Values;
use super::values::fetch;
use crate::preference::Preference;

/// The algorithm that improves the policy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// One step along the policy gradient for each batch (Williams 1992).
    #[default]
    Reinforce,
    /// Several steps for each batch, near the policy that drew it: proximal policy optimisation with a clipped ratio for
    /// each decision (Schulman et al. 2017, eq. 7).
    Ppo,
}

/// Settings of the update.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpdateConfig {
    /// REINFORCE or PPO.
    pub algorithm: Algorithm,
    /// Baseline of the rewards.
    pub baseline: Baseline,
    /// Decay of the exponential baseline, 0..1.
    pub baseline_decay: f64,
    /// Whether advantages are scaled to unit size in each batch.
    pub normalise_advantages: bool,
    /// Step size of Adam.
    pub learning_rate: f64,
    /// Weight of the entropy bonus at the first update.
    pub entropy: f64,
    /// Factor of the entropy bonus's weight after each update, above 0 and at most 1.
    pub entropy_decay: f64,
    /// Limit on the gradient's norm over all parameters.
    pub gradient_norm: f64,
    /// PPO: distance of a decision's probability ratio from 1 at which it is clipped, 0..1.
    pub ppo_clip: f64,
    /// PPO: steps for each batch.
    pub ppo_epochs: usize,
}

impl Default for UpdateConfig {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::default(),
            baseline: Baseline::default(),
            baseline_decay: 0.95,
            normalise_advantages: true,
            learning_rate: 0.02,
            entropy: 0.05,
            entropy_decay: 0.99,
            gradient_norm: 1.0,
            ppo_clip: 0.2,
            ppo_epochs: 4,
        }
    }
}

impl UpdateConfig {
    /// Checks that every setting is in its range.
    ///
    /// # Errors
    /// The first setting that is not; the message begins with its name.
    pub fn check(&self) -> Result<()> {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let checks = [
            ("learning_rate", self.learning_rate, positive(self.learning_rate)),
            ("gradient_norm", self.gradient_norm, positive(self.gradient_norm)),
            ("entropy", self.entropy, self.entropy.is_finite() && self.entropy >= 0.0),
            ("entropy_decay", self.entropy_decay, self.entropy_decay > 0.0 && self.entropy_decay <= 1.0),
            ("baseline_decay", self.baseline_decay, (0.0..1.0).contains(&self.baseline_decay)),
            ("ppo_clip", self.ppo_clip, self.ppo_clip > 0.0 && self.ppo_clip < 1.0),
            ("ppo_epochs", self.ppo_epochs as f64, self.ppo_epochs > 0),
        ];
        for (name, found, is_in_range) in checks {
            ensure!(is_in_range, "{name} = {found} is out of its range");
        }
        Ok(())
    }
}

/// Statistics of an update. Loss, entropy and gradient are those of its first step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UpdateStats {
    /// The loss.
    pub loss: f64,
    /// Mean entropy of an episode in nats, summed over its decisions.
    pub entropy: f64,
    /// Norm of the gradient over all parameters before clipping.
    pub gradient_norm: f64,
    /// Mean reward of the batch.
    pub mean_reward: f64,
    /// Mean baseline of the batch.
    pub baseline: f64,
}

impl UpdateStats {
    /// All of them by name.
    pub(crate) fn scalars(&self) -> [(&'static str, f64); 5] {
        [
            ("loss", self.loss),
            ("entropy", self.entropy),
            ("gradient_norm", self.gradient_norm),
            ("mean_reward", self.mean_reward),
            ("baseline", self.baseline),
        ]
    }
}

pub(super) const EMPTY_BATCH: &str = "an update needs at least one episode";

/// A policy, its optimiser, and the state that updates carry on.
#[derive(Clone)]
pub struct Learner {
    pub(super) policy: Policy,
    pub(super) optimiser: ModuleOptimizer,
    /// Moving average of the batches' mean rewards.
    pub(super) average: Option<f64>,
    pub(super) updates: u64,
    config: UpdateConfig,
    /// In nats, summed over the decisions of an episode.
    least_entropy: f64,
}

impl Learner {
    /// Weight of the additional entropy bonus below the least entropy.
    const LIFT: f64 = 0.3;

    /// A learner that starts from a policy.
    ///
    /// # Errors
    /// If a setting is out of its range.
    pub fn new(policy: Policy, config: UpdateConfig) -> Result<Self> {
        config.check().context("the update's settings")?;
        let optimiser = Self::fresh_optimiser();
        Ok(Self { policy, optimiser, average: None, updates: 0, config, least_entropy: 0.0 })
    }

    /// Adds an entropy bonus while the mean entropy of an episode is below `nats`.
    pub(crate) fn with_least_entropy(self, nats: f64) -> Self {
        Self { least_entropy: nats, ..self }
    }

    pub(super) fn fresh_optimiser() -> ModuleOptimizer {
        // Kingma and Ba's ε; burn's default is a thousand times larger.
        AdamConfig::new().with_epsilon(1e-8).init()
    }

    /// The present policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Number of updates so far.
    #[cfg(test)]
    pub(crate) fn updates(&self) -> u64 {
        self.updates
    }

    /// Improves the policy from a batch that it has drawn: one architecture for each preference.
    ///
    /// `reward(j, preference)` is the reward of architecture `j` of the batch under any preference of the batch.
    ///
    /// # Errors
    /// If the batch is empty or not of the policy's space, a reward is not finite, or the gradient is not: the policy
    /// is unchanged then.
    pub fn update(
        &mut self,
        architectures: &[Architecture],
        preferences: &[Preference],
        reward: impl Fn(usize, &Preference) -> f64,
    ) -> Result<UpdateStats> {
        self.policy.check(architectures, preferences)?;
        let count = architectures.len();
        ensure!(count > 0, EMPTY_BATCH);
        let rewards: Vec<f64> = (0..count).map(|index| reward(index, &preferences[index])).collect();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / count as f64;
        let mean_reward = mean(&rewards);
        let baselines = match self.config.baseline {
            Baseline::LeaveOneOut if count > 1 => leave_one_out(count, |j, i| reward(j, &preferences[i])),
            _ => vec![self.average.unwrap_or(mean_reward); count],
        };
        let mut advantages: Vec<f64> = rewards.iter().zip(&baselines).map(|(reward, base)| reward - base).collect();
        if let Some(index) = advantages.iter().position(|advantage| !advantage.is_finite()) {
            let found = rewards[index];
            bail!(
                "the reward of episode {index} of the batch is {found}, or one that it is compared with is not finite"
            );
        }
        if self.config.normalise_advantages {
            normalise(&mut advantages);
        }
        let batch = Batch { architectures, preferences, advantages: &advantages };
        let (loss, entropy, gradient_norm) = self.descend(&batch)?;
        self.average = Some(moving_average(self.average, mean_reward, self.config.baseline_decay));
        self.updates += 1;
        Ok(UpdateStats { loss, entropy, gradient_norm, mean_reward, baseline: mean(&baselines) })
    }

    /// Takes all steps on one batch; returns loss, entropy and gradient norm of the first.
    fn descend(&mut self, batch: &Batch<'_>) -> Result<(f64, f64, f64)> {
        let steps = match self.config.algorithm {
            Algorithm::Reinforce => 1,
            Algorithm::Ppo => self.config.ppo_epochs,
        };
        let (mut policy, mut optimiser) = (self.policy.clone(), self.optimiser.clone());
        let (mut old, mut first) = (None, None);
        for _ in 0..steps {
            let (mut gradient, loss) = self.gradient(&policy, batch, old.as_ref())?;
            let norm = gradient.clip(self.config.gradient_norm);
            ensure!(
                norm.is_finite(),
                "the policy's gradient is not finite after {} updates: lower its learning rate",
                self.updates
            );
            if first.is_none() {
                let scalars = fetch(Tensor::cat(vec![loss.value.inner(), loss.entropy.inner()], 0))?;
                first = Some((f64::from(scalars[0]), f64::from(scalars[1]), norm));
            }
            old = old.or_else(|| Some(loss.taken.detach()));
            let gradients = gradient.into_gradients(&policy.weights);
            policy.weights = optimiser.step::<Weights>(self.config.learning_rate, policy.weights, gradients);
        }
        (self.policy, self.optimiser) = (policy, optimiser);
        first.context(EMPTY_BATCH)
    }

    /// The gradient of the loss for all weights. burn differentiates the loss as a function of the raw logits, and the
    /// passes of the LSTM are written out.
    pub(super) fn gradient(
        &self,
        policy: &Policy,
        batch: &Batch<'_>,
        old: Option<&Tensor<2>>,
    ) -> Result<(Values, Loss)> {
        let lstm = Lstm::new(policy)?;
        let parts = lstm.follow(batch.architectures, batch.preferences);
        let shape = [policy.layout.choices.len(), batch.architectures.len(), policy.layout.width];
        let raw = TensorData::new(logits(&parts, shape[0]), shape);
        let raw = Tensor::<3>::from_data(raw, &policy.device()).require_grad();
        let loss = self.loss(policy, policy.normalise(raw.clone()), batch, old);
        let slopes = raw.grad(&loss.value.backward()).context("the loss does not depend on the logits")?;
        Ok((lstm.backward(&parts, &fetch(slopes)?), loss))
    }

    /// The loss of a batch from all log-probabilities, `[decisions, batch, width]`; `old` are the log-probabilities of
    /// the choices taken under the policy that drew the batch.
    pub(super) fn loss(&self, policy: &Policy, all: Tensor<3>, batch: &Batch<'_>, old: Option<&Tensor<2>>) -> Loss {
        let count = batch.architectures.len();
        let taken = policy.taken(all.clone(), batch.architectures);
        let advantages: Vec<f32> = batch.advantages.iter().map(|advantage| *advantage as f32).collect();
        let advantages = Tensor::<2>::from_data(TensorData::new(advantages, [1, count]), &taken.device());
        let gain = match self.config.algorithm {
            Algorithm::Reinforce => taken.clone() * advantages,
            Algorithm::Ppo => {
                let old = old.cloned().unwrap_or_else(|| taken.clone().detach());
                let ratio = (taken.clone() - old).exp();
                let held = ratio.clone().clamp(1.0 - self.config.ppo_clip, 1.0 + self.config.ppo_clip);
                (ratio * advantages.clone()).min_pair(held * advantages)
            }
        };
        let entropy = -(all.clone().exp() * all).sum() / count as f64;
        let bonus = self.config.entropy * self.config.entropy_decay.powf(self.updates as f64);
        let lift = entropy.clone().clamp_max(self.least_entropy) * Self::LIFT;
        let value = -gain.sum() / count as f64 - entropy.clone() * bonus - lift;
        Loss { value, entropy, taken }
    }
}

/// The loss of a batch.
pub(super) struct Loss {
    /// `[1]`.
    pub value: Tensor<1>,
    /// Mean entropy of an episode, `[1]`.
    pub entropy: Tensor<1>,
    /// Log-probabilities of the choices taken, `[decisions, batch]`.
    pub taken: Tensor<2>,
}

/// The data of one update.
pub(super) struct Batch<'a> {
    pub architectures: &'a [Architecture],
    pub preferences: &'a [Preference],
    pub advantages: &'a [f64],
}
