//! The network of the policy: one LSTM over the decisions of a space.

use anyhow::{Result, ensure};
use burn::module::{Module, Param};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};
use child::space::{Architecture, Decision};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::Conditions;
use crate::preference::Preference;

/// Settings of the policy's network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyConfig {
    /// Units of the LSTM.
    pub hidden: usize,
    /// Length of the embeddings of choices and preferences.
    pub embedding: usize,
    /// Bound `c` on the logits `c · tanh(l / (temperature · c))` (Bello et al. 2017, §3; Pham et al. 2018 take 2.5):
    /// it keeps every choice possible.
    pub tanh_constant: f64,
    /// Divisor of the raw logits (Bello et al. 2017; Pham et al. 2018 take 5).
    pub temperature: f64,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self { hidden: 100, embedding: 32, tanh_constant: 5.0, temperature: 1.0 }
    }
}

impl PolicyConfig {
    /// A policy over some decisions, conditioned on preferences over a number of objectives, its weights drawn from `rng` in a fixed order.
    ///
    /// The initialisers of burn draw from a generator that all threads share; with `rng` the same seed gives the same
    /// policy.
    ///
    /// # Errors
    /// If a setting is out of range or there is nothing to decide.
    pub fn init(
        &self,
        decisions: &[Decision],
        conditions: impl Into<Conditions>,
        device: &Device,
        rng: &mut ChaCha8Rng,
    ) -> Result<Policy> {
        let settings = [
            ("hidden", self.hidden as f64),
            ("embedding", self.embedding as f64),
            ("tanh_constant", self.tanh_constant),
            ("temperature", self.temperature),
        ];
        for (name, found) in settings {
            ensure!(found.is_finite() && found > 0.0, "the policy's `{name}` is {found}: it must be above 0");
        }
        let layout = Layout::new(decisions, conditions.into())?;
        let weights = Weights::init(self, &layout, &device.clone().autodiff(), rng);
        Ok(Policy { config: self.clone(), layout, weights })
    }
}

/// The layout of decisions in the tensors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// Number of choices of each decision.
    pub choices: Vec<usize>,
    /// Row of each decision's first choice in the embedding; row 0 is the start token.
    first_rows: Vec<usize>,
    /// Most choices of a decision: all heads are padded to this width.
    pub width: usize,
    pub conditions: Conditions,
}

impl Layout {
    fn new(decisions: &[Decision], conditions: Conditions) -> Result<Self> {
        let choices: Vec<usize> = decisions.iter().map(|decision| decision.choices.len()).collect();
        let width = choices.iter().copied().max().unwrap_or(0);
        ensure!(
            conditions.inputs() > 0 && !choices.is_empty() && !choices.contains(&0),
            "there is nothing to decide: a space needs decisions with choices"
        );
        let first_rows = choices.iter().scan(1, |next, count| Some(std::mem::replace(next, *next + count))).collect();
        Ok(Self { choices, first_rows, width, conditions })
    }

    /// Rows of the embedding: a start token and one for every choice of every decision.
    pub fn rows(&self) -> usize {
        1 + self.choices.iter().sum::<usize>()
    }

    /// Row of the embedding that is the input of a decision: the row of the choice before it.
    pub fn input_row(&self, decision: usize, previous: Option<usize>) -> usize {
        match (decision.checked_sub(1), previous) {
            (Some(last), Some(choice)) => self.first_rows[last] + choice,
            _ => 0,
        }
    }

    fn check(&self, architecture: &Architecture) -> Result<()> {
        let choices = architecture.choices();
        let fits = choices.len() == self.choices.len() && choices.iter().zip(&self.choices).all(|(a, b)| a < b);
        ensure!(fits, "an architecture with choices {choices:?} is not of the policy's space");
        Ok(())
    }
}

/// The parameters. Gates are in the order input, forget, output, cell.
#[derive(Module, Debug)]
pub(super) struct Weights {
    /// `[1 + choices of all decisions, embedding]`.
    pub embedding: Param<Tensor<2>>,
    /// `[inputs of the preference, embedding]`.
    pub preference: Param<Tensor<2>>,
    /// `[embedding + hidden, 4 · hidden]`: all four gates in one product.
    pub gates: Param<Tensor<2>>,
    /// `[1, 4 · hidden]`.
    pub gates_bias: Param<Tensor<2>>,
    /// `[decisions, hidden, width]`: one head for each decision, padded to the widest.
    pub heads: Param<Tensor<3>>,
    /// `[decisions, 1, width]`.
    pub heads_bias: Param<Tensor<3>>,
}

