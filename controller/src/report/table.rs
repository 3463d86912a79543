//! The front as a table in the terminal.

use child::data::Source;
use comfy_table::{CellAlignment, Table, presets};
use hardware::log::Status;

use super::{SetAside, Summary};
use crate::objective::{Bounds, Objective};
use crate::pareto::noise::SIGNIFICANT;

/// Most numbers in a list; the rest is counted.
const LISTED: usize = 4;

/// The front, one line for each member: number, objectives with deviations, number of measurements, evaluations within
/// its noise, file of the model inside the run folder, and architecture. Empty columns are left out; lines below the table explain the noise.
pub fn table(summary: &Summary) -> String {
    let is_repeated = summary.members.iter().any(|member| member.measurements > 1);
    let is_doubtful = summary.members.iter().any(|member| !member.within_noise_of.is_empty());
    let mut header = vec!["#".to_owned()];
    header.extend(summary.objectives.iter().map(|objective| heading(objective).to_owned()));
    header.extend(is_repeated.then(|| "measured".to_owned()));
    let right_aligned = header.len();
    header.extend(is_doubtful.then(|| "within noise of".to_owned()));
    let has_models = summary.members.iter().any(|member| member.model.is_some());
    header.extend(has_models.then(|| "model".to_owned()));
    header.push("architecture".to_owned());
    let mut table = plain_table(&header);
    for member in &summary.members {
        let mut row = vec![member.row.evaluation.to_string()];
        let values = summary.objectives.iter().zip(&member.values).zip(&member.deviations);
        row.extend(values.map(|((objective, value), deviation)| cell(objective, *value, *deviation)));
        row.extend(is_repeated.then(|| format!("{}×", member.measurements)));
        row.extend(is_doubtful.then(|| list(&member.within_noise_of)));
        let model = member.model.as_ref().map_or_else(String::new, |model| model.display().to_string());
        row.extend(has_models.then_some(model));
        let mark = if member.feasible { "" } else { "  (beyond a bound)" };
        row.push(format!("{}{mark}", member.row.architecture));
        table.add_row(row);
    }
    let mut text = lines(table, right_aligned);
    if is_doubtful {
        text.push_str(&format!(
            "within noise of: better than these in nothing by {SIGNIFICANT} standard deviations of the difference\n"
        ));
    }
    let SetAside { beyond_bounds, useless } = &summary.set_aside;
    for (numbers, reason) in [
        (beyond_bounds, "break a bound"),
        (useless, "are no more accurate than answering the most frequent class always"),
    ] {
        if !numbers.is_empty() {
            text.push_str(&format!("not on the front, because they {reason}: {}\n", list(numbers)));
        }
    }
    if !summary.near.is_empty() {
        text.push_str(&format!("off the front, but dominated only within the noise: {}\n", list(&summary.near)));
    }
    text
}

/// An empty table without lines between its cells.
pub fn plain_table(header: &[impl AsRef<str>]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header.iter().map(AsRef::as_ref));
    table
}

