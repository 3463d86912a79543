//! The front as JSON, for other programs.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Member, Summary};
use crate::objective::Objectives;

impl Summary {
    /// The front as JSON: objectives, reference point, hypervolume and members.
    ///
    /// Evaluations count repeated measurements too; `remeasurements` says how many of them those are.
    pub fn to_json(&self) -> Value {
        json!({
            "objectives": self.objectives,
            "evaluations": self.rows.len(),
            "remeasurements": self.repeats,
            "reference": self.reference,
            "hypervolume_share": self.hypervolume.last().map(|(_, share)| share),
            "front": self.members.iter().map(|member| json_of(member, &self.objectives)).collect::<Vec<_>>(),
            "within_noise_of_front": self.near,
            "notes": self.notes,
        })
    }
}

fn json_of(member: &Member, objectives: &Objectives) -> Value {
    let Member { row, deviations, .. } = member;
    let known = objectives.iter().zip(deviations).filter(|(_, deviation)| deviation.is_some());
    json!({
        "evaluation": row.evaluation,
        "architecture": row.architecture,
        "objectives": objectives.iter().zip(&member.values).collect::<BTreeMap<_, _>>(),
        // Standard deviations of these values, where they are known.
        "deviations": known.collect::<BTreeMap<_, _>>(),
        "measurements": member.measurements,
        "within_noise_of": member.within_noise_of,
        "accuracy": row.accuracy,
        "time_ms": row.time_ms,
        "time_ms_std": row.time_ms_std,
        "energy_mj": row.energy_mj,
        "energy_mj_std": row.energy_mj_std,
        "device": row.device,
        "feasible": member.feasible,
    })
}