impl Weights {
    /// Uniform within ±1/√hidden, as is usual for LSTMs; the forget gate's bias 1 (Jozefowicz et al. 2015); and small
    /// heads, so that a fresh policy is close to the uniform distribution.
    fn init(config: &PolicyConfig, layout: &Layout, device: &Device, rng: &mut ChaCha8Rng) -> Self {
        let (hidden, embedding, decisions) = (config.hidden, config.embedding, layout.choices.len());
        let inputs = layout.conditions.inputs();
        let bound = 1.0 / (hidden as f32).sqrt();
        let mut uniform =
            |bound: f32, count: usize| -> Vec<f32> { (0..count).map(|_| rng.random_range(-bound..=bound)).collect() };
        let mut bias = vec![0.0; 4 * hidden];
        bias[hidden..2 * hidden].fill(1.0);
        Self {
            embedding: param(uniform(1.0, layout.rows() * embedding), [layout.rows(), embedding], device),
            preference: param(uniform(1.0, inputs * embedding), [inputs, embedding], device),
            gates: param(uniform(bound, (embedding + hidden) * 4 * hidden), [embedding + hidden, 4 * hidden], device),
            gates_bias: param(bias, [1, 4 * hidden], device),
            heads: param(
                uniform(0.5 * bound, decisions * hidden * layout.width),
                [decisions, hidden, layout.width],
                device,
            ),
            heads_bias: param(vec![0.0; decisions * layout.width], [decisions, 1, layout.width], device),
        }
    }
}

fn param<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), device))
}

/// A distribution over architectures for every preference.
///
/// The decisions are taken one after the other. The input of each is the embedding of the choice before it plus a linear
/// map of the preference, and its head turns the LSTM's output into one logit for each choice, so that one policy holds
/// the whole Pareto front.
#[derive(Debug, Clone)]
pub struct Policy {
    pub(super) config: PolicyConfig,
    pub(super) layout: Layout,
    pub(super) weights: Weights,
}

impl Policy {
    /// Logit of the padding of a head: its probability is exactly 0 in 32 bits.
    const ABSENT: f32 = -1e4;

    /// The device that holds the weights.
    pub(super) fn device(&self) -> Device {
        self.weights.embedding.val().device()
    }

    /// From the raw logits of all decisions to log-probabilities, both `[decisions, batch, width]`. The padding has −10⁴.
    pub(super) fn normalise(&self, logits: Tensor<3>) -> Tensor<3> {
        let PolicyConfig { tanh_constant, temperature, .. } = self.config;
        let bounded = (logits / (temperature * tanh_constant)).tanh() * tanh_constant;
        let Layout { choices, width, .. } = &self.layout;
        if choices.iter().all(|count| count == width) {
            return log_softmax(bounded, 2);
        }
        let row = |count: usize| (0..*width).map(move |choice| if choice < count { 0.0 } else { Self::ABSENT });
        let mask: Vec<f32> = choices.iter().flat_map(|count| row(*count)).collect();
        let mask = Tensor::from_data(TensorData::new(mask, [choices.len(), 1, *width]), &bounded.device());
        log_softmax(bounded + mask, 2)
    }

    /// Checks that there are as many architectures as preferences, all of this policy's space.
    pub(super) fn check(&self, architectures: &[Architecture], preferences: &[Preference]) -> Result<()> {
        let (count, other) = (architectures.len(), preferences.len());
        ensure!(count == other, "{count} architectures came with {other} preferences");
        architectures.iter().try_for_each(|architecture| self.layout.check(architecture))?;
        self.check_preferences(preferences)
    }

    /// Checks that the policy knows the objectives of preferences.
    pub(super) fn check_preferences(&self, preferences: &[Preference]) -> Result<()> {
        preferences.iter().try_for_each(|preference| self.layout.conditions.check(preference))
    }
}