/// The lines of a table, its first columns aligned to the right.
pub fn lines(mut table: Table, right_aligned: usize) -> String {
    for column in 0..right_aligned {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// The first numbers, and the number of the others.
fn list(numbers: &[u64]) -> String {
    let listed: Vec<_> = numbers.iter().take(LISTED).map(|number| format!("#{number}")).collect();
    let listed = listed.join(", ");
    match numbers.len().saturating_sub(LISTED) {
        0 => listed,
        more => format!("{listed} and {more} more"),
    }
}

/// The numbers of evaluations by their status, and of members of the front.
pub fn in_words(summary: &Summary) -> String {
    let ended = Status::ALL.into_iter().filter(|status| status.is_end());
    let counts = ended.map(|status| (status, summary.count(status)));
    let counts = counts.filter(|(_, count)| *count > 0).map(|(status, count)| format!("{count} {}", status.as_str()));
    let counts: Vec<String> = counts.collect();
    let counts = if counts.is_empty() { String::new() } else { format!(" ({})", counts.join(", ")) };
    let front = summary.members.len();
    let within = match summary.members.iter().filter(|member| member.feasible).count() {
        0 if front == 0 && summary.count(Status::Bounded) > 0 => "; no network keeps every bound yet".to_owned(),
        feasible if feasible == front => String::new(),
        0 => ", all beyond a bound".to_owned(),
        feasible => format!(", {feasible} of which keep every bound"),
    };
    let repeats = match summary.repeats {
        0 => String::new(),
        repeats => format!(", {repeats} of which measured a network again"),
    };
    let retried = match summary.retried().len() {
        0 => String::new(),
        retried => format!(", {retried} of which were tried again"),
    };
    let open = summary.count(Status::Measured);
    let evaluations = summary.rows.len() - open;
    let noun = if evaluations == 1 { "evaluation" } else { "evaluations" };
    let open = match open {
        0 => String::new(),
        open => format!(", {open} more networks that were not trained in full"),
    };
    format!("{evaluations} {noun}{counts}{retried}{repeats}{open}, {front} on the front{within}")
}

/// The hypervolume and its reference point; `None` until that is fixed.
pub fn hypervolume_in_words(summary: &Summary) -> Option<String> {
    let share = summary.hypervolume.last()?.share;
    let reference = summary.reference_in_words.as_ref()?;
    Some(format!("hypervolume {share:.4}, as a share of the box from 0 to {reference}"))
}

/// The name of a data set, without its place on the machine that trained.
pub fn data_set(source: &Source) -> String {
    match source {
        Source::Digits => "digits".to_owned(),
        Source::Cifar10 { .. } => "cifar10".to_owned(),
        Source::Folder { dir, .. } => {
            format!("the folder {}", dir.file_name().unwrap_or(dir.as_os_str()).to_string_lossy())
        }
    }
}

/// The bounds as text, such as `time_ms ≤ 4, energy_mj ≤ 20`; `None` if there are none.
pub fn bounds_in_words(bounds: &Bounds) -> Option<String> {
    let bounded = Objective::ALL.into_iter().filter_map(|objective| Some((objective, bounds.get(objective)?)));
    let each: Vec<_> = bounded.map(|(objective, bound)| format!("{objective} ≤ {bound}")).collect();
    (!each.is_empty()).then(|| each.join(", "))
}

pub fn heading(objective: Objective) -> &'static str {
    match objective {
        Objective::Error => "accuracy %",
        Objective::Time => "time ms ± σ",
        Objective::Energy => "energy mJ ± σ",
        Objective::Parameters => "parameters",
        Objective::Macs => "MACs",
        Objective::ActivationBytes => "activation B",
    }
}

/// A number with a fixed number of decimals; a rounded 0 has no sign.
pub fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(digits) if digits.bytes().all(|byte| matches!(byte, b'0' | b'.')) => digits.to_owned(),
        _ => text,
    }
}

/// A value in its column, with its deviation if that is known.
pub fn cell(objective: Objective, value: f64, deviation: Option<f64>) -> String {
    let text = |value: f64, deviation: Option<f64>, decimals| match deviation {
        Some(deviation) => format!("{} ± {}", fixed(value, decimals), fixed(deviation, decimals)),
        None => fixed(value, decimals),
    };
    match objective {
        Objective::Error => text(100.0 * (1.0 - value), deviation.map(|deviation| 100.0 * deviation), 2),
        Objective::Time | Objective::Energy => text(value, deviation, 3),
        Objective::Parameters | Objective::Macs | Objective::ActivationBytes => format!("{value}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rounded_zero_has_no_sign() {
        let found = [-0.001, -0.0, 0.001, -0.006, -10.0].map(|value| fixed(value, 2));
        assert_eq!(found, ["0.00", "0.00", "0.00", "-0.01", "-10.00"]);
        assert_eq!(cell(Objective::Error, 1.0 + f64::EPSILON, Some(0.01)), "0.00 ± 1.00");
    }
}
