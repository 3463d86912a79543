//! One connection to a machine, for all that uses it.

use std::sync::{Arc, Mutex};

use super::agent::Agent;
use super::error::RemoteError;
use super::place::Place;
use crate::lock::lock;

/// The agent on a machine, connected to when it is first needed. Clones share it: a device keeps one session between its
/// models, and its meter reads over the same one.
#[derive(Clone)]
pub(crate) struct Session {
    place: Place,
    folder: String,
    agent: Arc<Mutex<Option<Agent>>>,
}

impl Session {
    /// A session that is not connected yet; everything that the agent writes there lies in the work folder.
    pub fn new(place: Place, folder: String) -> Self {
        Self { place, folder, agent: Arc::default() }
    }

    /// The machine.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The agent, which is started if there is none.
    ///
    /// # Errors
    /// If the machine cannot be reached, has no Python 3, or the folder cannot be made.
    pub fn agent(&self) -> Result<Agent, RemoteError> {
        let mut slot = lock(&self.agent);
        let agent = match slot.take() {
            Some(agent) => agent,
            None => self.place.connect(&self.folder)?,
        };
        Ok(slot.insert(agent).clone())
    }

    /// Closes the connection, after a fault or when it is no longer needed: as soon as the other handles of the agent
    /// are dropped too, it ends all that it started and puts the machine's settings back.
    pub fn close(&self) {
        *lock(&self.agent) = None;
    }

    /// A session over an agent that is there.
    #[cfg(test)]
    pub fn over(place: Place, agent: Agent) -> Self {
        Self { place, folder: String::new(), agent: Arc::new(Mutex::new(Some(agent))) }
    }
}
