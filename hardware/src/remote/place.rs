//! Where a device is.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::agent::{Agent, PROGRAM};
use super::error::RemoteError;
use super::local::Local;
use crate::remote::ssh::{Connection, RemoteOptions, SshOptions};

/// Time after which an agent that says nothing, not even that it is there, counts as lost. A board that swaps while it
/// builds an engine may take long.
const SILENCE: Duration = Duration::from_secs(20);

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
        match self {
            Self::Here => {
                let folder = PathBuf::from(work_folder);
                let program = agent_file(&folder)?;
                Agent::greet(Box::new(Local::start(&program, &folder)?))
            }
            Self::Over(ssh) => {
                let mut connection = Connection::open(ssh)?;
                connection.make_folders(work_folder)?;
                let path = format!("{work_folder}/{}", agent_name());
                // Its name tells its content, and it is never there by half.
                if connection.size(&path)? != Some(PROGRAM.len() as u64) {
                    connection.upload(PROGRAM.as_bytes(), &path, true)?;
                }
                let words = ["env", "LC_ALL=C.UTF-8", "python3", "-u", &path, work_folder];
                let options = RemoteOptions { silence: Some(SILENCE), ..RemoteOptions::default() };
                Agent::greet(Box::new(connection.into_remote(&words, &options)?))
            }
        }
    }

    /// The same, and takes the machine for this run alone; `claim` names what is taken of it to runs of other users and
    /// with other folders.
    ///
    /// # Errors
    /// As [`connect`](Self::connect), or if somebody else has it.
    pub(crate) fn claim(&self, work_folder: &str, claim: &str) -> Result<Agent, RemoteError> {
        let mut agent = self.connect(work_folder)?;
        take(&mut agent, Some(claim))?;
        Ok(agent)
    }
}

/// Takes the agent's folder, and what it stands for, for this run.
///
/// # Errors
/// If somebody else has it, or settings of an earlier run could not be put back.
pub(crate) fn take(agent: &mut Agent, claim: Option<&str>) -> Result<(), RemoteError> {
    let by = format!(
        "process {} of {} since {}",
        std::process::id(),
        std::env::var("USER").unwrap_or_else(|_| "somebody".to_owned()),
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

fn agent_name() -> String {
    let digest = Sha256::digest(PROGRAM);
    format!("agent-{:02x}{:02x}{:02x}{:02x}.py", digest[0], digest[1], digest[2], digest[3])
}

/// The agent's file in a folder of this machine, written if it is not there.
fn agent_file(folder: &Path) -> Result<PathBuf, RemoteError> {
    let failed = |path: &Path, error: &std::io::Error| RemoteError::Settings {
        problem: format!("{} cannot be written: {error}", path.display()),
    };
    fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
    let path = folder.join(agent_name());
    if fs::read(&path).is_ok_and(|content| content == PROGRAM.as_bytes()) {
        return Ok(path);
    }
    let part = folder.join(format!("{}.{}.part", agent_name(), std::process::id()));
    fs::write(&part, PROGRAM).map_err(|error| failed(&part, &error))?;
    fs::rename(&part, &path).map_err(|error| failed(&path, &error))?;
    Ok(path)
}
