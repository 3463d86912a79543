//! Batch norms that become part of the convolution before them.

use crate::graph::{Graph, LayerId, Op};

/// For every layer, the batch norm that is folded into it: the only reader of a convolution.
pub(super) fn folded_norms(graph: &Graph) -> Vec<Option<LayerId>> {
    let mut readers = vec![0; graph.layers.len()];
    for input in graph.layers.iter().flat_map(|layer| &layer.inputs) {
        readers[input.0] += 1;
    }
    let mut folded = vec![None; graph.layers.len()];
    for (index, layer) in graph.layers.iter().enumerate() {
        if layer.op != Op::BatchNorm {
            continue;
        }
        let source = layer.inputs[0];
        if matches!(graph.layer(source).op, Op::Conv(_)) && readers[source.0] == 1 {
            folded[source.0] = Some(LayerId(index));
        }
    }
    folded
}

/// A batch norm in evaluation mode as `scale · x + shift`, one number of each a channel.
pub(super) struct Affine {
    pub scale: Vec<f32>,
    pub shift: Vec<f32>,
}

impl Affine {
    /// From learnt scale and shift, running mean and variance, all `[channels]`.
    pub fn new(gamma: &[f32], beta: &[f32], mean: &[f32], variance: &[f32], epsilon: f64) -> Self {
        // In double precision: the folded weights should be as precise as the separate ones.
        let scale: Vec<f64> =
            gamma.iter().zip(variance).map(|(g, v)| f64::from(*g) / (f64::from(*v) + epsilon).sqrt()).collect();
        let shift = scale.iter().zip(mean).zip(beta).map(|((s, m), b)| (f64::from(*b) - s * f64::from(*m)) as f32);
        Self { shift: shift.collect(), scale: scale.into_iter().map(|s| s as f32).collect() }
    }

    /// Kernel `[channels, …]` and bias of the convolution that includes this.
    pub fn fold(&self, kernel: &[f32], bias: Option<&[f32]>) -> (Vec<f32>, Vec<f32>) {
        let per_channel = kernel.len() / self.scale.len();
        let folded = kernel.chunks(per_channel).zip(&self.scale).flat_map(|(k, s)| k.iter().map(move |w| w * s));
        let bias_of = |channel: usize| bias.map_or(0.0, |b| b[channel] * self.scale[channel]);
        let shifts = self.shift.iter().enumerate().map(|(channel, shift)| shift + bias_of(channel));
        (folded.collect(), shifts.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_equals_normalising_afterwards() {
        let affine = Affine::new(&[2.0, 0.5], &[1.0, -1.0], &[3.0, 0.0], &[4.0, 1.0], 0.0);
        assert_eq!((affine.scale.as_slice(), affine.shift.as_slice()), (&[1.0, 0.5][..], &[-2.0, -1.0][..]));
        let (kernel, bias) = affine.fold(&[1.0, 2.0, 3.0, 4.0], Some(&[10.0, 20.0]));
        assert_eq!(kernel, [1.0, 2.0, 1.5, 2.0]);
        assert_eq!(bias, [8.0, 9.0]);
    }
}
