//! The devices of a search: each measures one model at a time, and all share the work.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Context as _, Error};
use hardware::options::DeviceOptions;
use hardware::{Device, Measurement, Model, Plan, Statistic};
use thiserror::Error;
use tokio::sync::Semaphore;

use super::panic_text;

struct Member {
    device: Box<dyn Device>,
    label: String,
    /// Consecutive measurements that could not reach the device.
    missed: u32,
}

/// A failed measurement of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PoolError {
    /// The model could not be measured.
    #[error("{0}")]
    Failed(String),
    /// The device could not be reached for the second consecutive time and is no longer used. Others are left.
    #[error("{reason}")]
    Lost {
        device: String,
        /// Why it could not be reached.
        reason: String,
        left: usize,
    },
    /// The search was stopped while the model waited for a device.
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
    /// Whether measuring competes with training.
    pub shares_machine: bool,
    /// Whether every device measures energy.
    pub measures_energy: bool,
    plan: Plan,
    devices: usize,
    /// Number of devices that are no longer used.
    lost: AtomicUsize,
    /// Why the last device is no longer used.
    none_left: OnceLock<String>,
}

impl DevicePool {
    /// Opens and describes every device, so that a missing one is noticed before the search.
    pub fn open<'a>(
        devices: impl IntoIterator<Item = (&'a String, &'a DeviceOptions)>,
        mut plan: Plan,
    ) -> anyhow::Result<Self> {
        let mut members = Vec::new();
        for (name, config) in devices {
            let context = || format!("the device `{name}` cannot be used");
            let mut device = config.open().with_context(context)?;
            let label = device.describe().with_context(context)?.label();
            plan = plan.for_device(device.as_ref()).map_err(Error::msg).with_context(context)?;
            members.push(Member { device, label, missed: 0 });
        }
        Ok(Self::of(members, plan))
    }

    /// The statistic that `time_ms` is.
    pub fn statistic(&self) -> Statistic {
        self.plan.statistic()
    }

    fn of(members: Vec<Member>, plan: Plan) -> Self {
        let shares_machine = members.iter().any(|member| member.device.shares_machine());
        let measures_energy = members.iter().all(|member| member.device.measures_energy());
        let devices = members.len();
        Self {
            free: Mutex::new(members),
            permits: Semaphore::new(devices),
            shares_machine,
            measures_energy,
            plan,
            devices,
            lost: AtomicUsize::new(0),
            none_left: OnceLock::new(),
        }
    }

    /// Measures a model on the first free device; returns the measurement and the device's label. `begin` is called when
    /// a device is free, and returns whether to go on.
    ///
    /// A device that cannot be reached, or whose code panics, costs that evaluation; after two in a row it is no longer
    /// used.
    ///
    /// # Errors
    /// If the device cannot measure the model, `begin` returns false, or no device is left.
    pub async fn measure(
        &self,
        model: Model,
        begin: impl FnOnce() -> bool,
    ) -> Result<(Measurement, String), PoolError> {
        const PATIENCE: u32 = 2;
        let none_left = || {
            let reason = self.none_left.get().map_or("no device is left", String::as_str);
            PoolError::NoneLeft(reason.to_owned())
        };
        let permit = self.permits.acquire().await.map_err(|_| none_left())?;
        if !begin() {
            return Err(PoolError::Stopped);
        }
        let taken = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some(mut member) = taken else { return Err(none_left()) };
        let plan = self.plan.clone();
        let measuring = tokio::task::spawn_blocking(move || {
            // A device whose code panics may still measure the next model.
            let result = catch_unwind(AssertUnwindSafe(|| member.device.measure(&model, &plan)));
            (member, result)
        });
        // Only a runtime that shuts down drops the task.
        let (mut member, result) = measuring.await.map_err(|_| PoolError::Stopped)?;
        let label = member.label.clone();
        let (result, is_fatal) = match result {
            Ok(Ok(measurement)) => (Ok(measurement), false),
            Ok(Err(error)) => (Err(error.to_string()), error.is_fatal()),
            Err(panic) => (Err(format!("the code of the device {label} failed: {}", panic_text(panic.as_ref()))), true),
        };
        member.missed = if is_fatal { member.missed + 1 } else { 0 };
        if member.missed < PATIENCE {
            self.free.lock().unwrap_or_else(PoisonError::into_inner).push(member);
        } else {
            permit.forget();
            let left = self.devices - (self.lost.fetch_add(1, Ordering::Relaxed) + 1);
            let reason = result.err().unwrap_or_default();
            if left == 0 {
                // Set before the permits are closed, which wakes the waiting evaluations.
                let _ = self.none_left.set(reason);
                self.permits.close();
                return Err(none_left());
            }
            return Err(PoolError::Lost { device: label, reason, left });
        }
        result.map(|measurement| (measurement, label)).map_err(PoolError::Failed)
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
