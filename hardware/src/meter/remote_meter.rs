//! A meter at the machine of a device: its power sensors, a Jetson's power monitors, or a program that prints readings
//! there.
//!
//! The agent reads it and stamps each line with that machine's clock ([`crate::remote`]), so that delays of the network
//! do not affect readings. Each check of the meter collects the new readings. The meter compares the two clocks when it
//! starts and when it stops.

mod rails;
mod source;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::time::Duration;

pub(crate) use self::rails::PASSWORD_ADVICE;
use self::rails::Rails;
pub(super) use self::source::Source;
use super::collected::{Collected, SHORTEST_SILENCE};
use super::stream::lines::Lines;
use super::{Condition, MeterError, Point, PowerMeter, Reading, Total, Trace, sysfs};
use crate::remote::{Agent, ClockMap, End, Job, JobEvent, Offset, RemoteError, Session};
use crate::shown::start_of;
use crate::time::Clock;

/// Longest time that a program may take to end; the agent kills it after two seconds.
const FAREWELL: Duration = Duration::from_secs(10);

/// A meter at another machine, or at this one.
pub(super) struct RemoteMeter {
    session: Session,
    source: Source,
    clock: Clock,
    shortest_silence: Duration,
    running: Option<RefCell<Running>>,
    /// The total of the last trace.
    total: Option<Total>,
}

/// A running meter.
struct Running {
    agent: Agent,
    /// `None` after they are stopped.
    jobs: Option<Jobs>,
    first: Offset,
    received: Received,
}

/// The agent's jobs on that machine.
#[derive(Clone)]
struct Jobs {
    main: Job,
    /// Reads temperature and clock, if the meter itself gives neither.
    conditions: Option<(Job, source::ConditionFiles)>,
}

/// The data received so far.
enum Received {
    Rails(Box<Rails>),
    Lines(Box<Lines>),
}

impl RemoteMeter {
    /// A meter, not started yet.
    pub fn new(session: Session, source: Source, clock: Clock) -> Self {
        Self { session, source, clock, shortest_silence: SHORTEST_SILENCE, running: None, total: None }
    }

    /// The agent, and the first comparison of clocks. Replaces a connection that broke while it was idle.
    fn connect(&self) -> Result<(Agent, Offset), MeterError> {
        let connect = || {
            let mut agent = self.session.agent()?;
            agent.forget();
            let first = ClockMap::sample(&mut agent, &self.clock)?;
            Ok::<_, RemoteError>((agent, first))
        };
        connect().or_else(|_| {
            self.session.close();
            connect().map_err(|error| source::unreachable(&self.session, &error))
        })
    }

    /// Its name in errors.
    fn label(&self) -> String {
        self.source.label(&self.session.place().label())
    }

    fn running(&self) -> Result<&RefCell<Running>, MeterError> {
        self.running.as_ref().ok_or_else(|| MeterError::not_running(self.name()))
    }

    /// Collects the lines that have arrived, and returns the number of readings.
    fn collect(&self, silence: Duration) -> Result<usize, MeterError> {
        let mut running = self.running()?.borrow_mut();
        let label = self.label();
        running.collect(&label).map_err(|error| MeterError::lost(&label, error))?;
        let readings = running.received.collected().check()?;
        match running.received.collected().silent_s(silence, self.source.start_limit()) {
            Some(seconds) => Err(MeterError::silent(&label, seconds, &running.received.last_words())),
            None => Ok(readings),
        }
    }
}

