//! A board's power monitors, read while something runs.

use std::time::{Duration, Instant};

use super::link::PASSWORD_ADVICE;
use super::options::PowerSource;
use crate::meter::ina3221::{self, RailFiles};
use crate::meter::rails::{Total, total_of};
use crate::meter::tegrastats::{self, Stats};
use crate::meter::{Reading, Trace};
use crate::remote::{Agent, BackgroundSampler, End, Job, JobEvent, RemoteError};

/// A running meter and what it has read so far.
pub(super) struct Meter {
    job: Job,
    /// What tells temperature and clock where the meter itself does not.
    beside: Option<(Job, StateFiles)>,
    source: PowerSource,
    rails: Vec<RailFiles>,
    trace: Trace,
    total: Option<Total>,
    states: Vec<State>,
    refused: usize,
    by_sudo: bool,
    without_rails: usize,
    unknown_rails: usize,
    /// Why the last reading that was refused was refused.
    last_refusal: Option<String>,
    heard: Instant,
}

/// What else tegrastats tells of the board at one instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct State {
    pub at_ns: u64,
    /// Temperature of the GPU, or of the hottest junction where it has no sensor of its own, in °C.
    pub temperature_c: Option<f64>,
    /// Clock of the GPU, in MHz.
    pub clock_mhz: Option<f64>,
}

impl Meter {
    /// Readings refused one after the other that end a meter's credit.
    const MOST_REFUSED: usize = 20;
    /// Lines without power rails, or with rails that are not known, before the first with all of them, after which it is
    /// not the lines' fault.
    const MOST_WITHOUT_RAILS: usize = 5;
    /// Longest time that a meter may run: above any measurement's, whose limits are at most a day.
    const LIMIT: Duration = Duration::from_secs(3 * 86_400);
    /// Time between two looks at temperature and clock.
    const STATE_PERIOD: Duration = Duration::from_millis(200);
    /// Most readings kept: an hour at 2 ms.
    const MOST_READINGS: usize = 2_000_000;

    /// Starts `tegrastats`, or reading the monitors' files.
    ///
    /// # Errors
    /// If there is no such program, or no such file.
    pub fn start(
        agent: &mut Agent,
        source: PowerSource,
        tegrastats: &[String],
        sysfs: &str,
    ) -> Result<Self, RemoteError> {
        let mut beside = None;
        let (job, rails) = match source {
            PowerSource::Tegrastats { interval } => {
                let mut argv = tegrastats.to_vec();
                argv.extend(["--interval".to_owned(), interval.as_millis().to_string()]);
                (agent.start(&argv, Self::LIMIT, true)?, Vec::new())
            }
            PowerSource::Ina3221 { period } => {
                let rails = find_rails(agent, sysfs)?;
                let paths: Vec<String> = rails.iter().flat_map(|rail| rail.files.clone()).collect();
                let denied = |error| match error {
                    RemoteError::Agent { problem } if problem.contains("PermissionError") => RemoteError::Settings {
                        problem: format!(
                            "the power monitors' files may not be read ({problem}): allow it on the board, as by \
                             `sudo chmod a+r FILES`, or use tegrastats"
                        ),
                    },
                    other => other,
                };
                if let Some(files) = StateFiles::find(agent, sysfs)? {
                    beside = Some((agent.poll(&files.paths(), Self::STATE_PERIOD)?, files));
                }
                (agent.poll(&paths, period).map_err(denied)?, rails)
            }
        };
        Ok(Self {
            job,
            beside,
            source,
            rails,
            trace: Trace::default(),
            total: None,
            states: Vec::new(),
            refused: 0,
            by_sudo: tegrastats.first().is_some_and(|program| program == "sudo"),
            without_rails: 0,
            unknown_rails: 0,
            last_refusal: None,
            heard: Instant::now(),
        })
    }

    /// What it has read.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// The rails that make up the whole board, once something was read.
    pub fn total(&self) -> Option<&Total> {
        self.total.as_ref()
    }

    /// The rest of what was read.
    pub fn states(&self) -> &[State] {
        &self.states
    }

