//! The passes of the policy's LSTM through time, written out on slices.
//!
//! Each of its steps is small, so automatic differentiation would spend most of the time on its own records. Only the
//! recurrent product is inside the loop over the decisions; the input's product is one table for all of them.

use anyhow::Result;
use child::space::Architecture;
use pulp::Arch;
use rayon::prelude::*;

use super::cell::Step;
use super::matrix::{Matrix, add_product, block, block_mut, matrix, set_product};
use super::network::{Layout, Policy};
use super::values::Values;
use crate::preference::Preference;

/// Episodes that are computed together. Parts run side by side. Their size is independent of the number of threads, and so
/// is the order of every sum.
pub(super) const PART: usize = 16;

/// A policy's network in the host's memory.
pub(super) struct Lstm<'a> {
    pub layout: &'a Layout,
    pub weights: Values,
    /// `[rows of the embedding, 4 · hidden]`: what each row adds to the gates, the bias included.
    pub table: Vec<f32>,
    pub hidden: usize,
    pub embedding: usize,
    pub arch: Arch,
}

/// The forward pass of a part of a batch: all that its derivatives need.
pub(super) struct Trace {
    pub episodes: usize,
    /// `[episodes, inputs of a preference]`.
    pub preferences: Vec<f32>,
    /// `[episodes, embedding]`: what they add to each input.
    pub condition: Vec<f32>,
    /// `[decisions, episodes]`: the row of the embedding that was the input.
    pub rows: Vec<usize>,
    /// `[decisions, episodes, 4 · hidden]`: input, forget and output gates and candidates, after their activation.
    pub gates: Vec<f32>,
    /// `[1 + decisions, episodes, hidden]`, from the state before the first decision on.
    pub cells: Vec<f32>,
    /// `[decisions, episodes, hidden]`: the hyperbolic tangents of the cells.
    pub squashed: Vec<f32>,
    /// `[1 + decisions, episodes, hidden]`: the outputs of the LSTM, from the state before the first decision on.
    pub outputs: Vec<f32>,
    /// `[decisions, episodes, width]`: raw logits.
    pub logits: Vec<f32>,
}

impl<'a> Lstm<'a> {
    /// The network of a policy with its present weights.
    ///
    /// # Errors
    /// If the weights cannot be fetched from their device.
    pub fn new(policy: &'a Policy) -> Result<Self> {
        let weights = Values::of(&policy.weights)?;
        let (hidden, embedding) = (policy.config.hidden, policy.config.embedding);
        let mut table = weights.gates_bias.repeat(policy.layout.rows());
        let network = Self { layout: &policy.layout, weights, table: Vec::new(), hidden, embedding, arch: Arch::new() };
        add_product(&mut table, matrix(&network.weights.embedding, embedding), network.input_weights());
        Ok(Self { table, ..network })
    }

