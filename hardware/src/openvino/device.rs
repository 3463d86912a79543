//! Whatever OpenVINO runs on, as a device.

use std::time::{Duration, Instant};

use super::link::Link;
use super::options::OpenVinoOptions;
use super::report::Report;
use super::trial::{self, Trial};
use super::{probe, support};
use crate::device::{Description, Device, DeviceError, Plan};
use crate::measurement::{Conditions, Measurement};
use crate::energy::{self, Load, LoadRun, Measured, Watch};
use crate::meter::PowerMeter;
use crate::model::Model;
use crate::remote::{ClockMap, Place, RemoteError, on_our_clock, patiently, pause_after, provide};
use crate::time::Clock;
use crate::warning::Warning;

/// Kind of this device in experiment files and logs.
const KIND: &str = "openvino";
/// Folder of files that may be removed where the disk is full.
const OLDER: &str = "models";
/// How long the probe runs.
const PROBING: Duration = Duration::from_secs(1);

/// A device that OpenVINO drives, here or over SSH.
pub struct OpenVino {
    options: OpenVinoOptions,
    clock: Clock,
    link: Option<Link>,
    meter: Option<Box<dyn PowerMeter>>,
    /// Whether it has ever been connected to.
    was_there: bool,
    /// What the probe told, once it has run.
    probed: Option<Report>,
}

impl OpenVino {
    /// A device that is not connected to yet.
    ///
    /// # Errors
    /// If a setting makes no sense, or there is no such meter.
    pub fn new(options: OpenVinoOptions) -> Result<Self, DeviceError> {
        let clock = Clock::start();
        let mut new = Self { options, clock, link: None, meter: None, was_there: false, probed: None };
        if let Some(problem) = new.options.problem() {
            return Err(DeviceError::Settings { device: new.label(), problem });
        }
        let options = &new.options;
        let meter = options.meter.open(clock, &options.place, &options.folder());
        new.meter = meter.map_err(|error| RemoteError::from(error).of_device(new.label(), None))?;
        Ok(new)
    }

    fn label(&self) -> String {
        format!("{KIND} {} {}", self.options.device, self.options.place.label())
    }

    /// The connection, made if there is none.
    fn link(&mut self) -> Result<&mut Link, RemoteError> {
        let link = match self.link.take() {
            Some(link) => link,
            None => patiently(self.options.patience, self.was_there, || Link::open(&self.options))?,
        };
        self.was_there = true;
        Ok(self.link.insert(link))
    }

    /// Does something with the connection, which is given up if that shows it to be of no more use.
    fn with_link<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T, RemoteError>) -> Result<T, RemoteError> {
        let result = act(self);
        if result.as_ref().is_err_and(|error| !error.spares_connection()) {
            self.link = None;
        }
        result
    }

    /// Runs the smallest network: only that tells whether the device is there.
    fn probe(&mut self) -> Result<(), RemoteError> {
        let failed = |problem: String| RemoteError::Failed { problem };
        let folder = std::env::temp_dir().join(format!("controller-probe-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(|error| failed(format!("{}: {error}", folder.display())))?;
        let probed = probe::model(&folder).map_err(|error| failed(error.to_string())).and_then(|model| {
            let options = self.options.clone();
            let link = self.link()?;
            let path = provide(&mut link.agent, &options.place, &model, OLDER)?;
            trial::look(link, &options, &path, PROBING)
        });
        // It is the operating system's to clean up what is left.
        let _ = std::fs::remove_dir_all(&folder);
        self.probed = Some(probed?);
        Ok(())
    }

    fn ask(&mut self) -> Result<Description, RemoteError> {
        let patience = self.options.patience;
        let begun = Instant::now();
        let mut tries = 0;
        loop {
            match self.with_link(Self::probe) {
                Ok(()) => break,
                Err(error @ RemoteError::Away { .. }) if begun.elapsed() + pause_after(tries + 1) > patience => {
                    return Err(error);
                }
                Err(RemoteError::Away { .. }) => {
                    tries += 1;
                    std::thread::sleep(pause_after(tries));
                }
                Err(error) => return Err(error),
            }
        }
        let precision = self.probed.as_ref().and_then(|probed| probed.precision.clone()).unwrap_or_else(|| {
            if support::is_stick(&self.options.device) {
                "FP16".to_owned()
            } else {
                self.options.precision.as_str().to_owned()
            }
        });
        let options = self.options.clone();
        let link = self.link()?;
        let mut description = Description::new(KIND, &options.device);
        if let Place::Over(ssh) = &options.place {
            description = description.with("host", format!("{}:{}", ssh.host, ssh.port));
        }
        description = description
            .with("machine", &link.agent.hello().machine)
            .with("OpenVINO", link.release())
            .with("precision", precision);
        if let Some(threads) = options.threads {
            description = description.with("threads", threads);
        }
        Ok(options.energy.describe(description, self.meter.as_deref().map(|meter| meter as &dyn PowerMeter)))
    }

    fn attempt(&mut self, model: &Model, plan: &Plan) -> Result<Measurement, RemoteError> {
        let options = self.options.clone();
        let mut meter = self.meter.take();
        let result = self.with_link(|device| {
            let clock = device.clock;
            let link = device.link()?;
            let path = provide(&mut link.agent, &options.place, model, OLDER)?;
            link.agent.forget();
            measure(link, meter.as_deref_mut(), &clock, &options, &path, plan)
        });
        self.meter = meter;
        result
    }
}

/// Measures a model that is there.
fn measure(
    link: &mut Link,
    meter: Option<&mut (dyn PowerMeter + 'static)>,
    clock: &Clock,
    options: &OpenVinoOptions,
    model: &str,
    plan: &Plan,
) -> Result<Measurement, RemoteError> {
    let mut work = Work { link, options, model, clock, trials: Vec::new() };
    let metered = match meter {
        Some(meter) => Some(energy::measure(meter, clock, &mut work, &options.energy, plan.confidence_interval)?),
        None => {
            work.trial(plan.time_limit, &|| Ok(()))?;
            None
        }
    };
    let longest = work.trials.iter().max_by(|a, b| a.window.seconds().total_cmp(&b.window.seconds()));
    let nothing = || RemoteError::Failed { problem: "benchmark_app was not run".to_owned() };
    let latency = longest.ok_or_else(nothing)?.latency();
    let throughput_per_s = match options.throughput {
        true => Some(trial::throughput(work.link, options, model, plan.time_limit)?),
        false => None,
    };
    let (energy, warnings) =
        metered.map_or((None, Vec::new()), |Measured { energy, warnings, .. }| (Some(energy), warnings));
    let conditions = Conditions::default();
    let measurement =
        Measurement { latency, latency_without_transfer: None, throughput_per_s, energy, conditions, warnings };
    measurement.validated().map_err(|error| RemoteError::Failed { problem: error.to_string() })
}

/// Runs of the tool, as a load.
struct Work<'a> {
    link: &'a mut Link,
    options: &'a OpenVinoOptions,
    model: &'a str,
    clock: &'a Clock,
    trials: Vec<Trial>,
}

impl Work<'_> {
    fn trial(&mut self, duration: Duration, watch: &Watch) -> Result<&Trial, RemoteError> {
        let trial = trial::run(self.link, self.options, self.model, duration, watch)?;
        self.trials.push(trial);
        self.trials.last().ok_or_else(|| RemoteError::Failed { problem: "benchmark_app was not run".to_owned() })
    }
}

