//! What a search wrote beside its journal, for its page.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::networks::short;
use crate::evaluate::{RECORDED, Supplement};
use crate::observe::Observation;

/// Most rounds of a policy, and most epochs of a learning curve: more than a plot has pixels would only take room.
const MOST: usize = 200;

/// Millijoules in a kilowatt hour.
pub(super) const MJ_IN_A_KWH: f64 = 3.6e9;

/// The records of meters, over all measurements that have one.
#[derive(Debug, Clone, Default)]
struct Recorded {
    energy_mj: f64,
    seconds: f64,
    measurements: u64,
}

impl Recorded {
    fn add(&mut self, supplement: &Supplement) {
        let [energy_mj, seconds] = RECORDED.map(|name| supplement.numbers.get(name).copied());
        if let (Some(energy_mj), Some(seconds)) = (energy_mj, seconds) {
            self.energy_mj += energy_mj;
            self.seconds += seconds;
            self.measurements += 1;
        }
    }
}

/// Observations by kind.
#[derive(Debug, Clone, Default)]
pub(crate) struct Observed {
    /// Place in the file up to which it was read.
    read: u64,
    /// By evaluation, the epochs of its last training.
    trainings: BTreeMap<u64, u64>,
    /// By evaluation and epoch, the mean loss of the last training.
    losses: BTreeMap<u64, BTreeMap<u64, f64>>,
    measured: BTreeMap<u64, Supplement>,
    recorded: Recorded,
    predictions: BTreeMap<u64, BTreeMap<String, (f64, f64)>>,
    rounds: Vec<Value>,
}

impl Observed {
    /// Adds the observations that a file has beyond those that are known.
    pub fn follow(&mut self, path: &Path) {
        // A shorter file is another one.
        if path.metadata().map_or(0, |file| file.len()) < self.read {
            *self = Self::default();
        }
        let observations = Observation::read_from(path, &mut self.read);
        self.add(observations);
    }

    /// Adds observations in their order; a later one of the same thing takes the place of an earlier one.
    pub fn add(&mut self, observations: Vec<Observation>) {
        for observation in observations {
            match observation {
                Observation::Loss { evaluation, epoch, epochs, loss } => {
                    // A full training does not continue the curve of a short one.
                    if self.trainings.insert(evaluation, epochs).is_some_and(|before| before != epochs) {
                        self.losses.remove(&evaluation);
                    }
                    self.losses.entry(evaluation).or_default().insert(epoch, loss);
                }
                Observation::Measured { evaluation, supplement } => {
                    self.recorded.add(&supplement);
                    self.measured.insert(evaluation, supplement);
                }
                Observation::Prediction { evaluation, values } => {
                    self.predictions.entry(evaluation).or_default().extend(values);
                }
                Observation::Round { evaluations, scalars, choices } => {
                    let scalars: Map<String, Value> =
                        scalars.into_iter().map(|(name, value)| (name, short(Some(value)))).collect();
                    self.rounds.push(json!({ "evaluations": evaluations, "scalars": scalars, "choices": choices }));
                }
            }
        }
    }

    /// The learning curve of a network, if there is one.
    pub fn curve(&self, evaluation: u64) -> Option<Value> {
        let losses: Vec<(&u64, &f64)> = thinned(self.losses.get(&evaluation)?.iter().collect());
        let epochs: Vec<u64> = losses.iter().map(|(epoch, _)| **epoch).collect();
        let losses: Vec<Value> = losses.iter().map(|(_, loss)| short(Some(**loss))).collect();
        Some(json!({ "epoch": epochs, "loss": losses }))
    }

    /// What the measurement of a network has besides its row.
    pub fn measured(&self, evaluation: u64) -> Option<&Supplement> {
        self.measured.get(&evaluation)
    }

    /// All that meters recorded, repeated measurements included; `None` without any.
    pub fn recorded(&self) -> Option<Value> {
        let Recorded { energy_mj, seconds, measurements } = self.recorded;
        let kwh = short(Some(energy_mj / MJ_IN_A_KWH));
        (measurements > 0).then(|| json!({ "kwh": kwh, "seconds": short(Some(seconds)), "measurements": measurements }))
    }

    /// All predictions, by evaluation. `target` is that of the page, where the search has several.
    pub fn predictions(&self, target: Option<&str>) -> Map<String, Value> {
        let objective = |name: &str| match (name.rsplit_once('.'), target) {
            (Some((of, objective)), Some(target)) => (of == target).then(|| objective.to_owned()),
            _ => Some(name.to_owned()),
        };
        let of_one = |values: &BTreeMap<String, (f64, f64)>| {
            let pair = |(value, deviation): &(f64, f64)| json!([short(Some(*value)), short(Some(*deviation))]);
            let values: Map<String, Value> =
                values.iter().filter_map(|(name, both)| Some((objective(name)?, pair(both)))).collect();
            Value::Object(values)
        };
        self.predictions.iter().map(|(number, values)| (number.to_string(), of_one(values))).collect()
    }

    /// The rounds of the strategy.
    pub fn rounds(&self) -> Vec<Value> {
        thinned(self.rounds.clone())
    }
}

/// Evenly spread items, the last one among them.
fn thinned<T>(items: Vec<T>) -> Vec<T> {
    let step = items.len().div_ceil(MOST).max(1);
    let last = items.len().saturating_sub(1);
    items
        .into_iter()
        .enumerate()
        .filter(|(index, _)| (last - index).is_multiple_of(step))
        .map(|(_, item)| item)
        .collect()
}
