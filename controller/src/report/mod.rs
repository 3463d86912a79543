//! What a search came to, as a person or a program reads it.

mod comparison;
mod html;
mod json;
#[cfg(test)]
mod pareto_tests;
mod plot;
mod proposals;
mod summary;
mod table;

pub use comparison::{comparison_csv, comparison_plot, comparison_table};
pub use plot::front_plot;
pub use proposals::proposals_table;
pub use summary::{Member, Summary};
pub use table::{in_words, table};

use std::path::Path;

use anyhow::Context as _;
use hardware::log::{COLUMNS, line};

use crate::run::{RunFolder, write_atomically};

/// Writes `pareto.csv` and `report.html` of a run.
///
/// # Errors
/// If the journal cannot be read, or a file cannot be written.
pub fn write(folder: &RunFolder) -> anyhow::Result<Summary> {
    let summary = Summary::read(folder.path())?;
    write_pareto(&folder.pareto(), &summary)?;
    let page = html::page(&summary, &folder.path().display().to_string())?;
    let report = folder.report();
    write_atomically(&report, page.as_bytes()).with_context(|| format!("cannot write {}", report.display()))?;
    Ok(summary)
}

/// The front's rows of the journal, one for each network, the best in the first objective first; see [`Member::row`].
fn write_pareto(path: &Path, summary: &Summary) -> anyhow::Result<()> {
    let mut content = format!("{}\n", COLUMNS.join(",")).into_bytes();
    for member in &summary.members {
        content.extend(line(&member.row)?);
    }
    write_atomically(path, &content).with_context(|| format!("cannot write {}", path.display()))
}
