//! The policy's network by burn's tensors, which differentiates them itself: the reference of the passes written out.

use burn::tensor::activation::sigmoid;
use burn::tensor::{Int, Tensor, TensorData};
use child::space::Architecture;

use super::network::Policy;
use crate::preference::Preference;

/// The state of the LSTM, `[batch, hidden]` each.
#[derive(Debug, Clone)]
struct Memory {
    hidden: Tensor<2>,
    cell: Tensor<2>,
}

impl Policy {
    /// The term that preferences add to every decision's input: `[batch, embedding]`.
    fn condition(&self, preferences: &[Preference]) -> Tensor<2> {
        let weights: Vec<f32> = preferences.iter().flat_map(|p| p.weights()).map(|weight| *weight as f32).collect();
        let shape = [preferences.len(), self.layout.conditions.inputs()];
        Tensor::from_data(TensorData::new(weights, shape), &self.device()).matmul(self.weights.preference.val())
    }

    /// One step of the LSTM for `[batch]` rows of the embedding and the condition `[batch, embedding]`.
    fn step(&self, rows: &[usize], condition: &Tensor<2>, memory: Option<Memory>) -> Memory {
        let (batch, hidden) = (rows.len(), self.config.hidden);
        let device = condition.device();
        let rows = Tensor::<1, Int>::from_data(rows, &device);
        let input = self.weights.embedding.val().select(0, rows) + condition.clone();
        let empty = || Tensor::zeros([batch, hidden], &device);
        let (last_hidden, last_cell) = match memory {
            Some(memory) => (memory.hidden, Some(memory.cell)),
            None => (empty(), None),
        };
        let gates =
            Tensor::cat(vec![input, last_hidden], 1).matmul(self.weights.gates.val()) + self.weights.gates_bias.val();
        let opened = sigmoid(gates.clone().narrow(1, 0, 3 * hidden));
        let candidate = gates.narrow(1, 3 * hidden, hidden).tanh();
        let taken = opened.clone().narrow(1, 0, hidden) * candidate;
        let cell = match last_cell {
            Some(cell) => opened.clone().narrow(1, hidden, hidden) * cell + taken,
            None => taken,
        };
        Memory { hidden: opened.narrow(1, 2 * hidden, hidden) * cell.clone().tanh(), cell }
    }

    /// Log-probabilities of every choice at every decision of given architectures, given the choices before it:
    /// `[decisions, batch, width]`, by burn's tensors. The padding has −10⁴.
    pub(super) fn teacher_forced(&self, architectures: &[Architecture], preferences: &[Preference]) -> Tensor<3> {
        let condition = self.condition(preferences);
        let decisions = self.layout.choices.len();
        let mut memory = None;
        let mut outputs = Vec::with_capacity(decisions);
        for decision in 0..decisions {
            let rows: Vec<usize> = architectures
                .iter()
                .map(|architecture| {
                    let previous = decision.checked_sub(1).map(|last| architecture.choices()[last]);
                    self.layout.input_row(decision, previous)
                })
                .collect();
            let next = self.step(&rows, &condition, memory);
            outputs.push(next.hidden.clone());
            memory = Some(next);
        }
        let logits = Tensor::stack::<3>(outputs, 0).matmul(self.weights.heads.val()) + self.weights.heads_bias.val();
        self.normalise(logits)
    }
}
