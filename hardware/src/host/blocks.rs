//! Weights of convolutions that join channels, in the order in which their loops read them.

/// Outputs that one loop computes for several vectors of pixels.
pub(super) const ROWS: usize = 6;

/// Weights and biases for `TOGETHER` outputs each. Those beyond the last output are zero.
#[derive(Debug)]
pub(super) struct Blocks<const TOGETHER: usize> {
    /// `[blocks, terms, TOGETHER]`.
    weights: Vec<[f32; TOGETHER]>,
    /// `[blocks, TOGETHER]`.
    bias: Vec<[f32; TOGETHER]>,
    /// Number of weights of an output.
    terms: usize,
}

impl<const TOGETHER: usize> Blocks<TOGETHER> {
    /// `weights` is `[outputs, terms]`, and `bias` empty or `[outputs]`. Absent where sizes do not fit together.
    pub(super) fn new(weights: &[f32], bias: &[f32], outputs: usize) -> Option<Self> {
        let terms = weights.len().checked_div(outputs).filter(|terms| *terms > 0)?;
        if weights.len() != outputs * terms || ![0, outputs].contains(&bias.len()) {
            return None;
        }
        let blocks = outputs.div_ceil(TOGETHER);
        let mut arranged =
            Self { weights: vec![[0.0; TOGETHER]; blocks * terms], bias: vec![[0.0; TOGETHER]; blocks], terms };
        for (output, weights) in weights.chunks_exact(terms).enumerate() {
            for (place, weight) in arranged.weights[output / TOGETHER * terms..].iter_mut().zip(weights) {
                place[output % TOGETHER] = *weight;
            }
        }
        arranged.bias.as_flattened_mut()[..bias.len()].copy_from_slice(bias);
        Some(arranged)
    }

    /// Number of weights of an output.
    pub(super) fn terms(&self) -> usize {
        self.terms
    }

    /// Weights, `[terms, TOGETHER]`, and biases of each block from the output `first` on, which is a multiple of `TOGETHER`.
    #[inline(always)]
    pub(super) fn starting_at(&self, first: usize) -> impl Iterator<Item = (&[[f32; TOGETHER]], &[f32; TOGETHER])> {
        let block = first / TOGETHER;
        self.weights[block * self.terms..].chunks_exact(self.terms).zip(&self.bias[block..])
    }
}
