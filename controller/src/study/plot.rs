//! The fronts of all targets on each, for a paper.

use anyhow::Result;
use plotters::prelude::*;

use super::members;
use crate::history::History;
use crate::objective::Objective;
use crate::report::{label, range, svg};
use crate::target::Targets;

const HEIGHT: u32 = 420;
const WIDTH: u32 = 480;
/// Colours that colour-blind readers can tell apart (Okabe and Ito 2008).
const COLOURS: [RGBColor; 6] = [
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// A panel for each target, with its front and those of the others as far as they were measured there: an objective that
/// depends on the device across, the error up. `None` if a target has no such pair of objectives.
///
/// # Errors
/// If it cannot be drawn.
pub fn plot(history: &History) -> Result<Option<String>> {
    let targets = history.targets();
    let places: Option<Vec<[usize; 2]>> = (0..targets.len()).map(|target| places(targets, target)).collect();
    let Some(places) = places else { return Ok(None) };
    let columns = targets.len();
    let size = (WIDTH * columns as u32, HEIGHT);
    let drawn = svg(size, |area| {
        for (on, panel) in area.split_evenly((1, columns)).iter().enumerate() {
            let [across, up] = places[on];
            let points = |of: usize| {
                let both = |values: &[Option<f64>]| Some((values[across]?, values[up]?));
                members(history, of).into_iter().filter_map(|member| both(&member.values)).collect::<Vec<_>>()
            };
            let fronts: Vec<Vec<(f64, f64)>> = (0..columns).map(points).collect();
            let all = || fronts.iter().flatten();
            let mut chart = ChartBuilder::on(panel)
                .margin(12)
                .caption(format!("on {}", targets.get(on).name), ("sans-serif", 16))
                .x_label_area_size(42)
                .y_label_area_size(64)
                .build_cartesian_2d(range(all().map(|point| point.0)), range(all().map(|point| point.1)))?;
            let [x, y] = [across, up].map(|place| label(targets.columns()[place].objective));
            chart.configure_mesh().x_desc(x).y_desc(y).light_line_style(WHITE).draw()?;
            for (of, front) in fronts.iter().enumerate() {
                let (colour, size) = (COLOURS[of % COLOURS.len()], if of == on { 5 } else { 3 });
                chart
                    .draw_series(front.iter().map(|point| Circle::new(*point, size, colour.filled())))?
                    .label(format!("found for {}", targets.get(of).name))
                    .legend(move |(x, y)| Circle::new((x + 8, y), 4, colour.filled()));
            }
            chart.configure_series_labels().position(SeriesLabelPosition::UpperRight).border_style(BLACK).draw()?;
        }
        Ok(())
    })?;
    Ok(Some(drawn))
}

/// The columns to plot on a target: across and up.
fn places(targets: &Targets, target: usize) -> Option<[usize; 2]> {
    let mut of_device =
        targets.places(target).iter().filter(|place| targets.columns()[**place].objective.depends_on_device());
    Some([*of_device.next()?, targets.common(Objective::Error)?])
}
