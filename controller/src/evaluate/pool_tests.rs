//! Devices that answer, refuse a model, or are gone.

use std::sync::Arc;

use hardware::{Conditions, Description, DeviceError, Latency};

use super::*;

/// What a device does, one measurement after another; after the last, what it did then.
#[derive(Clone, Copy)]
enum Answer {
    Measured,
    Refused,
    Gone,
    Broken,
}

struct Scripted {
    name: &'static str,
    answers: Vec<Answer>,
}

impl Device for Scripted {
    fn describe(&mut self) -> Result<Description, DeviceError> {
        Ok(Description::new("scripted", self.name))
    }

    fn measure(&mut self, model: &Model, _plan: &Plan) -> Result<Measurement, DeviceError> {
        let answer = if self.answers.len() > 1 { self.answers.remove(0) } else { self.answers[0] };
        let device = self.name.to_owned();
        match answer {
            Answer::Measured => Ok(Measurement {
                latency: Latency::from_mean(1.0, None),
                latency_without_transfer: None,
                throughput_per_s: None,
                energy: None,
                conditions: Conditions::default(),
                warnings: Vec::new(),
            }),
            Answer::Refused => {
                let (architecture, reason) = (model.architecture.clone(), "unknown operator".to_owned());
                Err(DeviceError::Refused { device, architecture, reason })
            }
            Answer::Gone => Err(DeviceError::Unreachable { device, reason: "no route to host".to_owned() }),
            Answer::Broken => panic!("a fault of the driver"),
        }
    }

    fn shares_machine(&self) -> bool {
        false
    }
}

fn pool(devices: &[(&'static str, &[Answer])]) -> Arc<DevicePool> {
    let member = |(name, answers): &(&'static str, &[Answer])| {
        let device: Box<dyn Device> = Box::new(Scripted { name, answers: answers.to_vec() });
        Member { device, label: (*name).to_owned(), missed: 0 }
    };
    Arc::new(DevicePool::of(devices.iter().map(member).collect(), Plan::default()))
}

/// What becomes of so many models, one after another.
fn measured(pool: &Arc<DevicePool>, models: usize) -> Vec<Result<String, PoolError>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    std::fs::write(&path, "a model").unwrap();
    let model = Model::load("a", &path).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let one = || runtime.block_on(pool.measure(model.clone(), || true)).map(|(_, label)| label);
    (0..models).map(|_| one()).collect()
}

fn failed(result: &Result<String, PoolError>, text: &str) -> bool {
    matches!(result, Err(PoolError::Failed(reason)) if reason.contains(text))
}

#[test]
fn a_device_that_is_gone_twice_in_a_row_leaves_its_work_to_the_others_and_is_named() {
    // The last one is asked first, for as long as it is there.
    let pool = pool(&[("a", &[Answer::Measured]), ("b", &[Answer::Gone])]);
    let found = measured(&pool, 4);
    assert!(failed(&found[0], "no route to host"), "once may be a fault that passes: {found:?}");
    let Err(PoolError::Lost { device, reason, left }) = &found[1] else { panic!("{found:?}") };
    assert!(device == "b" && reason.contains("no route to host") && *left == 1, "{found:?}");
    assert_eq!(found[2..], [Ok("a".to_owned()), Ok("a".to_owned())]);
}

#[test]
fn a_device_that_comes_back_stays() {
    let answers = [Answer::Gone, Answer::Measured, Answer::Gone, Answer::Refused, Answer::Gone, Answer::Measured];
    let found = measured(&pool(&[("a", &answers)]), 7);
    assert!(failed(&found[0], "no route") && failed(&found[2], "no route") && failed(&found[4], "no route"));
    assert!(failed(&found[3], "unknown operator"), "a refused model is no fault of the device: {found:?}");
    assert!(found[1].is_ok() && found[5].is_ok() && found[6].is_ok(), "{found:?}");
}

#[test]
fn without_any_device_everybody_is_told_why() {
    let pool = pool(&[("a", &[Answer::Gone]), ("b", &[Answer::Gone])]);
    let found = measured(&pool, 6);
    assert!(found[..4].iter().any(|result| matches!(result, Err(PoolError::Lost { left: 1, .. }))), "{found:?}");
    for result in &found[3..] {
        assert!(matches!(result, Err(PoolError::NoneLeft(reason)) if reason.contains("no route")), "{found:?}");
    }
}

#[test]
fn a_device_whose_code_fails_may_try_once_more() {
    let answers = [Answer::Broken, Answer::Measured, Answer::Broken, Answer::Broken];
    let pool = pool(&[("a", &[Answer::Measured]), ("b", &answers)]);
    let found = measured(&pool, 6);
    assert!(failed(&found[0], "a fault of the driver") && failed(&found[2], "a fault of the driver"), "{found:?}");
    assert_eq!(found[1], Ok("b".to_owned()));
    let Err(PoolError::Lost { device, reason, left: 1 }) = &found[3] else { panic!("{found:?}") };
    assert!(device == "b" && reason.contains("a fault of the driver"), "{found:?}");
    assert_eq!(found[4..], [Ok("a".to_owned()), Ok("a".to_owned())]);
}
