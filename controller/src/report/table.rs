//! The front as a table in the terminal.

use comfy_table::{CellAlignment, Table, presets};

use super::{Member, Summary};
use crate::objective::Objective;
use hardware::log::Status;

/// The front, a line a member: its number, its objectives, and the architecture.
pub fn table(summary: &Summary) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let names = summary.objectives.iter().map(|objective| heading(objective).to_owned());
    table.set_header(std::iter::once("#".to_owned()).chain(names).chain(["architecture".to_owned()]));
    for member in &summary.members {
        let values = summary.objectives.iter().zip(&member.values).map(|(o, value)| cell(o, *value, member));
        let mark = if member.feasible { "" } else { "  (beyond a bound)" };
        let architecture = format!("{}{mark}", member.row.architecture);
        table.add_row(std::iter::once(member.row.evaluation.to_string()).chain(values).chain([architecture]));
    }
    for column in 0..=summary.objectives.len() {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// How the evaluations ended, and how many are on the front.
pub fn in_words(summary: &Summary) -> String {
    let counts: Vec<String> = Status::ALL
        .into_iter()
        .map(|status| (status, summary.count(status)))
        .filter(|(_, count)| *count > 0)
        .map(|(status, count)| format!("{count} {}", status.as_str()))
        .collect();
    let front = summary.members.len();
    let within = match summary.members.iter().filter(|member| member.feasible).count() {
        feasible if feasible == front => String::new(),
        0 => ", none of which keeps every bound".to_owned(),
        feasible => format!(", {feasible} of which keep every bound"),
    };
    format!("{} evaluations ({}), {front} on the front{within}", summary.rows.len(), counts.join(", "))
}

fn heading(objective: Objective) -> &'static str {
    match objective {
        Objective::Error => "accuracy %",
        Objective::Time => "time ms ± σ",
        Objective::Energy => "energy mJ",
        Objective::Parameters => "parameters",
        Objective::Macs => "MACs",
        Objective::ActivationBytes => "activation B",
    }
}

fn cell(objective: Objective, value: f64, member: &Member) -> String {
    let with_deviation = |deviation: Option<f64>| match deviation {
        Some(deviation) => format!("{value:.3} ± {deviation:.3}"),
        None => format!("{value:.3}"),
    };
    match objective {
        Objective::Error => format!("{:.2}", 100.0 * (1.0 - value)),
        Objective::Time => with_deviation(member.row.time_ms_std),
        Objective::Energy => with_deviation(member.row.energy_mj_std),
        Objective::Parameters | Objective::Macs | Objective::ActivationBytes => format!("{value}"),
    }
}
