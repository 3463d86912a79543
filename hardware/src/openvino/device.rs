//! A device that OpenVINO drives.

use std::time::Duration;

use super::command::Goal;
use super::figure::LOOP_MS;
use super::link::Link;
use super::options::OpenVinoOptions;
use super::report::Report;
use super::support;
use super::trial::{self, Trial, Uploaded};
use crate::device::{Description, Device, DeviceError, Plan};
use crate::doubts;
use crate::energy::{Load, LoadRun, Watch};
use crate::measurement::Measurement;
use crate::meter::{self, PowerMeter};
use crate::model::Model;
use crate::probe;
use crate::program::{self, Machine, ProgramOptions};
use crate::remote::{ClockMap, MODELS, Place, RemoteError, measure_patiently, on_our_clock, provide, wait_while};
use crate::statistic::Statistic;
use crate::time::Clock;

/// Kind of this device in experiment files and logs.
const KIND: &str = "openvino";
/// How long the probe runs.
const PROBING: Duration = Duration::from_secs(1);

/// A device that OpenVINO drives, here or over SSH.
pub struct OpenVino {
    options: OpenVinoOptions,
    machine: Machine<Link>,
    /// The report of the smallest network, once it has run.
    probed: Option<Report>,
}

impl OpenVino {
    /// A device that is not connected to yet.
    ///
    /// # Errors
    /// If a setting is impossible, or the meter is missing.
    pub fn new(options: OpenVinoOptions) -> Result<Self, DeviceError> {
        let (device, meter) = (format!("{KIND} {}", options.device), &options.program.meter);
        let machine = Machine::new(&device, &options, &options.machine, options.folder(), meter)?;
        Ok(Self { options, machine, probed: None })
    }

    /// Does something with the connection, which is opened where there is none.
    fn with_link<T>(
        &mut self,
        act: impl FnOnce(&mut Link, Option<&mut (dyn PowerMeter + 'static)>, &OpenVinoOptions) -> Result<T, RemoteError>,
    ) -> Result<T, RemoteError> {
        let Self { options, machine, .. } = self;
        let open = |agent, place: &_| Link::open(agent, place, options);
        machine.with(options.program.patience, open, |link, meter| act(link, meter, options))
    }

    /// Runs the smallest network, which only works if the device is there.
    fn probe(&mut self) -> Result<(), RemoteError> {
        let report = probe::with_model(|model| {
            self.with_link(|link, _, options| {
                let path = provide(&mut link.agent, &link.place, model, &[MODELS])?;
                let model = Uploaded { path: &path, inputs: &model.inputs };
                trial::start(link, options, model, Goal::Latency, PROBING, &|| Ok(()))
            })
        });
        self.probed = Some(report?.1);
        Ok(())
    }

    fn ask(&mut self) -> Result<Description, RemoteError> {
        let is_away = |error: &RemoteError| matches!(error, RemoteError::Away { .. });
        wait_while(self.options.program.patience, is_away, || self.probe())?;
        let precision = self.probed.as_ref().and_then(|probed| probed.precision.clone());
        self.with_link(|link, meter, options| {
            let precision = precision.unwrap_or_else(|| match support::is_stick(&options.device) {
                true => "FP16".to_owned(),
                false => options.precision.as_str().to_owned(),
            });
            let mut description = Description::new(KIND, &options.device);
            if let Some(host) = link.place.address() {
                description = description.with("host", host);
            }
            description = description
                .with("machine", &link.agent.hello().machine)
                .with("OpenVINO", link.release())
                .with("precision", precision);
            if let Some(threads) = options.threads {
                description = description.with("threads", threads);
            }
            Ok(options.program.energy().describe(description, meter.map(|meter| meter as &dyn PowerMeter)))
        })
    }

    fn attempt(&mut self, model: &Model, plan: &Plan) -> Result<Measurement, RemoteError> {
        let clock = self.machine.clock;
        self.with_link(|link, meter, options| {
            let path = provide(&mut link.agent, &link.place, model, &[MODELS])?;
            link.agent.forget();
            measure(link, meter, &clock, options, Uploaded { path: &path, inputs: &model.inputs }, plan)
        })
    }
}

/// Measures a model that is there.
fn measure(
    link: &mut Link,
    meter: Option<&mut (dyn PowerMeter + 'static)>,
    clock: &Clock,
    options: &OpenVinoOptions,
    model: Uploaded,
    plan: &Plan,
) -> Result<Measurement, RemoteError> {
    let mut work = Work { link, options, model, clock, statistic: plan.statistic(), trials: Vec::new() };
    let (energy, conditions, mut warnings) = program::run(&mut work, meter, clock, &options.program.energy(), plan)?;
    let longest = work.trials.iter().max_by(|a, b| a.window.seconds().total_cmp(&b.window.seconds()));
    let nothing = || RemoteError::Failed { problem: "benchmark_app was not run".to_owned() };
    let latency = longest.ok_or_else(nothing)?.latency();
    warnings.extend(doubts::of_mean(&latency, LOOP_MS));
    let mut throughput_per_s = None;
    if options.throughput {
        let (_, report) = trial::start(work.link, options, model, Goal::Throughput, plan.time_limit, &|| Ok(()))?;
        let missing = || RemoteError::Failed { problem: "benchmark_app prints no throughput".to_owned() };
        throughput_per_s = Some(report.throughput_per_s().ok_or_else(missing)?);
    }
    let measurement =
        Measurement { latency, latency_without_transfer: None, throughput_per_s, energy, conditions, warnings };
    measurement.validated().map_err(|error| RemoteError::Failed { problem: error.to_string() })
}

/// Runs of the tool, as a load.
struct Work<'a> {
    link: &'a mut Link,
    options: &'a OpenVinoOptions,
    model: Uploaded<'a>,
    clock: &'a Clock,
    statistic: Statistic,
    trials: Vec<Trial>,
}

impl Load for Work<'_> {
    type Error = RemoteError;

    fn run(&mut self, duration: Duration, watch: &Watch) -> Result<LoadRun, RemoteError> {
        let before = ClockMap::sample(&mut self.link.agent, self.clock)?;
        let trial = trial::run(self.link, self.options, self.model, self.statistic, duration, watch)?;
        let window = on_our_clock(&mut self.link.agent, self.clock, before, trial.window)?;
        let inferences = trial.inferences;
        self.trials.push(trial);
        Ok(LoadRun { window, inferences, period_s: window.seconds() / inferences.max(1) as f64 })
    }
}

impl Device for OpenVino {
    fn describe(&mut self) -> Result<Description, DeviceError> {
        self.ask().map_err(|error| self.machine.error(error, None))
    }

