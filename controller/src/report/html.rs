//! The report: one self-contained page.

use std::fmt::Write as _;

use super::plot::{front_plot, hypervolume_plot};
use super::{Summary, in_words, table};

pub(super) fn page(summary: &Summary, name: &str) -> anyhow::Result<String> {
    let mut plots = String::new();
    let first = summary.objectives.as_slice()[0];
    for other in summary.objectives.iter().skip(1) {
        if let Some(svg) = front_plot(summary, other, first)? {
            let _ = writeln!(plots, "<figure>{svg}</figure>");
        }
    }
    if let Some(svg) = hypervolume_plot(summary)? {
        let _ = writeln!(plots, "<figure>{svg}</figure>");
    }
    let notes: String =
        summary.notes.iter().map(|note| format!("<p><strong>Note:</strong> {}</p>\n", escape(note))).collect();
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{name}</title>\n\
         <style>body{{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}}\
         pre{{overflow-x:auto;background:#f5f6f7;padding:1rem}}figure{{margin:1rem 0}}svg{{max-width:100%;height:auto}}\
         </style>\n<h1>{name}</h1>\n<p>{words}.</p>\n{notes}{plots}\
         <h2>Pareto front</h2>\n<pre>{table}</pre>\n</html>\n",
        name = escape(name),
        words = in_words(summary),
        table = escape(&table(summary)),
    ))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
