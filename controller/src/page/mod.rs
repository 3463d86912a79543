//! The page of one or several runs: a single file that needs neither network nor server, or live from `controller serve`.
//!
//! The page's code in `assets/` draws what one JSON document has, which docs/page.md describes: for each run the front as
//! `controller front --json` has it, and what else the run folder knows.

mod details;
mod effects;
mod networks;
mod observed;
mod run;

use serde_json::{Value, json};

pub(crate) use run::{Before, RunPage, network, together};

use crate::report::SCHEMA;

const PAGE: &str = include_str!("assets/page.html");
const STYLE: &str = include_str!("assets/page.css");
const ECHARTS: &str = include_str!("assets/echarts/echarts.min.js");
/// The page's code, in the order in which it is needed.
const CODE: [&str; 25] = [
    include_str!("assets/base.js"),
    include_str!("assets/chart.js"),
    include_str!("assets/data.js"),
    include_str!("assets/marks.js"),
    include_str!("assets/points.js"),
    include_str!("assets/ranges.js"),
    include_str!("assets/overlays.js"),
    include_str!("assets/front.js"),
    include_str!("assets/turn.js"),
    include_str!("assets/solid.js"),
    include_str!("assets/cell.js"),
    include_str!("assets/network.js"),
    include_str!("assets/details.js"),
    include_str!("assets/hypervolume.js"),
    include_str!("assets/watch.js"),
    include_str!("assets/search.js"),
    include_str!("assets/policy.js"),
    include_str!("assets/why.js"),
    include_str!("assets/parallel.js"),
    include_str!("assets/runs.js"),
    include_str!("assets/study.js"),
    include_str!("assets/filter.js"),
    include_str!("assets/table.js"),
    include_str!("assets/facts.js"),
    include_str!("assets/main.js"),
];

/// The document of some runs; `together` is what [`several`](crate::compare::several) finds of two or more.
pub(crate) fn document(runs: Vec<Value>, together: Option<Value>, is_live: bool) -> Value {
    json!({
        "schema": SCHEMA,
        "program": format!("controller {}", env!("CARGO_PKG_VERSION")),
        "generated_at": jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "live": is_live,
        "runs": runs,
        "together": together,
    })
}

/// A page that shows a document, given as JSON.
pub(crate) fn html(document: &str) -> String {
    // In a script element, only this character could end it.
    let data = document.replace('<', "\\u003c");
    let code = CODE.join("\n");
    // One pass over the page: what is put in is not searched for marks.
    let parts = [("/*STYLE*/", STYLE), ("/*DATA*/", &data), ("/*ECHARTS*/", ECHARTS), ("/*CODE*/", &code)];
    let mut page = String::with_capacity(PAGE.len() + ECHARTS.len() + code.len() + data.len() + STYLE.len());
    let mut rest = PAGE;
    for (mark, content) in parts {
        if let Some((before, after)) = rest.split_once(mark) {
            page.push_str(before);
            page.push_str(content);
            rest = after;
        }
    }
    page.push_str(rest);
    page
}

#[cfg(test)]
mod tests;
