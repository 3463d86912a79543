//! A device that is any program: `kind = "command"`.
//!
//! The program is started with the model's path as its last argument and the plan in environment variables. It runs
//! the model and prints one JSON object, as `controller measure --json` does. `docs/devices.md` has an example.

mod answer;
mod options;

pub use options::CommandOptions;

use std::time::Duration;

use data_encoding::HEXLOWER;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::device::{Description, Device, DeviceError, Plan, Settings as _};
use crate::energy::{self, Load, LoadRun, Measured, Watch};
use crate::measurement::Measurement;
use crate::meter::{PowerMeter, health};
use crate::model::Model;
use crate::probe;
use crate::program::{Machine, ProgramOptions};
use crate::remote::{
    Agent, ClockMap, End, MODELS, Place, Printed, RemoteError, measure_patiently, on_our_clock, print, provide, take,
};
use crate::statistic::Statistic;
use crate::time::{Clock, Window};
use answer::Answer;

/// Kind of this device in experiment files and logs.
const KIND: &str = "command";
/// Most bytes that a program may print.
const MOST_BYTES: usize = 64 << 20;
/// Runs the words that follow, and ends as they do. Output beyond the limit ends the program; of its messages the last
/// ones are kept.
const SCRIPT: &str = r#"rm -f answer status; { { "$@"; echo $? >status; } | head -c "$0" >answer; } 2>&1 | tail -c 4096; exit "$(cat status)""#;

/// A device that a program measures, here or over SSH.
pub struct CommandDevice {
    options: CommandOptions,
    machine: Machine<Link>,
    /// What the program printed for the smallest network.
    probed: Option<Answer>,
}

impl CommandDevice {
    /// A device that is not connected to yet.
    ///
    /// # Errors
    /// If a setting is impossible, or the meter is missing.
    pub fn new(mut options: CommandOptions) -> Result<Self, DeviceError> {
        let device = format!("{KIND} {}", options.command.join(" "));
        let absolute = options.make_absolute();
        absolute.map_err(|error| DeviceError::Settings { device: device.clone(), problem: error.to_string() })?;
        // The device's own folder, within the work folder: a machine may have several.
        let folder = format!("{}/{}", options.machine.folder(), name(&options));
        let machine = Machine::new(&device, &options, &options.machine, folder, &options.program.meter)?;
        Ok(Self { options, machine, probed: None })
    }

