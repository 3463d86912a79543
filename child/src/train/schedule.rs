//! The learning rate over a training run.

/// Cosine annealing without restarts (Loshchilov & Hutter 2017, eq. 5): the rate of a step, counted from 0, on the way
/// from the given rate down to 0.
pub(super) fn cosine(learning_rate: f64, step: usize, steps: usize) -> f64 {
    let progress = step as f64 / steps as f64;
    0.5 * learning_rate * (1.0 + (std::f64::consts::PI * progress).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_falls_over_its_half_to_zero() {
        let at = |step| cosine(0.2, step, 100);
        assert_eq!(at(0), 0.2);
        assert!((at(50) - 0.1).abs() < 1e-12);
        assert!(at(100) < 1e-12);
        assert!((0..100).all(|step| at(step) > at(step + 1)));
    }
}
