//! A board whose power is read by a meter that is not its own, as one in its supply is: it sees the whole of it.

use std::time::Duration;

use super::engine;
use super::latency::{Latencies, latencies};
use super::link::Link;
use super::options::JetsonOptions;
use super::trial::{self, Trial};
use crate::device::Plan;
use crate::measurement::{Conditions, Measurement};
use crate::meter::power_meter::PowerMeter;
use crate::metered::{self, Load, Metered, Stretch, Watch};
use crate::model::Model;
use crate::remote::{ClockMap, RemoteError, Watched, on_our_clock};
use crate::time::Clock;

/// Measures a model.
///
/// # Errors
/// If the board, the meter or the model fails.
pub(super) fn measure(
    link: &mut Link,
    meter: &mut dyn PowerMeter,
    clock: &Clock,
    options: &JetsonOptions,
    model: &Model,
    plan: &Plan,
) -> Result<Measurement, RemoteError> {
    let engine = engine::provide(&mut link.agent, &link.place, &link.builder, model)?;
    link.agent.forget();
    let command = trial::command(&link.builder.trtexec, options, plan, &engine);
    let mut work = Work { link, clock, command, warm_up: plan.warm_up, grace: options.grace, trials: Vec::new() };
    let energy_plan = options.energy.resolved(&options.meter);
    let metered = metered::measure(meter, clock, &mut work, &energy_plan, plan.confidence_interval)?;
    let Metered { energy, mut warnings } = metered;
    let Latencies { whole, without_transfer, doubts } = latencies(&work.trials, plan, energy_plan.window_limit)?;
    warnings.extend(doubts);
    let measurement = Measurement {
        latency: whole,
        latency_without_transfer: without_transfer,
        throughput_per_s: None,
        energy: Some(energy),
        // The board's own program tells them, which is not run here: it would draw power itself.
        conditions: Conditions::default(),
        warnings,
    };
    measurement.validated().map_err(|error| RemoteError::Failed { problem: error.to_string() })
}

/// Runs of trtexec, as a load.
struct Work<'a> {
    link: &'a mut Link,
    clock: &'a Clock,
    command: Vec<String>,
    warm_up: Duration,
    grace: Duration,
    trials: Vec<Trial>,
}

impl Load for Work<'_> {
    type Error = RemoteError;

    fn run(&mut self, duration: Duration, watch: &Watch) -> Result<Stretch, RemoteError> {
        let agent = &mut self.link.agent;
        let before = ClockMap::sample(agent, self.clock)?;
        let trial = trial::run(agent, &mut Watched(watch), &self.command, self.warm_up, duration, self.grace)?;
        let window = on_our_clock(agent, self.clock, before, trial.window)?;
        let stretch = Stretch { window, inferences: trial.inferences, period_s: trial.period_s };
        self.trials.push(trial);
        Ok(stretch)
    }
}