    /// Does something with the program for a model, whose file is where the program runs.
    fn with_program<T>(
        &mut self,
        model: &Model,
        plan: &Plan,
        act: impl FnOnce(&mut Work, Option<&mut (dyn PowerMeter + 'static)>) -> Result<T, RemoteError>,
    ) -> Result<T, RemoteError> {
        let Self { options, machine, .. } = self;
        let (place, clock) = (machine.place().clone(), machine.clock);
        let open = |agent, _: &_| open(agent, options);
        machine.with(options.program.patience, open, |Link { agent, program }, meter| {
            agent.forget();
            let model = provide(agent, &place, model, &[MODELS])?;
            act(&mut Work { agent, program, options, clock, model, plan, answers: Vec::new() }, meter)
        })
    }

    fn attempt(&mut self, model: &Model, plan: &Plan) -> Result<Measurement, RemoteError> {
        self.with_program(model, plan, |work, meter| {
            let Some(meter) = meter else {
                return work.start(plan.time_limit, Duration::ZERO, &|| Ok(()))?.measurement(plan);
            };
            let (energy, clock) = (work.options.program.energy(), work.clock);
            let Measured { energy, warnings, .. } =
                energy::measure(meter, &clock, work, &energy, plan.confidence_interval)?;
            let longest = work.answers.drain(..).max_by_key(Answer::runs);
            let nothing = || RemoteError::Failed { problem: "the program was not run".to_owned() };
            let mut measurement = longest.ok_or_else(nothing)?.measurement(plan)?;
            measurement.energy = Some(energy);
            measurement.warnings.extend(warnings);
            Ok(measurement)
        })
    }

    /// Runs the program on the smallest network, to see whether it works and what it prints.
    fn probe(&mut self) -> Result<(), RemoteError> {
        let (warm_up, time_limit) = (Duration::ZERO, Duration::from_millis(100));
        let plan = Plan { warm_up, time_limit, min_runs: 1, ..Plan::default() };
        let run = |work: &mut Work, _: Option<&mut _>| work.start(time_limit, Duration::ZERO, &|| Ok(()));
        self.probed = Some(probe::with_model(|model| self.with_program(model, &plan, run))?);
        Ok(())
    }
}

/// A name that stands for the command on its machine.
fn name(options: &CommandOptions) -> String {
    let digest = Sha256::digest(options.command.join("\0"));
    format!("{KIND}-{}", HEXLOWER.encode(&digest[..4]))
}

/// A connected machine that has the program.
struct Link {
    agent: Agent,
    /// The program's path there, which is valid in any folder.
    program: String,
}

/// Takes the device for this run alone, if the program is there.
fn open(mut agent: Agent, options: &CommandOptions) -> Result<Link, RemoteError> {
    take(&mut agent, Some(&name(options)))?;
    let program = options.command.first().map(String::as_str).unwrap_or_default();
    let path = agent.ask(json!({"do": "which", "name": program}))?.path;
    let program = path.ok_or_else(|| RemoteError::Settings {
        problem: format!("the program {program} is not found on its machine: give its path, and make it executable"),
    })?;
    Ok(Link { agent, program })
}

/// The program's output, which was `read` from its file after it ended.
fn output(read: Result<String, RemoteError>, printed: &Printed) -> Result<String, RemoteError> {
    let failed = |problem: String| Err(RemoteError::Failed { problem });
    match (read, &printed.end) {
        (Ok(content), End::Exit(0)) => Ok(content),
        (Err(RemoteError::Agent { problem }), _) if problem.contains("is larger than") => {
            failed(format!("the program printed more than {} MiB and was ended", MOST_BYTES >> 20))
        }
        (Err(RemoteError::Agent { problem }), End::Exit(0)) => {
            failed(format!("the program's output cannot be read: {problem}"))
        }
        (Ok(_) | Err(RemoteError::Agent { .. }), end) => {
            let how = match end {
                End::Exit(status) if *status > 128 => format!("was ended by signal {}", status - 128),
                End::Exit(status) => format!("ended with status {status}"),
                other => format!("ended: {other:?}"),
            };
            failed(format!("the program {how}: {}", printed.last_words()))
        }
        (Err(error), _) => Err(error),
    }
}

/// Runs of the program, as a load.
struct Work<'a> {
    agent: &'a mut Agent,
    program: &'a str,
    options: &'a CommandOptions,
    clock: Clock,
    model: String,
    plan: &'a Plan,
    answers: Vec<Answer>,
}

impl Work<'_> {
    /// Runs the program, which is to measure for `least` to `limit`.
    fn start(&mut self, limit: Duration, least: Duration, watch: &Watch) -> Result<Answer, RemoteError> {
        let plan = self.plan;
        let mut argv = ["sh", "-c", SCRIPT, &(MOST_BYTES + 1).to_string(), "env"].map(str::to_owned).to_vec();
        argv.push(format!("CONTROLLER_WARM_UP_MS={}", plan.warm_up.as_millis()));
        argv.push(format!("CONTROLLER_MIN_TIME_MS={}", least.as_millis()));
        argv.push(format!("CONTROLLER_TIME_LIMIT_MS={}", limit.as_millis()));
        argv.push(format!("CONTROLLER_MIN_RUNS={}", plan.least_runs()));
        argv.push(format!("CONTROLLER_STATISTIC={}", plan.statistic()));
        argv.push(format!("CONTROLLER_CONFIDENCE_INTERVAL={}", plan.confidence_interval));
        argv.push(self.program.to_owned());
        argv.extend(self.options.command.iter().skip(1).chain([&self.model]).cloned());
        let limit = plan.warm_up + limit + self.options.program.grace;
        let printed = print(self.agent, &argv, limit, &|| Ok(watch()?))?;
        let failed = |problem: String| Err(RemoteError::Failed { problem });
        if printed.end == End::TimedOut {
            let grace_s = self.options.program.grace.as_secs();
            return failed(format!(
                "the program had not ended {grace_s} s after it should have, and was ended: raise grace_s if it needs longer"
            ));
        }
        let read = json!({"do": "read", "path": "answer", "most": MOST_BYTES});
        let read = self.agent.ask_within(read, self.options.program.grace);
        let content = output(read.map(|answer| answer.content), &printed)?;
        // The agent passes bytes on as Latin-1.
        let bytes: Vec<u8> = content.chars().map(|c| c as u8).collect();
        Answer::parse(&String::from_utf8_lossy(&bytes))
    }

    /// When timed runs took place, on the clock of the machine that never jumps.
    fn window(&mut self, answer: &Answer) -> Result<Window, RemoteError> {
        let failed = |problem: &str| RemoteError::Failed { problem: problem.to_owned() };
        let (Some(started_ns), Some(ended_ns)) = (answer.started_ns, answer.ended_ns) else {
            return Err(failed(
                "the program printed no started_ns and ended_ns, so that power cannot be assigned to inferences",
            ));
        };
        let real_ns = self.agent.ask(json!({"do": "clock"}))?.real_ns;
        let steady_ns = self.agent.answered_ns();
        let steady = |at_ns: u64| steady_ns.checked_sub(real_ns.checked_sub(at_ns)?);
        match (steady(started_ns), steady(ended_ns)) {
            (Some(from_ns), Some(to_ns)) if from_ns < to_ns => Ok(Window { from_ns, to_ns }),
            _ => Err(failed(
                "started_ns and ended_ns must be times of CLOCK_REALTIME, in ns, before now and in this order",
            )),
        }
    }
}

