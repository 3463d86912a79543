//! The surrogate: what each objective of a network that was never measured is likely to be.
//!
//! A Gaussian process an objective (Rasmussen and Williams 2006, chapter 2), over the decisions of an architecture and
//! the structural features of its graph, so that it works in every search space.

mod encoding;
mod kernel;
mod model;
mod process;
mod robust;
mod warp;

pub use encoding::{Encoder, Encoding};
pub use kernel::Hyperparameters;
pub use model::{Correlation, Prediction, Surrogate};
pub use process::{Posterior, Process};
pub use warp::Warp;

/// What stops a surrogate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SurrogateError {
    /// The covariance of the measurements has no Cholesky factor.
    #[error("the surrogate's covariance of {measurements} measurements is not positive definite")]
    NotPositiveDefinite {
        /// Number of measurements.
        measurements: usize,
    },
}
