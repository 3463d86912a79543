//! Runs of trtexec.

use std::time::Duration;

use serde_json::json;

use super::options::JetsonOptions;
use super::trtexec::times::Runs;
use super::trtexec::{self, Outcome, Problem, Report};
use crate::energy::{Load, LoadRun, Watch};
use crate::remote::{Agent, ClockMap, End, Printed, RemoteError, on_our_clock, print};
use crate::time::{Clock, Window};

/// File in the work folder to which trtexec writes the times of all runs.
const TIMES: &str = "times.json";
/// Largest such file that is read, in bytes: a run takes some 300.
const MOST_TIMES: usize = Agent::LARGEST_FILE;

/// Runs of trtexec, as a load.
pub(super) struct Trials<'a> {
    pub agent: &'a mut Agent,
    pub clock: &'a Clock,
    /// See [`command`].
    pub command: Vec<String>,
    pub warm_up: Duration,
    pub grace: Duration,
    /// The runs so far.
    pub runs: Vec<Trial>,
}

impl Load for Trials<'_> {
    type Error = RemoteError;

    fn run(&mut self, duration: Duration, watch: &Watch) -> Result<LoadRun, RemoteError> {
        let before = ClockMap::sample(self.agent, self.clock)?;
        let trial = self.trial(duration, watch)?;
        let window = on_our_clock(self.agent, self.clock, before, trial.window)?;
        let run = LoadRun { window, inferences: trial.inferences, period_s: trial.period_s };
        self.runs.push(trial);
        Ok(run)
    }
}

impl Trials<'_> {
    /// Runs the engine for `duration`, after the warm-up. The run is killed if it has not ended within the grace after
    /// that, or when `watch` returns an error.
    ///
    /// # Errors
    /// If trtexec fails, or does not report how long it ran.
    fn trial(&mut self, duration: Duration, watch: &Watch) -> Result<Trial, RemoteError> {
        let mut argv = self.command.clone();
        argv.extend([
            format!("--warmUp={}", self.warm_up.as_millis()),
            format!("--duration={}", duration.as_secs_f64().ceil()),
            format!("--exportTimes={TIMES}"),
        ]);
        self.agent.ask(json!({"do": "remove", "path": TIMES}))?;
        let limit = self.warm_up + duration + self.grace;
        let printed = print(self.agent, &argv, limit, &|| Ok(watch()?))?;
        let report = report(&printed, "run the engine", limit)?;
        let times = self.agent.ask_within(json!({"do": "read", "path": TIMES, "most": MOST_TIMES}), self.grace);
        self.agent.ask(json!({"do": "remove", "path": TIMES}))?;
        let unreadable =
            |problem: String| RemoteError::Failed { problem: format!("trtexec's times cannot be used: {problem}") };
        let times = times.map_err(|error| match error {
            RemoteError::Agent { problem } => unreadable(problem),
            error => error,
        })?;
        let runs = trtexec::times::parse(&times.content).map_err(unreadable)?;
        let runs = runs.without_warm_up(report.queries, self.warm_up.as_secs_f64() * 1e3);
        let inferences = runs.compute_ms.len() as u64;
        if inferences == 0 {
            return Err(unreadable("all runs are warm-up".to_owned()));
        }
        let (window, walltime_s) = window(&printed, &report, self.warm_up, inferences)?;
        // The whole time divided by their number would be too long: the input of the first inference is transferred one
        // inference before the computation.
        let period_s = runs.period_ms().map_or(walltime_s / inferences as f64, |period_ms| period_ms / 1e3);
        Ok(Trial { runs, window, inferences, period_s })
    }
}

/// One run of trtexec.
#[derive(Debug, Clone)]
pub(super) struct Trial {
    /// Every timed run.
    pub runs: Runs,
    /// Window in which inferences ran, without warm-up.
    pub window: Window,
    /// Number of timed inferences.
    pub inferences: u64,
    /// Time of the window that each inference took, in s.
    pub period_s: f64,
}

