//! A comparison as JSON.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::judge::Pick;
use super::{OnDevice, Pair, Point, Side};
use crate::objective::Objectives;
use crate::report::by_name;

/// The comparison for other programs. `own` is the front that was found on a device, `foreign` the other one.
pub fn json(pair: &Pair, on: &[OnDevice; 2]) -> Value {
    let objectives = &pair.objectives;
    let ([a, b], [on_a, on_b]) = (&pair.sides, on);
    json!({
        "objectives": objectives,
        "runs": { "a": run(a), "b": run(b) },
        "on": { "a": device(objectives, on_a), "b": device(objectives, on_b) },
    })
}

fn run(side: &Side) -> Value {
    json!({
        "path": side.path.display().to_string(),
        "evaluations": side.rows.len(),
        "budget": side.budget,
        "devices": side.devices(),
    })
}

fn device(objectives: &Objectives, on: &OnDevice) -> Value {
    let by_name = |values: &[f64]| by_name(objectives, values);
    let network = |point: &Point| {
        json!({
            "evaluation": point.network.evaluation,
            "architecture": point.network.text,
            "source": point.network.origin.as_str(),
            "objectives": by_name(&point.network.values),
            "within_bounds": point.feasible,
            "on_joint_front": point.on_joint_front,
        })
    };
    let front = |points: &[Point], hypervolume: Option<f64>| {
        json!({
            "hypervolume": hypervolume,
            "within_bounds": points.iter().filter(|point| point.feasible).count(),
            "on_joint_front": points.iter().filter(|point| point.on_joint_front).count(),
            "members": points.iter().map(network).collect::<Vec<_>>(),
        })
    };
    let best = |pick: &Pick| {
        json!({
            "bounds": pick.bounds,
            "own": pick.baseline.map(|index| network(&on.baseline[index])),
            "foreign": pick.other.map(|index| network(&on.other[index])),
            "error_difference": pick.error_difference,
            "as_accurate": pick.as_accurate.iter().copied().collect::<BTreeMap<_, _>>(),
        })
    };
    json!({
        "bounds": on.bounds,
        "reference": on.reference.as_deref().map(by_name),
        "own": front(&on.baseline, on.hypervolumes[0]),
        "foreign": front(&on.other, on.hypervolumes[1]),
        "unknown": on.unknown.iter().map(|network| network.text.as_str()).collect::<Vec<_>>(),
        "hypervolume_share": on.share,
        "best": on.picks.iter().map(best).collect::<Vec<_>>(),
    })
}
