//! Simulated meters and loads, for tests only: time is simulated and power is a formula, so that the true energy is
//! known.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use proptest::prelude::RngExt as _;
use proptest::test_runner::{RngAlgorithm, TestRng};

use super::*;
use crate::meter::{MeterError, Point, Trace};
use crate::time::{Clock, Window};
use crate::warning::Warning;

/// Power of a simulated device, and the windows in which it works.
#[derive(Clone)]
struct World {
    clock: Clock,
    loads: Arc<Mutex<Vec<Window>>>,
    idle_mw: f64,
    load_mw: f64,
}

/// Time of an inference, in s.
const PERIOD_S: f64 = 0.004;

impl World {
    fn new(idle_mw: f64, load_mw: f64) -> Self {
        let clock = Clock::simulated(Box::leak(Box::new(AtomicU64::new(1_000_000_000))));
        Self { clock, loads: Arc::default(), idle_mw, load_mw }
    }

    fn power_mw(&self, at_ns: u64) -> f64 {
        let is_busy = self.loads.lock().unwrap().iter().any(|load| (load.from_ns..load.to_ns).contains(&at_ns));
        self.idle_mw + if is_busy { self.load_mw } else { 0.0 }
    }

    fn seconds(&self) -> f64 {
        self.clock.now_ns() as f64 / 1e9
    }
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Meter(#[from] MeterError),
    #[error(transparent)]
    Energy(#[from] EnergyError),
}

impl Load for World {
    type Error = Failure;

    fn run(&mut self, duration: Duration, watch: &Watch) -> Result<LoadRun, Failure> {
        // A program is loaded first.
        self.clock.sleep(Duration::from_millis(700));
        let window = Window { from_ns: self.clock.now_ns(), to_ns: self.clock.now_ns() + duration.as_nanos() as u64 };
        self.loads.lock().unwrap().push(window);
        while self.clock.now_ns() < window.to_ns {
            self.clock.sleep(Duration::from_millis(200).min(Duration::from_nanos(window.to_ns - self.clock.now_ns())));
            watch()?;
        }
        let inferences = (window.seconds() / PERIOD_S).round() as u64;
        Ok(LoadRun { window, inferences, period_s: window.seconds() / inferences as f64 })
    }
}

/// A meter that reads at instants, with noise and a resolution.
struct Simulated {
    world: World,
    spacing_ns: u64,
    /// Standard deviation of a reading, in mW.
    noise_mw: f64,
    step_mw: Option<f64>,
    begun_ns: Option<u64>,
    /// The instant at which it is unplugged.
    ends_ns: u64,
    rng: TestRng,
}

fn meter(world: &World, spacing_s: f64) -> Simulated {
    Simulated {
        world: world.clone(),
        spacing_ns: (spacing_s * 1e9) as u64,
        noise_mw: 0.0,
        step_mw: None,
        begun_ns: None,
        ends_ns: u64::MAX,
        rng: TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]),
    }
}

impl PowerMeter for Simulated {
    fn name(&self) -> &'static str {
        "simulated"
    }

    fn describe(&self) -> String {
        "a simulated meter".to_owned()
    }

    fn start(&mut self) -> Result<(), MeterError> {
        self.begun_ns = Some(self.world.clock.now_ns());
        Ok(())
    }

    fn check(&self) -> Result<usize, MeterError> {
        let now_ns = self.world.clock.now_ns();
        if now_ns > self.ends_ns {
            return Err(MeterError::Lost("it was unplugged".to_owned()));
        }
        Ok(self.begun_ns.map_or(0, |begun_ns| ((now_ns - begun_ns) / self.spacing_ns) as usize))
    }

    fn stop(&mut self) -> Result<Trace, MeterError> {
        let readings = self.check()? as u64;
        let begun_ns = self.begun_ns.take().unwrap();
        let mut points = Vec::new();
        for at_ns in (1..=readings).map(|reading| begun_ns + reading * self.spacing_ns) {
            // The sum of twelve uniform numbers is nearly normal.
            let normal = (0..12).map(|_| self.rng.random::<f64>()).sum::<f64>() - 6.0;
            let power_mw = self.world.power_mw(at_ns) + self.noise_mw * normal;
            let power_mw = self.step_mw.map_or(power_mw, |step| (power_mw / step).round() * step);
            points.push(Point { at_ns, power_mw });
        }
        let mut trace = Trace::of_rail("simulated", points);
        trace.resolution_mw = self.step_mw;
        Ok(trace)
    }
}

fn options() -> EnergyPlan {
    EnergyPlan {
        window: Duration::from_secs(10),
        window_limit: Duration::from_secs(60),
        idle: Duration::from_secs(3),
        settle_limit: Duration::from_secs(30),
        subtract_idle: false,
    }
}

fn measured(meter: &mut Simulated, options: &EnergyPlan) -> Result<Measured, Failure> {
    let world = meter.world.clone();
    measure(meter, &world.clock, &mut world.clone(), options, 0.02)
}

#[test]
fn energy_is_right_at_every_reading_rate() {
    for spacing_s in [0.001, 0.01, 0.1, 0.5, 1.0, 1.7] {
        let world = World::new(400.0, 1300.0);
        let mut meter = meter(&world, spacing_s);
        meter.noise_mw = 20.0;
        let energy = measured(&mut meter, &options()).unwrap().energy;
        let (total, above) = (1700.0 * PERIOD_S, 1300.0 * PERIOD_S);
        assert!((energy.per_inference_mj / total - 1.0).abs() < 0.01, "{spacing_s}: {energy:?}");
        assert!((energy.above_idle_mj.unwrap() / above - 1.0).abs() < 0.02, "{spacing_s}: {energy:?}");
        assert!((energy.idle_power_mw.unwrap() / 400.0 - 1.0).abs() < 0.06, "{spacing_s}: {energy:?}");
        assert!(energy.power_samples.unwrap() >= 30, "{spacing_s}: {energy:?}");
        assert_eq!(energy.counted_mj(), energy.per_inference_mj);
    }
}

