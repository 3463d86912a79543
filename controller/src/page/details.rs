//! The layers of networks.

use anyhow::Result;
use child::graph::LayerCost;
use child::space::Architecture;
use serde_json::{Value, json};

use crate::problem::Problem;

/// Costs and layers of a network, without dead branches, as a device executes them.
pub(super) fn details(problem: &Problem, architecture: &Architecture) -> Result<Value> {
    let graph = problem.graph(architecture)?.pruned();
    let cost = graph.cost();
    let layers = graph.layer_costs().map(|LayerCost { operation, shape, macs, parameters }| {
        let shape = format!("{}×{}×{}", shape.channels, shape.height, shape.width);
        json!([operation, shape, macs, parameters])
    });
    Ok(json!({
        "macs": cost.macs,
        "parameters": cost.parameters,
        "activation_bytes": cost.peak_activation_bytes,
        "layers": layers.collect::<Vec<_>>(),
    }))
}
