//! A comparison as tables and as CSV.

use hardware::shown;

use super::{LETTERS, OnDevice, Pair, Point};
use crate::objective::{Objective, Objectives};
use crate::report::{bounds_in_words, cell, fixed, heading, lines, plain_table};

/// The loss on each device, and the best networks within the given bounds.
pub fn table(pair: &Pair, on: &[OnDevice; 2]) -> String {
    let objectives = &pair.objectives;
    let mut text = String::new();
    for (letter, side) in LETTERS.into_iter().zip(&pair.sides) {
        let devices: Vec<_> = side.devices().into_iter().map(shown::clean).collect();
        let on = if devices.is_empty() { String::new() } else { format!(", on {}", devices.join("; ")) };
        text.push_str(&format!("{letter}: {}, {} evaluations{on}\n", side.path.display(), side.rows.len()));
    }
    text.push('\n');
    text.push_str(&fronts(on));
    for (letter, on) in LETTERS.into_iter().zip(on) {
        text.push_str(&in_words(letter, on, objectives));
    }
    if on.iter().any(|on| !on.picks.is_empty()) {
        text.push('\n');
        text.push_str(&picks(objectives, on));
        text.push_str(
            "best: the least error of each front within the bounds; ×: the cost of the cheapest network of the other \
             front that is at least as accurate as the best of the device's own front, as a multiple of that one's cost\n",
        );
    }
    text
}

/// One line for each front on each device.
fn fronts(on: &[OnDevice; 2]) -> String {
    let header =
        ["on", "found on", "members", "known there", "within bounds", "on the joint front", "hypervolume", "share"];
    let mut table = plain_table(&header);
    for (here, on) in on.iter().enumerate() {
        let baseline = (here, &on.baseline, 0, on.hypervolumes[0]);
        let other = (1 - here, &on.other, on.unknown.len(), on.hypervolumes[1]);
        for (found, points, unknown, hypervolume) in [baseline, other] {
            let count = |counts: fn(&Point) -> bool| points.iter().filter(|point| counts(point)).count().to_string();
            let share = if found == here { None } else { on.share };
            table.add_row([
                LETTERS[here].to_owned(),
                LETTERS[found].to_owned(),
                (points.len() + unknown).to_string(),
                points.len().to_string(),
                count(|point| point.feasible),
                count(|point| point.on_joint_front),
                hypervolume.map_or_else(|| "–".to_owned(), |volume| format!("{volume:.4}")),
                share.map_or_else(String::new, |share| format!("{:.1} %", 100.0 * share)),
            ]);
        }
    }
    lines(table, header.len())
}

/// The reference of the hypervolumes, and the loss, in words.
fn in_words(letter: &str, on: &OnDevice, objectives: &Objectives) -> String {
    let other = if letter == LETTERS[0] { LETTERS[1] } else { LETTERS[0] };
    let mut text = String::new();
    if let Some(reference) = &on.reference {
        let limits = objectives.iter().zip(reference).map(|(objective, limit)| {
            let kind = if on.bounds.get(objective).is_some() { " (bound)" } else { "" };
            format!("{objective} {limit:.4}{kind}")
        });
        let limits: Vec<_> = limits.collect();
        text.push_str(&format!("on {letter}, reference of the hypervolumes: {}\n", limits.join(", ")));
    }
    let result = match on.share {
        Some(share) if share < 1.0 => {
            format!("searching on {other} for {letter} loses {:.1} % of the hypervolume", 100.0 * (1.0 - share))
        }
        Some(share) => {
            format!("searching on {other} for {letter} loses nothing: it has {:.1} % of the hypervolume", 100.0 * share)
        }
        None if on.baseline.is_empty() => {
            format!("{letter} has found nothing that keeps its bounds, so nothing is compared")
        }
        None if on.other.is_empty() && on.unknown.is_empty() => {
            format!("{other} has found nothing that keeps its bounds, so nothing is compared")
        }
        None if on.other.is_empty() => {
            format!("none of {other}'s front is known on {letter}, so nothing is compared")
        }
        None => format!("{letter}'s front has no hypervolume below the reference, so there is no share"),
    };
    let left_out = match on.unknown.len() {
        0 => String::new(),
        unknown => format!("; {unknown} of {other}'s members are not known there and left out"),
    };
    text.push_str(&format!("on {letter}, {result}{left_out}\n"));
    text
}