#[test]
fn a_noisy_meter_is_read_for_longer() {
    let spent = |noise_mw: f64| {
        let world = World::new(400.0, 1300.0);
        let mut meter = meter(&world, 0.1);
        meter.noise_mw = noise_mw;
        let energy = measured(&mut meter, &options()).unwrap().energy;
        (world.seconds(), energy.power_interval.unwrap())
    };
    let (calm, noisy) = (spent(5.0), spent(350.0));
    assert!(noisy.0 > calm.0 + 10.0 && noisy.1 <= 0.025, "{calm:?} {noisy:?}");
}

#[test]
fn the_resolution_is_part_of_the_uncertainty() {
    let world = World::new(400.0, 1300.0);
    let mut coarse = meter(&world, 0.1);
    coarse.step_mw = Some(500.0);
    let metered = measured(&mut coarse, &options()).unwrap();
    let interval = metered.energy.power_interval.unwrap();
    assert!((interval - 1.96 * 500.0 / 12.0_f64.sqrt() / 1500.0).abs() < 1e-6, "{interval}");
    let is_wide = |warning: &Warning| matches!(warning, Warning::WidePowerInterval { .. });
    assert!(metered.warnings.iter().any(is_wide), "{:?}", metered.warnings);
}

#[test]
fn a_meter_that_is_too_slow_is_rejected_before_the_load_begins() {
    let world = World::new(400.0, 1300.0);
    let error = measured(&mut meter(&world, 4.0), &options()).unwrap_err().to_string();
    assert!(error.contains("window_limit_s = 60") && error.contains("4.0"), "{error}");
    assert!(world.loads.lock().unwrap().is_empty());
}

#[test]
fn a_running_device_that_draws_nothing_is_rejected_without_advice_that_leads_back() {
    for subtract_idle in [false, true] {
        for (idle_mw, load_mw, step_mw) in [(0.0, 0.0, None), (0.0, 0.0, Some(1.0)), (0.02, 0.1, Some(1.0))] {
            let mut meter = meter(&World::new(idle_mw, load_mw), 0.1);
            meter.step_mw = step_mw;
            let error = measured(&mut meter, &EnergyPlan { subtract_idle, ..options() });
            let Err(Failure::Meter(MeterError::Settings(error))) = error else { panic!("{error:?}") };
            assert!(error.contains("a simulated meter reads 0 mW") && error.contains("\"none\""), "{error}");
            assert!(!error.contains("subtract_idle"), "{error}");
        }
    }
    // An idle device may draw nothing that the meter sees.
    let energy = measured(&mut meter(&World::new(0.0, 1300.0), 0.1), &options()).unwrap().energy;
    assert!((energy.per_inference_mj / (1300.0 * PERIOD_S) - 1.0).abs() < 1e-6, "{energy:?}");
}

#[test]
fn a_meter_that_is_unplugged_ends_the_load() {
    let world = World::new(400.0, 1300.0);
    let mut meter = meter(&world, 0.1);
    meter.ends_ns = 8_000_000_000;
    assert!(matches!(measured(&mut meter, &options()), Err(Failure::Meter(MeterError::Lost(_)))));
    assert!(world.seconds() < 8.5, "{}", world.seconds());
}

#[test]
fn idle_is_subtracted_where_the_load_rises_above_it() {
    let above = EnergyPlan { subtract_idle: true, ..options() };
    let world = World::new(5000.0, 1300.0);
    let energy = measured(&mut meter(&world, 0.1), &above).unwrap().energy;
    assert!((energy.counted_mj() / (1300.0 * PERIOD_S) - 1.0).abs() < 1e-6, "{energy:?}");
    assert!((energy.per_inference_mj / (6300.0 * PERIOD_S) - 1.0).abs() < 1e-6, "{energy:?}");
    let world = World::new(5000.0, 0.0);
    let error = measured(&mut meter(&world, 0.1), &above).unwrap_err().to_string();
    assert!(error.contains("not above that of the idle device"), "{error}");
}

mod options {
    use super::*;
    use crate::meter::MeterOptions;

    fn plan(text: &str) -> EnergyPlan {
        toml::from_str::<EnergyOptions>(text).unwrap().resolved(&MeterOptions::Auto {})
    }

    #[test]
    fn the_limit_grows_with_the_window() {
        assert_eq!(plan("window_s = 20").window_limit, Duration::from_secs(120));
        assert_eq!(plan("window_s = 0.5").window_limit, Duration::from_secs(12));
        assert_eq!(plan("window_s = 3\nwindow_limit_s = 4").window_limit, Duration::from_secs(4));
    }

    #[test]
    fn defaults_suit_the_meter() {
        for meter in [MeterOptions::None {}, MeterOptions::Auto {}, MeterOptions::Battery { period_ms: 250 }] {
            let plan = EnergyOptions::default().resolved(&meter);
            assert_eq!((plan.window, plan.idle), meter.usual_times());
            assert_eq!((plan.window_limit, plan.problem()), (6 * plan.window, None));
        }
    }

    #[test]
    fn impossible_times_are_rejected() {
        for text in ["window_s = -1", "window_s = nan", "idle_s = 1e9", "windows_s = 1"] {
            assert!(toml::from_str::<EnergyOptions>(text).is_err(), "{text}");
        }
        for text in ["idle_s = 0", "window_s = 9\nwindow_limit_s = 8"] {
            assert!(plan(text).problem().unwrap().contains("_s must be"), "{text}");
        }
    }
}
