//! Measurements on simulated boards whose true energy is known.

use std::time::Duration;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::link::Link;
use super::simulation::{Observed, Physics, Simulation, boards};
use super::{JetsonOptions, measure};
use crate::device::Plan;
use crate::measurement::Measurement;
use crate::meter::At;
use crate::meter::{Condition, MeterError, MeterOptions, Pattern, Point, PowerMeter, StreamOptions, Trace};
use crate::model::Model;
use crate::remote::ssh::SshOptions;
use crate::remote::{Agent, Place, RemoteError, Session};
use crate::warning::Warning;

const SLOW: MeterOptions = MeterOptions::TEGRASTATS;

const FAST: MeterOptions = MeterOptions::INA3221;

fn options(meter: MeterOptions) -> JetsonOptions {
    JetsonOptions { meter, ..JetsonOptions::default() }
}

struct Result {
    measurement: Measurement,
    truth_mj: f64,
    fifty_runs_mj: f64,
    seconds: f64,
}

/// A connection to a simulated board.
struct Bench {
    link: Link,
    session: Session,
    observed: Arc<Mutex<Observed>>,
    model: Model,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new(simulation: Simulation, observed: Arc<Mutex<Observed>>, options: &JetsonOptions) -> Self {
        let agent = Agent::greet(Box::new(simulation)).unwrap();
        let place = Place::Over(SshOptions::new("nowhere", "user"));
        let link = Link::set_up(agent.clone(), &place, options).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        std::fs::write(&path, "a model").unwrap();
        let model = Model::load("a", &path).unwrap();
        Self { link, session: Session::over(place, agent), observed, model, _folder: folder }
    }

