//! The machine that a device belongs to.

use std::time::Duration;

use data_encoding::BASE64;
use serde_json::json;

use super::agent::{Agent, PROGRAM};
use super::error::RemoteError;
use super::exchange::Channel;
use super::local;
use crate::remote::ssh::{Connection, RemoteOptions, SshOptions};

/// Time without a sign of life after which an agent counts as lost. A board that swaps while it
/// builds an engine may take long.
const SILENCE: Duration = Duration::from_secs(20);
/// Reads the agent's program as the first line that is not a heartbeat, and becomes it: no file is needed there.
const RECEIVE: &str =
    "import base64, sys; exec(base64.b64decode(next(line for line in sys.stdin if line.strip())).decode())";

/// The machine that a device belongs to.
#[derive(Debug, Clone)]
pub enum Place {
    /// This machine.
    Here,
    /// Another one.
    Over(SshOptions),
}

impl Place {
    /// Host and port of another machine.
    pub(crate) fn address(&self) -> Option<String> {
        match self {
            Self::Here => None,
            Self::Over(ssh) => Some(format!("{}:{}", ssh.host, ssh.port)),
        }
    }

    /// As in `nvidia@board:22`, or `here`.
    pub fn label(&self) -> String {
        match self {
            Self::Here => "here".to_owned(),
            Self::Over(ssh) => format!("{}@{}:{}", ssh.user, ssh.host, ssh.port),
        }
    }

    /// Starts the agent, with its folder, in which everything lies that is written there.
    ///
    /// # Errors
    /// If the machine cannot be reached, has no Python 3, or the folder cannot be made.
    pub(crate) fn connect(&self, work_folder: &str) -> Result<Agent, RemoteError> {
        // Isolated: no file of the working directory replaces a module of Python's.
        let arguments = ["-I", "-u", "-c", RECEIVE, work_folder];
        let mut channel: Box<dyn Channel> = match self {
            Self::Here => Box::new(local::start(&arguments)?),
            Self::Over(ssh) => {
                let words = [&["env", "LC_ALL=C.UTF-8", "python3"], &arguments[..]].concat();
                let options = RemoteOptions { silence: Some(SILENCE), ..RemoteOptions::default() };
                Box::new(Connection::open(ssh)?.into_remote(&words, &options)?)
            }
        };
        channel.send(&BASE64.encode(PROGRAM.as_bytes()))?;
        Agent::greet(channel)
    }
}

/// Takes the agent's folder, and the device behind it, for this run.
///
/// # Errors
/// If another run has it, or settings of an earlier run could not be put back.
pub(crate) fn take(agent: &mut Agent, claim: Option<&str>) -> Result<(), RemoteError> {
    let by = format!(
        "process {} of {} since {}",
        std::process::id(),
        std::env::var("USER").unwrap_or_else(|_| "another user".to_owned()),
        jiff::Timestamp::now()
    );
    let lock = agent.ask_within(json!({"do": "lock", "by": by, "claim": claim}), Duration::from_secs(120))?;
    if !lock.locked {
        return Err(RemoteError::Busy { by: lock.by });
    }
    if let Some(command) = lock.kept.first() {
        return Err(RemoteError::Settings {
            problem: format!(
                "power mode or clocks could not be put back after an earlier run: `{command}` fails. Run it on the board, \
                 then remove {}/put-back.json",
                agent.hello().folder
            ),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_device_with_a_long_name_is_one_in_all_work_folders() {
        let folder = tempfile::tempdir().unwrap();
        let connect = |name: &str| Place::Here.connect(&folder.path().join(name).display().to_string());
        let (Ok(mut first), Ok(mut second)) = (connect("first"), connect("second")) else { return };
        let claim = format!("openvino MULTI:{} {}", "GPU,".repeat(100), std::process::id());
        take(&mut first, Some(&claim)).unwrap();
        let error = take(&mut second, Some(&claim)).unwrap_err();
        assert!(matches!(error, RemoteError::Busy { .. }), "{error:?}");
        take(&mut second, Some(&format!("{claim} another"))).unwrap();
    }

    #[test]
    fn a_command_that_failed_to_put_a_setting_back_can_be_pasted() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("put-back.json"), r#"[["clocks", ["false", "/a b/clocks.conf"]]]"#).unwrap();
        let Ok(mut agent) = Place::Here.connect(&folder.path().display().to_string()) else { return };
        let error = take(&mut agent, None).unwrap_err().to_string();
        assert!(error.contains("`false '/a b/clocks.conf'` fails"), "{error}");
    }
}
