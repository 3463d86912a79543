//! The surrogate: a prediction of each objective of a network that was not measured.
//!
//! One Gaussian process for each objective (Rasmussen and Williams 2006, chapter 2), over the decisions of an architecture and
//! the structural features of its graph, so that it works in every search space.

mod cholesky;
mod conditioned;
mod covariances;
#[cfg(test)]
mod dense;
mod design;
mod encoding;
mod expected;
mod joint;
mod kernel;
mod local_search;
mod model;
mod process;
mod robust;
mod warp;

pub use covariances::Covariances;
pub use design::most_informative;
pub use encoding::{Encoder, Encoding};
pub use expected::Expected;
pub use joint::JointHyperparameters;
pub use kernel::Hyperparameters;
pub use model::{Correlation, Predicted, Start, Surrogate};
pub use process::Posterior;
pub use warp::Warp;
