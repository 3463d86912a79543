//! Covariances of the predictions for a few points, as observations are assumed.

use ndarray::Array2;

/// The covariances of a shortlist, by objective. They shrink with each observation that is assumed, whatever its value.
#[derive(Debug, Clone)]
pub struct Covariances(pub(super) Vec<Option<Block>>);

/// The covariances of one objective.
#[derive(Debug, Clone)]
pub(super) struct Block {
    /// `[points, points]`; with short trainings `[2 points, 2 points]`, those of the full trainings first.
    pub matrix: Array2<f64>,
    /// Variance of the noise of an observation.
    pub noise: f64,
    /// The same of a short training.
    pub short_noise: Option<f64>,
}

impl Covariances {
    /// Standard deviation of an objective at a place of the shortlist; `None` if it needs no prediction.
    pub fn deviation(&self, objective: usize, place: usize) -> Option<f64> {
        let block = self.0.get(objective)?.as_ref()?;
        Some(block.matrix[(place, place)].max(0.0).sqrt())
    }

    /// Variance of a weighted sum of an objective's values at all places; `None` if it needs no prediction.
    pub fn variance_of_sum(&self, objective: usize, weights: &[f64]) -> Option<f64> {
        let block = self.0.get(objective)?.as_ref()?;
        let row = |i: usize| weights.iter().enumerate().map(|(j, weight)| weight * block.matrix[(i, j)]).sum::<f64>();
        Some(weights.iter().enumerate().map(|(i, weight)| weight * row(i)).sum::<f64>().max(0.0))
    }

    /// Assumes that an objective is observed at a place.
    pub fn observe(&mut self, objective: usize, place: usize) {
        if let Some(Some(block)) = self.0.get_mut(objective) {
            block.observe(place, block.noise);
        }
    }

    /// Assumes that the network at a place is trained for the short schedule.
    pub fn observe_short(&mut self, place: usize) {
        for block in self.0.iter_mut().flatten() {
            if let Some(noise) = block.short_noise {
                block.observe(block.matrix.nrows() / 2 + place, noise);
            }
        }
    }
}

impl Block {
    fn observe(&mut self, row: usize, noise: f64) {
        let column = self.matrix.column(row).to_owned();
        let scale = 1.0 / (column[row] + noise);
        for (mut values, known) in self.matrix.rows_mut().into_iter().zip(&column) {
            values.scaled_add(-scale * known, &column);
        }
    }
}