    fn attempt(
        &mut self,
        meter: Option<&mut (dyn PowerMeter + 'static)>,
        options: &JetsonOptions,
        plan: &Plan,
    ) -> std::result::Result<Measurement, RemoteError> {
        let clock = self.observed.lock().unwrap().clock;
        measure(&mut self.link, meter, &clock, options, &self.model, plan)
    }

    fn measured(&mut self, meter: &mut (dyn PowerMeter + 'static), options: &JetsonOptions, plan: &Plan) -> Result {
        let now_s = |bench: &Self| bench.observed.lock().unwrap().clock.now_ns() as f64 / 1e9;
        // The first measurement builds the engine, which is not part of it.
        self.attempt(Some(meter), options, plan).unwrap();
        let (begun_s, runs) = (now_s(self), self.observed.lock().unwrap().truths.len());
        let measurement = self.attempt(Some(meter), options, plan).unwrap();
        let seconds = now_s(self) - begun_s;
        let observed = self.observed.lock().unwrap();
        // The loads of a pattern precede the measured ones.
        let pattern = if meter.pattern_unit().is_some() { 4 } else { 0 };
        let truths = &observed.truths[runs + pattern..];
        // Windows differ in length, and a board that warms up draws more in the later ones.
        let inferences: u64 = truths.iter().map(|truth| truth.inferences).sum();
        let spent_mj: f64 = truths.iter().map(|truth| truth.energy_mj * truth.inferences as f64).sum();
        let truth_mj = spent_mj / inferences as f64;
        Result { measurement, truth_mj, fifty_runs_mj: truths[0].energy_by_fifty_runs_mj, seconds }
    }

    fn meter(&self, options: &JetsonOptions) -> Box<dyn PowerMeter> {
        let clock = self.observed.lock().unwrap().clock;
        options.meter().open_over(clock, &self.session).unwrap().unwrap()
    }
}

fn measured(physics: &Physics, meter: &MeterOptions, seed: u8) -> Result {
    measured_with(physics, &options(meter.clone()), seed)
}

fn measured_with(physics: &Physics, options: &JetsonOptions, seed: u8) -> Result {
    let (simulation, observed) = Simulation::new(physics.clone(), seed);
    let mut bench = Bench::new(simulation, observed, options);
    let mut meter = bench.meter(options);
    bench.measured(meter.as_mut(), options, &Plan::default())
}

/// The table of errors: `cargo test -p hardware --lib energy_is_right -- --nocapture`.
#[test]
fn energy_is_right_on_fifty_boards() {
    let meters = [(SLOW, 0.01), (FAST, 0.003)];
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
            let result = measured(physics, power, board as u8);
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
    let steady = Physics { noise: 0.002, jitter: 0.0, ..boards(1, 5.0)[0].clone() };
    let noisy = Physics { noise: 0.25, ..steady.clone() };
    let (steady, noisy) = (measured(&steady, &SLOW, 1), measured(&noisy, &SLOW, 1));
    assert!(noisy.seconds > steady.seconds + 10.0, "{} {}", noisy.seconds, steady.seconds);
    let samples = |result: &Result| result.measurement.energy.as_ref().unwrap().power_samples.unwrap();
    assert!(samples(&noisy) > 2 * samples(&steady));
}

#[test]
fn latency_excludes_the_warm_up_and_separates_transfers() {
    let physics = Physics { jitter: 0.0, ..boards(1, 5.0)[0].clone() };
    let measurement = measured(&physics, &FAST, 3).measurement;
    assert_eq!(measurement.latency.runs, Some((10_000.0 / physics.latency_ms).ceil() as u64));
    let compute = measurement.latency_without_transfer.unwrap().mean_ms;
    assert!((measurement.latency.mean_ms - compute - 0.02).abs() < 1e-9, "{compute}");
    assert!(measurement.latency.p99_ms.is_some());
}

#[test]
fn a_board_that_does_not_settle_gives_a_warning() {
    let unsettled = Physics { drift_mw_per_s: 300.0, idle_mw: 1500.0, noise: 0.002, ..boards(1, 5.0)[0].clone() };
    let limit = Duration::from_secs(10);
    let hasty = JetsonOptions { settle_limit: limit / 2, window_limit: limit, ..options(SLOW) };
    let warnings = measured_with(&unsettled, &hasty, 1).measurement.warnings;
    assert!(warnings.iter().any(|warning| matches!(warning, Warning::Unsettled { .. })), "{warnings:?}");
    let steady = Physics { drift_mw_per_s: 0.0, leak_mw: 0.0, ..unsettled };
    let warnings = measured(&steady, &SLOW, 1).measurement.warnings;
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn a_slow_network_has_as_many_runs_as_the_time_limit_allows() {
    let physics = Physics { latency_ms: 1000.0, jitter: 0.0, ..boards(1, 5.0)[0].clone() };
    let (simulation, observed) = Simulation::new(physics, 1);
    let options = options(MeterOptions::None {});
    let mut bench = Bench::new(simulation, observed, &options);
    let measurement = bench.attempt(None, &options, &Plan::default()).unwrap();
    assert_eq!(measurement.latency.runs, Some(3));
    assert!(matches!(measurement.warnings[..], [Warning::WideInterval { runs: 3, .. }]), "{:?}", measurement.warnings);
}

#[test]
fn a_model_is_removed_once_its_engine_is_built() {
    let (simulation, observed) = Simulation::new(boards(1, 5.0)[0].clone(), 1);
    let options = options(MeterOptions::None {});
    let mut bench = Bench::new(simulation, observed, &options);
    for _ in 0..2 {
        bench.attempt(None, &options, &Plan::default()).unwrap();
    }
    let observed = bench.observed.lock().unwrap();
    let is_model = |path: &&String| path.starts_with("models/");
    let removed: Vec<&String> = observed.removed.iter().filter(is_model).collect();
    assert_eq!(removed, [&format!("models/{}.onnx", bench.model.sha256)]);
}

/// The reason why a measurement on a board fails.
fn failure(physics: Physics) -> String {
    let (simulation, observed) = Simulation::new(physics, 1);
    let options = options(SLOW);
    let mut bench = Bench::new(simulation, observed, &options);
    let mut meter = bench.meter(&options);
    let error = bench.attempt(Some(meter.as_mut()), &options, &Plan::default()).unwrap_err();
    assert!(error.is_transient(), "{error}");
    error.to_string()
}

#[test]
fn tegrastats_that_reads_zero_under_load_is_an_error_of_the_settings() {
    let none = Physics { idle_mw: 0.0, load_mw: 0.0, leak_mw: 0.0, drift_mw_per_s: 0.0, ..boards(1, 5.0)[0].clone() };
    let (simulation, observed) = Simulation::new(none, 1);
    let options = options(SLOW);
    let mut bench = Bench::new(simulation, observed, &options);
    let mut meter = bench.meter(&options);
    let error = bench.attempt(Some(meter.as_mut()), &options, &Plan::default()).unwrap_err();
    let RemoteError::Settings { problem } = error else { panic!("{error:?}") };
    assert!(problem.contains("reads 0 mW") && problem.contains("a running device draws power"), "{problem}");
}

#[test]
fn a_late_report_is_an_error() {
    let reason = failure(Physics { late_s: 2.0, ..boards(1, 5.0)[0].clone() });
    assert!(reason.contains("too busy"), "{reason}");
}

#[test]
fn a_clock_that_steps_gives_no_wrong_energy() {
    let forward = failure(Physics { step_s: 4.0, ..boards(1, 5.0)[0].clone() });
    assert!(forward.contains("lie between"), "{forward}");
    let back = failure(Physics { step_s: -4.0, ..boards(1, 5.0)[0].clone() });
    assert!(back.contains("time stamp is not later"), "{back}");
}

#[test]
fn overlapping_inferences_are_counted_by_their_period() {
    // Ten inferences of 200 ms a window: the input of the first is transferred one inference before it is computed.
    let physics = Physics { latency_ms: 200.0, jitter: 0.0, noise: 0.001, ..boards(1, 5.0)[0].clone() };
    let result = measured(&physics, &FAST, 2);
    let energy = result.measurement.energy.unwrap().per_inference_mj;
    assert!((energy / result.truth_mj - 1.0).abs() < 0.003, "{energy} {}", result.truth_mj);
}

#[test]
fn a_full_disk_is_an_error_before_anything_is_built() {
    let reason = failure(Physics { free_bytes: 3 << 20, ..boards(1, 5.0)[0].clone() });
    assert!(reason.contains("disk is full: 3 MB are free where /work lies"), "{reason}");
}

/// A meter outside the board: simulated time continues while the meter is checked.
struct ExternalMeter {
    meter: Box<dyn PowerMeter>,
    agent: Agent,
}

impl PowerMeter for ExternalMeter {
    fn name(&self) -> &'static str {
        self.meter.name()
    }

    fn describe(&self) -> String {
        self.meter.describe()
    }

    fn start(&mut self) -> std::result::Result<(), MeterError> {
        self.meter.start()
    }

    fn check(&self) -> std::result::Result<usize, MeterError> {
        self.agent.clone().wait(Duration::ZERO).unwrap();
        self.meter.check()
    }

    fn stop(&mut self) -> std::result::Result<Trace, MeterError> {
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            // The supply continues to write while the meter waits for the end of its file.
            scope.spawn(|| {
                let mut agent = self.agent.clone();
                while !is_over.load(Ordering::Relaxed) {
                    agent.wait(Duration::from_millis(50)).unwrap();
                    std::thread::sleep(Duration::from_millis(5));
                }
            });
            let stopped = self.meter.stop();
            is_over.store(true, Ordering::Relaxed);
            stopped
        })
    }