impl PowerMeter for RemoteMeter {
    fn name(&self) -> &'static str {
        self.source.name()
    }

    fn describe(&self) -> String {
        self.source.describe(&self.session.place().label())
    }

    /// Begins to read, and returns after the first reading.
    fn start(&mut self) -> Result<(), MeterError> {
        self.running = None;
        let (mut agent, first) = self.connect()?;
        let (jobs, received) = self.source.begin(&mut agent, &self.label())?;
        self.running = Some(RefCell::new(Running { agent, jobs: Some(jobs), first, received }));
        while self.collect(self.source.start_limit()).inspect_err(|_| self.running = None)? == 0 {
            // The next collection of readings returns the error again.
            let _ = self.running()?.borrow_mut().agent.wait(Duration::from_millis(50));
        }
        Ok(())
    }

    fn check(&self) -> Result<usize, MeterError> {
        self.collect(self.shortest_silence)
    }

    fn stop(&mut self) -> Result<Trace, MeterError> {
        let fault = self.collect(self.shortest_silence);
        let running = self.running.take().ok_or_else(|| MeterError::not_running(self.name()))?;
        let mut running = running.into_inner();
        if let Err(error) = fault {
            if matches!(error, MeterError::Lost(_)) {
                // The agent itself ends the jobs that it has started.
                running.jobs = None;
                self.session.close();
            }
            return Err(error);
        }
        let label = self.label();
        let lost = |error: RemoteError| MeterError::lost(&label, error);
        // The answer comes after all earlier readings.
        let last = ClockMap::sample(&mut running.agent, &self.clock).map_err(lost)?;
        running.collect(&label).map_err(lost)?;
        running.end().map_err(lost)?;
        let mut trace = match &mut running.received {
            Received::Rails(rails) => {
                self.total.clone_from(&rails.total);
                rails.finish(&label)?
            }
            Received::Lines(lines) => std::mem::take(lines).finish(self.name(), &label)?,
        };
        let map = ClockMap::between(running.first, last);
        let mut placed = Trace {
            conditions: on_our_clock(&map, &trace.conditions),
            resolution_mw: trace.resolution_mw.or_else(|| sysfs::smallest_step(&trace.total(&self.total()))),
            // Half the shortest round trip to that machine.
            stamp_uncertainty_s: map.uncertainty_s(),
            notes: std::mem::take(&mut trace.notes),
            ..Trace::default()
        };
        for reading in trace.readings {
            if let Some(at_ns) = map.ours_ns(reading.at_ns) {
                placed.push(Reading { at_ns, ..reading });
            }
        }
        Ok(placed)
    }

    fn recent(&self, from_ns: u64) -> Vec<Point> {
        let Some(running) = &self.running else { return Vec::new() };
        let running = running.borrow();
        let map = ClockMap::between(running.first, running.first);
        let ours = |point: Point| Some(Point { at_ns: map.ours_ns(point.at_ns)?, ..point });
        let points = running.received.collected().since(running.first.board_at(from_ns));
        points.into_iter().filter_map(ours).collect()
    }

    fn conditions(&self) -> Vec<Condition> {
        let Some(running) = &self.running else { return Vec::new() };
        let running = running.borrow();
        let Received::Rails(rails) = &running.received else { return Vec::new() };
        on_our_clock(&ClockMap::between(running.first, running.first), &rails.trace.conditions)
    }

    fn total(&self) -> Total {
        let running = self.running.as_ref().and_then(|running| match &running.borrow().received {
            Received::Rails(rails) => rails.total.clone(),
            Received::Lines(_) => None,
        });
        running.or_else(|| self.total.clone()).unwrap_or_else(|| Total::measured(self.name()))
    }

    fn reachable_interval(&self) -> f64 {
        match &self.source {
            Source::Tegrastats { .. } => 0.007,
            Source::Ina3221 { .. } => 0.003,
            Source::Sensors { .. } | Source::Program(_) => f64::INFINITY,
        }
    }
}

impl Running {
    /// Collects the lines that have arrived.
    fn collect(&mut self, label: &str) -> Result<(), RemoteError> {
        let Some(jobs) = self.jobs.clone() else { return Ok(()) };
        if let (Some((job, files)), Received::Rails(rails)) = (&jobs.conditions, &mut self.received) {
            for event in self.agent.arrived(*job)? {
                // If the files end or are invalid, temperature and clock are missing; power is not.
                if let JobEvent::Values { at_ns, values } = event {
                    rails.trace.conditions.push(files.condition(at_ns, &values));
                }
            }
        }
        for event in self.agent.arrived(jobs.main)? {
            match (event, &mut self.received) {
                (JobEvent::Ended { end }, received) => received.ended(&end, label),
                (event, Received::Rails(rails)) => rails.take(&event, label),
                (JobEvent::Line { at_ns, text }, Received::Lines(lines)) => {
                    // The program's errors arrive together with its readings.
                    if !lines.take(&text, at_ns, label) && !lines.collected.points.is_empty() {
                        lines.add_error(format!("{text}\n").as_bytes());
                    }
                }
                (JobEvent::Values { .. }, Received::Lines(_)) => {}
            }
        }
        Ok(())
    }

    /// Ends reading, and waits until the jobs have ended.
    fn end(&mut self) -> Result<(), RemoteError> {
        let Some(jobs) = self.jobs.take() else { return Ok(()) };
        if let Some((job, _)) = jobs.conditions {
            self.agent.stop(job)?;
        }
        self.agent.stop(jobs.main)?;
        // Text that a program prints when it is ended may be half a line, which is not read.
        self.agent.wait_for_end(jobs.main, FAREWELL)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(jobs) = self.jobs.take() {
            // An agent without a connection ends them by itself.
            let others = jobs.conditions.map(|(job, _)| job);
            let _ = others.into_iter().chain([jobs.main]).try_for_each(|job| self.agent.stop(job));
        }
    }
}

impl Received {
    fn collected(&self) -> &Collected {
        match self {
            Self::Rails(rails) => &rails.collected,
            Self::Lines(lines) => &lines.collected,
        }
    }

    /// Its last output besides readings, as the end of a sentence.
    fn last_words(&self) -> String {
        match self {
            Self::Rails(rails) => rails.collected.budget.last_words(),
            Self::Lines(lines) => lines.errors(),
        }
    }

    fn ended(&mut self, end: &End, label: &str) {
        let how = match end {
            End::Exit(code) => format!("ended with exit code {code}"),
            End::Signal(number) => format!("was ended by signal {number}"),
            End::TimedOut => "ran for days".to_owned(),
            End::Problem(problem) => format!("could not be read any more ({})", start_of(problem, 80)),
        };
        match self {
            Self::Rails(rails) => rails.ended(&how, label),
            Self::Lines(lines) => {
                let error = MeterError::ended(label, &how, &lines.errors());
                lines.collected.fail(error);
            }
        }
    }
}

fn on_our_clock(map: &ClockMap, conditions: &[Condition]) -> Vec<Condition> {
    let ours = |read: &Condition| Some(Condition { at_ns: map.ours_ns(read.at_ns)?, ..*read });
    conditions.iter().filter_map(ours).collect()
}
