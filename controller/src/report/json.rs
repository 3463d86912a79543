//! The front as JSON, for other programs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Member, Summary};
use crate::objective::Objective;

impl Summary {
    /// The front as JSON: objectives, reference point, hypervolume and members.
    ///
    /// Evaluations count repeated measurements too; `remeasurements` says how many of them those are.
    ///
    /// # Errors
    /// If a value cannot be written as JSON.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(&Json {
            objectives: self.objectives.as_slice(),
            evaluations: self.rows.len(),
            remeasurements: self.repeats,
            reference: self.reference.as_deref(),
            hypervolume_share: self.hypervolume.last().map(|(_, share)| *share),
            front: self.members.iter().map(|member| self.json_member(member)).collect(),
            within_noise_of_front: &self.near,
        })
    }

    fn json_member<'a>(&self, member: &'a Member) -> JsonMember<'a> {
        let known = self.objectives.iter().zip(&member.deviations);
        JsonMember {
            evaluation: member.row.evaluation,
            architecture: &member.row.architecture,
            objectives: self.objectives.iter().zip(member.values.iter().copied()).collect(),
            deviations: known.filter_map(|(objective, deviation)| Some((objective, (*deviation)?))).collect(),
            measurements: member.measurements,
            within_noise_of: &member.within_noise_of,
            accuracy: member.row.accuracy,
            time_ms: member.row.time_ms,
            time_ms_std: member.row.time_ms_std,
            energy_mj: member.row.energy_mj,
            energy_mj_std: member.row.energy_mj_std,
            device: member.row.device.as_deref(),
            feasible: member.feasible,
        }
    }
}

#[derive(Serialize)]
struct Json<'a> {
    objectives: &'a [Objective],
    evaluations: usize,
    remeasurements: u64,
    reference: Option<&'a [f64]>,
    hypervolume_share: Option<f64>,
    front: Vec<JsonMember<'a>>,
    within_noise_of_front: &'a [u64],
}

#[derive(Serialize)]
struct JsonMember<'a> {
    evaluation: u64,
    architecture: &'a str,
    objectives: BTreeMap<Objective, f64>,
    /// Standard deviations of these values, where they are known.
    deviations: BTreeMap<Objective, f64>,
    measurements: usize,
    within_noise_of: &'a [u64],
    accuracy: Option<f64>,
    time_ms: Option<f64>,
    time_ms_std: Option<f64>,
    energy_mj: Option<f64>,
    energy_mj_std: Option<f64>,
    device: Option<&'a str>,
    feasible: bool,
}
