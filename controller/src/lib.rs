//! The search: policy, reward, Pareto front, evaluation, and what a user sees of it.
//!
//! The loop ([`search`]) knows four things and nothing else: a [`strategy`] that proposes, an evaluator
//! ([`evaluate`]) that finds out, a run folder ([`run`]) that keeps, and those who watch ([`observe`]).

pub mod cli;
pub mod compare;
pub mod config;
pub mod evaluate;
mod fingerprint;
pub mod history;
pub mod objective;
pub mod observe;
pub mod pareto;
pub mod policy;
pub mod preference;
pub mod propose;
pub mod report;
pub mod reward;
pub mod run;
pub mod search;
pub mod strategy;
pub mod surrogate;
mod terminal;
