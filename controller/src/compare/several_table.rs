//! Several runs as tables and as CSV.

use super::several::Several;
use crate::objective::Objective;
use crate::report::{cell, fixed, heading, lines, plain_table};

/// Shares of the evaluations at which the hypervolume is shown.
const AT: [u64; 4] = [25, 50, 75, 100];

/// Progress of all runs, the spread over seeds, and the settings that differ.
pub fn several_table(several: &Several) -> String {
    let Several { objectives, reference, runs, groups, differing } = several;
    let limits = objectives.iter().zip(reference).map(|(objective, limit)| format!("{objective} {limit:.4}"));
    let limits = limits.collect::<Vec<_>>().join(", ");
    let mut text = format!("hypervolume as a share of the box from 0 to {limits}\n\n");
    let mut header = vec!["#".to_owned(), "seed".to_owned(), "evaluations".to_owned(), "members".to_owned()];
    header.extend(AT.map(|share| format!("at {share} %")));
    let right_aligned = header.len();
    header.push("run".to_owned());
    let mut table = plain_table(&header);
    for (place, run) in runs.iter().enumerate() {
        let all = run.evaluations();
        let mut row = vec![(place + 1).to_string(), run.seed.to_string(), all.to_string(), run.front.len().to_string()];
        row.extend(AT.map(|share| fixed(run.share_after(all * share / 100), 4)));
        row.push(run.folder.display().to_string());
        table.add_row(row);
    }
    text.push_str(&lines(table, right_aligned));
    for group in groups.iter().filter(|group| group.runs.len() > 1) {
        let numbers: Vec<String> = group.runs.iter().map(|place| format!("#{}", place + 1)).collect();
        text.push_str(&format!(
            "\nmean and 95 % interval of {}, which differ in their seeds alone:\n",
            numbers.join(", ")
        ));
        for share in AT {
            let index = group.spread.len() * share as usize / 100;
            let Some(spread) = index.checked_sub(1).and_then(|last| group.spread.get(last)) else { continue };
            let half = spread.half_width.map_or_else(String::new, |half| format!(" ± {half:.4}"));
            text.push_str(&format!("  after {} evaluations: {:.4}{half}\n", spread.evaluations, spread.mean));
        }
    }
    if !differing.is_empty() {
        let mut header = vec!["setting".to_owned()];
        header.extend((1..=runs.len()).map(|number| format!("#{number}")));
        let mut table = plain_table(&header);
        for (name, values) in differing {
            let values = values.iter().map(|value| value.clone().unwrap_or_else(|| "–".to_owned()));
            table.add_row(std::iter::once(name.clone()).chain(values));
        }
        text.push('\n');
        text.push_str(&lines(table, 0));
    }
    text.push_str("\nbest of each front:\n");
    let mut table = plain_table(&["objective", "run", "evaluation", "value", "architecture"]);
    for (index, objective) in objectives.iter().enumerate() {
        let members = runs.iter().enumerate().flat_map(|(run, course)| course.front.iter().map(move |one| (run, one)));
        let best = members.min_by(|(_, a), (_, b)| a.values[index].total_cmp(&b.values[index]));
        if let Some((run, best)) = best {
            table.add_row([
                heading(objective).trim_end_matches(" ± σ").to_owned(),
                format!("#{}", run + 1),
                best.row.evaluation.to_string(),
                cell(objective, best.values[index], None),
                best.row.architecture.clone(),
            ]);
        }
    }
    text.push_str(&lines(table, 0));
    text
}

/// The progress of all runs, a row for each evaluation.
pub fn progress_csv(several: &Several) -> csv::Result<Vec<u8>> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(["run", "seed", "evaluations", "epochs", "hours", "hypervolume"])?;
    for run in &several.runs {
        for step in &run.hypervolume {
            csv.write_record([
                run.folder.display().to_string(),
                run.seed.to_string(),
                step.evaluations.to_string(),
                step.epochs.to_string(),
                step.hours.map_or_else(String::new, |hours| hours.to_string()),
                step.share.to_string(),
            ])?;
        }
    }
    Ok(csv.into_inner().map_err(|error| error.into_error())?)
}

/// The members of all fronts, a row each.
pub fn fronts_csv(several: &Several) -> csv::Result<Vec<u8>> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    let names: Vec<&str> = several.objectives.iter().map(Objective::name).collect();
    csv.write_record(["run", "seed", "evaluation", "architecture"].iter().chain(&names))?;
    for run in &several.runs {
        for member in &run.front {
            let (number, text) = (member.row.evaluation.to_string(), member.row.architecture.clone());
            let before = [run.folder.display().to_string(), run.seed.to_string(), number, text];
            csv.write_record(before.into_iter().chain(member.values.iter().map(f64::to_string)))?;
        }
    }
    Ok(csv.into_inner().map_err(|error| error.into_error())?)
}
