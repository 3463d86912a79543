//! Engines: who computes the training of one network.
//!
//! - [`native`]: our own engine for processors,
//! - `tch`: LibTorch, where it is compiled in,
//! - [`burn`]: any backend of burn; what the others are compared with.

mod burn;
#[cfg(test)]
mod gradient_tests;
#[cfg(test)]
mod momentum_tests;
pub(crate) mod native;
#[cfg(test)]
pub(crate) mod reference;
mod step;
#[cfg(feature = "tch")]
mod tch;

use crate::backend::Processor;
use crate::network::Network;
use crate::train::config::TrainingConfig;
pub(crate) use step::{Engine, Step};

/// The engine of a processor for a network, for batches of at most `batch_size` images.
pub(crate) fn of(
    processor: &Processor,
    network: &Network,
    config: &TrainingConfig,
    batch_size: usize,
) -> Box<dyn Engine> {
    match processor {
        Processor::Native => Box::new(native::NativeEngine::new(network, config, batch_size)),
        #[cfg(feature = "tch")]
        Processor::Tch(device) => Box::new(tch::TchEngine::new(network, *device, config)),
        Processor::Burn(device) => Box::new(burn::BurnEngine::new(network, device, config)),
    }
}
