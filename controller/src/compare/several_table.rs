//! Several runs as tables and as CSV.

use super::several::{Course, Several};
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
    header.extend(several.has_targets().then(|| "target".to_owned()));
    let mut table = plain_table(&header);
    for (place, run) in runs.iter().enumerate() {
        let all = run.evaluations();
        let mut row = vec![(place + 1).to_string(), run.seed.to_string(), all.to_string(), run.front.len().to_string()];
        row.extend(AT.map(|share| fixed(run.share_after(all * share / 100), 4)));
        row.push(run.folder.display().to_string());
        row.extend(run.target.clone());
        table.add_row(row);
    }
    text.push_str(&lines(table, right_aligned));
    for group in groups.iter().filter(|group| group.runs.len() > 1 && !group.spread.is_empty()) {
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
    text.push_str(&best(several));
    text
}

/// The best member of all fronts by each objective. Each target has its own, since values on unlike boards cannot be
/// compared.
fn best(several: &Several) -> String {
    let mut header = vec!["objective", "run", "evaluation", "value", "architecture"];
    if several.has_targets() {
        header.insert(0, "target");
    }
    let mut table = plain_table(&header);
    let mut targets: Vec<&Option<String>> = Vec::new();
    for run in &several.runs {
        if !targets.contains(&&run.target) {
            targets.push(&run.target);
        }
    }
    for target in targets {
        for (index, objective) in several.objectives.iter().enumerate() {
            let runs = several.runs.iter().enumerate().filter(|(_, run)| run.target == *target);
            let members = runs.flat_map(|(run, course)| course.front.iter().map(move |one| (run, one)));
            let best = members.min_by(|(_, a), (_, b)| a.values[index].total_cmp(&b.values[index]));
            let Some((run, best)) = best else { continue };
            let mut row = vec![
                heading(objective).trim_end_matches(" ± σ").to_owned(),
                format!("#{}", run + 1),
                best.row.evaluation.to_string(),
                cell(objective, best.values[index], None),
                best.row.architecture.clone(),
            ];
            if several.has_targets() {
                row.insert(0, target.clone().unwrap_or_default());
            }
            table.add_row(row);
        }
    }
    lines(table, 0)
}

/// The progress of all runs, a row for each evaluation.
pub fn progress_csv(several: &Several) -> csv::Result<Vec<u8>> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    let mut header = before(several, None);
    header.extend(["evaluations", "epochs", "hours", "hypervolume"].map(str::to_owned));
    csv.write_record(header)?;
    for run in &several.runs {
        for step in &run.hypervolume {
            let mut row = before(several, Some(run));
            row.extend([
                step.evaluations.to_string(),
                step.epochs.to_string(),
                step.hours.map_or_else(String::new, |hours| hours.to_string()),
                step.share.to_string(),
            ]);
            csv.write_record(row)?;
        }
    }
    Ok(csv.into_inner().map_err(|error| error.into_error())?)
}

/// The members of all fronts, a row each.
pub fn fronts_csv(several: &Several) -> csv::Result<Vec<u8>> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    let mut header = before(several, None);
    header.extend(["evaluation", "architecture"].map(str::to_owned));
    header.extend(several.objectives.iter().map(|objective| objective.name().to_owned()));
    csv.write_record(header)?;
    for run in &several.runs {
        for member in &run.front {
            let mut row = before(several, Some(run));
            row.extend([member.row.evaluation.to_string(), member.row.architecture.clone()]);
            row.extend(member.values.iter().map(f64::to_string));
            csv.write_record(row)?;
        }
    }
    Ok(csv.into_inner().map_err(|error| error.into_error())?)
}

/// The first cells of each row of a CSV file, or of its header: the run, its target where runs have several, and the seed.
fn before(several: &Several, run: Option<&Course>) -> Vec<String> {
    let [name, seed] = match run {
        Some(run) => [run.folder.display().to_string(), run.seed.to_string()],
        None => ["run", "seed"].map(str::to_owned),
    };
    let target = || run.map_or_else(|| "target".to_owned(), |run| run.target.clone().unwrap_or_default());
    std::iter::once(name).chain(several.has_targets().then(target)).chain([seed]).collect()
}
