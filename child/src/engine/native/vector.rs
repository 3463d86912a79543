//! The vector instructions of the processor.

use pulp::{Arch, Simd, WithSimd};

/// The widest vectors that the processor has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vectors(Arch);

impl Vectors {
    pub(super) fn best() -> Self {
        Self(Arch::new())
    }

    /// Their name in journals.
    pub(super) fn name(self) -> &'static str {
        match self.lanes() {
            1 => "plain",
            4 => "neon",
            8 => "avx2",
            _ => "avx512",
        }
    }

    /// Numbers of a vector.
    pub(super) fn lanes(self) -> usize {
        struct Lanes;
        impl WithSimd for Lanes {
            type Output = usize;

            fn with_simd<S: Simd>(self, _: S) -> usize {
                S::F32_LANES
            }
        }
        self.run(Lanes)
    }

    /// Runs a kernel.
    pub(super) fn run<K: WithSimd>(self, kernel: K) -> K::Output {
        self.0.dispatch(kernel)
    }
}
