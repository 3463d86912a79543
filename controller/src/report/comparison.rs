//! Two searches on each other's devices: as tables, as a file of values, as plots.

use comfy_table::{Table, presets};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::plot::{DrawResult, label, range, svg};
use super::table::{cell, heading, lines};
use crate::compare::{Comparison, LETTERS, OnDevice, Pick, Point};
use crate::objective::{Bounds, Objective, Objectives};

/// What is lost on each device, and the best networks within the bounds that were asked for.
pub fn comparison_table(comparison: &Comparison) -> String {
    let objectives = &comparison.pair.objectives;
    let mut text = String::new();
    for (letter, side) in LETTERS.into_iter().zip(&comparison.pair.sides) {
        let devices: Vec<_> = side.devices().into_iter().collect();
        let on = if devices.is_empty() { String::new() } else { format!(", on {}", devices.join("; ")) };
        text.push_str(&format!("{letter}: {}, {} evaluations{on}\n", side.path.display(), side.rows.len()));
    }
    text.push('\n');
    text.push_str(&fronts(comparison));
    for ((letter, on), unknown) in LETTERS.into_iter().zip(&comparison.on).zip(&comparison.unknown) {
        text.push_str(&in_words(letter, on, unknown.len(), objectives));
    }
    if comparison.on.iter().any(|on| !on.picks.is_empty()) {
        text.push('\n');
        text.push_str(&picks(comparison));
        text.push_str(
            "best: the least error of each front within the bounds; ×: what the cheapest network of the foreign front \
             that errs at most as much as the best of the own costs, as a multiple of that one\n",
        );
    }
    text
}