    /// Takes up an event if it is the meter's; tells whether it was.
    ///
    /// # Errors
    /// If the meter has ended, reads no rails, or reads only what cannot be understood.
    pub fn take(&mut self, job: Job, event: &JobEvent) -> Result<bool, RemoteError> {
        if let Some((beside, files)) = &self.beside
            && *beside == job
        {
            // Where they end or hold nonsense, temperature and clock are missing; power is not.
            if let JobEvent::Values { at_ns, values } = event {
                self.states.push(files.state(*at_ns, values));
            }
            return Ok(true);
        }
        if job != self.job {
            return Ok(false);
        }
        let readings = self.trace.readings().len();
        match event {
            JobEvent::Line { at_ns, text } => self.take_line(*at_ns, text)?,
            JobEvent::Values { at_ns, values } => match ina3221::reading(&self.rails, values) {
                Ok(rails) => self.push(Reading { at_ns: *at_ns, rails })?,
                Err(error) => self.refuse(error.to_string())?,
            },
            JobEvent::Ended { end } => return Err(self.ended(end)),
        }
        if self.trace.readings().len() > readings {
            self.heard = Instant::now();
        }
        Ok(true)
    }

    /// Refuses a meter that has been silent for too long.
    ///
    /// # Errors
    /// Then.
    pub fn check(&self) -> Result<(), RemoteError> {
        let longest = (20 * self.source.period()).max(Duration::from_secs(5));
        if self.heard.elapsed() <= longest {
            return Ok(());
        }
        let said =
            self.last_refusal.as_ref().map_or_else(String::new, |text| format!("; the last was refused: {text}"));
        let problem = format!("{} has given no reading for {} s{said}", self.source.as_str(), longest.as_secs());
        Err(RemoteError::Meter { problem })
    }

    /// Ends it.
    ///
    /// # Errors
    /// If the agent cannot be reached.
    pub fn stop(&self, agent: &mut Agent) -> Result<(), RemoteError> {
        if let Some((beside, _)) = &self.beside {
            agent.stop(*beside)?;
        }
        agent.stop(self.job)
    }

    fn take_line(&mut self, at_ns: u64, text: &str) -> Result<(), RemoteError> {
        // Half a line at the beginning, an empty one, or a warning of sudo's is no reason to give up.
        let stats = match tegrastats::parse(text) {
            Ok(stats) => stats,
            Err(error) => {
                let shown: String = text.chars().take(80).collect();
                return self.refuse(format!("{error} (in {shown:?})"));
            }
        };
        if stats.rails.is_empty() {
            self.without_rails += 1;
            // A line that is cut may have lost them.
            if self.without_rails < Self::MOST_WITHOUT_RAILS || !self.trace.readings().is_empty() {
                return self.refuse(format!("no power rails in {:?}", text.chars().take(80).collect::<String>()));
            }
            return Err(RemoteError::Settings {
                problem: format!(
                    "tegrastats prints no power rails, for want of rights{}, or read the monitors' files with power = \
                     \"ina3221\"",
                    if self.by_sudo {
                        ", although it is run by sudo: may this user read them at all? Try `sudo tegrastats` there"
                    } else {
                        ": set sudo = true, with a rule that lets the user run it without a password (`sudo visudo -f \
                         /etc/sudoers.d/controller`)"
                    }
                ),
            });
        }
        let state = state(at_ns, &stats);
        let readings = self.trace.readings().len();
        self.push(Reading { at_ns, rails: stats.rails })?;
        if self.trace.readings().len() > readings {
            self.states.push(state);
        }
        Ok(())
    }

    fn push(&mut self, reading: Reading) -> Result<(), RemoteError> {
        if self.trace.readings().len() >= Self::MOST_READINGS {
            return Err(RemoteError::Flood);
        }
        if self.total.is_none() {
            let names: Vec<&str> = reading.rails.iter().map(|rail| rail.name.as_str()).collect();
            let Some(total) = total_of(&names) else {
                let problem = format!(
                    "the board has the power rails {}, of which it is not known how they make up the whole",
                    names.join(", ")
                );
                self.unknown_rails += 1;
                // Of a line that is cut, some rails may be left.
                if self.unknown_rails < Self::MOST_WITHOUT_RAILS {
                    return self.refuse(problem);
                }
                return Err(RemoteError::Settings { problem });
            };
            self.total = Some(total);
        }
        if !self.trace.push(reading) {
            return self.refuse("its time stamp is not later than that of the one before".to_owned());
        }
        self.refused = 0;
        Ok(())
    }

    fn refuse(&mut self, reason: String) -> Result<(), RemoteError> {
        self.refused += 1;
        if self.refused < Self::MOST_REFUSED {
            self.last_refusal = Some(reason);
            return Ok(());
        }
        let problem =
            format!("{} readings of {} one after the other were refused: {reason}", self.refused, self.source.as_str());
        Err(RemoteError::Meter { problem })
    }

