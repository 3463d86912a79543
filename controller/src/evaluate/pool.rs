//! The devices of a search: each measures one model at a time, and all of them share the work.

use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use hardware::host::{Host, HostOptions};
use hardware::jetson::Jetson;
use hardware::{Device, DeviceError, Measurement, Model, Plan};
use tokio::sync::Semaphore;

use crate::config::DeviceConfig;

/// Makes the device that an experiment file describes.
///
/// # Errors
/// If its settings do not fit this machine.
pub fn open_device(config: &DeviceConfig) -> Result<Box<dyn Device>, DeviceError> {
    match config {
        DeviceConfig::Host(host) => Ok(Box::new(Host::new(HostOptions { threads: host.threads, name: None })?)),
        DeviceConfig::Jetson(jetson) => Ok(Box::new(Jetson::new(jetson.options()?)?)),
    }
}

struct Member {
    device: Box<dyn Device>,
    label: String,
}

/// Devices that share the work.
pub struct DevicePool {
    free: Mutex<Vec<Member>>,
    permits: Semaphore,
    shares_machine: bool,
    measures_energy: bool,
    plan: Plan,
}

impl DevicePool {
    /// Asks every device what it is, so that one that is not there is noticed before the search.
    ///
    /// # Errors
    /// If a device does not answer.
    pub fn open<'a>(
        devices: impl IntoIterator<Item = (&'a String, &'a DeviceConfig)>,
        plan: Plan,
    ) -> anyhow::Result<Self> {
        let mut members = Vec::new();
        for (name, config) in devices {
            let context = || format!("the device `{name}` cannot be used");
            let mut device = open_device(config).with_context(context)?;
            let label = device.describe().with_context(context)?.label();
            members.push(Member { device, label });
        }
        let shares_machine = members.iter().any(|member| member.device.shares_machine());
        let measures_energy = members.iter().all(|member| member.device.measures_energy());
        let permits = Semaphore::new(members.len());
        Ok(Self { permits, free: Mutex::new(members), shares_machine, measures_energy, plan })
    }

    /// Whether measuring competes with training.
    pub fn shares_machine(&self) -> bool {
        self.shares_machine
    }

    /// Whether every device measures energy.
    pub fn measures_energy(&self) -> bool {
        self.measures_energy
    }

    /// Measures a model on the first device that is free, and tells which.
    ///
    /// # Errors
    /// If that device cannot measure it.
    pub async fn measure(&self, model: Model) -> Result<(Measurement, String), String> {
        let _permit = self.permits.acquire().await.map_err(|error| error.to_string())?;
        let taken = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some(mut member) = taken else { return Err("no device is left".to_owned()) };
        let plan = self.plan.clone();
        let measuring = tokio::task::spawn_blocking(move || {
            let result = member.device.measure(&model, &plan);
            (member, result)
        });
        let (member, result) = measuring.await.map_err(|error| format!("the device's code failed: {error}"))?;
        let label = member.label.clone();
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(member);
        result.map(|measurement| (measurement, label)).map_err(|error| error.to_string())
    }
}
