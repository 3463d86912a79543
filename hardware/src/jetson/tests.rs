//! Measuring on simulated boards whose true energy is known.

use std::time::Duration;

use super::link::Link;
use super::measure::measure;
use super::options::PowerSource;
use super::simulation::{Physics, Simulation, boards};
use super::{JetsonOptions, PowerKind};
use crate::device::Plan;
use crate::measurement::Measurement;
use crate::model::Model;
use crate::remote::{Agent, Place};
use crate::warning::Warning;

fn options(power: PowerSource) -> JetsonOptions {
    let kind = match power {
        PowerSource::Tegrastats { .. } => PowerKind::Tegrastats,
        PowerSource::Ina3221 { .. } => PowerKind::Ina3221,
    };
    let power_interval_ms = Some(power.period().as_millis() as u64);
    JetsonOptions { power: kind, power_interval_ms, ..JetsonOptions::default() }
}

struct Result {
    measurement: Measurement,
    truth_mj: f64,
    fifty_runs_mj: f64,
    seconds: f64,
}

fn measured(physics: &Physics, power: PowerSource, seed: u8) -> Result {
    measured_with(physics, &options(power), seed)
}

fn measured_with(physics: &Physics, options: &JetsonOptions, seed: u8) -> Result {
    let (simulation, observed) = Simulation::new(physics.clone(), seed);
    let mut link = Link::set_up(Agent::greet(Box::new(simulation)).unwrap(), Place::Here, options).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    std::fs::write(&path, "a model").unwrap();
    let model = Model::load("a", &path).unwrap();
    // The first time builds the engine, which is not part of measuring.
    measure(&mut link, options, &model, &Plan::default()).unwrap();
    let begun_ns = observed.lock().unwrap().now_ns;
    let runs = observed.lock().unwrap().truths.len();
    let measurement = measure(&mut link, options, &model, &Plan::default()).unwrap();
    let observed = observed.lock().unwrap();
    let truths = &observed.truths[runs..];
    let mean = |of: fn(&super::simulation::Truth) -> f64| truths.iter().map(of).sum::<f64>() / truths.len() as f64;
    Result {
        measurement,
        truth_mj: mean(|truth| truth.energy_mj),
        fifty_runs_mj: truths[0].energy_by_fifty_runs_mj,
        seconds: (observed.now_ns - begun_ns) as f64 / 1e9,
    }
}

/// The table of errors: `cargo test -p hardware --lib energy_is_right -- --nocapture`.
#[test]
fn energy_is_right_on_fifty_boards() {
    let meters = [
        (PowerSource::Tegrastats { interval: Duration::from_millis(100) }, 0.01),
        (PowerSource::Ina3221 { period: Duration::from_millis(5) }, 0.003),
    ];
    println!(
        "board  idle mW  load mW  noise %  drift mW/s | true mJ | 100 ms: error %   time s | 5 ms: error %   time s | fifty runs: error %"
    );
    let mut worst = [0.0_f64; 3];
    for (board, physics) in boards(50, 5.0).iter().enumerate() {
        print!(
            "{board:5}  {:7.0}  {:7.0}  {:7.2}  {:10.1}",
            physics.idle_mw,
            physics.load_mw,
            physics.noise * 100.0,
            physics.drift_mw_per_s
        );
        for (index, (power, most)) in meters.iter().enumerate() {
            let result = measured(physics, *power, board as u8);
            let energy = result.measurement.energy.as_ref().unwrap();
            let error = energy.per_inference_mj / result.truth_mj - 1.0;
            worst[index] = worst[index].max(error.abs());
            if index == 0 {
                print!(" | {:7.3}", result.truth_mj);
            }
            print!(" | {:15.3}  {:7.1}", error * 100.0, result.seconds);
            if index == 1 {
                let error = result.fifty_runs_mj / result.truth_mj - 1.0;
                worst[2] = worst[2].max(error.abs());
                println!(" | {:19.2}", error * 100.0);
            }
            assert!(error.abs() <= *most, "board {board}: {error} with {power:?}\n{physics:?}\n{energy:?}");
            assert!(energy.power_interval.unwrap() <= 0.02 && energy.power_samples.unwrap() >= 30, "{energy:?}");
            // Idle power is what the board draws without load, warm as it is.
            let idle = energy.idle_power_mw.unwrap();
            let warm = physics.idle_mw + physics.leak_mw + 60.0 * physics.drift_mw_per_s.abs();
            assert!((0.9 * physics.idle_mw..1.1 * warm).contains(&idle), "{idle} {physics:?}");
        }
    }
    println!(
        "largest error: {:.3} % at 100 ms, {:.3} % at 5 ms, {:.2} % by fifty runs",
        worst[0] * 100.0,
        worst[1] * 100.0,
        worst[2] * 100.0
    );
}

