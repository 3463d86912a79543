//! The front as a small plot in the terminal.

use std::fmt::Write as _;

use super::{Summary, fixed, label};
use crate::objective::Objective;

/// Size of the plot in characters, without axes.
const SIZE: (usize, usize) = (60, 14);
/// Columns before it: the numbers of the upward axis.
const MARGIN: usize = 10;
/// Narrowest terminal that the plot fits into.
pub const LEAST_COLUMNS: usize = SIZE.0 + MARGIN + 2;

/// All evaluations (`·`) and the front (`●`): the second objective across, the first up; `None` with fewer than two members. The
/// axes span the front, with some room; what lies beyond is left out.
pub fn sketch(summary: &Summary) -> Option<String> {
    let [up, across] = [0, 1].map(|index| summary.objectives.as_slice()[index]);
    let members: Vec<(f64, f64)> = summary.members.iter().map(|one| (one.values[1], one.values[0])).collect();
    let range = |values: &mut dyn Iterator<Item = f64>| {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), value| (l.min(value), h.max(value)));
        let room = 0.15 * (high - low);
        (room > 0.0).then_some(((low - room).max(0.0), high + room))
    };
    let horizontal = range(&mut members.iter().map(|point| point.0))?;
    let vertical = range(&mut members.iter().map(|point| point.1))?;
    let mut grid = vec![vec![' '; SIZE.0]; SIZE.1];
    let place = |value: f64, (low, high): (f64, f64), cells: usize| {
        let share = (value - low) / (high - low);
        (0.0..1.0).contains(&share).then_some((share * cells as f64) as usize)
    };
    let others = summary.values.iter().filter_map(|values| Some((values[1]?, values[0]?)));
    for ((x, y), mark) in others.map(|point| (point, '·')).chain(members.iter().map(|point| (*point, '●'))) {
        if let Some((column, row)) = place(x, horizontal, SIZE.0).zip(place(y, vertical, SIZE.1)) {
            grid[SIZE.1 - 1 - row][column] = mark;
        }
    }
    let mut text = format!("{}\n", label(up));
    for (row, cells) in grid.iter().enumerate() {
        let axis = match row {
            0 => in_axis(up, vertical.1),
            row if row == SIZE.1 - 1 => in_axis(up, vertical.0),
            _ => String::new(),
        };
        let line: String = cells.iter().collect();
        let _ = writeln!(text, "{axis:>MARGIN$} │{}", line.trim_end());
    }
    let (left, right) = (in_axis(across, horizontal.0), in_axis(across, horizontal.1));
    let _ = writeln!(text, "{:MARGIN$} └{}", "", "─".repeat(SIZE.0));
    let between = SIZE.0.saturating_sub(left.chars().count());
    let _ = writeln!(text, "{:MARGIN$}  {left}{right:>between$}", "");
    let name = label(across);
    let _ = writeln!(text, "{:MARGIN$}  {name:^1$}", "", SIZE.0);
    Some(text.lines().map(|line| format!("{}\n", line.trim_end())).collect())
}

/// A number at the end of an axis.
fn in_axis(objective: Objective, value: f64) -> String {
    match objective {
        Objective::Error => fixed(value, 3),
        _ if value >= 1e6 => format!("{value:.2e}"),
        _ if value >= 100.0 => fixed(value, 0),
        _ => fixed(value, 2),
    }
}