    fn health(&mut self) -> Result<Vec<(String, String)>, DeviceError> {
        // A description has waited for the probe already.
        let probed = if self.probed.is_some() { Ok(()) } else { self.ask().map(|_| ()) };
        let asked = probed.and_then(|()| {
            self.with_link(|link, meter, options| {
                let mut health = link.agent.health()?;
                health.push(("benchmark_app".to_owned(), format!("{}, OpenVINO {}", link.tool, link.version)));
                let source = meter.as_deref().map(|meter| meter.describe());
                let source = source.or_else(|| options.program.meter.why_none(&link.place));
                health.extend(source.map(|text| ("power meter".to_owned(), text)));
                if let Some(meter) = meter {
                    health.push(("meter".to_owned(), meter::health(meter)?));
                }
                Ok(health)
            })
        });
        asked.map_err(|error| self.machine.error(error, None))
    }

    fn measure(&mut self, model: &Model, plan: &Plan) -> Result<Measurement, DeviceError> {
        let ProgramOptions { tries, patience, .. } = self.options.program;
        let measured = measure_patiently(tries, patience, |_| false, || self.attempt(model, plan));
        measured.map_err(|error| self.machine.error(error, Some(model)))
    }

    fn release(&mut self) {
        self.machine.release();
    }

    fn shares_machine(&self) -> bool {
        matches!(self.machine.place(), Place::Here)
    }

    fn lacks(&self, statistic: Statistic) -> Option<String> {
        let is_printed = matches!(statistic, Statistic::Median | Statistic::Mean);
        (!is_printed).then(|| format!("benchmark_app prints median and mean of its runs, and no {statistic}"))
    }

    fn measures_energy(&self) -> bool {
        self.machine.meter.is_some()
    }
}
