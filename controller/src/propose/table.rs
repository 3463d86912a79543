//! Proposals as a table in the terminal.

use super::{LIKELY, Proposed};
use crate::history::{Evaluation, History};
use crate::preference::Preference;
use crate::problem::Problem;
use crate::report::{bounds_in_words, cell, heading, lines, plain_table};

/// Proposals, one line each: predicted objectives with their deviations, the probability of keeping the bounds if there
/// are any, the measured values, and the architecture.
pub fn table(
    problem: &Problem,
    history: &History,
    preference: &Preference,
    proposals: &[Proposed],
) -> anyhow::Result<String> {
    let objectives = problem.objectives();
    let is_bounded = !history.bounds().is_empty();
    let is_known = proposals.iter().any(|proposed| proposed.measured.is_some());
    let mut header: Vec<String> = objectives.iter().map(|objective| heading(objective).to_owned()).collect();
    header.extend(is_bounded.then(|| "keeps bounds".to_owned()));
    let right_aligned = header.len();
    header.extend(is_known.then(|| "measured".to_owned()));
    header.push("architecture".to_owned());
    let mut table = plain_table(&header);
    for proposed in proposals {
        let expected = objectives.iter().zip(&proposed.expected);
        let mut row: Vec<String> =
            expected.map(|(objective, expected)| cell(objective, expected.value, Some(expected.deviation()))).collect();
        row.extend(is_bounded.then(|| format!("{:.0} %", 100.0 * proposed.keeps_bounds)));
        if is_known {
            row.push(proposed.measured.as_ref().map_or_else(String::new, |found| measured(problem, found)));
        }
        row.push(problem.space().format(&proposed.architecture)?);
        table.add_row(row);
    }
    let weights =
        objectives.iter().zip(preference.weights()).map(|(objective, weight)| format!("{objective} {weight:.2}"));
    let mut text = format!("preference: {}\n", weights.collect::<Vec<_>>().join(", "));
    if let Some(bounds) = bounds_in_words(history.bounds()) {
        text.push_str(&format!("bounds: {bounds}\n"));
    }
    text.push_str(&lines(table, right_aligned));
    if is_bounded && proposals.iter().all(|proposed| proposed.keeps_bounds < LIKELY) {
        text.push_str("no known or drawn network is likely to keep the bounds; these come nearest\n");
    }
    Ok(text)
}

fn measured(problem: &Problem, evaluation: &Evaluation) -> String {
    let both = problem.objectives().iter().zip(&evaluation.values);
    let values = both.map(|(objective, value)| value.map_or("–".to_owned(), |value| cell(objective, value, None)));
    let values: Vec<_> = values.collect();
    format!("#{}: {}", evaluation.number, values.join(", "))
}
