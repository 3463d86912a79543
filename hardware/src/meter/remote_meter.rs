//! A meter at the machine that a device belongs to: its power sensors, or a program that prints readings there.
//!
//! It is read over a connection of its own, by the agent that stamps everything with that machine's clock
//! ([`crate::remote`]): delays of the network are in no reading. The two clocks are compared when it starts and when it
//! stops.

mod listen;

use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;

use self::listen::{Heard, Listener, Outcome, lock};
use super::poll::Readings;
use super::power_meter::{self, MeterError, MeterNote, PowerMeter};
use super::stream::lines::Finished;
use super::stream::{self, StreamOptions};
use super::sysfs::{self, Sensor};
use super::{Point, Trace};
use crate::remote::{Agent, ClockMap, Job, Offset, Place, RemoteError};
use crate::time::Clock;

/// Longest time that a program may run: above any measurement's, whose limits are at most a day.
const LIMIT: Duration = Duration::from_secs(3 * 86_400);
/// How long the first reading of a sensor may take.
const FIRST_READING: Duration = Duration::from_secs(10);
/// Shortest silence that is a fault.
const SHORTEST_SILENCE: Duration = Duration::from_secs(5);

/// A meter at another machine, or at this one.
pub struct RemoteMeter {
    place: Place,
    folder: String,
    source: Source,
    clock: Clock,
    shortest_silence: Duration,
    /// The connection, while nothing is read over it.
    agent: Option<Agent>,
    running: Option<Running>,
    notes: Vec<MeterNote>,
    resolution_mw: Option<f64>,
    uncertainty_s: f64,
}

/// What is read.
#[derive(Debug, Clone)]
enum Source {
    Sensors { sensors: Vec<Sensor>, period: Duration },
    Program(StreamOptions),
}

/// A thread that listens.
struct Running {
    first: Offset,
    heard: Arc<Mutex<Heard>>,
    halt: Option<Sender<()>>,
    thread: Option<JoinHandle<Outcome>>,
}

impl RemoteMeter {
    /// Takes power sensors of that machine, whose powers are added; without a name the only one there is. They are
    /// looked for below `root`, [`sysfs::ROOT`] for the real ones.
    ///
    /// What the agent writes there lies in a folder of its own within the work folder.
    ///
    /// # Errors
    /// If the machine cannot be reached, there is no sensor of a name, several and no name, or the time between two
    /// readings is 0.
    pub fn sensors(
        place: Place,
        work_folder: &str,
        root: &str,
        wanted: &[String],
        period: Duration,
        clock: Clock,
    ) -> Result<Self, MeterError> {
        if period.is_zero() {
            return Err(MeterError::Settings { problem: "the time between two readings cannot be 0".to_owned() });
        }
        let folder = folder_of(work_folder);
        let unreachable = |error| unreachable(&place, &error);
        let mut agent = place.connect(&folder).map_err(unreachable)?;
        let patterns: Vec<String> = sysfs::patterns().map(|pattern| format!("{root}/{pattern}")).collect();
        let files = agent.ask(json!({"do": "look", "patterns": patterns})).map_err(unreachable)?.files;
        // What may not be read has no content; it is refused when it is opened, by name.
        let files: Vec<(String, String)> =
            files.into_iter().map(|(path, text)| (path, text.unwrap_or_default())).collect();
        let sensors = sysfs::choose(sysfs::sensors_of(&files), wanted, &format!("{root} ({})", place.label()))?;
        Ok(Self { agent: Some(agent), ..Self::with(place, folder, Source::Sensors { sensors, period }, clock) })
    }

    /// Takes a program of that machine. Its errors are among its lines there.
    ///
    /// # Errors
    /// If the options make no sense. The machine is reached for when it starts.
    pub fn stream(place: Place, work_folder: &str, options: StreamOptions, clock: Clock) -> Result<Self, MeterError> {
        options.check()?;
        Ok(Self::with(place, folder_of(work_folder), Source::Program(options), clock))
    }

