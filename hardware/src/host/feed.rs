//! Values for the inputs of a model.

use rten::Value;

/// A value for each input of a model, in their order.
pub(super) type Feed = Vec<Value>;

/// The same numbers every time: mean 0, variance 1. Zeros would let an engine skip work, and
/// would hide what denormal numbers cost. SplitMix64 (Steele, Lea and Flood 2014, "Fast
/// splittable pseudorandom number generators").
pub(super) fn pseudo_random(length: usize) -> Vec<f32> {
    let mut state: u64 = 0;
    let draw = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        let unit = (z >> 40) as f32 / (1_u32 << 24) as f32;
        (unit - 0.5) * 12.0_f32.sqrt()
    };
    std::iter::repeat_with(draw).take(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_have_mean_zero_and_variance_one_and_are_the_same_each_time() {
        let values = pseudo_random(10_000);
        let mean = values.iter().sum::<f32>() / 1e4;
        let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / 1e4;
        assert!(mean.abs() < 0.03, "{mean}");
        assert!((variance - 1.0).abs() < 0.03, "{variance}");
        assert_eq!(values, pseudo_random(10_000));
    }
}
