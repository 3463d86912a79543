//! The scale on which an objective is modelled.

/// Maps values of an objective to the scale of a Gaussian process, and back.
///
/// A search has the logarithm, so that halving counts the same everywhere; centred on the median, in units of the
/// distance to the quantile that is one standard deviation better under a normal distribution; and levelled off above
/// the middle, because a few very bad networks would otherwise dominate the fit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Warp(Scale);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Scale {
    Levelled(Levelled),
    /// The square root.
    Root,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Levelled {
    centre: f64,
    width: f64,
    floor: f64,
}

impl Warp {
    /// The levelled logarithm that suits these values.
    pub fn fit(values: &[f64]) -> Self {
        Self(Scale::Levelled(Levelled::fit(values)))
    }

    /// The square root.
    pub fn root() -> Self {
        Self(Scale::Root)
    }

    /// A value on this scale.
    pub fn forward(&self, value: f64) -> f64 {
        match self.0 {
            Scale::Levelled(levelled) => levelled.forward(value),
            Scale::Root => value.max(0.0).sqrt(),
        }
    }

    /// The value at a place on this scale; for a place beyond its end, the value just before the end.
    pub fn inverse(&self, place: f64) -> f64 {
        match self.0 {
            Scale::Levelled(levelled) => levelled.inverse(place),
            Scale::Root => place.max(0.0).powi(2),
        }
    }
}

impl Levelled {
    /// Begin of the levelling off, in units of the width above the median.
    const KNEE: f64 = 0.5;
    /// Limit of the scale above the knee.
    const SATURATION: f64 = 2.0;
    /// Share of a normal distribution that is better than one standard deviation below its mean.
    const BETTER: f64 = 0.16;
    /// Least width, of the logarithm, for a constant objective.
    const LEAST_WIDTH: f64 = 1e-6;

    fn fit(values: &[f64]) -> Self {
        // A value of 0 has no logarithm: half of the least other value stands for less than could be measured.
        let least = values.iter().copied().filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min);
        let floor = if least.is_finite() { 0.5 * least } else { 1.0 };
        let mut logarithms: Vec<f64> = values.iter().map(|value| value.max(floor).ln()).collect();
        logarithms.sort_by(f64::total_cmp);
        let centre = quantile(&logarithms, 0.5);
        let width = centre - quantile(&logarithms, Self::BETTER);
        Self { centre, width: width.max(Self::LEAST_WIDTH), floor }
    }

    fn forward(self, value: f64) -> f64 {
        let height = (value.max(self.floor).ln() - self.centre) / self.width;
        let above = height - Self::KNEE;
        if above <= 0.0 { height } else { Self::KNEE - Self::SATURATION * (-above / Self::SATURATION).exp_m1() }
    }

    fn inverse(self, place: f64) -> f64 {
        let above = place - Self::KNEE;
        let height = if above <= 0.0 {
            place
        } else {
            Self::KNEE - Self::SATURATION * (-(above / Self::SATURATION).min(0.999)).ln_1p()
        };
        (self.centre + self.width * height).exp()
    }
}

/// A quantile of sorted values, linear between neighbours; 0 without a value.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * sorted.len().saturating_sub(1) as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    match (sorted.get(below), sorted.get(above)) {
        (Some(low), Some(high)) => low + (high - low) * place.fract(),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rises_and_comes_back(values in prop::collection::vec(0.01..1e6f64, 1..20), a in 0.01..1e6f64, b in 0.01..1e6f64) {
            let (warp, Levelled { centre, width, floor }) = (Warp::fit(&values), Levelled::fit(&values));
            if a < b {
                prop_assert!(warp.forward(a) <= warp.forward(b));
            }
            let height = (a.ln() - centre) / width;
            if height < 5.0 && a > floor {
                prop_assert!((warp.inverse(warp.forward(a)) / a - 1.0).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn the_root_comes_back_and_ends_at_zero() {
        let warp = Warp::root();
        assert!((warp.inverse(warp.forward(7.3)) - 7.3).abs() < 1e-12);
        assert_eq!((warp.forward(4.0), warp.inverse(-1.0)), (2.0, 0.0));
    }

    #[test]
    fn bad_values_level_off_and_zeros_have_a_place() {
        let warp = Warp::fit(&[0.0, 1.0, 2.0, 4.0, 8.0]);
        assert_eq!(warp.forward(2.0), 0.0);
        let (better, worse) = (warp.forward(1.0), warp.forward(1e9) - warp.forward(64.0));
        assert!(better < -0.5 && worse < 0.5, "{better} {worse}");
        assert_eq!(warp.forward(0.0), warp.forward(0.5));
        let constant = Warp::fit(&[3.0; 5]);
        assert!(constant.forward(3.0) == 0.0 && (constant.inverse(0.0) - 3.0).abs() < 1e-12);
    }
}
