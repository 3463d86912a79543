//! Plots of a comparison.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::{LETTERS, OnDevice, Point};
use crate::objective::{Objective, Objectives};
use crate::report::{DrawResult, label, range, svg};

const SIZE: (u32, u32) = (1080, 440);
/// Colours of networks found on A and on B.
const FOUND: [RGBColor; 2] = [RGBColor(200, 60, 30), RGBColor(40, 90, 170)];
const FRAME: RGBColor = RGBColor(150, 160, 170);

/// Two plots side by side: both fronts on A's device, and on B's.
pub fn plot(objectives: &Objectives, on: &[OnDevice; 2]) -> anyhow::Result<String> {
    svg(SIZE, |area| {
        for ((here, on), panel) in on.iter().enumerate().zip(&area.split_evenly((1, 2))) {
            draw(panel, here, on, objectives)?;
        }
        Ok(())
    })
}

/// The fronts on one device: time, or else energy, across, and the error up.
fn draw(area: &DrawingArea<SVGBackend, Shift>, here: usize, on: &OnDevice, objectives: &Objectives) -> DrawResult {
    let has = |objective| objectives.position(objective).is_some();
    let across = if has(Objective::Time) { Objective::Time } else { Objective::Energy };
    let other = objectives.iter().find(|objective| *objective != across).filter(|_| !has(Objective::Error));
    let up = other.unwrap_or(Objective::Error);
    let places = objectives.position(across).zip(objectives.position(up));
    let place = |point: &Point| {
        let (x, y) = places?;
        Some((*point.network.values.get(x)?, *point.network.values.get(y)?))
    };
    let mut found = [&on.baseline, &on.other].map(|points| points.iter().filter_map(place).collect::<Vec<_>>());
    // From baseline and other to A's and B's.
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
