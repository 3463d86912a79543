//! The devices of a search: each measures one model at a time, and all of them share the work.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::Context as _;
use hardware::host::Host;
use hardware::jetson::Jetson;
use hardware::openvino::OpenVino;
use hardware::{Device, DeviceError, Measurement, Model, Plan};
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::config::DeviceConfig;

/// Makes the device that an experiment file describes.
///
/// # Errors
/// If its settings do not fit this machine.
pub fn open_device(config: &DeviceConfig) -> Result<Box<dyn Device>, DeviceError> {
    match config {
        DeviceConfig::Host(host) => Ok(Box::new(Host::new(host.options()?)?)),
        DeviceConfig::Jetson(jetson) => Ok(Box::new(Jetson::new(jetson.options()?)?)),
        DeviceConfig::OpenVino(openvino) => Ok(Box::new(OpenVino::new(openvino.options()?)?)),
    }
}

struct Member {
    device: Box<dyn Device>,
    label: String,
    /// Measurements in a row that found it gone.
    missed: u32,
}

/// Why a pool measured nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PoolError {
    /// This model could not be measured.
    #[error("{0}")]
    Failed(String),
    /// The search was asked to stop while the model waited for a device.
    #[error("the search was stopped")]
    Stopped,
    /// No device is left.
    #[error("{0}")]
    NoneLeft(String),
}

/// Devices that share the work.
pub struct DevicePool {
    free: Mutex<Vec<Member>>,
    permits: Semaphore,
    shares_machine: bool,
    measures_energy: bool,
    plan: Plan,
    devices: usize,
    /// Devices that are not asked any more.
    lost: AtomicUsize,
    /// Why the last of them is not.
    none_left: OnceLock<String>,
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
            members.push(Member { device, label, missed: 0 });
        }
        let shares_machine = members.iter().any(|member| member.device.shares_machine());
        let measures_energy = members.iter().all(|member| member.device.measures_energy());
        let devices = members.len();
        let permits = Semaphore::new(devices);
        let lost = AtomicUsize::new(0);
        Ok(Self {
            permits,
            free: Mutex::new(members),
            shares_machine,
            measures_energy,
            plan,
            devices,
            lost,
            none_left: OnceLock::new(),
        })
    }

    /// Whether measuring competes with training.
    pub fn shares_machine(&self) -> bool {
        self.shares_machine
    }

    /// Whether every device measures energy.
    pub fn measures_energy(&self) -> bool {
        self.measures_energy
    }

    /// Measures a model on the first device that is free, and tells which. `begin` is called when there is one, and says
    /// whether it is still wanted.
    ///
    /// A device that is gone costs the evaluation that finds it so; one that is gone twice in a row is not asked any
    /// more.
    ///
    /// # Errors
    /// If that device cannot measure it, it is not wanted any more, or no device is left.
    pub async fn measure(
        &self,
        model: Model,
        begin: impl FnOnce() -> bool,
    ) -> Result<(Measurement, String), PoolError> {
        const PATIENCE: u32 = 2;
        let none_left =
            || PoolError::NoneLeft(self.none_left.get().cloned().unwrap_or_else(|| "no device is left".to_owned()));
        let permit = self.permits.acquire().await.map_err(|_| none_left())?;
        if !begin() {
            return Err(PoolError::Stopped);
        }
        let taken = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some(mut member) = taken else { return Err(none_left()) };
        let plan = self.plan.clone();
        let measuring = tokio::task::spawn_blocking(move || {
            let result = member.device.measure(&model, &plan);
            (member, result)
        });
        let failed = |error: &dyn std::fmt::Display| PoolError::Failed(error.to_string());
        let (mut member, result) =
            measuring.await.map_err(|error| failed(&format_args!("the device's code failed: {error}")))?;
        let label = member.label.clone();
        member.missed = if result.as_ref().is_err_and(DeviceError::is_fatal) { member.missed + 1 } else { 0 };
        if member.missed < PATIENCE {
            self.free.lock().unwrap_or_else(PoisonError::into_inner).push(member);
        } else {
            permit.forget();
            // Whoever waits is told, if this was the last one.
            if self.lost.fetch_add(1, Ordering::Relaxed) + 1 == self.devices {
                let reason = result.err().map_or_else(String::new, |error| error.to_string());
                // Before whoever waits is woken up.
                let _ = self.none_left.set(reason);
                self.permits.close();
                return Err(none_left());
            }
        }
        result.map(|measurement| (measurement, label)).map_err(|error| failed(&error))
    }
}
