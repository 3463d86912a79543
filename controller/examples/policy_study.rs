//! Searches a large space where every objective is computed, so that strategies can be compared over many seeds.
//!
//! `cargo run --release -p controller --example policy_study -- SPACE STRATEGY SEED EVALUATIONS [MEASURE_AHEAD]` searches
//! the space `nasnet` or `mobile` (or the settings of a space, as TOML) by a strategy, which is a name or its settings:
//!
//! ```text
//! policy_study mobile evolution 1 100
//! policy_study "name = 'nasnet'; depths = [1]" "name = 'model-based'; drawn = 0" 1 100 20
//! ```
//!
//! It prints a line for each network that is trained in full: its number, error, time and energy, and the hypervolume up
//! to it. The seconds of the whole search go to the standard error.
//!
//! - *time*: a roofline for each layer, the longer one of its arithmetic and its traffic, and a constant for its start;
//! - *energy*: by multiply-accumulate, by byte of activations and of weights, and by time;
//! - *error*: a stand-in for that of a trained network, with a structure like it and nothing else in common. It falls with
//!   the parameters, the depth and the receptive field, each saturating, and with the mean effect of the pairs of
//!   consecutive operations; the effect of each pair at each size of the maps is drawn from a fixed seed.
//! - *hypervolume*: the share of the box up to a reference that a fifth of random networks exceed, in each objective.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use burn::tensor::Device;
use child::graph::{Graph, Shape};
use child::space::SpaceConfig;
use controller::history::{Evaluation, History};
use controller::objective::{Bounds, Objective, Objectives};
use controller::problem::{Fidelity, Problem};
use controller::scalarisation::RewardConfig;
use controller::strategy::{Room, StrategyConfig, WantedJob};
use hardware::log::Status;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use serde::Deserialize;
use serde_json::Value;