    fn with(place: Place, folder: String, source: Source, clock: Clock) -> Self {
        Self {
            place,
            folder,
            source,
            clock,
            shortest_silence: SHORTEST_SILENCE,
            agent: None,
            running: None,
            notes: Vec::new(),
            resolution_mw: None,
            uncertainty_s: 0.0,
        }
    }

    /// The agent, and the first comparison of clocks. A connection that broke while nobody listened is replaced.
    fn connect(&mut self) -> Result<(Agent, Offset), MeterError> {
        if let Some(mut agent) = self.agent.take() {
            agent.forget();
            if let Ok(first) = ClockMap::sample(&mut agent, &self.clock) {
                return Ok((agent, first));
            }
        }
        let unreachable = |error| unreachable(&self.place, &error);
        let mut agent = self.place.connect(&self.folder).map_err(unreachable)?;
        let first = ClockMap::sample(&mut agent, &self.clock).map_err(unreachable)?;
        Ok((agent, first))
    }

    fn begin(&self, agent: &mut Agent) -> Result<Job, MeterError> {
        let begun = match &self.source {
            Source::Sensors { sensors, period } => agent.poll(&sysfs::files(sensors), *period),
            Source::Program(options) => agent.start(&options.command, LIMIT, true),
        };
        begun.map_err(|error| match (error, &self.source) {
            (RemoteError::Agent { problem }, Source::Program(options)) => {
                MeterError::Start { program: options.program().to_owned(), problem }
            }
            (RemoteError::Agent { problem }, Source::Sensors { sensors, .. }) => {
                let path = sysfs::files(sensors).join(", ");
                if problem.contains("PermissionError") {
                    MeterError::NoRights { path, advice: sysfs::RIGHTS.to_owned() }
                } else {
                    MeterError::Read { path, problem }
                }
            }
            (error, _) => unreachable(&self.place, &error),
        })
    }

    /// How many readings there are, unless it has a fault.
    fn look(&self, silence: Duration) -> Result<usize, MeterError> {
        let running = self.running.as_ref().ok_or_else(|| self.not_running())?;
        let heard = lock(&running.heard);
        let silent = |seconds, said| Err(MeterError::Silent { meter: self.meter(), seconds, said });
        match &*heard {
            Heard::Readings { state, last } => {
                let readings = state.check()?;
                let ago = last.elapsed();
                if ago > silence { silent(ago.as_secs_f64(), String::new()) } else { Ok(readings) }
            }
            Heard::Lines(lines) => {
                if let Some(failure) = &lines.failure {
                    return Err(failure.clone());
                }
                let heard = lines.heard();
                match heard.silent_s(silence, self.start_limit()) {
                    Some(seconds) => silent(seconds, lines.said()),
                    None => Ok(heard.readings),
                }
            }
        }
    }

    fn wait(&self) -> Result<(), MeterError> {
        while self.look(self.start_limit())? == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn start_limit(&self) -> Duration {
        match &self.source {
            Source::Sensors { .. } => FIRST_READING,
            Source::Program(options) => options.start_limit(),
        }
    }

    /// What an error calls it.
    fn meter(&self) -> String {
        match &self.source {
            Source::Sensors { sensors, .. } => format!("{} ({})", sysfs::names(sensors), self.place.label()),
            Source::Program(options) => format!("{} ({})", options.program(), self.place.label()),
        }
    }

    fn not_running(&self) -> MeterError {
        MeterError::NotRunning { meter: self.name().to_owned() }
    }

    /// What was read, on that machine's clock.
    fn finish(&self, heard: Heard) -> Result<Finished, MeterError> {
        match heard {
            Heard::Readings { state, .. } => {
                let Readings { points, notes } = state.finish(&self.meter())?;
                let resolution_mw = sysfs::smallest_step(&points);
                Ok(Finished { points, notes, resolution_mw })
            }
            Heard::Lines(lines) => lines.finish(&self.meter()),
        }
    }
}

impl PowerMeter for RemoteMeter {
    fn name(&self) -> &'static str {
        match &self.source {
            Source::Sensors { .. } => sysfs::NAME,
            Source::Program(_) => stream::NAME,
        }
    }

