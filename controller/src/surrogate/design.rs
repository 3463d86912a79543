//! Which networks to measure first on a device of which nothing is known.

use super::kernel::Pairs;
use super::{Encoding, Hyperparameters};

/// The place of the candidate whose measurement makes the predictions for some references surest, after others were measured:
/// the one that lowers the sum of their variances most (A-optimal design; Cohn, Ghahramani and Jordan 1996). It needs no
/// value.
///
/// The process is smoother and more linear than its prior, as times of devices are.
pub fn most_informative(candidates: &[&Encoding], references: &[&Encoding], measured: &[&Encoding]) -> usize {
    let at = Hyperparameters::smooth();
    let points: Vec<&Encoding> = candidates.iter().chain(measured).copied().collect();
    let mut on_references = Pairs::between(&points, references).covariance(&at);
    let mut on_measured = Pairs::between(&points, measured).covariance(&at);
    let mut variances: Vec<f64> = points.iter().map(|point| at.prior_variance(point)).collect();
    for place in 0..measured.len() {
        let row = candidates.len() + place;
        let column = on_measured.column(place).to_owned();
        let scale = 1.0 / (column[row] + at.noise());
        for covariances in [&mut on_references, &mut on_measured] {
            let known = covariances.row(row).to_owned();
            for (mut values, factor) in covariances.rows_mut().into_iter().zip(&column) {
                values.scaled_add(-scale * factor, &known);
            }
        }
        variances.iter_mut().zip(&column).for_each(|(variance, known)| *variance -= scale * known * known);
    }
    let gain = |place: usize| {
        let squares = on_references.row(place).pow2().sum();
        squares / (variances[place].max(0.0) + at.noise())
    };
    let gains: Vec<f64> = (0..candidates.len()).map(gain).collect();
    (0..gains.len()).fold(0, |best, place| if gains[place] > gains[best] { place } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::surrogate::dense::{dot, inverted, kernel, points};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    /// Sum of the references' variances after these points were measured, by plain loops.
    fn variance(references: &[Encoding], measured: &[&Encoding]) -> f64 {
        let at = Hyperparameters::smooth();
        let noise = |row: usize, column: usize| if row == column { at.noise() } else { 0.0 };
        let matrix: Vec<Vec<f64>> = (0..measured.len())
            .map(|row| {
                let of = |column: usize| kernel(&at, measured[row], measured[column]) + noise(row, column);
                (0..measured.len()).map(of).collect()
            })
            .collect();
        let (inverse, _) = inverted(&matrix);
        let left = |reference: &Encoding| {
            let known: Vec<f64> = measured.iter().map(|one| kernel(&at, one, reference)).collect();
            let solved: Vec<f64> = inverse.iter().map(|row| dot(row, &known)).collect();
            kernel(&at, reference, reference) - dot(&known, &solved)
        };
        references.iter().map(left).sum()
    }

    #[test]
    fn the_chosen_network_leaves_the_least_variance() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let (all, references) = (points(14, &mut rng), points(20, &mut rng));
        let (measured, candidates): (Vec<&Encoding>, Vec<&Encoding>) =
            (all[..4].iter().collect(), all[4..].iter().collect());
        let with = |candidate: &Encoding| variance(&references, &[&measured[..], &[candidate]].concat());
        let left: Vec<f64> = candidates.iter().map(|candidate| with(candidate)).collect();
        let best = (0..left.len()).min_by(|a, b| left[*a].total_cmp(&left[*b])).unwrap();
        let borrowed: Vec<&Encoding> = references.iter().collect();
        assert_eq!(most_informative(&candidates, &borrowed, &measured), best, "{left:?}");
    }
}
