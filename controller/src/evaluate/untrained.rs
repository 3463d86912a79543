//! Untrained networks, as devices measure them: time and energy do not depend on the weights.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use child::data::Deployment;
use child::graph::Graph;
use child::network::Network;
use child::onnx;
use hardware::Model;
use rand_chacha::ChaCha8Rng;

use super::memory::{Need, free_memory};

/// The network of a graph with weights drawn from `rng`.
///
/// # Errors
/// If the network is too large for this machine's memory.
pub(crate) fn untrained_network(graph: Graph, rng: &mut ChaCha8Rng) -> Result<Network> {
    Need::of_measuring(&graph).check(free_memory())?;
    Ok(Network::init(Arc::new(graph), rng))
}

/// Writes an untrained network as the model of an architecture's text, with the nodes that a trained one has: devices
/// time it as it will be deployed, normalisation included.
pub(crate) fn untrained_model(
    network: &Network,
    text: &str,
    deployment: Option<&Deployment>,
    path: &Path,
    options: onnx::Options,
) -> Result<Model> {
    let model = onnx::to_bytes(network, &onnx::Description::untrained(text, deployment), options)?;
    std::fs::write(path, model).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Model::load(text, path)?)
}
