//! The range that an activation limits values to.

use pulp::Simd;

/// Limits of values: a ReLU has 0 and none above.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Range {
    pub low: f32,
    pub high: f32,
}

impl Range {
    /// No limits.
    pub(super) const ALL: Self = Self { low: f32::NEG_INFINITY, high: f32::INFINITY };

    /// A value within the range.
    pub(super) fn limit(self, value: f32) -> f32 {
        value.max(self.low).min(self.high)
    }

    /// Values within the range.
    #[inline(always)]
    pub(super) fn clamp<S: Simd>(self, simd: S, values: S::f32s) -> S::f32s {
        simd.min_f32s(simd.max_f32s(values, simd.splat_f32s(self.low)), simd.splat_f32s(self.high))
    }
}
