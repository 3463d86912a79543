//! The devices of a search: each measures one model at a time, and all of them share the work.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::Context as _;
use hardware::options::DeviceOptions;
use hardware::{Device, Measurement, Model, Plan};
use thiserror::Error;
use tokio::sync::Semaphore;

use super::panic_text;

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
    /// This model was not measured, since its device is gone; it was gone the time before too, and is not asked any
    /// more. Others are left.
    #[error("{reason}")]
    Lost {
        /// Which device.
        device: String,
        /// How it is gone.
        reason: String,
        /// Devices that go on.
        left: usize,
    },
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
        devices: impl IntoIterator<Item = (&'a String, &'a DeviceOptions)>,
        plan: Plan,
    ) -> anyhow::Result<Self> {
        let mut members = Vec::new();
        for (name, config) in devices {
            let context = || format!("the device `{name}` cannot be used");
            let mut device = config.open().with_context(context)?;
            let label = device.describe().with_context(context)?.label();
            members.push(Member { device, label, missed: 0 });
        }
        Ok(Self::of(members, plan))
    }

    fn of(members: Vec<Member>, plan: Plan) -> Self {
        let shares_machine = members.iter().any(|member| member.device.shares_machine());
        let measures_energy = members.iter().all(|member| member.device.measures_energy());
        let devices = members.len();
        let permits = Semaphore::new(devices);
        let lost = AtomicUsize::new(0);
        let free = Mutex::new(members);
        let none_left = OnceLock::new();
        Self { permits, free, shares_machine, measures_energy, plan, devices, lost, none_left }
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
    /// A device that is gone, or whose code panics, costs the evaluation that finds it so; one of which that is true
    /// twice in a row is not asked any more.
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
            // A device whose code panics is there all the same, and may measure the next model.
            let result = catch_unwind(AssertUnwindSafe(|| member.device.measure(&model, &plan)));
            (member, result)
        });
        // Only a runtime that is shut down drops it.
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
            // Whoever waits is told, if this was the last one.
            if left == 0 {
                // Before whoever waits is woken up.
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
