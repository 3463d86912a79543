//! The loss.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Tensor, TensorData};

/// Mean cross-entropy against smoothed labels: the true class gets `1 − smoothing`, and `smoothing` is spread evenly
/// over all classes (Szegedy et al. 2016, §7).
///
/// # Shapes
/// - `logits`: `[batch, classes]`
/// - `labels`: one for each image
/// - result: `[1]`
pub(super) fn cross_entropy(logits: Tensor<2>, labels: &[i64], smoothing: f64) -> Tensor<1> {
    let [batch, classes] = logits.dims();
    let rest = (smoothing / classes as f64) as f32;
    let mut targets = vec![rest; batch * classes];
    for (row, label) in targets.chunks_mut(classes).zip(labels) {
        row[*label as usize] += 1.0 - smoothing as f32;
    }
    let targets = Tensor::<2>::from_data(TensorData::new(targets, [batch, classes]), &logits.device());
    (log_softmax(logits, 1) * targets).sum() / -(batch as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn loss(logits: [[f32; 3]; 2], labels: [i64; 2], smoothing: f64) -> f32 {
        cross_entropy(Tensor::from_data(logits, &Device::flex()), &labels, smoothing).into_scalar()
    }

    #[test]
    fn the_loss_equals_the_textbook() {
        let logits = [[1.0, 2.0, 0.5], [0.0, 0.0, 0.0]];
        let row: f64 = 1f64.exp() + 2f64.exp() + 0.5f64.exp();
        let plain = ((row.ln() - 2.0) + 3f64.ln()) / 2.0;
        assert!((f64::from(loss(logits, [1, 0], 0.0)) - plain).abs() < 1e-6);
        let uniform = row.ln() - 3.5 / 3.0;
        let smoothed = ((0.9 * (row.ln() - 2.0) + 0.1 * uniform) + 3f64.ln()) / 2.0;
        assert!((f64::from(loss(logits, [1, 0], 0.1)) - smoothed).abs() < 1e-6);
    }
}
