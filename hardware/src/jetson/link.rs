//! A connected board whose tools are found and whose settings are made.

use std::time::Duration;

use serde_json::json;

use super::engine::Builder;
use super::options::JetsonOptions;
use super::trtexec;
use crate::meter::PASSWORD_ADVICE;
use crate::remote::{Agent, End, Place, RemoteError, sudo_refuses, take};
use crate::shown::pasted;

/// A connected board. Dropping it ends the agent, which ends the programs that it started and restores the board's
/// settings.
pub(super) struct Link {
    pub agent: Agent,
    pub place: Place,
    pub builder: Builder,
    /// Power mode as `nvpmodel -q` names it, if known.
    pub power_mode: Option<String>,
}

/// Time limit of a program that only sets or prints something.
const SETTING: Duration = Duration::from_secs(60);

impl Link {
    /// Locks the board, finds its tools and applies the settings.
    ///
    /// # Errors
    /// If another program uses it, a tool is missing, or a setting is rejected.
    pub fn set_up(mut agent: Agent, place: &Place, options: &JetsonOptions) -> Result<Self, RemoteError> {
        take(&mut agent, None)?;
        let trtexec = match &options.trtexec {
            Some(path) => find(&mut agent, path, &[])?,
            None => find(&mut agent, "trtexec", &["/usr/src/tensorrt/bin"])?,
        };
        let sudo = |words: &[&str]| -> Vec<String> {
            let prefix: &[&str] = if options.sudo { &["sudo", "-n"] } else { &[] };
            prefix.iter().chain(words).map(|word| (*word).to_owned()).collect()
        };
        let version = version(&mut agent, &trtexec)?;
        let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        if major.is_none_or(|major| major < 7) {
            return Err(RemoteError::Settings {
                problem: format!(
                    "the board has TensorRT {version}, whose trtexec does not print for how long inferences ran: update \
                     to JetPack 4.4 or later"
                ),
            });
        }
        let mut power_mode = power_mode(&mut agent, &sudo)?;
        if let Some(wanted) = options.power_mode {
            set_power_mode(&mut agent, &sudo, power_mode.as_ref(), wanted)?;
            power_mode = self::power_mode(&mut agent, &sudo)?;
            if power_mode.as_ref().is_none_or(|(_, number)| *number != wanted) {
                return Err(RemoteError::Settings {
                    problem: format!(
                        "the power mode {wanted} was set, but nvpmodel -q prints another: the board may need a restart \
                         for it. Set it by hand, and leave power_mode out"
                    ),
                });
            }
        }
        if options.fix_clocks {
            fix_clocks(&mut agent, &sudo)?;
        }
        let mode = power_mode.as_ref().map_or_else(|| "unknown".to_owned(), |(_, number)| number.to_string());
        let serial = agent.hello().serial.clone().unwrap_or_else(|| agent.hello().machine.clone());
        let builder = Builder {
            trtexec,
            version,
            precision: options.precision.as_str(),
            flags: options.precision.flags(),
            board: format!("mode{mode}{}-{serial}", if options.fix_clocks { "-fixed" } else { "" }),
        };
        let power_mode = power_mode.map(|(name, number)| format!("{number} {name}"));
        Ok(Self { agent, place: place.clone(), builder, power_mode })
    }
}

fn find(agent: &mut Agent, name: &str, places: &[&str]) -> Result<String, RemoteError> {
    let path = agent.ask(json!({"do": "which", "name": name, "places": places}))?.path;
    path.ok_or_else(|| RemoteError::Settings {
        problem: if places.is_empty() {
            format!("there is no program {name} on the board: leave trtexec out to have it found")
        } else {
            format!(
                "there is no {name} on the board, neither in PATH nor in {}: install JetPack's TensorRT and tools \
                 (`sudo apt install nvidia-jetpack`), or give its path",
                places.join(", ")
            )
        },
    })
}

