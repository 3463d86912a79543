//! The learning rate over a training run.

/// Cosine annealing without restarts (Loshchilov & Hutter 2017, eq. 5), from the given rate down to 0, step by step.
#[derive(Debug, Clone, Copy)]
pub(super) struct CosineSchedule {
    learning_rate: f64,
    steps: usize,
}

impl CosineSchedule {
    /// A schedule over `steps` optimiser steps.
    pub(super) fn new(learning_rate: f64, steps: usize) -> Self {
        Self { learning_rate, steps: steps.max(1) }
    }

    /// Learning rate of a step, counted from 0.
    pub(super) fn at(&self, step: usize) -> f64 {
        let progress = step.min(self.steps) as f64 / self.steps as f64;
        0.5 * self.learning_rate * (1.0 + (std::f64::consts::PI * progress).cos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_falls_over_its_half_to_zero() {
        let schedule = CosineSchedule::new(0.2, 100);
        assert_eq!(schedule.at(0), 0.2);
        assert!((schedule.at(50) - 0.1).abs() < 1e-12);
        assert!(schedule.at(100) < 1e-12);
        assert!((0..100).all(|step| schedule.at(step) > schedule.at(step + 1)));
    }
}
