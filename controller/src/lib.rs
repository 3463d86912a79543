//! The search.

pub mod history;
pub mod objective;
pub mod pareto;
pub mod policy;
pub mod preference;
pub mod reward;
pub mod strategy;