/// Version of TensorRT, from trtexec or else from the packages.
fn version(agent: &mut Agent, trtexec: &str) -> Result<String, RemoteError> {
    let help = agent.run(&[trtexec.to_owned(), "--help".to_owned()], SETTING)?;
    if let Ok(trtexec::Report { version: Some(version), .. }) = trtexec::parse(&help.text()) {
        return Ok(version);
    }
    let words = ["dpkg-query", "--show", "--showformat=${Version}\\n", "libnvinfer[0-9]*"].map(str::to_owned);
    let packages = agent.run(&words, SETTING).map(|printed| printed.text()).unwrap_or_default();
    // As in `8.2.1-1+cuda10.2`.
    let version = packages.lines().find_map(|line| line.split(['-', '+']).next().filter(|text| text.contains('.')));
    version.map(str::to_owned).ok_or_else(|| RemoteError::Settings {
        problem: format!("neither {trtexec} nor the board's packages show which TensorRT this is"),
    })
}

/// Name and number of the power mode; `None` if the board has no such tool, or the user may not run it.
fn power_mode(agent: &mut Agent, sudo: &dyn Fn(&[&str]) -> Vec<String>) -> Result<Option<(String, u32)>, RemoteError> {
    let asked = match agent.run(&sudo(&["nvpmodel", "-q"]), SETTING) {
        Err(RemoteError::Agent { .. }) => return Ok(None),
        asked => asked?.text(),
    };
    let name = asked.lines().find_map(|line| line.trim().strip_prefix("NV Power Mode:")).map(str::trim);
    let number = asked.lines().rev().find_map(|line| line.trim().parse::<u32>().ok());
    Ok(name.map(str::to_owned).zip(number))
}

fn set_power_mode(
    agent: &mut Agent,
    sudo: &dyn Fn(&[&str]) -> Vec<String>,
    current: Option<&(String, u32)>,
    wanted: u32,
) -> Result<(), RemoteError> {
    let Some((_, current)) = current else {
        return Err(RemoteError::Settings {
            problem: format!("power_mode = {wanted} cannot be set: nvpmodel -q does not print the mode to put back"),
        });
    };
    if *current == wanted {
        return Ok(());
    }
    let set = |mode: u32| sudo(&["nvpmodel", "-m", &mode.to_string()]);
    agent.ask(json!({"do": "at exit", "name": "power mode", "argv": set(*current)}))?;
    expect_success(agent, &set(wanted), &format!("set the power mode {wanted}"))
}

fn fix_clocks(agent: &mut Agent, sudo: &dyn Fn(&[&str]) -> Vec<String>) -> Result<(), RemoteError> {
    let file = format!("{}/clocks.conf", agent.hello().folder);
    // jetson_clocks does not overwrite an older file.
    agent.ask(json!({"do": "remove", "path": "clocks.conf"}))?;
    expect_success(agent, &sudo(&["jetson_clocks", "--store", &file]), "store the clocks")?;
    let restore = sudo(&["jetson_clocks", "--restore", &file]);
    agent.ask(json!({"do": "at exit", "name": "clocks", "argv": restore}))?;
    expect_success(agent, &sudo(&["jetson_clocks"]), "fix the clocks")
}

fn expect_success(agent: &mut Agent, argv: &[String], what: &str) -> Result<(), RemoteError> {
    let printed = match agent.run(argv, SETTING) {
        Err(RemoteError::Agent { problem }) => {
            let program = argv.first().map_or("", String::as_str);
            return Err(RemoteError::Settings {
                problem: format!("cannot {what}: there is no {program} on the board, or it may not be run ({problem})"),
            });
        }
        run => run?,
    };
    if printed.end == End::Exit(0) {
        return Ok(());
    }
    let said = printed.last_words();
    let by_sudo = argv.first().is_some_and(|program| program == "sudo");
    let advice = match (by_sudo, sudo_refuses(&said)) {
        (false, _) => ". It needs root: set sudo = true",
        (true, true) => PASSWORD_ADVICE,
        (true, false) => "",
    };
    let command = pasted(argv.iter().map(String::as_str));
    Err(RemoteError::Settings { problem: format!("cannot {what}: `{command}` says: {said}{advice}") })
}
