//! Search spaces, graphs and child networks, from the architecture to the trained and exported model.
//!
//! The way of an architecture through this crate:
//!
//! 1. a [`space::SearchSpace`] names the decisions, and turns an [`space::Architecture`] into a
//! 2. [`graph::Graph`]: layers with inferred shapes, from which come costs, the canonical form,
//! 3. the [`network::Network`], its weights, which [`train`] fits to a [`data::Dataset`], and
//! 4. the ONNX file ([`onnx`]) that a device measures.

pub mod backend;
#[cfg(test)]
#[path = "../../tests/support/damage.rs"]
mod damage;
pub mod data;
mod engine;
mod error;
pub mod graph;
pub mod network;
pub mod onnx;
pub mod space;
pub mod train;

#[doc(hidden)]
pub use engine::native::benchmark as kernels;
pub use error::Error;
