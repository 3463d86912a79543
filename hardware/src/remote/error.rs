//! Failures on a device's machine.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use crate::device::DeviceError;
use crate::model::Model;
use crate::remote::ssh::SshError;
use crate::shown::ends_of;

/// Why a device's machine did not do its part.
#[derive(Debug, Error)]
pub(crate) enum RemoteError {
    /// The connection failed.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// Another run measures on it.
    #[error("another program measures on this board: {by}. It can serve one at a time: wait, or end that one")]
    Busy { by: String },
    /// The agent could not carry out an order.
    #[error("{problem}")]
    Agent { problem: String },
    /// The agent's answer is not understood.
    #[error(
        "the agent on the board answered what is not understood: {line:?} ({problem}). Something may print between its \
         lines, such as a login script: let it print nothing where there is no terminal"
    )]
    Protocol { line: String, problem: String },
    /// The agent on this machine has ended.
    #[error("the agent that runs programs here has ended: {how}")]
    Lost { how: String },
    /// The machine stayed away for as long as it is waited for.
    #[error(transparent)]
    Absent(Box<Self>),
    /// The device itself is not there, or another program uses it.
    #[error("{problem}")]
    Away { problem: String },
    /// The agent sends more than can be kept.
    #[error("the agent on the board sends more than can be kept")]
    Flood,
    /// Something does not answer.
    #[error("{what} has not answered for {} s", waited.as_secs())]
    Silent { what: String, waited: Duration },
    /// The power meter.
    #[error("power cannot be read: {problem}")]
    Meter { problem: String },
    /// A program failed in a way that may pass.
    #[error("{problem}")]
    Failed { problem: String },
    /// The model itself is not accepted.
    #[error("{reason}")]
    Refused { reason: String },
    /// The machine has too little memory for the model, at least now.
    #[error("{problem}")]
    Memory { problem: String },
    /// The board cannot be used as its settings ask.
    #[error("{problem}")]
    Settings { problem: String },
}

impl RemoteError {
    /// An answer that is not understood.
    pub fn protocol(line: &str, problem: &dyn fmt::Display) -> Self {
        Self::Protocol { line: line.chars().take(200).collect(), problem: ends_of(&problem.to_string()) }
    }

    /// The error of a device that is called `device`; `model` is what it was to measure.
    ///
    /// A connection that breaks while a model is measured may be the model's fault, as a board that runs out of memory
    /// restarts. One that cannot be opened is a fault of the equipment.
    pub fn of_device(self, device: String, model: Option<&Model>) -> DeviceError {
        let reason = self.to_string();
        let Some(Model { architecture, .. }) = model else {
            return match self {
                Self::Absent(error) => error.of_device(device, None),
                Self::Settings { problem } | Self::Ssh(SshError::Settings(problem)) => {
                    DeviceError::Settings { device, problem }
                }
                Self::Meter { problem } => DeviceError::Meter { device, reason: problem },
                Self::Ssh(_) | Self::Busy { .. } | Self::Away { .. } => DeviceError::Unreachable { device, reason },
                _ => DeviceError::Broken { device, reason },
            };
        };
        let architecture = architecture.clone();
        match self {
            Self::Absent(_) | Self::Settings { .. } | Self::Meter { .. } => self.of_device(device, None),
            Self::Busy { .. } | Self::Away { .. } | Self::Agent { .. } => self.of_device(device, None),
            Self::Refused { reason } | Self::Memory { problem: reason } => {
                DeviceError::Refused { device, architecture, reason }
            }
            _ => DeviceError::Failed { device, architecture, reason },
        }
    }

    /// Whether another try may end better.
    pub fn is_transient(&self) -> bool {
        match self {
            // The agent ends when its board is shut down, or short of memory.
            Self::Ssh(SshError::Ended { status, .. }) => *status != Some(127),
            Self::Ssh(error) => error.is_transient(),
            Self::Refused { .. } | Self::Settings { .. } | Self::Absent(_) => false,
            _ => true,
        }
    }

    /// Whether the agent and the connection are still good for another try.
    pub fn spares_connection(&self) -> bool {
        matches!(
            self,
            Self::Failed { .. }
                | Self::Meter { .. }
                | Self::Refused { .. }
                | Self::Memory { .. }
                | Self::Agent { .. }
                | Self::Away { .. }
        )
    }
}