impl Load for Work<'_> {
    type Error = RemoteError;

    fn run(&mut self, duration: Duration, watch: &Watch) -> Result<LoadRun, RemoteError> {
        let before = ClockMap::sample(self.agent, &self.clock)?;
        let answer = self.start(duration, duration, watch)?;
        let no_runs = || RemoteError::Failed { problem: "the program printed no time_runs or times_ms".to_owned() };
        let inferences = answer.runs().filter(|runs| *runs > 0).ok_or_else(no_runs)?;
        let window = self.window(&answer)?;
        if window.from_ns < before.board_ns {
            let problem = "started_ns lies before the program was started: is it a time of CLOCK_REALTIME?".to_owned();
            return Err(RemoteError::Failed { problem });
        }
        let window = on_our_clock(self.agent, &self.clock, before, window)?;
        self.answers.push(answer);
        Ok(LoadRun { window, inferences, period_s: window.seconds() / inferences as f64 })
    }
}

impl Device for CommandDevice {
    fn describe(&mut self) -> Result<Description, DeviceError> {
        self.probe().map_err(|error| self.machine.error(error, None))?;
        let name = self.probed.as_ref().and_then(|answer| answer.device.clone());
        let mut description = Description::new(KIND, name.unwrap_or_else(|| self.options.command.join(" ")));
        if let Some(host) = self.machine.place().address() {
            description = description.with("host", host);
        }
        let meter = self.machine.meter.as_deref().map(|meter| meter as &dyn PowerMeter);
        Ok(self.options.program.energy().describe(description, meter))
    }

    fn health(&mut self) -> Result<Vec<(String, String)>, DeviceError> {
        self.describe()?;
        let Some(meter) = self.machine.meter.as_deref_mut() else { return Ok(Vec::new()) };
        let shown = health(meter).map_err(|error| self.machine.error(error.into(), None))?;
        Ok(vec![("meter".to_owned(), shown)])
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
        let lacks = self.probed.as_ref().is_some_and(|answer| !answer.gives(statistic));
        let key = match statistic {
            Statistic::Median => "p50",
            other => other.as_str(),
        };
        lacks.then(|| format!("its program prints neither times_ms, single runs, nor time_ms_{key}"))
    }

    fn measures_energy(&self) -> bool {
        self.machine.meter.is_some() || self.probed.as_ref().is_some_and(|answer| answer.energy_mj.is_some())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::*;

    #[test]
    fn an_error_of_the_connection_is_not_one_of_the_program() {
        let printed = |status| Printed { end: End::Exit(status), lines: vec![(0, "last words".to_owned())] };
        let agent = |problem: &str| Err(RemoteError::Agent { problem: problem.to_owned() });
        assert_eq!(output(Ok("{}".to_owned()), &printed(0)).unwrap(), "{}");
        let lost = output(Err(RemoteError::Lost { how: "exit status: 1".to_owned() }), &printed(0)).unwrap_err();
        assert!(matches!(lost, RemoteError::Lost { .. }), "{lost:?}");
        for (read, status, expected) in [
            (agent("ValueError: answer is larger than 9 bytes"), 0, "more than 64 MiB"),
            (agent("OSError: input/output error"), 0, "cannot be read: OSError"),
            (agent("FileNotFoundError: answer"), 3, "ended with status 3: last words"),
            (Ok(String::new()), 137, "was ended by signal 9: last words"),
        ] {
            let error = output(read, &printed(status)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    /// As on another machine, whose paths are not made absolute here.
    #[test]
    fn a_program_with_a_relative_path_is_found_and_run() {
        let folder = tempfile::tempdir().unwrap();
        let Ok(agent) = Place::Here.connect(&folder.path().join("work").display().to_string()) else { return };
        let path = folder.path().join("program");
        std::fs::write(&path, "#!/bin/sh\necho '{\"time_ms\": 2.5}'\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let to_root: std::path::PathBuf = std::env::current_dir().unwrap().components().skip(1).map(|_| "..").collect();
        let relative = to_root.join(path.strip_prefix("/").unwrap());
        let options = CommandOptions { command: vec![relative.display().to_string()], ..CommandOptions::default() };

        let Link { mut agent, program } = open(agent, &options).unwrap();
        assert_eq!(Path::new(&program), path);
        let plan = Plan::default();
        let (model, clock, answers) = ("a.onnx".to_owned(), Clock::start(), Vec::new());
        let mut work =
            Work { agent: &mut agent, program: &program, options: &options, clock, model, plan: &plan, answers };
        let answer = work.start(plan.time_limit, Duration::ZERO, &|| Ok(())).unwrap();
        assert_eq!(answer.measurement(&plan).unwrap().latency.mean_ms, 2.5);
    }
}
