//! One device of a search, and how its faults are distinguished from those of a network.

use std::collections::{BTreeSet, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hardware::waiting::{Waiting, observed, pause};
use hardware::{Description, Device, DeviceError, Measurement, Model, Plan};

use super::{Stage, Wait, on_a_line, panic_text};
use crate::terminal::note;

/// What a search knows of a device besides what the device says of itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Spec {
    /// Its name in the experiment.
    pub name: String,
    /// How long it is waited for where it does not work.
    pub patience: Duration,
    /// The turn of the devices of one machine, where it has several.
    pub turn: Option<Arc<Mutex<()>>>,
}

/// A device of a pool.
pub(super) struct Member {
    pub device: Box<dyn Device>,
    label: String,
    spec: Spec,
    suspicion: Suspicion,
}

/// The end of a measurement.
#[derive(Debug)]
pub(super) enum Outcome {
    Measured(Box<Measurement>),
    /// The network is at fault.
    Failed(String),
    /// The network may be at fault, but so many were in a row that it may also be the device.
    Suspect {
        reason: String,
        /// The same with what it is taken for.
        end: String,
    },
    /// The device did not work for as long as it is waited for, or its settings cannot work.
    Lost(String),
    Stopped,
}

/// A measurement or description that did not succeed.
enum Fault {
    Of(DeviceError),
    /// The code of the device panicked.
    Panic(String),
}

impl Fault {
    fn is_of_equipment(&self) -> bool {
        matches!(self, Self::Of(error) if error.is_fatal())
    }

    /// Whether it may pass by itself. A mistake in the settings stays until the user corrects it.
    fn may_pass(&self) -> bool {
        !matches!(self, Self::Of(DeviceError::Settings { .. }))
    }

    /// Whether it may be the equipment's as well as the network's.
    fn is_ambiguous(&self) -> bool {
        matches!(self, Self::Of(DeviceError::Failed { .. }) | Self::Panic(_))
    }

    fn text(&self) -> String {
        match self {
            Self::Of(error) => error.to_string(),
            Self::Panic(text) => text.clone(),
        }
    }

    fn reason(&self) -> String {
        match self {
            Self::Of(error) => error.reason(),
            Self::Panic(text) => text.clone(),
        }
    }
}

impl Member {
    /// Describes a device, which is waited for while it is away; each wait is reported on standard error.
    pub fn open(device: Box<dyn Device>, spec: Spec) -> Result<(Self, Description), DeviceError> {
        let mut this = Self::new(device, spec);
        let observer = Watch::default().observer(this.wait_of(""), noting_waits());
        let described = observed(observer, || this.device.describe());
        this.give_back();
        let description = described?;
        this.label = description.label();
        Ok((this, description))
    }

    pub fn new(device: Box<dyn Device>, spec: Spec) -> Self {
        Self { device, label: spec.name.clone(), spec, suspicion: Suspicion::default() }
    }

    pub fn label(&self) -> &str {
        &self.label
    }

    /// The stage of a network that it measures.
    pub fn stage(&self) -> Stage {
        Stage::Measuring { device: Some(self.spec.name.clone()) }
    }

    /// The stage of a network that it can no longer measure.
    pub fn lost(&self, reason: &str) -> Stage {
        Stage::Lost { device: self.spec.name.clone(), reason: on_a_line(reason) }
    }

    /// Measures a model; `attend` receives the waits, and returns whether to go on.
    ///
    /// A fault of the equipment that may pass is waited for. After a failure that may be its fault as well as the network's,
    /// the device has to describe itself, which needs all of its parts: if it cannot, it is at fault, and does not get the
    /// network again before it can.
    pub fn measure(&mut self, model: &Model, plan: &Plan, attend: impl Fn(Stage) -> bool + Clone + 'static) -> Outcome {
        let turn = self.spec.turn.clone();
        let _turn = turn.as_deref().map(lock);
        let outcome = self.measure_patiently(model, plan, attend);
        self.give_back();
        outcome
    }

    fn give_back(&mut self) {
        if self.spec.turn.is_some() {
            self.device.release();
        }
    }

