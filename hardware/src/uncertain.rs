//! A measured value with its standard deviation.

/// A measured value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Uncertain {
    /// The value: a mean.
    pub value: f64,
    /// Standard deviation of that mean, in the value's unit, if it is known.
    pub deviation: Option<f64>,
}

impl Uncertain {
    /// The mean of several measurements of the same thing, with the deviation that their spread gives: the standard
    /// error of the mean. One alone keeps its own. None if there is none.
    pub fn mean(measurements: &[Self]) -> Option<Self> {
        let [first, rest @ ..] = measurements else { return None };
        if rest.is_empty() {
            return Some(*first);
        }
        let plain = Self::mean_in(measurements, 1.0);
        if plain.value.is_finite() && plain.deviation.is_none_or(f64::is_finite) {
            return Some(plain);
        }
        // Sums and squares of immense values overflow, where their mean does not.
        let largest = measurements.iter().map(|measurement| measurement.value.abs()).fold(0.0, f64::max);
        Some(Self::mean_in(measurements, largest))
    }

    /// The mean of two or more, computed in another unit.
    fn mean_in(measurements: &[Self], unit: f64) -> Self {
        let count = measurements.len() as f64;
        let values = || measurements.iter().map(|measurement| measurement.value / unit);
        let value = values().sum::<f64>() / count;
        let squares: f64 = values().map(|one| (one - value).powi(2)).sum();
        Self { value: value * unit, deviation: Some((squares / (count - 1.0) / count).sqrt() * unit) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_of_several_has_their_standard_error() {
        assert_eq!(Uncertain::mean(&[]), None);
        let uncertain = |(value, deviation)| Uncertain { value, deviation };
        let one = [(3.0, Some(0.25))].map(uncertain);
        assert_eq!(Uncertain::mean(&one), Some(one[0]), "its own where it is alone");
        // Sample standard deviation 2 of 1, 3, 5: 2 / √3. What single runs did is no matter any more.
        let three = [(1.0, Some(9.0)), (5.0, None), (3.0, Some(0.0))].map(uncertain);
        let mean = Uncertain::mean(&three).unwrap();
        assert_eq!(mean.value, 3.0);
        assert!((mean.deviation.unwrap() - 2.0 / 3.0_f64.sqrt()).abs() < 1e-15);
        let immense = Uncertain::mean(&[(f64::MAX, None), (f64::MAX / 2.0, None)].map(uncertain)).unwrap();
        assert_eq!((immense.value, immense.deviation), (f64::MAX * 0.75, Some(f64::MAX * 0.25)));
    }
}
