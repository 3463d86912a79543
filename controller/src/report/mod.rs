//! Reports of a run: tables, plots, JSON and a page.

mod json;
#[cfg(test)]
mod pareto_tests;
mod plot;
mod sketch;
mod summary;
mod table;

pub(crate) use json::SCHEMA;
pub use json::{by_name, tidy};
pub use plot::{DrawResult, front_plot, label, range, svg};
pub use sketch::{LEAST_COLUMNS, sketch};
pub(crate) use summary::Followed;
pub use summary::{Member, SetAside, Step, Summary, seconds_of};
pub use table::{
    bounds_in_words, cell, data_set, fixed, heading, hypervolume_in_words, in_words, lines, plain_table, table,
};

use std::path::Path;

use hardware::log::{COLUMNS, Row, line};

use crate::run::write_atomically;

/// Writes `pareto.csv`: the rows of the front of each target, one for each network, the best in the first objective first; see
/// [`Member::row`]. A last column, `model`, has the network's file inside the run folder.
pub fn write_pareto(path: &Path, fronts: &[(Option<&str>, &Summary)]) -> anyhow::Result<()> {
    let mut content = format!("{},model\n", COLUMNS.join(",")).into_bytes();
    let members =
        fronts.iter().flat_map(|(target, summary)| summary.members.iter().map(move |member| (target, member)));
    for (target, member) in members {
        let row = Row { target: target.map(str::to_owned), ..member.row.clone() };
        content.extend(line(&row)?.trim_ascii_end());
        let model = member.model.as_ref().map_or_else(String::new, |model| model.display().to_string());
        content.extend(format!(",{model}\n").into_bytes());
    }
    write_atomically(path, &content)
}