#[test]
fn noisy_power_is_measured_for_longer() {
    let calm = Physics { noise: 0.002, jitter: 0.0, ..boards(1, 5.0)[0].clone() };
    let noisy = Physics { noise: 0.25, ..calm.clone() };
    let power = PowerSource::Tegrastats { interval: Duration::from_millis(100) };
    let (calm, noisy) = (measured(&calm, power, 1), measured(&noisy, power, 1));
    assert!(noisy.seconds > calm.seconds + 10.0, "{} {}", noisy.seconds, calm.seconds);
    let samples = |result: &Result| result.measurement.energy.as_ref().unwrap().power_samples.unwrap();
    assert!(samples(&noisy) > 2 * samples(&calm));
}

#[test]
fn latency_leaves_the_warm_up_out_and_tells_transfers_apart() {
    let physics = Physics { jitter: 0.0, ..boards(1, 5.0)[0].clone() };
    let measurement = measured(&physics, PowerSource::Ina3221 { period: Duration::from_millis(5) }, 3).measurement;
    assert_eq!(measurement.latency.runs, Some((10_000.0 / physics.latency_ms).ceil() as u64));
    let compute = measurement.latency_without_transfer.unwrap().mean_ms;
    assert!((measurement.latency.mean_ms - compute - 0.02).abs() < 1e-9, "{compute}");
    assert!(measurement.latency.p99_ms.is_some());
}

#[test]
fn a_board_that_does_not_come_to_rest_is_told() {
    let restless = Physics { drift_mw_per_s: 300.0, idle_mw: 1500.0, noise: 0.002, ..boards(1, 5.0)[0].clone() };
    let power = PowerSource::Tegrastats { interval: Duration::from_millis(100) };
    let limit = Duration::from_secs(10);
    let hasty = JetsonOptions { settle_limit: limit / 2, window_limit: limit, ..options(power) };
    let warnings = measured_with(&restless, &hasty, 1).measurement.warnings;
    assert!(warnings.iter().any(|warning| matches!(warning, Warning::Unsettled { .. })), "{warnings:?}");
    let calm = Physics { drift_mw_per_s: 0.0, leak_mw: 0.0, ..restless };
    let warnings = measured(&calm, power, 1).measurement.warnings;
    assert!(warnings.is_empty(), "{warnings:?}");
}

/// Why a measurement on a board is given up.
fn refused(physics: Physics) -> String {
    let (simulation, _) = Simulation::new(physics, 1);
    let options = options(PowerSource::Tegrastats { interval: Duration::from_millis(100) });
    let mut link = Link::set_up(Agent::greet(Box::new(simulation)).unwrap(), Place::Here, &options).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    std::fs::write(&path, "a model").unwrap();
    let model = Model::load("a", &path).unwrap();
    let error = measure(&mut link, &options, &model, &Plan::default()).unwrap_err();
    assert!(error.is_transient(), "{error}");
    error.to_string()
}

#[test]
fn a_report_that_is_noticed_late_is_not_believed() {
    let reason = refused(Physics { late_s: 2.0, ..boards(1, 5.0)[0].clone() });
    assert!(reason.contains("too busy"), "{reason}");
}

#[test]
fn a_clock_that_steps_gives_no_wrong_energy() {
    let forward = refused(Physics { step_s: 4.0, ..boards(1, 5.0)[0].clone() });
    assert!(forward.contains("lie between"), "{forward}");
    let back = refused(Physics { step_s: -4.0, ..boards(1, 5.0)[0].clone() });
    assert!(back.contains("time stamp is not later"), "{back}");
}

#[test]
fn inferences_that_overlap_are_not_counted_for_too_long() {
    // Ten inferences of 200 ms a window: the input of the first is transferred one inference before it is computed.
    let physics = Physics { latency_ms: 200.0, jitter: 0.0, noise: 0.001, ..boards(1, 5.0)[0].clone() };
    let result = measured(&physics, PowerSource::Ina3221 { period: Duration::from_millis(5) }, 2);
    let energy = result.measurement.energy.unwrap().per_inference_mj;
    assert!((energy / result.truth_mj - 1.0).abs() < 0.003, "{energy} {}", result.truth_mj);
}

#[test]
fn a_full_disk_is_told_before_anything_is_built() {
    let reason = refused(Physics { free_bytes: 3 << 20, ..boards(1, 5.0)[0].clone() });
    assert!(reason.contains("disk is full: 3 MB are free where /work lies"), "{reason}");
}
