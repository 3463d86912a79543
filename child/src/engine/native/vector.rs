//! The vector instructions of the processor.

use pulp::{Arch, Simd, WithSimd};

use crate::graph::Graph;

/// The widest vectors that serve a network.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vectors(pub(super) Arch);

impl Vectors {
    pub(super) fn best(_graph: &Graph) -> Self {
        Self(Arch::new())
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