    /// `[embedding, 4 · hidden]`.
    pub fn input_weights(&self) -> Matrix<'_> {
        matrix(&self.weights.gates[..self.embedding * 4 * self.hidden], 4 * self.hidden)
    }

    /// `[hidden, 4 · hidden]`.
    pub fn recurrent_weights(&self) -> Matrix<'_> {
        matrix(&self.weights.gates[self.embedding * 4 * self.hidden..], 4 * self.hidden)
    }

    /// The head of a decision, `[hidden, width]`.
    pub fn head(&self, decision: usize) -> Matrix<'_> {
        let width = self.layout.width;
        matrix(block(&self.weights.heads, decision, self.hidden * width), width)
    }

    /// The forward passes of given architectures, in parts.
    pub fn follow(&self, architectures: &[Architecture], preferences: &[Preference]) -> Vec<Trace> {
        let part = |(architectures, preferences): (&[Architecture], &[Preference])| {
            self.forward(preferences, |decision, episode, _| architectures[episode].choices()[decision])
        };
        architectures.par_chunks(PART).zip(preferences.par_chunks(PART)).map(part).collect()
    }

    /// Runs a part of a batch through all decisions. `choose(decision, episode, logits)` takes each decision.
    pub fn forward(&self, preferences: &[Preference], mut choose: impl FnMut(usize, usize, &[f32]) -> usize) -> Trace {
        let mut trace = self.begin(preferences);
        let mut common = vec![0.0; trace.episodes * 4 * self.hidden];
        set_product(&mut common, matrix(&trace.condition, self.embedding), self.input_weights());
        let mut taken = vec![None; trace.episodes];
        for decision in 0..self.layout.choices.len() {
            trace.rows.extend(taken.iter().map(|choice| self.layout.input_row(decision, *choice)));
            self.step(decision, &common, &mut trace);
            let logits = block(&trace.logits, decision, trace.episodes * self.layout.width);
            for (episode, logits) in logits.chunks(self.layout.width).enumerate() {
                taken[episode] = Some(choose(decision, episode, logits));
            }
        }
        trace
    }

    /// A trace before its first step.
    fn begin(&self, preferences: &[Preference]) -> Trace {
        let (episodes, decisions) = (preferences.len(), self.layout.choices.len());
        let size = episodes * self.hidden;
        let conditions = &self.layout.conditions;
        let mut inputs = Vec::with_capacity(episodes * conditions.inputs());
        preferences.iter().for_each(|preference| conditions.extend(&mut inputs, preference));
        let mut condition = vec![0.0; episodes * self.embedding];
        let weights = matrix(&self.weights.preference, self.embedding);
        set_product(&mut condition, matrix(&inputs, conditions.inputs()), weights);
        // They begin with the bias.
        let bias = self.weights.heads_bias.chunks(self.layout.width);
        let logits = bias.flat_map(|bias| bias.repeat(episodes)).collect();
        Trace {
            episodes,
            preferences: inputs,
            condition,
            rows: Vec::with_capacity(decisions * episodes),
            gates: vec![0.0; decisions * 4 * size],
            cells: vec![0.0; (1 + decisions) * size],
            squashed: vec![0.0; decisions * size],
            outputs: vec![0.0; (1 + decisions) * size],
            logits,
        }
    }

    /// One step of the LSTM, and the logits of its decision; `common` is what the preferences add to the gates.
    fn step(&self, decision: usize, common: &[f32], trace: &mut Trace) {
        let (hidden, columns, size) = (self.hidden, 4 * self.hidden, trace.episodes * self.hidden);
        let rows = block(&trace.rows, decision, trace.episodes);
        let gates = block_mut(&mut trace.gates, decision, 4 * size);
        for ((gates, row), common) in gates.chunks_mut(columns).zip(rows).zip(common.chunks(columns)) {
            let input = block(&self.table, *row, columns);
            gates.iter_mut().zip(input).zip(common).for_each(|((gate, input), common)| *gate = input + common);
        }
        if decision > 0 {
            let last = block(&trace.outputs, decision, size);
            add_product(gates, matrix(last, hidden), self.recurrent_weights());
        }
        let (before, cells) = trace.cells.split_at_mut((decision + 1) * size);
        let (last, cells) = (block(before, decision, size), &mut cells[..size]);
        let squashed = block_mut(&mut trace.squashed, decision, size);
        let outputs = block_mut(&mut trace.outputs, decision + 1, size);
        let logits = block_mut(&mut trace.logits, decision, trace.episodes * self.layout.width);
        self.arch.dispatch(Step { hidden, gates, last, cells, squashed, outputs: &mut *outputs });
        add_product(logits, matrix(outputs, hidden), self.head(decision));
    }
}

/// The raw logits of a batch's parts as one list, `[decisions, episodes, width]`.
pub(super) fn logits(parts: &[Trace], decisions: usize) -> Vec<f32> {
    let blocks = |decision: usize| {
        parts.iter().flat_map(move |part| block(&part.logits, decision, part.logits.len() / decisions))
    };
    (0..decisions).flat_map(blocks).copied().collect()
}
