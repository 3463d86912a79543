//! Reports of a run: tables, plots, JSON and a page.

mod html;
mod json;
#[cfg(test)]
mod pareto_tests;
mod plot;
mod summary;
mod table;

pub use json::{by_name, tidy};
pub use plot::{DrawResult, front_plot, label, range, svg};
pub use summary::{Member, SetAside, Summary};
pub use table::{bounds_in_words, cell, fixed, heading, hypervolume_in_words, in_words, lines, plain_table, table};

use std::path::Path;

use hardware::log::{COLUMNS, line};

use crate::run::{PARETO, REPORT, RunFolder, write_atomically};

/// Writes `pareto.csv` and `report.html` of a run.
pub fn write(folder: &RunFolder) -> anyhow::Result<Summary> {
    let summary = Summary::read(folder.path())?;
    write_pareto(&folder.join(PARETO), &summary)?;
    let page = html::page(&summary, &folder.path().display().to_string())?;
    write_atomically(&folder.join(REPORT), page.as_bytes())?;
    Ok(summary)
}

/// The front's rows of the journal, one for each network, the best in the first objective first; see [`Member::row`]. A
/// last column, `model`, has the network's file inside the run folder.
fn write_pareto(path: &Path, summary: &Summary) -> anyhow::Result<()> {
    let mut content = format!("{},model\n", COLUMNS.join(",")).into_bytes();
    for member in &summary.members {
        content.extend(line(&member.row)?.trim_ascii_end());
        let model = member.model.as_ref().map_or_else(String::new, |model| model.display().to_string());
        content.extend(format!(",{model}\n").into_bytes());
    }
    write_atomically(path, &content)
}