    fn describe(&self) -> String {
        let place = self.place.label();
        match &self.source {
            Source::Sensors { sensors, period } => {
                let (names, ms) = (sysfs::names(sensors), period.as_millis());
                format!("power sensor {names} of {place}, read every {ms} ms")
            }
            Source::Program(options) => format!("what {:?} prints on {place}", options.command.join(" ")),
        }
    }

    /// Begins to read, and returns when the first reading has come.
    fn start(&mut self) -> Result<(), MeterError> {
        if let Some(running) = self.running.take() {
            self.agent = running.end().ok().map(|(agent, _)| agent);
        }
        let (mut agent, first) = self.connect()?;
        let job = self.begin(&mut agent)?;
        let heard = Arc::new(Mutex::new(match &self.source {
            Source::Sensors { .. } => Heard::readings(),
            Source::Program(_) => Heard::lines(),
        }));
        let (halt, halted) = mpsc::channel();
        let listener = Listener {
            meter: self.meter(),
            source: self.source.clone(),
            clock: self.clock,
            job,
            heard: Arc::clone(&heard),
            halted,
        };
        let thread = std::thread::Builder::new().name("remote meter".to_owned()).spawn(move || listener.run(agent));
        let thread =
            thread.map_err(|error| MeterError::Settings { problem: format!("no thread for a meter: {error}") })?;
        self.running = Some(Running { first, heard, halt: Some(halt), thread: Some(thread) });
        self.wait().inspect_err(|_| self.running = None)
    }

    fn check(&self) -> Result<usize, MeterError> {
        self.look(self.shortest_silence)
    }

    fn stop(&mut self) -> Result<Trace, MeterError> {
        let fault = self.look(self.shortest_silence);
        let running = self.running.take().ok_or_else(|| self.not_running())?;
        fault?;
        let (first, heard) = (running.first, Arc::clone(&running.heard));
        let (agent, last) = running.end()?;
        self.agent = Some(agent);
        let heard = std::mem::replace(&mut *lock(&heard), Heard::readings());
        let Finished { points, notes, resolution_mw } = self.finish(heard)?;
        let map = ClockMap::between(first, last);
        let ours = |point: Point| Some(Point { at_ns: map.ours_ns(point.at_ns)?, ..point });
        let trace = power_meter::trace_of(self.name(), points.into_iter().filter_map(ours));
        (self.notes, self.resolution_mw, self.uncertainty_s) = (notes, resolution_mw, map.uncertainty_s());
        Ok(trace)
    }

    /// What the last printed digit is worth, or the smallest difference between two values of a sensor.
    fn resolution_mw(&self) -> Option<f64> {
        self.resolution_mw
    }

    fn notes(&self) -> Vec<MeterNote> {
        self.notes.clone()
    }

    /// Half the shortest round trip to that machine.
    fn stamp_uncertainty_s(&self) -> f64 {
        self.uncertainty_s
    }
}

impl Running {
    /// Ends reading; gives the connection back, and the last comparison of clocks.
    fn end(mut self) -> Outcome {
        self.halt = None;
        let broken = || MeterError::Broken { meter: "the agent".to_owned() };
        let thread = self.thread.take().ok_or_else(broken)?;
        thread.join().map_err(|_| broken())?
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.halt = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Where the agent of a meter lies. It is not the device's: that one, when it begins, ends whatever an earlier one of
/// its folder has left behind.
fn folder_of(work_folder: &str) -> String {
    format!("{work_folder}/meter")
}

fn unreachable(place: &Place, error: &RemoteError) -> MeterError {
    MeterError::Unreachable { place: place.label(), problem: error.to_string() }
}

#[cfg(test)]
mod tests;
