//! Sigmoid and hyperbolic tangent without branches, so that the compiler makes vector instructions of a loop over them.
//!
//! The standard library's functions take most of the time of an LSTM on the processor.

use std::f32::consts::LOG2_E;

/// `1 / (1 + e⁻ˣ)`, right to a few units in the last place.
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The hyperbolic tangent, with an absolute error of about 1e-7.
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    2.0 * sigmoid(2.0 * x) - 1.0
}

/// `eˣ = 2ⁿ · eʳ` with `n` whole and `|r| ≤ ln 2 / 2`. Beyond ±87 it stays at the bound.
#[inline(always)]
fn exp(x: f32) -> f32 {
    /// 1.5 · 2²³. A small number plus this one is rounded to a whole number, which the lowest bits hold.
    const ROUND: f32 = 12_582_912.0;
    /// ln 2 in two parts: the product of `n` with the first one is exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    let x = x.clamp(-87.0, 87.0);
    let rounded = x * LOG2_E + ROUND;
    let whole = rounded - ROUND;
    let rest = x - whole * LN_2[0] - whole * LN_2[1];
    // Taylor's series: its first absent term is below 1e-8.
    let series = [5040.0, 720.0, 120.0, 24.0, 6.0, 2.0, 1.0, 1.0f32];
    let series = series.iter().fold(0.0, |sum, factorial| sum * rest + 1.0 / factorial);
    series * f32::from_bits((rounded.to_bits() << 23).wrapping_add(127 << 23))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activations_agree_with_those_in_64_bits() {
        for step in -40_000..=40_000 {
            let x = step as f32 / 1000.0;
            let wide = f64::from(x);
            let expected = 1.0 / (1.0 + (-wide).exp());
            assert!((f64::from(sigmoid(x)) / expected - 1.0).abs() < 4e-7, "{x}: {} {expected}", sigmoid(x));
            assert!((f64::from(tanh(x)) - wide.tanh()).abs() < 2e-7, "{x}: {} {}", tanh(x), wide.tanh());
        }
    }

    #[test]
    fn extremes_saturate_and_nan_stays_nan() {
        for (x, limit) in [(f32::INFINITY, 1.0), (f32::MAX, 1.0), (f32::MIN, 0.0), (f32::NEG_INFINITY, 0.0)] {
            assert!((sigmoid(x) - limit).abs() < 1e-37, "{x}: {}", sigmoid(x));
            assert_eq!(tanh(x), 2.0 * limit - 1.0);
        }
        assert!(sigmoid(f32::NAN).is_nan() && tanh(f32::NAN).is_nan());
        assert_eq!((sigmoid(0.0), tanh(0.0)), (0.5, 0.0));
    }
}
