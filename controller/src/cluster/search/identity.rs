//! What a run keeps in its folder of the cluster.

use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::cluster::message::{DeviceInfo, is_token};
use crate::run::write_atomically;

/// What a run keeps in its folder to find its jobs and answers on the server again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// 16 hexadecimal digits.
    pub run: String,
    /// The device that its networks are measured on.
    pub device: Option<DeviceInfo>,
}

impl Identity {
    /// The file within a run folder.
    pub const FILE: &'static str = "checkpoint/cluster.json";

    /// A run that has begun nothing.
    pub fn fresh() -> Self {
        Self { run: format!("{:016x}", rand::random::<u64>()), device: None }
    }

    /// That of a run folder, if it has one. A damaged one counts as none: its jobs are done again.
    pub fn load(folder: &Path) -> Option<Self> {
        let content = std::fs::read(folder.join(Self::FILE)).ok()?;
        let identity: Self = serde_json::from_slice(&content).ok()?;
        is_token(&identity.run).then_some(identity)
    }

    pub fn save(&self, folder: &Path) -> Result<()> {
        write_atomically(&folder.join(Self::FILE), &serde_json::to_vec(self)?)
    }
}
