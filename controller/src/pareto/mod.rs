//! Pareto dominance, also under noise; the archive of non-dominated evaluations; and its hypervolume.
//!
//! Everything is minimised. A vector of values has one number for each objective, in the order of the
//! [`Objectives`](crate::objective::Objectives).

mod archive;
mod boxes;
mod dominance;
mod hypervolume;
#[cfg(test)]
mod law_tests;
pub mod noise;
#[cfg(test)]
mod oracle_tests;
mod reference;

pub use archive::Archive;
pub use boxes::Boxes;
#[cfg(test)]
use boxes::Cell;
pub use dominance::{dominates, non_dominated, weakly_dominates};
pub use hypervolume::{exclusive_contribution, hypervolume};
pub use noise::Uncertain;
pub use reference::{Given, ReferencePoint};
