//! Times a round of the model-based strategy for different numbers of earlier evaluations.
//!
//! `cargo run --release -p controller --example round_benchmark [SVG]` prints one line a number of evaluations,
//! `seconds_at_<evaluations> <median>`, and draws them into the file, if one is named. A round is everything between
//! two evaluations: learning the results, fitting the surrogate, updating the policy, choosing five networks. The
//! space is NAS-Bench-201's; error, time and energy are made up of the networks' costs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, anyhow};
use burn::tensor::Device;
use child::graph::Shape;
use child::space::{Architecture, NasBench201, NasBench201Settings};
use controller::history::{Evaluation, History};
use controller::objective::{Bounds, Objective, Objectives};
use controller::problem::{Identity, Problem};
use controller::scalarisation::RewardConfig;
use controller::strategy::{Room, StrategyConfig};
use hardware::log::Status;
use plotters::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// The program's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EVALUATIONS: [usize; 8] = [100, 250, 500, 750, 1000, 1500, 2000, 3000];
const BATCH: usize = 5;
/// Rounds that count, after one that fills the caches.
const TIMED: usize = 3;

fn main() -> Result<()> {
    let space = Arc::new(NasBench201::new(NasBench201Settings::default())?);
    let objectives = Objectives::new([Objective::Error, Objective::Time, Objective::Energy])?;
    let bounds = Bounds::new([(Objective::Error, 0.5)])?;
    let problem = Problem::new(space, Shape::new(3, 32, 32), 10, objectives, bounds, RewardConfig::default())?
        .with_identity(Identity::Architecture);
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut strategy = StrategyConfig::default().build(0, &problem, &Device::default())?;
    let room = Room { measurements: BATCH, trainings: BATCH, trainers: BATCH, batch: BATCH };
    let mut history = History::new(problem.objectives().clone(), problem.bounds().clone());
    let mut medians = Vec::new();
    for evaluations in EVALUATIONS {
        while history.evaluations().len() < evaluations {
            let architecture = problem.space().random(&mut rng);
            evaluate(&problem, &mut history, architecture, &mut rng)?;
        }
        let mut seconds = Vec::new();
        for round in 0..=TIMED {
            let start = Instant::now();
            let decision = strategy.ask(&problem, &history, &room)?;
            if round > 0 {
                seconds.push(start.elapsed().as_secs_f64());
            }
            for wanted in decision.jobs {
                evaluate(&problem, &mut history, wanted.architecture, &mut rng)?;
            }
        }
        seconds.sort_by(f64::total_cmp);
        println!("seconds_at_{evaluations} {:.3}", seconds[TIMED / 2]);
        medians.push((evaluations as f64, seconds[TIMED / 2]));
    }
    match std::env::args().nth(1) {
        Some(path) => draw(&PathBuf::from(path), &medians),
        None => Ok(()),
    }
}

/// Enters a network with made-up objectives, unless it is known.
fn evaluate(problem: &Problem, history: &mut History, architecture: Architecture, rng: &mut ChaCha8Rng) -> Result<()> {
    let key = problem.key(&architecture)?;
    if history.known(&key).is_some() {
        return Ok(());
    }
    let cost = problem.graph(&architecture)?.pruned().cost();
    let mut noisy = |value: f64| value * (0.02 * rng.sample::<f64, _>(StandardNormal)).exp();
    let (macs, parameters) = (cost.macs as f64 / 1e6, cost.parameters as f64 / 1e6);
    let values = [noisy(0.08 + 0.5 * (-4.0 * parameters).exp()), noisy(1.0 + 0.05 * macs), noisy(4.0 + 0.2 * macs)];
    let number = history.next_number();
    let values: Vec<Option<f64>> = values.map(Some).to_vec();
    let (deviations, short_error, status) = (vec![None; 3], None, Status::Ok);
    let measured = Vec::new();
    history.push(Evaluation { number, architecture, key, values, deviations, short_error, status, measured })?;
    Ok(())
}

fn draw(path: &std::path::Path, medians: &[(f64, f64)]) -> Result<()> {
    let failed = |error: &dyn std::fmt::Display| anyhow!("cannot draw {}: {error}", path.display());
    let most = medians.iter().map(|(_, seconds)| *seconds).fold(0.0, f64::max);
    let last = medians.last().map_or(1.0, |(evaluations, _)| *evaluations);
    let area = SVGBackend::new(path, (720, 440)).into_drawing_area();
    area.fill(&WHITE).map_err(|error| failed(&error))?;
    let mut chart = ChartBuilder::on(&area)
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..last, 0.0..1.1 * most)
        .map_err(|error| failed(&error))?;
    let mut mesh = chart.configure_mesh();
    mesh.x_desc("evaluations").y_desc("seconds a round of five").light_line_style(WHITE);
    mesh.draw().map_err(|error| failed(&error))?;
    let line = RGBColor(200, 60, 30);
    chart.draw_series(LineSeries::new(medians.to_vec(), line.stroke_width(2))).map_err(|error| failed(&error))?;
    let points = medians.iter().map(|point| Circle::new(*point, 4, line.filled()));
    chart.draw_series(points).map_err(|error| failed(&error))?;
    area.present().map_err(|error| failed(&error))
}