/// The report of a run of trtexec.
///
/// # Errors
/// If the run failed, with the reason.
pub(super) fn report(printed: &Printed, what: &str, limit: Duration) -> Result<Report, RemoteError> {
    let failed = |problem: String| RemoteError::Failed { problem: format!("trtexec failed to {what}: {problem}") };
    let report = trtexec::parse(&printed.text()).map_err(|error| failed(error.to_string()))?;
    match (&report.problem, &printed.end) {
        (_, End::Exit(0)) if report.outcome != Outcome::Failed => Ok(report),
        (_, End::TimedOut) => Err(failed(format!("it had not ended after {} s, and was ended", limit.as_secs()))),
        (Some(Problem::Unsupported(text)), _) => {
            Err(RemoteError::Refused { reason: format!("TensorRT does not accept it: {text}") })
        }
        (Some(Problem::OutOfMemory(text)), _) => {
            let problem = format!("the board is out of memory: {text}. End other programs on it");
            Err(RemoteError::Memory { problem: format!("trtexec failed to {what}: {problem}") })
        }
        (Some(Problem::BadEngine(text)), _) => Err(RemoteError::Failed { problem: format!("{BAD_ENGINE}: {text}") }),
        (Some(Problem::Other(text)), End::Exit(_)) => Err(failed(text.clone())),
        (Some(Problem::Other(_)) | None, _) => Err(failed(printed.failure())),
    }
}

/// Beginning of the error about an engine that was built for another version or board.
pub(super) const BAD_ENGINE: &str = "the engine in the cache belongs to another TensorRT or board";

/// The command that runs an engine, without its duration.
pub(super) fn command(trtexec: &str, options: &JetsonOptions, engine: &str) -> Vec<String> {
    let mut command = vec![
        trtexec.to_owned(),
        format!("--loadEngine={engine}"),
        // For more runs trtexec exceeds the duration, and would be killed where a network is slow. The first of two may be
        // all of the warm-up.
        "--iterations=2".to_owned(),
        // Averages over many runs: otherwise trtexec prints thousands of lines.
        "--avgRuns=1000".to_owned(),
    ];
    command.extend(options.spin_wait.then(|| "--useSpinWait".to_owned()));
    command
}

/// The window of the timed inferences, on the board's clock, and how long trtexec says that they ran.
fn window(
    printed: &Printed,
    report: &Report,
    warm_up: Duration,
    inferences: u64,
) -> Result<(Window, f64), RemoteError> {
    let missing = |what: &str| RemoteError::Failed {
        problem: format!("trtexec does not say {what}: power cannot be assigned to inferences"),
    };
    let reports =
        ["Warmup completed", "Timing trace has", "=== Trace details", "=== Performance summary", "Host Latency"];
    let ended_ns = printed.stamp(&reports).ok_or_else(|| missing("when inferences ended"))?;
    let walltime_s = report.walltime_s.ok_or_else(|| missing("how long inferences ran"))?;
    let begun_ns = printed.stamp(&["Starting inference"]);
    // The warm-up ends with an inference.
    let late_s = LATE_S + walltime_s / inferences as f64;
    let window = printed.window("trtexec", begun_ns, ended_ns, walltime_s, warm_up.as_secs_f64(), late_s)?;
    Ok((window, walltime_s))
}

/// How long other work of trtexec may take between its lines, and until they are noticed.
const LATE_S: f64 = 0.4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_cause_explains_an_abort() {
        let error_of = |line: &str| {
            let printed = Printed { end: End::Signal(6), lines: vec![(0, line.to_owned())] };
            report(&printed, "run the engine", Duration::ZERO).unwrap_err()
        };
        for line in ["  what():  std::bad_alloc", "Cuda failure: out of memory"] {
            let error = error_of(line);
            assert!(matches!(error, RemoteError::Memory { .. }), "{error:?}");
        }
        let error = error_of("[E] [TRT] UNSUPPORTED_NODE: No importer registered for op: Nonsense");
        assert!(matches!(error, RemoteError::Refused { .. }), "{error:?}");
        let error = error_of("[E] an error that nothing is known about").to_string();
        assert!(error.contains("signal 6"), "{error}");
    }
}
