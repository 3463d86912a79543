//! Inference in-process, as a load for a meter.

use std::hint::black_box;
use std::time::{Duration, Instant};

use thiserror::Error;

use super::inference::{Inference, InferenceError};
use crate::device::Plan;
use crate::energy::{self, EnergyError, EnergyPlan, Load, LoadRun, Measured, Watch};
use crate::meter::{MeterError, PowerMeter};
use crate::time::{Clock, Window};

/// Time between two checks of the meter.
const CHECK_PERIOD: Duration = Duration::from_millis(200);

/// The reason why energy could not be measured.
#[derive(Debug, Error)]
pub(super) enum HostEnergyError {
    #[error(transparent)]
    Inference(#[from] InferenceError),
    #[error("power cannot be read: {0}")]
    Meter(#[from] MeterError),
    #[error(transparent)]
    Energy(#[from] EnergyError),
}

/// Measures the energy of a model: runs it until its mean power is known well enough.
///
/// # Errors
/// If the model or the meter fails.
pub(super) fn measure(
    inference: &Inference,
    meter: &mut dyn PowerMeter,
    clock: &Clock,
    options: &EnergyPlan,
    plan: &Plan,
) -> Result<Measured, HostEnergyError> {
    let mut work = Work { inference, clock, warm_up: plan.warm_up };
    energy::measure(meter, clock, &mut work, options, plan.confidence_interval)
}

struct Work<'a> {
    inference: &'a Inference,
    clock: &'a Clock,
    warm_up: Duration,
}

impl Work<'_> {
    /// Runs inferences for `duration`; returns their number.
    fn infer(&mut self, duration: Duration, watch: &Watch) -> Result<u64, HostEnergyError> {
        let feed = self.inference.pseudo_random_feed()?;
        let (begun, mut checked, mut inferences) = (Instant::now(), Instant::now(), 0);
        loop {
            black_box(self.inference.run_feed(&feed)?);
            inferences += 1;
            if checked.elapsed() >= CHECK_PERIOD {
                watch()?;
                checked = Instant::now();
            }
            if begun.elapsed() >= duration {
                return Ok(inferences);
            }
        }
    }
}

impl Load for Work<'_> {
    type Error = HostEnergyError;

    fn run(&mut self, duration: Duration, watch: &Watch) -> Result<LoadRun, HostEnergyError> {
        self.infer(self.warm_up, watch)?;
        let from_ns = self.clock.now_ns();
        let inferences = self.infer(duration, watch)?;
        let window = Window { from_ns, to_ns: self.clock.now_ns() };
        Ok(LoadRun { window, inferences, period_s: window.seconds() / inferences as f64 })
    }
}
