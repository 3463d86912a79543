//! The end of a search: report and next steps.

use std::process::ExitCode;

use anyhow::bail;
use hardware::log::Status;

use super::INTERRUPTED;
use crate::page::RunPage;
use crate::report::{self, Summary};
use crate::run::{CONFIG, JOURNAL, MODELS, PARETO, REPORT, RunFolder, write_atomically};
use crate::search::{End, Spent};
use crate::terminal::{note, pasted, say};

/// Writes the run's report, and prints its results and possible next steps.
pub(super) fn finish(end: End, spent: Spent, folder: &RunFolder, quiet: bool) -> anyhow::Result<ExitCode> {
    let pages = write_report(folder)?;
    if !quiet {
        print(&pages, spent, folder)?;
    }
    let Some(summary) = pages.into_iter().map(RunPage::into_summary).next() else { return Ok(ExitCode::SUCCESS) };
    let path = pasted(folder.path());
    match end {
        End::Finished => {}
        End::Exhausted => note("ended early: all different networks that can be evaluated are evaluated"),
        End::Stopped => {
            note(format_args!("stopped; go on with: controller --resume {path}"));
            return Ok(ExitCode::from(INTERRUPTED));
        }
    }
    if summary.count(Status::Ok) == 0 {
        let reason = most_frequent_reason(&summary).unwrap_or_else(|| "no reason given".to_owned());
        bail!(
            "none of the {} evaluations succeeded; most often: {reason}",
            summary.rows.len() - summary.count(Status::Measured)
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes `pareto.csv` and `report.html` of a run.
pub(super) fn write_report(folder: &RunFolder) -> anyhow::Result<Vec<RunPage>> {
    let pages = RunPage::read(folder.path())?;
    let fronts: Vec<_> = pages.iter().map(|page| (page.target(), page.summary())).collect();
    report::write_pareto(&folder.join(PARETO), &fronts)?;
    write_atomically(&folder.join(REPORT), RunPage::report(&pages)?.as_bytes())?;
    Ok(pages)
}

fn print(pages: &[RunPage], spent: Spent, folder: &RunFolder) -> anyhow::Result<()> {
    let path = pasted(folder.path());
    let config = pasted(&folder.join(CONFIG));
    for page in pages {
        let summary = page.summary();
        let of = page.target().map_or_else(String::new, |target| format!("{target}:\n"));
        say(format_args!("\n{of}{}", report::table(summary)))?;
        say(report::in_words(summary))?;
        report::hypervolume_in_words(summary).map_or(Ok(()), say)?;
    }
    let Some(summary) = pages.first().map(RunPage::summary) else { return Ok(()) };
    if let Some(reason) = most_frequent_reason(summary) {
        say(format_args!("most frequent reason of unsuccessful evaluations: {reason}"))?;
    }
    let warned = summary.rows.iter().filter(|row| row.status == Status::Ok && row.message.is_some()).count();
    if warned > 0 {
        say(format_args!("{warned} measurements carry warnings: see the column `message` of the journal"))?;
    }
    let Spent { whole, own } = spent;
    let (whole, own) = (whole.as_secs_f64(), own.as_secs_f64());
    let share = 100.0 * own / whole.max(f64::MIN_POSITIVE);
    say(format_args!("{whole:.1} s, of which the search itself took {own:.1} s ({share:.1} %)"))?;
    if summary.members.iter().any(|member| member.model.is_some()) {
        say(format_args!("models:  {}", folder.join(MODELS).display()))?;
    }
    say(format_args!("report:  {}", folder.join(REPORT).display()))?;
    say(format_args!("journal: {}", folder.join(JOURNAL).display()))?;
    say(format_args!("watch:   {}", folder.watch_command()))?;
    say(format_args!("front:   controller front {path} --json"))?;
    // A replay has no children to train longer.
    if let Some(best) = summary.members.iter().find(|member| member.feasible && member.row.train_seconds.is_some()) {
        say(format_args!(
            "next:    controller train '{}' --experiment {config} --set training.epochs=100 --export best.onnx",
            best.row.architecture
        ))?;
    }
    Ok(())
}

fn most_frequent_reason(summary: &Summary) -> Option<String> {
    let (reason, count) = summary.reasons().into_iter().next()?;
    let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
    Some(format!("{reason} ({times})"))
}