/// The program's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: usize = 5;
/// Random networks that fix the scales of the stand-in and the reference of the hypervolume.
const SAMPLE: usize = 256;
const EXCEEDED_BY: usize = SAMPLE / 5;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (space, strategy, seed, evaluations, ahead) = match &arguments[..] {
        [space, strategy, seed, evaluations] => (space, strategy, seed, evaluations, "0"),
        [space, strategy, seed, evaluations, ahead] => (space, strategy, seed, evaluations, ahead.as_str()),
        _ => bail!("usage: policy_study SPACE STRATEGY SEED EVALUATIONS [MEASURE_AHEAD]"),
    };
    let space: SpaceConfig = toml::from_str(&settings(space)).context("SPACE")?;
    let strategy: StrategyConfig = toml::from_str(&settings(strategy)).context("STRATEGY")?;
    let evaluations: usize = evaluations.parse().context("EVALUATIONS")?;
    let objectives = Objectives::new([Objective::Error, Objective::Time, Objective::Energy])?;
    let (shape, reward) = (Shape::new(3, 32, 32), RewardConfig::default());
    let fidelity = Fidelity { measure_ahead: ahead.parse().context("MEASURE_AHEAD")?, ..Fidelity::default() };
    let space = space.build()?.into();
    let problem = Problem::new(space, shape, 10, objectives, Bounds::default(), reward)?.with_fidelity(fidelity);
    let (model, reference) = Model::of_space(&problem)?;
    let problem = problem.with_reference(reference)?;
    let mut strategy = strategy.build(seed.parse().context("SEED")?, &problem, &Device::default())?;
    let mut history = History::of(problem.targets().clone());
    let room = Room { measurements: BATCH, trainings: BATCH, trainers: 1, batch: BATCH };
    let (start, mut trained) = (Instant::now(), 0);
    while trained < evaluations {
        let jobs = strategy.ask(&problem, &history, &room)?.jobs;
        ensure!(!jobs.is_empty(), "the space has no further network");
        for job in jobs {
            let is_training = !job.work.is_measurement();
            let [error, time, energy] = model.work(&problem, &mut history, job)?;
            if is_training && trained < evaluations {
                trained += 1;
                let share = history.hypervolume_share().unwrap_or(0.0);
                println!("{trained} {error:.6} {time:.6} {energy:.6} {share:.6}");
            }
        }
    }
    eprintln!("{:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// TOML from a name, or from settings separated by semicolons.
fn settings(text: &str) -> String {
    if text.contains('=') { text.replace(';', "\n") } else { format!("name = '{text}'") }
}

/// The objectives of a network.
struct Model {
    /// Mean and standard deviation of each quantity over the random networks.
    scales: Vec<[f64; 2]>,
}

impl Model {
    /// The model with scales of the space, and the reference of the hypervolume.
    fn of_space(problem: &Problem) -> Result<(Self, BTreeMap<Objective, f64>)> {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let sample: Result<Vec<Network>> =
            (0..SAMPLE).map(|_| Network::new(&problem.graph(&problem.space().random(&mut rng))?.pruned())).collect();
        let sample = sample?;
        let scale = |index: usize| {
            let values = sample.iter().map(|network| network.quantities()[index]);
            let mean = values.clone().sum::<f64>() / SAMPLE as f64;
            let variance = values.map(|value| (value - mean).powi(2)).sum::<f64>() / SAMPLE as f64;
            [mean, variance.sqrt()]
        };
        let model = Self { scales: (0..4).map(scale).collect() };
        let mut reference = BTreeMap::new();
        for (index, objective) in problem.objectives().iter().enumerate() {
            let mut values: Vec<f64> = sample.iter().map(|network| model.objectives(network)[index]).collect();
            values.sort_by(f64::total_cmp);
            reference.insert(objective, values[SAMPLE - EXCEEDED_BY]);
        }
        Ok((model, reference))
    }

    /// Error, time in ms and energy in mJ.
    fn objectives(&self, network: &Network) -> [f64; 3] {
        let quantities = network.quantities();
        let score = |index: usize| (quantities[index] - self.scales[index][0]) / self.scales[index][1];
        let capacity = score(0).tanh() + 0.5 * score(1).tanh() + 0.4 * score(2).tanh();
        let logit = -1.6 - capacity - 0.5 * score(3);
        [0.04 + 0.9 / (1.0 + (-logit).exp()), network.time_ms, network.energy_mj]
    }

    /// Does a job at once; returns all objectives.
    fn work(&self, problem: &Problem, history: &mut History, job: WantedJob) -> Result<[f64; 3]> {
        let WantedJob { architecture, work } = job;
        let key = problem.key(&architecture)?;
        let all = self.objectives(&Network::new(&problem.graph(&architecture)?.pruned())?);
        let is_trained = !work.is_measurement();
        let status = if is_trained { Status::Ok } else { Status::Measured };
        let values = vec![is_trained.then_some(all[0]), Some(all[1]), Some(all[2])];
        let number = history.known(&key).map_or_else(|| history.next_number(), |known| known.number);
        let (deviations, short_error, measured) = (vec![None; 3], None, Vec::new());
        history.push(Evaluation { number, architecture, key, values, deviations, short_error, status, measured })?;
        Ok(all)
    }
}

/// A graph as it is written.
#[derive(Deserialize)]
struct Layers {
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
struct Layer {
    op: Value,
    inputs: Vec<usize>,
    shape: Shape,
}

impl Layer {
    /// A setting of its operation.
    fn setting(&self, op: &str, name: &str) -> Option<u64> {
        self.op.get(op)?.get(name)?.as_u64()
    }

    /// Kernel and stride of a convolution or pooling.
    fn window(&self) -> Option<[u64; 2]> {
        let op = if self.op.get("Conv").is_some() { "Conv" } else { "Pool" };
        Some([self.setting(op, "kernel")?, self.setting(op, "stride")?])
    }

    /// A code for the operation, the size of its maps, and how it changes the number of channels.
    fn class(&self, channels_in: usize) -> Option<u64> {
        let [kernel, stride] = self.window()?;
        let kind = match self.setting("Conv", "groups") {
            None => u64::from(self.op["Pool"]["kind"] == "Max"),
            Some(1) => 2,
            Some(_) => 3,
        };
        let dilation = self.setting("Conv", "dilation").unwrap_or(1);
        let ratio = (self.shape.channels as f64 / channels_in as f64).log2().round() as i64 + 16;
        let digits = [kind, kernel, stride, dilation, ratio as u64, self.shape.height as u64];
        Some(digits.into_iter().fold(1, |code, digit| code * 64 + digit))
    }
}

/// What the objectives of a network depend on.
struct Network {
    time_ms: f64,
    energy_mj: f64,
    parameters: f64,
    depth: f64,
    receptive_field: f64,
    /// Mean effect of the pairs of consecutive operations.
    effect: f64,
}

impl Network {
    fn new(graph: &Graph) -> Result<Self> {
        let Layers { layers } = serde_json::from_value(serde_json::to_value(graph)?)?;
        let cost = graph.cost();
        let (mut time_us, mut traffic) = (0.0, 0.0);
        // Of each layer the receptive field, the step of its maps in pixels, and the last operations before it.
        let mut seen: Vec<(f64, f64, BTreeSet<u64>)> = Vec::with_capacity(layers.len());
        let (mut effect, mut pairs) = (0.0, 0.0);
        for layer in &layers {
            let (mut field, mut step, mut before) = (1.0_f64, 1.0_f64, BTreeSet::new());
            for input in &layer.inputs {
                (field, step) = (field.max(seen[*input].0), step.max(seen[*input].1));
                before.extend(&seen[*input].2);
            }
            let channels_in = layer.inputs.first().map_or(1, |input| layers[*input].shape.channels);
            if let (Some([kernel, stride]), Some(class)) = (layer.window(), layer.class(channels_in)) {
                let dilation = layer.setting("Conv", "dilation").unwrap_or(1);
                field += ((kernel - 1) * dilation) as f64 * step;
                step *= stride as f64;
                effect += before.iter().map(|last| pair_effect(*last, class)).sum::<f64>();
                pairs += before.len() as f64;
                before = BTreeSet::from([class]);
            }
            seen.push((field, step, before));
            // 20 multiply-accumulates a nanosecond, a fifth of that for grouped ones; 10 bytes a nanosecond.
            let groups = layer.setting("Conv", "groups").unwrap_or(1) as f64;
            let kernel = layer.setting("Conv", "kernel").unwrap_or(0) as f64;
            let macs = kernel * kernel * channels_in as f64 / groups * layer.shape.elements() as f64;
            let read: usize = layer.inputs.iter().map(|input| layers[*input].shape.elements()).sum();
            let bytes = 4.0 * (read + layer.shape.elements()) as f64;
            let speed = if groups > 1.0 { 4e3 } else { 2e4 };
            time_us += 2.0 + (macs / speed).max(bytes / 1e4);
            traffic += bytes;
        }
        let energy_uj = 2e-5 * cost.macs as f64 + 1e-4 * traffic + 4e-4 * cost.parameters as f64 + 0.5 * time_us;
        Ok(Self {
            time_ms: time_us / 1e3,
            energy_mj: energy_uj / 1e3,
            parameters: cost.parameters as f64,
            depth: cost.depth as f64,
            receptive_field: seen.last().map_or(1.0, |(field, ..)| *field),
            effect: effect / f64::max(pairs, 1.0),
        })
    }

    /// The quantities that the error depends on.
    fn quantities(&self) -> [f64; 4] {
        [self.parameters.ln(), self.depth, self.receptive_field.ln(), self.effect]
    }
}

/// The effect of an operation after another, drawn from a seed of the pair.
fn pair_effect(last: u64, class: u64) -> f64 {
    let seed = last.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ class.wrapping_mul(0xC2B2_AE3D_27D4_EB4F);
    ChaCha8Rng::seed_from_u64(seed).sample(StandardNormal)
}
