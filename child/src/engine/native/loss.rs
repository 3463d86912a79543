//! The loss of one image.

/// Cross-entropy against a smoothed label: the true class gets `1 − smoothing`, and `smoothing` is spread evenly over all
/// classes (Szegedy et al. 2016, §7). Writes the gradient of the mean over a batch by the image's logits.
pub(super) fn loss(logits: &[f32], label: i64, smoothing: f64, batch: usize, gradient: &mut [f32]) -> f64 {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exponentials = |logit: &f32| f64::from(logit - most).exp();
    let total: f64 = logits.iter().map(exponentials).sum();
    let spread = smoothing / logits.len() as f64;
    let mut loss = 0.0;
    for (class, (logit, gradient)) in logits.iter().zip(gradient).enumerate() {
        let target = if usize::try_from(label) == Ok(class) { spread + 1.0 - smoothing } else { spread };
        loss -= target * (f64::from(logit - most) - total.ln());
        *gradient = ((exponentials(logit) / total - target) / batch as f64) as f32;
    }
    loss
}
