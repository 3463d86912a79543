//! The backward pass through time.

use rayon::prelude::*;

use super::cell::StepBack;
use super::lstm::{Lstm, Trace};
use super::matrix::{add_product, block, block_mut, matrix, set_product};
use super::values::{Values, add};

/// Gradients from a part of a batch.
struct Gradient {
    /// Of all parameters, without those by way of the table.
    values: Values,
    /// Of [`Lstm::table`].
    table: Vec<f32>,
}

impl Lstm<'_> {
    /// Gradients of all parameters from those of the raw logits, `[decisions, episodes of all parts, width]`.
    pub fn backward(&self, parts: &[Trace], slopes: &[f32]) -> Values {
        let episodes: usize = parts.iter().map(|part| part.episodes).sum();
        let begins = parts.iter().scan(0, |next, part| Some(std::mem::replace(next, *next + part.episodes)));
        let parts: Vec<_> = parts.iter().zip(begins).collect();
        let gradient = |(part, begin): (&Trace, usize)| {
            let width = self.layout.width;
            let decisions = slopes.chunks(episodes * width);
            let own = decisions.flat_map(|all| &all[begin * width..][..part.episodes * width]);
            self.backward_part(part, &own.copied().collect::<Vec<f32>>())
        };
        let gradients: Vec<Gradient> = parts.into_par_iter().map(gradient).collect();
        let (mut sum, mut table) = (self.weights.zeros(), vec![0.0; self.table.len()]);
        for gradient in gradients {
            sum.add(&gradient.values);
            add(&mut table, &gradient.table);
        }
        self.backward_table(&table, &mut sum);
        sum
    }

    /// The table is the embedding times the input's weights, plus the bias.
    fn backward_table(&self, table: &[f32], gradient: &mut Values) {
        let columns = 4 * self.hidden;
        table.chunks(columns).for_each(|row| add(&mut gradient.gates_bias, row));
        let table = matrix(table, columns);
        let input = &mut gradient.gates[..self.embedding * columns];
        rayon::join(
            || set_product(&mut gradient.embedding, table, self.input_weights().reversed_axes()),
            || add_product(input, matrix(&self.weights.embedding, self.embedding).reversed_axes(), table),
        );
    }

    /// The slopes of a part's raw logits are `[decisions, episodes, width]`.
    fn backward_part(&self, part: &Trace, slopes: &[f32]) -> Gradient {
        let (hidden, width, columns) = (self.hidden, self.layout.width, 4 * self.hidden);
        let size = part.episodes * hidden;
        let (mut values, mut table) = (self.weights.zeros(), vec![0.0; self.table.len()]);
        let mut all_gates = vec![0.0; part.gates.len()];
        let mut common = vec![0.0; 4 * size];
        let (mut outputs, mut cells) = (vec![0.0; size], vec![0.0; size]);
        for decision in (0..self.layout.choices.len()).rev() {
            let logits = block(slopes, decision, part.episodes * width);
            let bias = block_mut(&mut values.heads_bias, decision, width);
            logits.chunks(width).for_each(|row| add(bias, row));
            let logits = matrix(logits, width);
            let head = block_mut(&mut values.heads, decision, hidden * width);
            set_product(head, matrix(block(&part.outputs, decision + 1, size), hidden).reversed_axes(), logits);
            add_product(&mut outputs, logits, self.head(decision).reversed_axes());

            let gates = block_mut(&mut all_gates, decision, 4 * size);
            self.arch.dispatch(StepBack {
                hidden,
                slopes: &mut *gates,
                cells: &mut cells,
                outputs: &outputs,
                gates: block(&part.gates, decision, 4 * size),
                last: block(&part.cells, decision, size),
                squashed: block(&part.squashed, decision, size),
            });
            add(&mut common, gates);
            for (row, gates) in block(&part.rows, decision, part.episodes).iter().zip(gates.chunks(columns)) {
                add(block_mut(&mut table, *row, columns), gates);
            }
            if decision > 0 {
                set_product(&mut outputs, matrix(gates, columns), self.recurrent_weights().reversed_axes());
            }
        }
        let (input, recurrent) = values.gates.split_at_mut(self.embedding * columns);
        // The first step has no outputs before it, and none follow the last one's.
        let before = &part.outputs[size..part.outputs.len() - size];
        set_product(recurrent, matrix(before, hidden).reversed_axes(), matrix(&all_gates[4 * size..], columns));
        let common = matrix(&common, columns);
        set_product(input, matrix(&part.condition, self.embedding).reversed_axes(), common);
        let mut condition = vec![0.0; part.condition.len()];
        set_product(&mut condition, common, self.input_weights().reversed_axes());
        let preferences = matrix(&part.preferences, self.layout.conditions.inputs()).reversed_axes();
        set_product(&mut values.preference, preferences, matrix(&condition, self.embedding));
        Gradient { values, table }
    }
}