    fn measure_patiently(
        &mut self,
        model: &Model,
        plan: &Plan,
        attend: impl Fn(Stage) -> bool + Clone + 'static,
    ) -> Outcome {
        /// How often a network that seems to have broken the device is measured again.
        const CHANCES: u32 = 2;
        const LONGEST_PAUSE: Duration = Duration::from_secs(10);
        let mut chances = 0;
        let mut must_describe = false;
        // Since when the device does not work, and the pause before the next try.
        let mut since: Option<Instant> = None;
        let mut wait = Duration::from_secs(1);
        let watch = Watch::default();
        loop {
            let measured = self.call(&watch, &attend, |device| match must_describe {
                true => device.describe().map(|_| None),
                false => device.measure(model, plan).map(Some),
            });
            let fault = match measured {
                Ok(Some(measurement)) => {
                    self.suspicion.clear();
                    return Outcome::Measured(Box::new(measurement));
                }
                Ok(None) => {
                    (must_describe, since) = (false, None);
                    continue;
                }
                Err(_) if watch.is_stopped() => return Outcome::Stopped,
                Err(fault) if must_describe || fault.is_of_equipment() => fault,
                Err(fault) if fault.is_ambiguous() => {
                    let described = match chances {
                        CHANCES => None,
                        _ => self.call(&watch, &attend, |device| device.describe()).err(),
                    };
                    match described.filter(Fault::is_of_equipment) {
                        _ if watch.is_stopped() => return Outcome::Stopped,
                        Some(of_equipment) => {
                            // It worked until this network.
                            (since, chances, must_describe) = (None, chances + 1, true);
                            of_equipment
                        }
                        None => return self.suspicion.of(model, &fault, &self.label),
                    }
                }
                Err(fault) => return Outcome::Failed(fault.text()),
            };
            // The device has waited for its connection itself.
            let begun = *since.get_or_insert_with(|| Instant::now() - watch.take_waited());
            if !fault.may_pass() || begun.elapsed() + wait >= self.spec.patience {
                return Outcome::Lost(fault.text());
            }
            let whose = if matches!(fault, Fault::Of(DeviceError::Meter { .. })) { "the meter of " } else { "" };
            let patience = self.spec.patience;
            let observer = watch.observer(self.wait_of(whose), attend.clone());
            if !observed(observer, || pause(fault.reason(), begun, patience, wait)) {
                return Outcome::Stopped;
            }
            watch.take_waited();
            wait = (wait * 2).min(LONGEST_PAUSE);
            if !attend(self.stage()) {
                return Outcome::Stopped;
            }
        }
    }

    /// Does something with the device, whose waits are reported. Its code may panic, and still work for the next model.
    fn call<T>(
        &mut self,
        watch: &Watch,
        attend: &(impl Fn(Stage) -> bool + Clone + 'static),
        act: impl FnOnce(&mut dyn Device) -> Result<T, DeviceError>,
    ) -> Result<T, Fault> {
        let observer = watch.observer(self.wait_of(""), attend.clone());
        let device = self.device.as_mut();
        match catch_unwind(AssertUnwindSafe(|| observed(observer, || act(device)))) {
            Ok(result) => result.map_err(Fault::Of),
            Err(panic) => {
                let text = panic_text(panic.as_ref());
                Err(Fault::Panic(format!("the code of the device {} failed: {text}", self.label)))
            }
        }
    }

    fn wait_of(&self, whose: &str) -> Wait {
        Wait {
            device: Some(self.spec.name.clone()),
            what: format!("{whose}`{}`", self.spec.name),
            reason: String::new(),
            waited: Duration::ZERO,
            patience: self.spec.patience,
        }
    }
}

/// Prints a line about a wait when it begins, and every few seconds.
pub(crate) fn noting_waits() -> impl Fn(Stage) -> bool + Clone {
    /// Time between two lines.
    const INTERVAL: Duration = Duration::from_secs(10);
    let last: Arc<Mutex<Option<Instant>>> = Arc::default();
    move |stage| {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        match stage {
            Stage::Away(wait) if last.is_none_or(|last| last.elapsed() >= INTERVAL) => {
                *last = Some(Instant::now());
                note(wait);
            }
            _ => {}
        }
        true
    }
}

fn lock(turn: &Mutex<()>) -> MutexGuard<'_, ()> {
    turn.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The waits of one measurement.
#[derive(Debug, Clone, Default)]
struct Watch {
    /// How long the device itself has waited.
    waited: Arc<Mutex<Duration>>,
    stopped: Arc<AtomicBool>,
}

impl Watch {
    fn observer(&self, wait: Wait, attend: impl Fn(Stage) -> bool + 'static) -> impl FnMut(&Waiting) -> bool + 'static {
        let this = self.clone();
        move |waiting| {
            *this.waited.lock().unwrap_or_else(PoisonError::into_inner) = waiting.waited;
            let goes_on = attend(Stage::Away(wait.clone().of(waiting)));
            this.stopped.fetch_or(!goes_on, Ordering::Relaxed);
            goes_on
        }
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    fn take_waited(&self) -> Duration {
        std::mem::take(&mut *self.waited.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Failures that may be the device's.
#[derive(Debug, Default)]
struct Suspicion {
    /// The latest reason without its numbers, and the networks that failed for it since the device last succeeded.
    reason: String,
    networks: BTreeSet<String>,
    /// Reasons after which the device has measured another network: they are of networks.
    of_networks: HashSet<String>,
}

impl Suspicion {
    /// Networks that fail for the same reason in a row.
    const MOST: usize = 3;

    fn of(&mut self, model: &Model, fault: &Fault, label: &str) -> Outcome {
        let (text, reason) = (fault.text(), fault.reason().replace(|c: char| c.is_ascii_digit(), ""));
        if self.of_networks.contains(&reason) {
            return Outcome::Failed(text);
        }
        if self.reason != reason {
            self.reason = reason;
            self.networks.clear();
        }
        self.networks.insert(model.architecture.clone());
        if self.networks.len() < Self::MOST {
            return Outcome::Failed(text);
        }
        let end = format!(
            "the last {} networks failed for the same reason, so {label} may be at fault: {}. Mend it and try these \
             networks again with --retry-failed; without that, the search goes on with others",
            Self::MOST,
            fault.reason()
        );
        Outcome::Suspect { reason: text, end }
    }

    /// The device has measured a network.
    fn clear(&mut self) {
        if !self.networks.is_empty() {
            self.networks.clear();
            self.of_networks.insert(std::mem::take(&mut self.reason));
        }
    }
}
