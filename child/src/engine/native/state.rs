//! The memory of an image, and of the norms.

/// The memory of one image.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) slots: Vec<Vec<f32>>,
    /// For each norm, the image's part of its statistics, and later of its gradient's sums.
    pub(super) norms: Vec<Vec<f32>>,
    pub(super) loss: f64,
}

/// Per channel, with the padding of its weights.
#[derive(Debug, Clone, Default)]
pub(super) struct NormState {
    pub(super) mean: Vec<f32>,
    /// One over the standard deviation.
    pub(super) inverse: Vec<f32>,
    /// The scale times [`inverse`](Self::inverse).
    pub(super) factor: Vec<f32>,
    /// For the backward pass, as `constant`: see [`NormBackward`](super::kernels::norm::NormBackward).
    pub(super) slope: Vec<f32>,
    pub(super) constant: Vec<f32>,
}

impl Frame {
    /// Numbers of each slot, and those that each norm needs.
    pub(super) fn new(slots: &[usize], norms: &[usize]) -> Self {
        let zeros = |lengths: &[usize]| lengths.iter().map(|len| vec![0.0; *len]).collect();
        Self { slots: zeros(slots), norms: zeros(norms), loss: 0.0 }
    }
}
