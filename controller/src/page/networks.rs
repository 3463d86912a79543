//! All networks of a run as columns: a page of 20,000 of them stays small.

use std::collections::HashMap;

use anyhow::Result;
use hardware::log::{Joined, Row};
use serde_json::{Map, Value, json};

use crate::history::{candidate_of, values_of};
use crate::objective::Objective;
use crate::problem::Problem;
use crate::report::seconds_of;

/// Texts by number, each once.
#[derive(Debug, Default)]
pub(super) struct Texts {
    numbers: HashMap<String, usize>,
    texts: Vec<String>,
}

impl Texts {
    fn number(&mut self, text: &str) -> usize {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.texts.len();
        self.texts.push(clipped(text));
        self.numbers.insert(text.to_owned(), number);
        number
    }
}

/// A text of bounded length: a message may be as long as a board likes.
fn clipped(text: &str) -> String {
    const LONGEST: usize = 2000;
    let mut clipped: String = text.chars().take(LONGEST).collect();
    if clipped.len() < text.len() {
        clipped.push('…');
    }
    clipped
}

/// The columns, and the texts that they name by number.
pub(super) struct Networks {
    pub columns: Map<String, Value>,
    pub statuses: Vec<String>,
    pub devices: Vec<String>,
    pub messages: Vec<String>,
}

impl Networks {
    /// The columns of evaluations; those of `imported` rows follow.
    pub fn of(problem: &Problem, joined: &[Joined], imported: &[Row]) -> Result<Self> {
        let (mut statuses, mut devices, mut messages) = (Texts::default(), Texts::default(), Texts::default());
        let rows: Vec<&Row> = joined.iter().map(|one| &one.row).chain(imported).collect();
        let choices = rows.iter().map(|row| {
            let architecture = problem.space().parse(&row.architecture);
            // The architecture of a log may be of another space.
            architecture.map_or(String::new(), |found| found.choices().iter().map(|choice| digit(*choice)).collect())
        });
        let choices: Vec<String> = choices.collect();
        let objectives = problem.objectives();
        let is_computed = objectives.iter().any(|objective| !Objective::MEASURED.contains(&objective));
        let mut values: Vec<Vec<Option<f64>>> = vec![Vec::new(); objectives.len()];
        for row in &rows {
            let found: Vec<Option<f64>> = if is_computed {
                let cost = problem.graph(&candidate_of(problem, row)?.architecture)?.pruned().cost();
                values_of(problem.targets(), 0, row, &cost)
            } else {
                objectives.iter().map(|objective| objective.measured(row)).collect()
            };
            values.iter_mut().zip(found).for_each(|(column, value)| column.push(value));
        }
        let mut columns = Map::new();
        let mut add = |name: &str, column: Vec<Value>| {
            if column.iter().any(|value| !value.is_null()) || name == "evaluation" {
                columns.insert(name.to_owned(), Value::Array(column));
            }
        };
        add("evaluation", rows.iter().map(|row| json!(row.evaluation)).collect());
        add("choices", choices.into_iter().map(Value::from).collect());
        add("status", rows.iter().map(|row| json!(statuses.number(row.status.as_str()))).collect());
        add("imported", (joined.len()..rows.len()).map(Value::from).collect());
        let number = |of: fn(&Row) -> Option<f64>| rows.iter().map(|row| short(of(row))).collect::<Vec<_>>();
        add("accuracy", number(|row| row.accuracy));
        add("epochs", number(|row| row.epochs.map(|epochs| epochs as f64)));
        add("train_seconds", number(|row| row.train_seconds));
        add("measure_seconds", number(|row| row.measure_seconds));
        add("time_ms_p50", number(|row| row.time_ms_p50));
        add("time_ms_p95", number(|row| row.time_ms_p95));
        add("time_ms_p99", number(|row| row.time_ms_p99));
        add("idle_power_mw", number(|row| row.idle_power_mw));
        add("time_runs", number(|row| row.time_runs.map(|runs| runs as f64)));
        add("power_samples", number(|row| row.power_samples.map(|samples| samples as f64)));
        add("started_at", number(|row| seconds_of(row.started_at.as_deref()?)));
        let short_accuracy = joined.iter().map(|one| short(one.short.map(|short| short.accuracy)));
        add("short_accuracy", short_accuracy.chain(imported.iter().map(|_| Value::Null)).collect());
        let text = |texts: &mut Texts, of: fn(&Row) -> Option<&str>| {
            rows.iter().map(|row| of(row).map_or(Value::Null, |text| json!(texts.number(text)))).collect::<Vec<_>>()
        };
        add("device", text(&mut devices, |row| row.device.as_deref()));
        add("message", text(&mut messages, |row| row.message.as_deref()));
        let by_name: Map<String, Value> = objectives
            .iter()
            .zip(values)
            .map(|(objective, column)| (objective.name().to_owned(), column.into_iter().map(short).collect()))
            .collect();
        columns.insert("values".to_owned(), by_name.into());
        let mut deviations = Map::new();
        for (objective, of) in [
            (Objective::Time, (|row| row.time_ms.and(row.time_ms_std)) as fn(&Row) -> Option<f64>),
            (Objective::Energy, |row| row.energy_mj.and(row.energy_mj_std)),
        ] {
            if rows.iter().any(|row| of(row).is_some()) {
                deviations.insert(objective.name().to_owned(), rows.iter().map(|row| short(of(row))).collect());
            }
        }
        columns.insert("deviations".to_owned(), deviations.into());
        Ok(Self { columns, statuses: statuses.texts, devices: devices.texts, messages: messages.texts })
    }
}

/// A choice as one character: its number in base 36. No decision has more choices.
fn digit(choice: usize) -> char {
    u32::try_from(choice).ok().and_then(|choice| char::from_digit(choice, 36)).unwrap_or('?')
}

/// A number with six significant digits, which is more than any instrument has.
pub(super) fn short(value: Option<f64>) -> Value {
    let Some(value) = value.filter(|value| value.is_finite()) else { return Value::Null };
    let in_json =
        |value: f64| if value == value.trunc() && value.abs() < 1e15 { json!(value as i64) } else { json!(value) };
    if value == value.trunc() {
        return in_json(value);
    }
    let digits = 5 - value.abs().log10().floor() as i32;
    let scale = 10_f64.powi(digits.clamp(-300, 300));
    let rounded = (value * scale).round() / scale;
    in_json(if rounded.is_finite() { rounded } else { value })
}
