//! A study as tables and as CSV.

use anyhow::Result;

use super::{Combination, Shared, Study};
use crate::history::History;
use crate::problem::Problem;
use crate::report::{cell, fixed, heading, lines, plain_table};

const NONE: &str = "–";

/// Fronts, their use on other targets, and rank correlations.
pub fn table(study: &Study) -> String {
    let Study { targets, transfers, correlations } = study;
    let share = |value: Option<f64>| value.map_or_else(|| NONE.to_owned(), |value| fixed(value, 4));
    let mut fronts = plain_table(&["target", "measured", "members", "hypervolume"]);
    for target in targets {
        let counts = [target.measured, target.members.len()].map(|count| count.to_string());
        fronts.add_row([target.name.clone()].into_iter().chain(counts).chain([share(target.hypervolume_share)]));
    }
    let mut text = lines(fronts, 1);
    text.push_str("\nthe front of one target, used on another:\n");
    let mut used = plain_table(&["front of", "on", "members in common", "measured there", "hypervolume kept"]);
    for transfer in transfers {
        let counts = [transfer.in_common, transfer.measured].map(|count| count.to_string());
        let names = [transfer.of.clone(), transfer.on.clone()];
        used.add_row(names.into_iter().chain(counts).chain([share(transfer.kept)]));
    }
    text.push_str(&lines(used, 2));
    text.push_str("\nrank correlation of the networks that were measured on both (Spearman):\n");
    let mut ranks = plain_table(&["objective", "targets", "networks", "correlation"]);
    for found in correlations {
        let targets = found.targets.join(", ");
        ranks.add_row([found.objective.to_string(), targets, found.networks.to_string(), share(found.spearman)]);
    }
    text.push_str(&lines(ranks, 2));
    text
}

/// A study as CSV: a row for each pair of targets, with the correlation of each objective.
///
/// # Errors
/// If a name cannot be written.
pub fn csv(study: &Study) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "front_of",
        "on",
        "members",
        "members_in_common",
        "members_measured",
        "hypervolume_kept",
        "time_ms_spearman",
        "energy_mj_spearman",
    ])?;
    let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    for transfer in &study.transfers {
        let spearman = |name: &str| {
            let is_of = |targets: &[String; 2]| targets.contains(&transfer.of) && targets.contains(&transfer.on);
            let mut all = study.correlations.iter().filter(|found| found.objective.name() == name);
            number(all.find(|found| is_of(&found.targets)).and_then(|found| found.spearman))
        };
        let front = study.targets.iter().find(|target| target.name == transfer.of);
        let members = front.map_or(0, |front| front.members.len());
        let counts = [members, transfer.in_common, transfer.measured].map(|count| count.to_string());
        let names = [transfer.of.clone(), transfer.on.clone()];
        let shares = [number(transfer.kept), spearman("time_ms"), spearman("energy_mj")];
        writer.write_record(names.into_iter().chain(counts).chain(shares))?;
    }
    Ok(writer.into_inner()?)
}

/// A front for all targets, with the values on each.
///
/// # Errors
/// If an architecture is not of the space.
pub fn shared_table(
    problem: &Problem,
    history: &History,
    combination: Combination,
    front: &[Shared],
) -> Result<String> {
    let targets = problem.targets();
    let of = match combination {
        Combination::Worst => "worst",
        Combination::Mean => "mean",
    };
    let mut header = vec!["#".to_owned()];
    for objective in targets.objectives() {
        let is_common = targets.common(objective).is_some();
        header.push(if is_common {
            heading(objective).trim_end_matches(" ± σ").to_owned()
        } else {
            format!("{of} {objective}")
        });
    }
    let measured = || targets.columns().iter().enumerate().filter(|(_, column)| column.target.is_some());
    header.extend(measured().map(|(_, column)| column.name.clone()));
    let right_aligned = header.len();
    header.push("architecture".to_owned());
    let mut table = plain_table(&header);
    for Shared { evaluation, values, combined } in front {
        let mut row = vec![evaluation.to_string()];
        for (objective, value) in targets.objectives().into_iter().zip(combined) {
            let is_common = targets.common(objective).is_some();
            row.push(if is_common { cell(objective, *value, None) } else { fixed(*value, 4) });
        }
        row.extend(measured().map(|(index, column)| cell(column.objective, values[index], None)));
        let known = history.get(*evaluation);
        row.push(known.map_or(Ok(String::new()), |known| problem.space().format(&known.architecture))?);
        table.add_row(row);
    }
    Ok(lines(table, right_aligned))
}