/// A difference with its sign and two decimals; a rounded 0 has none.
fn signed(value: f64) -> String {
    let text = fixed(value, 2);
    if value > 0.0 && text != "0.00" { format!("+{text}") } else { text }
}

/// The best networks of each front within each of the bounds.
fn picks(objectives: &Objectives, on: &[OnDevice; 2]) -> String {
    let mut header = ["on", "within", "best found on", "#"].map(str::to_owned).to_vec();
    header.extend(objectives.iter().map(|objective| heading(objective).trim_end_matches(" ± σ").to_owned()));
    header.push("more error %".to_owned());
    let first = on.iter().find_map(|on| on.picks.first());
    let costs: Vec<Objective> = first.iter().flat_map(|pick| &pick.as_accurate).map(|(cost, _)| *cost).collect();
    header.extend(costs.iter().map(|objective| format!("× {objective}")));
    let right_aligned = header.len();
    header.push("architecture".to_owned());
    let mut table = plain_table(&header);
    for (here, on) in on.iter().enumerate() {
        for pick in &on.picks {
            for (found, points, best) in [(here, &on.baseline, pick.baseline), (1 - here, &on.other, pick.other)] {
                let point = best.and_then(|index| points.get(index));
                let within = bounds_in_words(&pick.bounds).unwrap_or_else(|| "–".to_owned());
                let mut row = vec![LETTERS[here].to_owned(), within, LETTERS[found].to_owned()];
                row.push(point.map_or_else(|| "none".to_owned(), |point| point.network.evaluation.to_string()));
                for (index, objective) in objectives.iter().enumerate() {
                    row.push(
                        point.map_or_else(String::new, |point| cell(objective, point.network.values[index], None)),
                    );
                }
                if found == here {
                    row.extend(std::iter::repeat_n(String::new(), 1 + costs.len()));
                } else {
                    row.push(pick.error_difference.map_or_else(String::new, |more| signed(100.0 * more)));
                    for (_, ratio) in &pick.as_accurate {
                        row.push(ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}")));
                    }
                }
                row.push(point.map_or_else(String::new, |point| point.network.text.clone()));
                table.add_row(row);
            }
        }
    }
    lines(table, right_aligned)
}

/// All networks of both fronts on both devices, one row each, without values if these are not known.
pub fn csv(objectives: &Objectives, on: &[OnDevice; 2]) -> csv::Result<Vec<u8>> {
    let names: Vec<&str> = objectives.iter().map(Objective::name).collect();
    let mut csv = csv::Writer::from_writer(Vec::new());
    let before = ["on", "found_on", "evaluation", "architecture", "source"];
    csv.write_record(before.iter().chain(&names).chain(&["within_bounds", "on_joint_front"]))?;
    for (here, on) in on.iter().enumerate() {
        let row = |found: usize, number: u64, architecture: &str| {
            [LETTERS[here].to_owned(), LETTERS[found].to_owned(), number.to_string(), architecture.to_owned()]
        };
        for (found, points) in [(here, &on.baseline), (1 - here, &on.other)] {
            for Point { network, feasible, on_joint_front } in points {
                let mut cells = row(found, network.evaluation, &network.text).to_vec();
                cells.push(network.origin.as_str().to_owned());
                cells.extend(network.values.iter().map(f64::to_string));
                cells.extend([feasible.to_string(), on_joint_front.to_string()]);
                csv.write_record(cells)?;
            }
        }
        for network in &on.unknown {
            let mut cells = row(1 - here, network.evaluation, &network.text).to_vec();
            cells.resize(before.len() + names.len() + 2, String::new());
            csv.write_record(cells)?;
        }
    }
    Ok(csv.into_inner().map_err(|error| error.into_error())?)
}