impl Load for Work<'_> {
    type Error = RemoteError;

    fn run(&mut self, duration: Duration, watch: &Watch) -> Result<LoadRun, RemoteError> {
        let before = ClockMap::sample(&mut self.link.agent, self.clock)?;
        let trial = self.trial(duration, watch)?;
        let (window, inferences) = (trial.window, trial.inferences);
        let window = on_our_clock(&mut self.link.agent, self.clock, before, window)?;
        Ok(LoadRun { window, inferences, period_s: window.seconds() / inferences.max(1) as f64 })
    }
}

impl Device for OpenVino {
    fn describe(&mut self) -> Result<Description, DeviceError> {
        self.ask().map_err(|error| error.of_device(self.label(), None))
    }

    fn health(&mut self) -> Result<Vec<(String, String)>, DeviceError> {
        // Whoever has asked what it is has waited for the probe already.
        let probed = if self.probed.is_some() { Ok(()) } else { self.ask().map(|_| ()) };
        let asked = probed.and_then(|()| {
            let link = self.link()?;
            let free = link.agent.make_room(0, OLDER)?;
            let hello = link.agent.hello();
            Ok(vec![
                ("work folder".to_owned(), format!("{}, {} MB free", hello.folder, free >> 20)),
                ("benchmark_app".to_owned(), format!("{}, OpenVINO {}", link.tool, link.version)),
                ("python3".to_owned(), hello.python.clone()),
            ])
        });
        let mut health = asked.map_err(|error| error.of_device(self.label(), None))?;
        let meter = self.meter.as_ref().map(|meter| meter.describe());
        let meter = meter.or_else(|| self.options.meter.why_none(&self.options.place));
        health.extend(meter.map(|text| ("power meter".to_owned(), text)));
        Ok(health)
    }

    fn measure(&mut self, model: &Model, plan: &Plan) -> Result<Measurement, DeviceError> {
        let begun = Instant::now();
        let mut problems: Vec<String> = Vec::new();
        loop {
            let tries = problems.len() as u32 + 1;
            let error = match self.attempt(model, plan) {
                Ok(mut measurement) => {
                    if !problems.is_empty() {
                        measurement.warnings.push(Warning::Repeated { reasons: problems });
                    }
                    return Ok(measurement);
                }
                Err(error) => error,
            };
            // A stick that was unplugged is waited for; anything else is tried a few times.
            let again = match error {
                RemoteError::Away { .. } => begun.elapsed() + pause_after(tries) < self.options.patience,
                _ => error.is_transient() && tries < self.options.tries,
            };
            if !again {
                return Err(error.of_device(self.label(), Some(model)));
            }
            problems.push(error.to_string());
            std::thread::sleep(pause_after(tries));
        }
    }

    fn shares_machine(&self) -> bool {
        matches!(self.options.place, Place::Here)
    }

    fn measures_energy(&self) -> bool {
        self.meter.is_some()
    }
}
