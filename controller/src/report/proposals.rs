//! What a policy proposes, as a table in the terminal.

use comfy_table::{Table, presets};

use super::table::{cell, heading, lines};
use crate::history::{Evaluation, History};
use crate::objective::Objective;
use crate::preference::Preference;
use crate::propose::{LIKELY, Proposed};
use crate::strategy::Problem;

/// Proposals, a line each: predicted objectives with their deviations, the probability of keeping the bounds where
/// there are any, what was measured, and the architecture.
///
/// # Errors
/// If an architecture is not of the problem's space.
pub fn proposals_table(
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
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header);
    for proposed in proposals {
        let expected = objectives.iter().zip(&proposed.expected);
        let mut row: Vec<String> =
            expected.map(|(objective, expected)| cell(objective, expected.value, Some(expected.deviation()))).collect();
        row.extend(is_bounded.then(|| format!("{:.0} %", 100.0 * proposed.keeps_bounds)));
        row.extend(
            is_known.then(|| proposed.measured.as_ref().map_or_else(String::new, |found| measured(problem, found))),
        );
        row.push(problem.space().format(&proposed.architecture)?);
        table.add_row(row);
    }
    let weights =
        objectives.iter().zip(preference.weights()).map(|(objective, weight)| format!("{objective} {weight:.2}"));
    let mut text = format!("preference: {}\n", weights.collect::<Vec<_>>().join(", "));
    let bounds =
        objectives.iter().filter_map(|objective| Some(format!("{objective} ≤ {}", history.bounds().get(objective)?)));
    let bounds: Vec<_> = bounds.collect();
    if is_bounded {
        text.push_str(&format!("bounds: {}\n", bounds.join(", ")));
    }
    text.push_str(&lines(table, right_aligned));
    if is_bounded && proposals.iter().all(|proposed| proposed.keeps_bounds < LIKELY) {
        text.push_str("nothing that is known or drawn is likely to keep the bounds; these come nearest\n");
    }
    Ok(text)
}

/// Number and values of what was measured.
fn measured(problem: &Problem, evaluation: &Evaluation) -> String {
    let value = |(objective, value): (Objective, &Option<f64>)| match value {
        Some(value) => cell(objective, *value, None),
        None => "–".to_owned(),
    };
    let values: Vec<_> = problem.objectives().iter().zip(&evaluation.values).map(value).collect();
    format!("#{}: {}", evaluation.number, values.join(", "))
}
