//! The front as JSON, for other programs.

use std::collections::BTreeMap;

use hardware::log::Status;
use serde_json::{Value, json};

use super::{Member, Summary};
use crate::objective::{Objective, Objectives};

/// Version of this JSON, and of the document of a page. Keys may be added without another number.
pub(crate) const SCHEMA: u32 = 1;

impl Summary {
    /// The front as JSON: objectives, reference point, hypervolume and members. The path of a model begins as that of the
    /// run folder does.
    ///
    /// Evaluations count repeated measurements too; `remeasurements` says how many of them those are. Networks that were
    /// measured alone, or trained short, are not among them.
    pub fn to_json(&self) -> Value {
        json!({
            "schema": SCHEMA,
            "objectives": self.objectives,
            "evaluations": self.rows.len() - self.count(Status::Measured),
            "not_trained_in_full": self.count(Status::Measured),
            "remeasurements": self.repeats,
            "reference": self.reference,
            "reference_in_words": self.reference_in_words,
            "hypervolume_share": self.hypervolume.last().map(|step| step.share),
            "front": self.members.iter().map(|member| json_of(member, self)).collect::<Vec<_>>(),
            "beyond_bounds": self.set_aside.beyond_bounds,
            "no_better_than_one_class": self.set_aside.useless,
            "within_noise_of_front": self.near,
            "notes": self.notes,
        })
    }
}

fn json_of(member: &Member, summary: &Summary) -> Value {
    let objectives: &Objectives = &summary.objectives;
    let Member { row, deviations, .. } = member;
    let known = objectives.iter().zip(deviations).filter(|(_, deviation)| deviation.is_some());
    json!({
        "evaluation": row.evaluation,
        "architecture": row.architecture,
        "objectives": by_name(objectives, &member.values),
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
        "model": summary.folder.as_ref().zip(member.model.as_ref()).map(|(folder, model)| folder.join(model)),
    })
}

/// Values by their objectives, as [`tidy`] prints them.
pub fn by_name(objectives: &Objectives, values: &[f64]) -> BTreeMap<Objective, f64> {
    objectives.iter().zip(values).map(|(objective, value)| (objective, tidy(objective, *value))).collect()
}

/// An error is the complement of an accuracy, and loses the digits that only the subtraction makes: 1 − 0.90748 is
/// 0.09252000000000005.
pub fn tidy(objective: Objective, value: f64) -> f64 {
    match objective {
        Objective::Error => (value * 1e12).round() / 1e12,
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_the_digits_of_its_accuracy() {
        let objectives = Objectives::new([Objective::Error, Objective::Time]).unwrap();
        let found = by_name(&objectives, &[1.0 - 0.90748, 1.0 - 0.90748]);
        assert_eq!((found[&Objective::Error], found[&Objective::Time]), (0.09252, 1.0 - 0.90748));
    }
}