    fn recent(&self, from_ns: u64) -> Vec<Point> {
        self.meter.recent(from_ns)
    }

    fn conditions(&self) -> Vec<Condition> {
        self.meter.conditions()
    }

    fn pattern_unit(&self) -> Option<Duration> {
        self.meter.pattern_unit()
    }

    fn set_pattern(&mut self, pattern: Pattern) {
        self.meter.set_pattern(pattern);
    }
}

/// The table: `cargo test -p hardware --lib the_same_board -- --nocapture`.
#[test]
fn the_same_board_has_the_same_energy_by_every_meter() {
    let folder = tempfile::tempdir().unwrap();
    println!("board | meter      | true mJ | energy mJ | interval % | error % | above idle mJ | readings");
    for (board, physics) in boards(3, 5.0).iter().enumerate() {
        let path = folder.path().join(format!("{board}.csv"));
        let columns = "[columns]\ntime = { column = \"t\", unit = \"s\" }\npower = { column = \"P\", unit = \"w\" }";
        let csv = toml::from_str(&format!("kind = \"csv\"\nfile = {path:?}\nalign = \"edges\"\n{columns}")).unwrap();
        let stream = MeterOptions::Stream(StreamOptions {
            command: vec!["/bin/meter".to_owned()],
            columns: toml::from_str("power = { column = 1, unit = \"w\" }").unwrap(),
            start_limit_s: 30.0,
            at: At::Device,
        });
        let mut energies = Vec::new();
        for meter in [SLOW, FAST, stream, csv] {
            let (mut simulation, observed) = Simulation::new(physics.clone(), board as u8);
            simulation.record_to(std::fs::File::create(&path).unwrap());
            let options = options(meter);
            let is_here = matches!(options.meter, MeterOptions::Csv(_));
            let mut bench = Bench::new(simulation, observed, &options);
            let mut meter = bench.meter(&options);
            if is_here {
                meter = Box::new(ExternalMeter { meter, agent: bench.link.agent.clone() });
            }
            // Warming up is a load too, which the pattern of edges does not contain.
            let plan = Plan { warm_up: Duration::ZERO, ..Plan::default() };
            let Result { measurement, truth_mj, .. } = bench.measured(meter.as_mut(), &options, &plan);
            let energy = measurement.energy.unwrap();
            let (mj, interval) = (energy.per_inference_mj, energy.power_interval.unwrap());
            let error = mj / truth_mj - 1.0;
            println!(
                "{board:5} | {:10} | {truth_mj:7.3} | {mj:9.3} | {:10.3} | {:7.3} | {:13.3} | {:8}",
                meter.name(),
                interval * 100.0,
                error * 100.0,
                energy.above_idle_mj.unwrap(),
                energy.power_samples.unwrap()
            );
            assert!(error.abs() <= interval.max(0.003), "{} {error} {energy:?}", meter.name());
            energies.push((mj / truth_mj, interval));
        }
        for (one, one_interval) in &energies {
            for (other, other_interval) in &energies {
                assert!((one - other).abs() <= one_interval.hypot(*other_interval).max(0.003), "{energies:?}");
            }
        }
    }
}
