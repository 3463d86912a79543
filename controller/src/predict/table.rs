//! Predictions as a table and as CSV.

use anyhow::Result;

use super::Prediction;
use crate::problem::Problem;
use crate::report::{cell, heading, lines, plain_table, tidy};

/// A line for each network: its predicted objectives with their deviations, its number if it was evaluated, and its
/// architecture.
///
/// # Errors
/// If an architecture is not of the space.
pub fn table(problem: &Problem, predictions: &[Prediction]) -> Result<String> {
    let is_known = predictions.iter().any(|one| one.known.is_some());
    let mut header: Vec<&str> = problem.objectives().iter().map(heading).collect();
    let right_aligned = header.len() + usize::from(is_known);
    header.extend(is_known.then_some("evaluation"));
    header.push("architecture");
    let mut table = plain_table(&header);
    for Prediction { architecture, expected, known } in predictions {
        let expected = problem.objectives().iter().zip(expected);
        let mut row: Vec<String> = expected
            .map(|(objective, expected)| match expected {
                Some(expected) => cell(objective, expected.value, Some(expected.deviation())),
                None => "–".to_owned(),
            })
            .collect();
        row.extend(is_known.then(|| known.as_ref().map_or_else(String::new, |known| format!("#{}", known.number))));
        row.push(problem.space().format(architecture)?);
        table.add_row(row);
    }
    Ok(lines(table, right_aligned))
}

/// A row for each network: for each objective its prediction, one standard deviation less and more, and what was measured, in
/// the objective's unit. Unknown values are empty.
///
/// # Errors
/// If an architecture is not of the space.
pub fn csv(problem: &Problem, predictions: &[Prediction]) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let of_objective = |name: String| ["", "_low", "_high", "_measured"].map(|end| format!("{name}{end}"));
    let columns = problem.objectives().iter().flat_map(|objective| of_objective(objective.to_string()));
    writer.write_record(["architecture", "evaluation"].map(str::to_owned).into_iter().chain(columns))?;
    for Prediction { architecture, expected, known } in predictions {
        let number = known.as_ref().map(|known| known.number.to_string());
        let mut row = vec![problem.space().format(architecture)?, number.unwrap_or_default()];
        for (place, (objective, expected)) in problem.objectives().iter().zip(expected).enumerate() {
            let text = |value: Option<f64>| value.map_or_else(String::new, |value| tidy(objective, value).to_string());
            let measured = known.as_ref().and_then(|known| known.values[place]);
            let ends = expected.map(|expected| [expected.value, expected.low, expected.high]);
            row.extend((0..3).map(|end| text(ends.map(|ends| ends[end]))).chain([text(measured)]));
        }
        writer.write_record(row)?;
    }
    Ok(writer.into_inner()?)
}
