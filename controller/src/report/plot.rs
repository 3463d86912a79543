//! Plots as SVG: text stays text, so drawing needs no font.

use std::ops::Range;

use anyhow::{Context as _, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::Summary;
use crate::objective::Objective;

const SIZE: (u32, u32) = (720, 440);
const ALL: RGBColor = RGBColor(150, 160, 170);
const FRONT: RGBColor = RGBColor(200, 60, 30);

/// All evaluations and the front: one objective across, another up. `None` if fewer than two evaluations have both.
pub fn front_plot(summary: &Summary, across: Objective, up: Objective) -> anyhow::Result<Option<String>> {
    let objectives = &summary.objectives;
    let Some((x, y)) = objectives.position(across).zip(objectives.position(up)) else { return Ok(None) };
    let all: Vec<(f64, f64)> = summary.values.iter().filter_map(|values| Some((values[x]?, values[y]?))).collect();
    if all.len() < 2 {
        return Ok(None);
    }
    let front: Vec<(f64, f64)> = summary.members.iter().map(|member| (member.values[x], member.values[y])).collect();
    let ranges = (range(all.iter().map(|p| p.0)), range(all.iter().map(|p| p.1)));
    svg(SIZE, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .x_label_area_size(42)
            .y_label_area_size(64)
            .build_cartesian_2d(ranges.0, ranges.1)?;
        chart.configure_mesh().x_desc(label(across)).y_desc(label(up)).light_line_style(WHITE).draw()?;
        chart
            .draw_series(all.iter().map(|point| Circle::new(*point, 3, ALL.filled())))?
            .label("evaluated")
            .legend(|(x, y)| Circle::new((x + 8, y), 3, ALL.filled()));
        chart
            .draw_series(front.iter().map(|point| Circle::new(*point, 5, FRONT.filled())))?
            .label("Pareto front")
            .legend(|(x, y)| Circle::new((x + 8, y), 5, FRONT.filled()));
        chart.configure_series_labels().position(SeriesLabelPosition::UpperRight).border_style(ALL).draw()?;
        Ok(())
    })
    .map(Some)
}

pub type DrawResult = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// The text of an SVG file of this width and height with the drawing of `draw`.
pub fn svg(
    size: (u32, u32),
    draw: impl FnOnce(&DrawingArea<SVGBackend, Shift>) -> DrawResult,
) -> anyhow::Result<String> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        area.fill(&WHITE).context("cannot draw the plot")?;
        draw(&area).map_err(|error| anyhow!("cannot draw the plot: {error}"))?;
        area.present().context("cannot draw the plot")?;
    }
    Ok(text)
}

/// The range of the values with a margin; 0 to 1 without values.
pub fn range(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if low > high {
        return 0.0..1.0;
    }
    let room = if high > low { 0.06 * (high - low) } else { (0.1 * high.abs()).max(1e-6) };
    low - room..high + room
}

pub fn label(objective: Objective) -> &'static str {
    match objective {
        Objective::Error => "validation error",
        Objective::Time => "time per inference (ms)",
        Objective::Energy => "energy per inference (mJ)",
        Objective::Parameters => "parameters",
        Objective::Macs => "macs",
        Objective::ActivationBytes => "activation_bytes (B)",
    }
}