    fn ended(&self, end: &End) -> RemoteError {
        let said = self.last_refusal.as_deref().unwrap_or_default();
        if said.contains("sudo") && said.contains("password") {
            return RemoteError::Settings { problem: format!("sudo asks for a password{PASSWORD_ADVICE}") };
        }
        let how = match end {
            End::Exit(code) => format!("ended with exit code {code}"),
            End::Signal(signal) => format!("was ended by signal {signal}"),
            End::TimedOut => "ran past its limit".to_owned(),
            End::Problem(problem) => format!("could not go on: {problem}"),
        };
        let said = if said.is_empty() { String::new() } else { format!("; it had printed: {said}") };
        RemoteError::Meter { problem: format!("{} {how} before it was told to{said}", self.source.as_str()) }
    }
}

impl BackgroundSampler for Meter {
    fn take(&mut self, job: Job, event: &JobEvent) -> Result<(), RemoteError> {
        Self::take(self, job, event).map(|_| ())
    }

    fn check(&self) -> Result<(), RemoteError> {
        Self::check(self)
    }
}

fn find_rails(agent: &mut Agent, sysfs: &str) -> Result<Vec<RailFiles>, RemoteError> {
    let patterns: Vec<String> = ina3221::PATTERNS.iter().map(|pattern| format!("{sysfs}/{pattern}")).collect();
    let found = agent.ask(serde_json::json!({"do": "look", "patterns": patterns}))?.files;
    // What may not be read has no content; it is refused when it is opened, by name.
    let found: Vec<(String, String)> = found.into_iter().map(|(path, text)| (path, text.unwrap_or_default())).collect();
    let rails = ina3221::rails(&found);
    if rails.is_empty() {
        return Err(RemoteError::Settings {
            problem: format!("there are no INA3221 power monitors below {sysfs}: use power = \"tegrastats\""),
        });
    }
    Ok(rails)
}

/// Files of sysfs that tell the GPU's temperature and clock.
struct StateFiles {
    /// In thousandths of a degree.
    temperature: Option<String>,
    /// In Hz.
    clock: Option<String>,
}

impl StateFiles {
    /// Ends of the names of a Jetson's GPU in devfreq: TX1 and Nano, TX2, Xavier, Orin.
    const GPUS: [&'static str; 5] = [".gpu", ".gm20b", ".gp10b", ".gv11b", ".ga10b"];

    fn find(agent: &mut Agent, sysfs: &str) -> Result<Option<Self>, RemoteError> {
        let patterns =
            [format!("{sysfs}/class/thermal/thermal_zone*/type"), format!("{sysfs}/class/devfreq/*/cur_freq")];
        let found = agent.ask(serde_json::json!({"do": "look", "patterns": patterns}))?.files;
        let zone = found.iter().find(|(path, text)| {
            let is_gpu = text.as_deref().is_some_and(|text| text.to_lowercase().starts_with("gpu"));
            path.ends_with("/type") && is_gpu
        });
        let clock = found.iter().find(|(path, text)| {
            let name = path.strip_suffix("/cur_freq").unwrap_or_default();
            text.is_some() && Self::GPUS.iter().any(|gpu| name.ends_with(gpu))
        });
        let files = Self {
            temperature: zone.and_then(|(path, _)| Some(format!("{}temp", path.strip_suffix("type")?))),
            clock: clock.map(|(path, _)| path.clone()),
        };
        Ok((files.temperature.is_some() || files.clock.is_some()).then_some(files))
    }

    fn paths(&self) -> Vec<String> {
        self.temperature.iter().chain(&self.clock).cloned().collect()
    }

    fn state(&self, at_ns: u64, values: &[String]) -> State {
        let mut values = values.iter().map(|text| text.parse::<f64>().ok().filter(|value| value.is_finite()));
        let mut next = |file: &Option<String>| file.as_ref().and_then(|_| values.next().flatten());
        let temperature_c = next(&self.temperature).map(|value| value / 1e3);
        State { at_ns, temperature_c, clock_mhz: next(&self.clock).map(|value| value / 1e6) }
    }
}

fn state(at_ns: u64, stats: &Stats) -> State {
    let sensor = |names: &[&str]| {
        let found = names.iter().find_map(|name| {
            stats.temperatures.iter().find(|temperature| temperature.sensor.eq_ignore_ascii_case(name))
        });
        found.map(|temperature| temperature.celsius)
    };
    State { at_ns, temperature_c: sensor(&["gpu", "tj", "thermal"]), clock_mhz: stats.gpu_clock_mhz }
}
