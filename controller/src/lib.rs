//! The search: policy, reward, Pareto front, evaluation, reports and command line.
//!
//! The search asks a [`strategy`] for proposals, has an evaluator ([`evaluate`]) evaluate them, keeps the results in a run
//! folder, and reports to observers ([`observe`]).

pub mod cli;
mod cluster;
mod compare;
mod config;
pub mod evaluate;
mod fingerprint;
pub mod history;
pub mod objective;
pub mod observe;
mod page;
mod pareto;
pub mod plan;
pub mod policy;
mod predict;
pub mod preference;
pub mod problem;
mod propose;
mod ranks;
mod report;
mod reward;
mod run;
pub mod scalarisation;
mod seal;
mod search;
mod serve;
mod stop;
pub mod strategy;
mod study;
mod surrogate;
pub mod target;
mod terminal;
