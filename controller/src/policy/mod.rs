//! The RNN controller: a distribution over architectures, conditioned on a preference, which learns from rewards.
//!
//! [`PolicyConfig::init`] makes a [`Policy`], which draws architectures; a [`Learner`] holds one and improves it by
//! REINFORCE or PPO.

mod activation;
mod advantage;
mod backward;
mod cell;
mod conditions;
mod lstm;
#[cfg(test)]
mod lstm_tests;
mod matrix;
mod network;
#[cfg(test)]
mod reference;
mod sampling;
mod state;
#[cfg(test)]
mod textbook_tests;
mod update;
#[cfg(test)]
mod update_tests;
mod values;

pub use advantage::Baseline;
pub use conditions::Conditions;
pub use network::{Policy, PolicyConfig};
pub use update::{Algorithm, Learner, UpdateConfig, UpdateStats};
