//! The passes of the policy's LSTM through time, written out on slices.
//!
//! Each of its steps is small, so automatic differentiation would spend most of the time on its own records. Only the
//! recurrent product is inside the loop over the decisions; the input's products are one table for all of them.

use anyhow::Result;
use child::space::Architecture;
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use pulp::Arch;
use rayon::prelude::*;

use super::cell::{Step, StepBack};
use super::network::{Layout, Policy};
use super::values::{Values, add};
use crate::preference::Preference;

/// Episodes that are computed together. Parts run side by side. Their size is independent of the number of threads, and so
/// is the order of every sum.
pub(super) const PART: usize = 16;

/// A policy's network in the host's memory.
pub(super) struct Lstm<'a> {
    layout: &'a Layout,
    weights: Values,
    /// `[rows of the embedding, 4 · hidden]`: what each row adds to the gates, the bias included.
    table: Vec<f32>,
    hidden: usize,
    embedding: usize,
    arch: Arch,
}

/// The forward pass of a part of a batch: all that its derivatives need.
pub(super) struct Trace {
    episodes: usize,
    /// `[episodes, objectives]`.
    preferences: Vec<f32>,
    /// `[episodes, embedding]`: what they add to each input.
    condition: Vec<f32>,
    /// `[decisions, episodes]`: the row of the embedding that was the input.
    rows: Vec<usize>,
    /// `[decisions, episodes, 4 · hidden]`: input, forget and output gates and candidates, after their activation.
    gates: Vec<f32>,
    /// `[decisions, episodes, hidden]`.
    cells: Vec<f32>,
    /// Their hyperbolic tangents.
    squashed: Vec<f32>,
    /// `[decisions, episodes, hidden]`: the LSTM's outputs.
    outputs: Vec<f32>,
    /// `[decisions, episodes, width]`: raw logits.
    logits: Vec<f32>,
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
        let network =
            Self { layout: &policy.layout, weights, table: Vec::new(), hidden, embedding, arch: Arch::new() };
        product(
            matrix_mut(&mut table, 4 * hidden),
            Accum::Add,
            matrix(&network.weights.embedding, embedding),
            network.input_weights(),
        );
        Ok(Self { table, ..network })
    }

    fn input_weights(&self) -> MatRef<'_, f32> {
        matrix(&self.weights.gates[..self.embedding * 4 * self.hidden], 4 * self.hidden)
    }

    fn recurrent_weights(&self) -> MatRef<'_, f32> {
        matrix(&self.weights.gates[self.embedding * 4 * self.hidden..], 4 * self.hidden)
    }

    /// The place of a decision's head in the heads.
    fn head(&self, decision: usize) -> std::ops::Range<usize> {
        let size = self.hidden * self.layout.width;
        decision * size..(decision + 1) * size
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
        let (hidden, width, episodes) = (self.hidden, self.layout.width, preferences.len());
        let (decisions, objectives) = (self.layout.choices.len(), self.layout.objectives);
        let units = decisions * episodes * hidden;
        let mut trace = Trace {
            episodes,
            preferences: preferences.iter().flat_map(Preference::weights).map(|weight| *weight as f32).collect(),
            rows: Vec::with_capacity(decisions * episodes),
            gates: vec![0.0; 4 * units],
            cells: vec![0.0; units],
            squashed: vec![0.0; units],
            outputs: vec![0.0; units],
            condition: vec![0.0; episodes * self.embedding],
            logits: Vec::with_capacity(decisions * episodes * width),
        };
        product(
            matrix_mut(&mut trace.condition, self.embedding),
            Accum::Replace,
            matrix(&trace.preferences, objectives),
            matrix(&self.weights.preference, self.embedding),
        );
        let mut common = vec![0.0; episodes * 4 * hidden];
        product(
            matrix_mut(&mut common, 4 * hidden),
            Accum::Replace,
            matrix(&trace.condition, self.embedding),
            self.input_weights(),
        );
        let mut taken: Vec<Option<usize>> = vec![None; episodes];
        let start = vec![0.0; episodes * hidden];
        let size = episodes * hidden;
        for decision in 0..decisions {
            trace.rows.extend(taken.iter().map(|choice| self.layout.input_row(decision, *choice)));
            let rows = &trace.rows[decision * episodes..];
            let gates = &mut trace.gates[decision * 4 * size..][..4 * size];
            for ((gates, row), common) in gates.chunks_mut(4 * hidden).zip(rows).zip(common.chunks(4 * hidden)) {
                let input = &self.table[row * 4 * hidden..][..4 * hidden];
                gates.iter_mut().zip(input).zip(common).for_each(|((gate, input), common)| *gate = input + common);
            }
            let (before, cells) = trace.cells.split_at_mut(decision * size);
            let (last, outputs) = trace.outputs.split_at_mut(decision * size);
            let (mut cell, mut last_output) = (&start[..], None);
            if let Some(begin) = before.len().checked_sub(size) {
                (cell, last_output) = (&before[begin..], Some(&last[begin..]));
            }
            if let Some(output) = last_output {
                product(
                    matrix_mut(gates, 4 * hidden),
                    Accum::Add,
                    matrix(output, hidden),
                    self.recurrent_weights(),
                );
            }
            let (cells, outputs) = (&mut cells[..size], &mut outputs[..size]);
            let squashed = &mut trace.squashed[decision * size..][..size];
            self.arch.dispatch(Step { hidden, gates, last: cell, cells, squashed, outputs });
            let begin = trace.logits.len();
            let bias = &self.weights.heads_bias[decision * width..][..width];
            (0..episodes).for_each(|_| trace.logits.extend(bias));
            let logits = &mut trace.logits[begin..];
            let head = matrix(&self.weights.heads[self.head(decision)], width);
            product(matrix_mut(logits, width), Accum::Add, matrix(outputs, hidden), head);
            for (episode, (taken, logits)) in taken.iter_mut().zip(logits.chunks(width)).enumerate() {
                *taken = Some(choose(decision, episode, logits));
            }
        }
        trace
    }

    /// Gradients of all parameters from those of the raw logits, `[decisions, episodes of all parts, width]`.
    pub fn backward(&self, parts: &[Trace], slopes: &[f32]) -> Values {
        let episodes: usize = parts.iter().map(|part| part.episodes).sum();
        let begins = parts.iter().scan(0, |next, part| Some(std::mem::replace(next, *next + part.episodes)));
        let parts: Vec<_> = parts.iter().zip(begins).collect();
        let gradients: Vec<(Values, Vec<f32>)> = parts
            .into_par_iter()
            .map(|(part, begin)| {
                let width = self.layout.width;
                let rows = slopes.chunks(episodes * width);
                let own: Vec<f32> =
                    rows.flat_map(|row| &row[begin * width..][..part.episodes * width]).copied().collect();
                self.backward_part(part, &own)
            })
            .collect();
        let mut sum = self.weights.zeros();
        let mut table = vec![0.0; self.table.len()];
        for (values, part_table) in gradients {
            sum.add(&values);
            add(&mut table, &part_table);
        }
        // The table is the embedding times the input's weights, plus the bias.
        let columns = 4 * self.hidden;
        table.chunks(columns).for_each(|row| add(&mut sum.gates_bias, row));
        let (table, input) = (matrix(&table, columns), self.embedding * columns);
        rayon::join(
            || {
                let embedding = matrix_mut(&mut sum.embedding, self.embedding);
                product(embedding, Accum::Replace, table, self.input_weights().transpose());
            },
            || {
                let embedding = matrix(&self.weights.embedding, self.embedding);
                product(matrix_mut(&mut sum.gates[..input], columns), Accum::Add, embedding.transpose(), table);
            },
        );
        sum
    }

    /// Gradients from a part of a batch, without what the table passes on, and those of the table.
    fn backward_part(&self, part: &Trace, logit_slopes: &[f32]) -> (Values, Vec<f32>) {
        let (hidden, width, episodes) = (self.hidden, self.layout.width, part.episodes);
        let (decisions, columns, size) = (self.layout.choices.len(), 4 * hidden, episodes * hidden);
        let mut gradient = self.weights.zeros();
        let mut table = vec![0.0; self.table.len()];
        let mut common = vec![0.0; episodes * columns];
        let mut gates = vec![0.0; decisions * episodes * columns];
        let (mut output, mut cell, start) = (vec![0.0; size], vec![0.0; size], vec![0.0; size]);
        for decision in (0..decisions).rev() {
            let logits = &logit_slopes[decision * episodes * width..][..episodes * width];
            let outputs = &part.outputs[decision * size..][..size];
            let (logits_matrix, head) = (matrix(logits, width), self.head(decision));
            let bias = &mut gradient.heads_bias[decision * width..][..width];
            logits.chunks(width).for_each(|row| add(bias, row));
            product(
                matrix_mut(&mut gradient.heads[head.clone()], width),
                Accum::Replace,
                matrix(outputs, hidden).transpose(),
                logits_matrix,
            );
            let head = matrix(&self.weights.heads[head], width).transpose();
            product(matrix_mut(&mut output, hidden), Accum::Add, logits_matrix, head);
            let before = decision.checked_sub(1).map_or(&start[..], |last| &part.cells[last * size..][..size]);
            let squashed = &part.squashed[decision * size..][..size];
            let opened = &part.gates[decision * 4 * size..][..4 * size];
            let slopes = &mut gates[decision * 4 * size..][..4 * size];
            let last = before;
            self.arch.dispatch(StepBack { hidden, slopes, cells: &mut cell, outputs: &output, gates: opened, last, squashed });
            for (row, slopes) in part.rows[decision * episodes..].iter().zip(slopes.chunks(columns)) {
                add(&mut table[row * columns..][..columns], slopes);
            }
            add(&mut common, slopes);
            if decision > 0 {
                let recurrent = self.recurrent_weights().transpose();
                product(matrix_mut(&mut output, hidden), Accum::Replace, matrix(slopes, columns), recurrent);
            }
        }
        let (input, recurrent) = gradient.gates.split_at_mut(self.embedding * columns);
        product(
            matrix_mut(recurrent, columns),
            Accum::Replace,
            matrix(&part.outputs[..(decisions - 1) * size], hidden).transpose(),
            matrix(&gates[4 * size..], columns),
        );
        let common = matrix(&common, columns);
        let condition = matrix(&part.condition, self.embedding);
        product(matrix_mut(input, columns), Accum::Replace, condition.transpose(), common);
        let mut slopes = vec![0.0; part.condition.len()];
        product(matrix_mut(&mut slopes, self.embedding), Accum::Replace, common, self.input_weights().transpose());
        product(
            matrix_mut(&mut gradient.preference, self.embedding),
            Accum::Replace,
            matrix(&part.preferences, self.layout.objectives).transpose(),
            matrix(&slopes, self.embedding),
        );
        (gradient, table)
    }
}

/// The raw logits of a batch's parts as one, `[decisions, episodes, width]`.
pub(super) fn logits(parts: &[Trace], decisions: usize) -> Vec<f32> {
    let part = |part: &'_ Trace, decision: usize| {
        let size = part.logits.len() / decisions;
        decision * size..(decision + 1) * size
    };
    let decision = |decision: usize| parts.iter().flat_map(move |one| &one.logits[part(one, decision)]);
    (0..decisions).flat_map(decision).copied().collect()
}

/// A list as the rows of a matrix.
fn matrix(values: &[f32], columns: usize) -> MatRef<'_, f32> {
    MatRef::from_row_major_slice(values, values.len() / columns, columns)
}

fn matrix_mut(values: &mut [f32], columns: usize) -> MatMut<'_, f32> {
    let rows = values.len() / columns;
    MatMut::from_row_major_slice_mut(values, rows, columns)
}

fn product(result: MatMut<'_, f32>, accumulate: Accum, left: MatRef<'_, f32>, right: MatRef<'_, f32>) {
    matmul(result, accumulate, left, right, 1.0, Par::Seq);
}