/// A line for each front on each device.
fn fronts(comparison: &Comparison) -> String {
    let header =
        ["on", "found on", "members", "known there", "within bounds", "on the joint front", "hypervolume", "share"];
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header);
    for (here, (on, unknown)) in comparison.on.iter().zip(&comparison.unknown).enumerate() {
        let fronts =
            [(here, &on.own, 0, on.hypervolumes[0]), (1 - here, &on.foreign, unknown.len(), on.hypervolumes[1])];
        for (found, points, unknown, hypervolume) in fronts {
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

/// What the hypervolumes are of, and what they say.
fn in_words(letter: &str, on: &OnDevice, unknown: usize, objectives: &Objectives) -> String {
    let other = if letter == LETTERS[0] { LETTERS[1] } else { LETTERS[0] };
    let mut text = String::new();
    if let Some(reference) = &on.reference {
        let limits: Vec<_> = objectives
            .iter()
            .zip(reference)
            .map(|(objective, limit)| {
                let kind = if on.bounds.get(objective).is_some() { " (bound)" } else { "" };
                format!("{objective} {limit:.4}{kind}")
            })
            .collect();
        text.push_str(&format!("on {letter}, reference of the hypervolumes: {}\n", limits.join(", ")));
    }
    let said = match on.share {
        Some(share) if share < 1.0 => {
            format!("searching on {other} for {letter} loses {:.1} % of the hypervolume", 100.0 * (1.0 - share))
        }
        Some(share) => {
            format!("searching on {other} for {letter} loses nothing: it has {:.1} % of the hypervolume", 100.0 * share)
        }
        None if on.own.is_empty() => {
            format!("{letter} has found nothing that keeps its bounds, so nothing is compared")
        }
        None if on.foreign.is_empty() && unknown == 0 => {
            format!("{other} has found nothing that keeps its bounds, so nothing is compared")
        }
        None if on.foreign.is_empty() => {
            format!("none of {other}'s front is known on {letter}, so nothing is compared")
        }
        None => format!("{letter}'s front has no hypervolume below the reference, so there is no share"),
    };
    let left_out = match unknown {
        0 => String::new(),
        unknown => format!("; {unknown} of {other}'s members are not known there and left out"),
    };
    text.push_str(&format!("on {letter}, {said}{left_out}\n"));
    text
}

/// The best of each front within each bound.
fn picks(comparison: &Comparison) -> String {
    let objectives = &comparison.pair.objectives;
    let mut header = ["on", "within", "best found on", "#"].map(str::to_owned).to_vec();
    header.extend(objectives.iter().map(|objective| heading(objective).trim_end_matches(" ± σ").to_owned()));
    header.push("more error %".to_owned());
    let of_device =
        |pick: &Pick| -> Vec<Objective> { pick.as_accurate.iter().map(|(objective, _)| *objective).collect() };
    let costs = comparison.on.iter().flat_map(|on| on.picks.first()).map(of_device).next().unwrap_or_default();
    header.extend(costs.iter().map(|objective| format!("× {}", objective.name())));
    let right_aligned = header.len();
    header.push("architecture".to_owned());
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header);
    for (here, on) in comparison.on.iter().enumerate() {
        for pick in &on.picks {
            for (found, points, best) in [(here, &on.own, pick.own), (1 - here, &on.foreign, pick.foreign)] {
                let point = best.and_then(|index| points.get(index));
                let mut row = vec![LETTERS[here].to_owned(), bounds_in_words(&pick.bounds), LETTERS[found].to_owned()];
                row.push(point.map_or_else(|| "none".to_owned(), |point| point.member.evaluation.to_string()));
                let value = |(index, objective)| {
                    point.map_or_else(String::new, |point| cell(objective, point.member.values[index], None))
                };
                row.extend(objectives.iter().enumerate().map(value));
                if found == here {
                    row.extend(std::iter::repeat_n(String::new(), 1 + costs.len()));
                } else {
                    row.push(pick.error_difference.map_or_else(String::new, |more| format!("{:+.2}", 100.0 * more)));
                    let ratio =
                        |ratio: &Option<f64>| ratio.map_or_else(|| "–".to_owned(), |times| format!("{times:.2}"));
                    row.extend(pick.as_accurate.iter().map(|(_, times)| ratio(times)));
                }
                row.push(point.map_or_else(String::new, |point| point.member.architecture.clone()));
                table.add_row(row);
            }
        }
    }
    lines(table, right_aligned)
}

fn bounds_in_words(bounds: &Bounds) -> String {
    let each =
        Objective::ALL.into_iter().filter_map(|objective| Some(format!("{objective} ≤ {}", bounds.get(objective)?)));
    let each: Vec<_> = each.collect();
    if each.is_empty() { "–".to_owned() } else { each.join(", ") }
}

/// Every network of both fronts on both devices, a row each; one whose values there are not known has none.
///
/// # Errors
/// If it cannot be written.
pub fn comparison_csv(comparison: &Comparison) -> csv::Result<Vec<u8>> {
    let objectives = &comparison.pair.objectives;
    let names: Vec<&str> = objectives.iter().map(Objective::name).collect();
    let mut csv = csv::Writer::from_writer(Vec::new());
    let before = ["on", "found_on", "evaluation", "architecture", "source"];
    csv.write_record(before.iter().chain(&names).chain(&["within_bounds", "on_joint_front"]))?;
    for (here, (on, unknown)) in comparison.on.iter().zip(&comparison.unknown).enumerate() {
        let row = |found: usize, number: u64, architecture: &str| {
            [LETTERS[here].to_owned(), LETTERS[found].to_owned(), number.to_string(), architecture.to_owned()]
        };
        for (found, points) in [(here, &on.own), (1 - here, &on.foreign)] {
            for Point { member, feasible, on_joint_front } in points {
                let mut cells = row(found, member.evaluation, &member.architecture).to_vec();
                cells.push(member.origin.as_str().to_owned());
                cells.extend(member.values.iter().map(f64::to_string));
                cells.extend([feasible.to_string(), on_joint_front.to_string()]);
                csv.write_record(cells)?;
            }
        }
        for foreign in unknown {
            let mut cells = row(1 - here, foreign.evaluation, &foreign.text).to_vec();
            cells.resize(before.len() + names.len() + 2, String::new());
            csv.write_record(cells)?;
        }
    }
    Ok(csv.into_inner().map_err(|error| error.into_error())?)
}

const SIZE: (u32, u32) = (1080, 440);
/// Colours of what was found on A and on B.
const FOUND: [RGBColor; 2] = [RGBColor(200, 60, 30), RGBColor(40, 90, 170)];
const FRAME: RGBColor = RGBColor(150, 160, 170);

/// Two plots side by side: both fronts on A's device, and on B's.
///
/// # Errors
/// If they cannot be drawn.
pub fn comparison_plot(comparison: &Comparison) -> anyhow::Result<String> {
    svg(SIZE, |area| {
        for ((here, on), panel) in comparison.on.iter().enumerate().zip(&area.split_evenly((1, 2))) {
            draw(panel, here, on, &comparison.pair.objectives)?;
        }
        Ok(())
    })
}

/// One device: time across where both runs measured it, and the error up.
fn draw(area: &DrawingArea<SVGBackend, Shift>, here: usize, on: &OnDevice, objectives: &Objectives) -> DrawResult {
    let has = |objective| objectives.position(objective).is_some();
    let across = if has(Objective::Time) { Objective::Time } else { Objective::Energy };
    let other = objectives.iter().find(|objective| *objective != across).filter(|_| !has(Objective::Error));
    let up = other.unwrap_or(Objective::Error);
    let places = objectives.position(across).zip(objectives.position(up));
    let place = |point: &Point| {
        let (x, y) = places?;
        Some((*point.member.values.get(x)?, *point.member.values.get(y)?))
    };
    let mut found = [&on.own, &on.foreign].map(|points| points.iter().filter_map(place).collect::<Vec<_>>());
    // From own and foreign to A's and B's.
    found.rotate_right(here);
    let all = || found.iter().flatten();
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .caption(format!("on {}", LETTERS[here]), ("sans-serif", 16))
        .x_label_area_size(42)
        .y_label_area_size(64)
        .build_cartesian_2d(range(all().map(|p| p.0)), range(all().map(|p| p.1)))?;
    chart.configure_mesh().x_desc(label(across)).y_desc(label(up)).light_line_style(WHITE).draw()?;
    let [a, b] = FOUND;
    chart
        .draw_series(found[0].iter().map(|point| Circle::new(*point, 5, a.filled())))?
        .label(format!("found on {}", LETTERS[0]))
        .legend(move |(x, y)| Circle::new((x + 8, y), 5, a.filled()));
    chart
        .draw_series(found[1].iter().map(|point| TriangleMarker::new(*point, 6, b.filled())))?
        .label(format!("found on {}", LETTERS[1]))
        .legend(move |(x, y)| TriangleMarker::new((x + 8, y), 6, b.filled()));
    chart.configure_series_labels().position(SeriesLabelPosition::UpperRight).border_style(FRAME).draw()?;
    Ok(())
}
