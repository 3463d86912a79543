//! The numbers of the policy's parameters, or a gradient for each of them, in the host's memory.

use anyhow::{Result, anyhow};
use burn::module::{Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};

use super::network::Weights;

/// A list for each tensor of [`Weights`], row by row.
#[derive(Debug, Clone)]
pub(super) struct Values {
    pub embedding: Vec<f32>,
    pub preference: Vec<f32>,
    pub gates: Vec<f32>,
    pub gates_bias: Vec<f32>,
    pub heads: Vec<f32>,
    pub heads_bias: Vec<f32>,
}

impl Values {
    /// The weights, from their device.
    pub fn of(weights: &Weights) -> Result<Self> {
        fn values<const D: usize>(param: &Param<Tensor<D>>) -> Result<Vec<f32>> {
            fetch(param.val().inner())
        }
        Ok(Self {
            embedding: values(&weights.embedding)?,
            preference: values(&weights.preference)?,
            gates: values(&weights.gates)?,
            gates_bias: values(&weights.gates_bias)?,
            heads: values(&weights.heads)?,
            heads_bias: values(&weights.heads_bias)?,
        })
    }

    /// As many zeros.
    pub fn zeros(&self) -> Self {
        let [embedding, preference, gates, gates_bias, heads, heads_bias] =
            self.lists().map(|list| vec![0.0; list.len()]);
        Self { embedding, preference, gates, gates_bias, heads, heads_bias }
    }

    fn lists(&self) -> [&Vec<f32>; 6] {
        [&self.embedding, &self.preference, &self.gates, &self.gates_bias, &self.heads, &self.heads_bias]
    }

    fn lists_mut(&mut self) -> [&mut Vec<f32>; 6] {
        [
            &mut self.embedding,
            &mut self.preference,
            &mut self.gates,
            &mut self.gates_bias,
            &mut self.heads,
            &mut self.heads_bias,
        ]
    }

    /// Adds others of the same sizes.
    pub fn add(&mut self, other: &Self) {
        self.lists_mut().into_iter().zip(other.lists()).for_each(|(list, other)| add(list, other));
    }

    /// Scales a gradient by one factor so that its norm over all parameters is at most `limit`. Returns the norm before
    /// (Pascanu et al. 2013, algorithm 1).
    ///
    /// burn clips the gradient of each parameter alone, which changes the direction of the whole gradient.
    pub fn clip(&mut self, limit: f64) -> f64 {
        let squares = self.lists().into_iter().flatten().map(|value| f64::from(*value).powi(2));
        let norm = squares.sum::<f64>().sqrt();
        if norm.is_finite() && norm > limit {
            let factor = (limit / norm) as f32;
            self.lists_mut().into_iter().flatten().for_each(|value| *value *= factor);
        }
        norm
    }

    /// As gradients of the weights, for burn's optimisers.
    pub fn into_gradients(self, weights: &Weights) -> GradientsParams {
        let mut gradients = GradientsParams::new();
        let mut register = Register(&mut gradients);
        register.add(&weights.embedding, self.embedding);
        register.add(&weights.preference, self.preference);
        register.add(&weights.gates, self.gates);
        register.add(&weights.gates_bias, self.gates_bias);
        register.add(&weights.heads, self.heads);
        register.add(&weights.heads_bias, self.heads_bias);
        gradients
    }
}

struct Register<'a>(&'a mut GradientsParams);

impl Register<'_> {
    fn add<const D: usize>(&mut self, param: &Param<Tensor<D>>, values: Vec<f32>) {
        let (tensor, id): (_, ParamId) = (param.val().inner(), param.id);
        let data = TensorData::new(values, tensor.shape());
        self.0.register(id, Tensor::<D>::from_data(data, &tensor.device()));
    }
}

/// Adds one list to another.
pub(super) fn add(sums: &mut [f32], values: &[f32]) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}

/// A tensor's numbers in row-major order.
pub(super) fn fetch<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let data = tensor.try_into_data().map_err(|error| anyhow!("the policy's device failed: {error:?}"))?;
    data.try_into_vec().map_err(|error| anyhow!("the policy's device failed: {error:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_norm_is_taken_over_all_parameters_and_the_direction_kept() {
        let [embedding, preference, gates, gates_bias, heads, heads_bias] =
            [&[3.0][..], &[], &[4.0, 0.0], &[], &[12.0], &[]].map(<[f32]>::to_vec);
        let whole = Values { embedding, preference, gates, gates_bias, heads, heads_bias };
        let mut clipped = whole.clone();
        assert!((clipped.clip(1.3) - 13.0).abs() < 1e-9);
        for (found, expected) in clipped.lists().into_iter().flatten().zip([0.3, 0.4, 0.0, 1.2]) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
        let mut same = whole.clone();
        assert_eq!((same.clip(20.0), same.lists()), (13.0, whole.lists()));
    }
}
