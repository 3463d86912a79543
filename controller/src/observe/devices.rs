//! The devices of a search, as far as the stages of its jobs say what they do.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::now_s;
use crate::evaluate::{Stage, Wait, WorkerState};

/// What a device does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct DeviceStatus {
    /// Its name in the experiment; that of a worker's device is followed by the name of the worker.
    pub name: String,
    /// `busy`, `waiting`, `away`, or `lost` where it is no longer used.
    pub state: String,
    /// The network that it measures, or that waits for it.
    pub evaluation: Option<u64>,
    /// Since when, in seconds since 1970; `None` before its first measurement.
    pub since: Option<f64>,
    /// The last fault of a device that was away during this measurement, or is lost.
    pub text: Option<String>,
}

/// All devices by name.
#[derive(Debug, Default)]
pub(super) struct Devices {
    known: BTreeMap<String, DeviceStatus>,
    /// Those of this machine: the others come and go with their workers.
    own: BTreeSet<String>,
}

impl Devices {
    pub fn new(own: impl IntoIterator<Item = String>) -> Self {
        let own: BTreeSet<String> = own.into_iter().collect();
        let idle = |name: &String| {
            let status = DeviceStatus { name: name.clone(), state: "waiting".to_owned(), ..DeviceStatus::default() };
            (name.clone(), status)
        };
        Self { known: own.iter().map(idle).collect(), own }
    }

    pub fn statuses(&self) -> Vec<DeviceStatus> {
        self.known.values().cloned().collect()
    }

    /// A job enters another stage.
    pub fn observe(&mut self, evaluation: u64, stage: &Stage) {
        match stage {
            Stage::Measuring { device: Some(name) } => {
                let before = self.known.get(name).filter(|before| before.evaluation == Some(evaluation)).cloned();
                let before = before.unwrap_or_default();
                self.release(evaluation);
                let since = before.since.filter(|_| before.state == "busy").unwrap_or_else(now_s);
                // Of a try to reach it again, the result is not known yet.
                self.set(name, "busy", Some(evaluation), since, before.text);
            }
            Stage::Away(Wait { device: Some(name), reason, waited, .. }) => {
                self.set(name, "away", Some(evaluation), now_s() - waited.as_secs_f64(), Some(reason.clone()));
            }
            Stage::Lost { device, reason } => self.set(device, "lost", None, now_s(), Some(reason.clone())),
            _ => self.release(evaluation),
        }
    }

    /// No device measures this network any more.
    pub fn release(&mut self, evaluation: u64) {
        for device in self.known.values_mut().filter(|device| device.evaluation == Some(evaluation)) {
            let name = std::mem::take(&mut device.name);
            *device =
                DeviceStatus { name, state: "waiting".to_owned(), since: Some(now_s()), ..DeviceStatus::default() };
        }
    }

    /// Leaves out the devices of workers that have left.
    pub fn keep(&mut self, workers: &[WorkerState]) {
        let present = |worker: &str| {
            let begin = format!("{worker} on ");
            workers.iter().any(|state| state.state != "away" && state.name.starts_with(&begin))
        };
        let is_here = |name: &str| name.rsplit_once(" of ").is_some_and(|(_, worker)| present(worker));
        self.known.retain(|name, _| self.own.contains(name) || is_here(name));
    }

    fn set(&mut self, name: &str, state: &str, evaluation: Option<u64>, since: f64, text: Option<String>) {
        let status = DeviceStatus {
            name: name.to_owned(),
            state: state.to_owned(),
            evaluation,
            since: Some((since * 1e3).round() / 1e3),
            text,
        };
        self.known.insert(name.to_owned(), status);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn measuring(device: &str) -> Stage {
        Stage::Measuring { device: Some(device.to_owned()) }
    }

    fn away(device: &str, waited_s: u64) -> Stage {
        Stage::Away(Wait {
            device: Some(device.to_owned()),
            what: format!("`{device}`"),
            reason: "unplugged".to_owned(),
            waited: Duration::from_secs(waited_s),
            patience: Duration::from_secs(60),
        })
    }

    fn shown(devices: &Devices) -> Vec<(String, String, Option<u64>, Option<String>)> {
        devices.statuses().into_iter().map(|one| (one.name, one.state, one.evaluation, one.text)).collect()
    }

    fn of(
        name: &str,
        state: &str,
        evaluation: Option<u64>,
        text: Option<&str>,
    ) -> (String, String, Option<u64>, Option<String>) {
        (name.to_owned(), state.to_owned(), evaluation, text.map(str::to_owned))
    }

    #[test]
    fn a_device_is_busy_away_waiting_or_lost() {
        let mut devices = Devices::new(["a".to_owned(), "b".to_owned()]);
        assert_eq!(shown(&devices), [of("a", "waiting", None, None), of("b", "waiting", None, None)]);
        devices.observe(3, &measuring("a"));
        devices.observe(4, &measuring("b"));
        devices.observe(4, &away("b", 30));
        assert_eq!(shown(&devices), [of("a", "busy", Some(3), None), of("b", "away", Some(4), Some("unplugged"))]);
        let since = devices.statuses()[1].since.unwrap();
        assert!((now_s() - since - 30.0).abs() < 5.0, "away since the fault");
        // A try keeps the fault; the next network begins without it.
        devices.observe(4, &measuring("b"));
        assert_eq!(shown(&devices)[1], of("b", "busy", Some(4), Some("unplugged")));
        devices.release(4);
        devices.observe(5, &measuring("b"));
        assert_eq!(shown(&devices)[1], of("b", "busy", Some(5), None));
        // Its network goes on with the other one, once that is free.
        devices.observe(5, &Stage::Lost { device: "b".to_owned(), reason: "no route".to_owned() });
        devices.release(3);
        devices.observe(5, &measuring("a"));
        assert_eq!(shown(&devices), [of("a", "busy", Some(5), None), of("b", "lost", None, Some("no route"))]);
        devices.release(5);
        assert_eq!(shown(&devices)[0], of("a", "waiting", None, None));
    }

    #[test]
    fn devices_leave_with_their_workers() {
        let mut devices = Devices::new(["host".to_owned()]);
        devices.observe(3, &measuring("host of lab-1"));
        devices.observe(4, &measuring("host of lab-2"));
        let worker = |id: &str, state: &str| WorkerState {
            name: format!("{id} on lab"),
            state: state.to_owned(),
            ..WorkerState::default()
        };
        devices.keep(&[worker("lab-1", "busy"), worker("lab-2", "away")]);
        let names: Vec<String> = devices.statuses().into_iter().map(|device| device.name).collect();
        assert_eq!(names, ["host", "host of lab-1"]);
    }
}
