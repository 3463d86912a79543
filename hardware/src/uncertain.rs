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
        let count = measurements.len() as f64;
        let value = measurements.iter().map(|measurement| measurement.value).sum::<f64>() / count;
        let squares: f64 = measurements.iter().map(|measurement| (measurement.value - value).powi(2)).sum();
        Some(Self { value, deviation: Some((squares / (count - 1.0) / count).sqrt()) })
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
    }
}
