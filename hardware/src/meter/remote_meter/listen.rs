//! The thread that listens to a meter at another machine.

use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Source;
use crate::meter::poll::{Look, State};
use crate::meter::power_meter::{self, MeterError};
use crate::meter::stream::lines::Lines;
use crate::meter::{Point, sysfs};
use crate::remote::{Agent, ClockMap, End, Job, JobEvent, Offset, RemoteError};
use crate::time::Clock;

/// Longest wait for something to be said, after which it is looked whether more is wanted.
const WAIT: Duration = Duration::from_millis(50);
/// How long a program may take to end; the agent kills it after two seconds.
const FAREWELL: Duration = Duration::from_secs(10);

/// The connection, and the last comparison of clocks.
pub(super) type Outcome = Result<(Agent, Offset), MeterError>;

/// What has been heard.
pub(super) enum Heard {
    /// Of sensors, and when the last reading came.
    Readings { state: State, last: Instant },
    /// Of a program.
    Lines(Lines),
}

/// Listens until it is halted.
pub(super) struct Listener {
    pub meter: String,
    pub source: Source,
    pub clock: Clock,
    pub job: Job,
    pub heard: Arc<Mutex<Heard>>,
    pub halted: Receiver<()>,
}

impl Heard {
    /// Nothing so far, of sensors.
    pub fn readings() -> Self {
        Self::Readings { state: State::default(), last: Instant::now() }
    }

    /// Nothing so far, of a program.
    pub fn lines() -> Self {
        Self::Lines(Lines::begin())
    }

    fn fail(&mut self, error: MeterError) {
        match self {
            Self::Readings { state, .. } => state.take("", Err(error)),
            Self::Lines(lines) => lines.failure = Some(error),
        }
    }

    fn failure(&self) -> Result<(), MeterError> {
        match self {
            Self::Readings { state, .. } => state.check().map(|_| ()),
            Self::Lines(lines) => lines.failure.clone().map_or(Ok(()), Err),
        }
    }
}

impl Listener {
    /// With an error, which is kept with what was heard too, the connection is closed: that ends the program there.
    pub fn run(self, mut agent: Agent) -> Outcome {
        match self.listen(&mut agent) {
            Ok(last) => Ok((agent, last)),
            Err(error) => {
                lock(&self.heard).fail(error.clone());
                Err(error)
            }
        }
    }

    fn listen(&self, agent: &mut Agent) -> Result<Offset, MeterError> {
        while matches!(self.halted.try_recv(), Err(TryRecvError::Empty)) {
            self.hear(agent, WAIT)?;
        }
        // The answers come behind all that was said before them.
        let last = ClockMap::sample(agent, &self.clock).map_err(|error| self.lost(&error))?;
        while self.hear(agent, Duration::ZERO)?.is_some_and(|at_ns| at_ns <= last.board_ns) {}
        agent.stop(self.job).map_err(|error| self.lost(&error))?;
        let deadline = Instant::now() + FAREWELL;
        // What a program says when it is ended may be half a line.
        while Instant::now() < deadline {
            match agent.next(WAIT).map_err(|error| self.lost(&error))? {
                Some((job, JobEvent::Ended { .. })) if job == self.job => return Ok(last),
                _ => {}
            }
        }
        Err(MeterError::Lost { meter: self.meter.clone(), problem: "it could not be ended".to_owned() })
    }

    /// Takes up what is said next, and gives its stamp.
    fn hear(&self, agent: &mut Agent, wait: Duration) -> Result<Option<u64>, MeterError> {
        let event = agent.next(wait).map_err(|error| self.lost(&error))?;
        let Some((_, event)) = event.filter(|(job, _)| *job == self.job) else { return Ok(None) };
        let mut heard = lock(&self.heard);
        let at_ns = match event {
            JobEvent::Line { at_ns, text } => {
                self.take_line(&mut heard, at_ns, &text);
                at_ns
            }
            JobEvent::Values { at_ns, values } => {
                self.take_values(&mut heard, at_ns, &values);
                at_ns
            }
            JobEvent::Ended { end } => return Err(self.ended(&heard, &end)),
        };
        heard.failure()?;
        Ok(Some(at_ns))
    }

    fn take_line(&self, heard: &mut Heard, at_ns: u64, text: &str) {
        let (Heard::Lines(lines), Source::Program(options)) = (heard, &self.source) else { return };
        let is_reading = lines.take(text, at_ns, &options.columns, &self.meter);
        // Its errors come the same way.
        if !is_reading && !lines.arrivals.is_empty() {
            lines.say(format!("{text}\n").as_bytes());
        }
    }

    fn take_values(&self, heard: &mut Heard, at_ns: u64, values: &[String]) {
        let (Heard::Readings { state, last }, Source::Sensors { sensors, .. }) = (heard, &self.source) else { return };
        let mut values = values.iter();
        let number = |file: &str| {
            let text = values.next().map(String::as_str).unwrap_or_default();
            let problem = || format!("{:?} is no whole number", power_meter::clip(text));
            text.trim().parse().map_err(|_| MeterError::Read { path: file.to_owned(), problem: problem() })
        };
        let look = match sysfs::power_mw(sensors, number) {
            Ok(power_mw) => {
                *last = Instant::now();
                Look::Points(vec![Point { at_ns, power_mw }])
            }
            Err(error) => Look::Refused(error.to_string()),
        };
        state.take(&self.meter, Ok(look));
    }

    fn ended(&self, heard: &Heard, end: &End) -> MeterError {
        let how = match end {
            End::Exit(code) => format!("ended with exit code {code}"),
            End::Signal(number) => format!("was ended by signal {number}"),
            End::TimedOut => "ran for days".to_owned(),
            End::Problem(problem) => power_meter::clip(problem),
        };
        match heard {
            Heard::Lines(lines) => MeterError::Ended { program: self.meter.clone(), how, said: lines.said() },
            Heard::Readings { .. } => MeterError::Lost { meter: self.meter.clone(), problem: how },
        }
    }

    fn lost(&self, error: &RemoteError) -> MeterError {
        MeterError::Lost { meter: self.meter.clone(), problem: error.to_string() }
    }
}

pub(super) fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}
