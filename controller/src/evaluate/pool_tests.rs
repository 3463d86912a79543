//! Devices that answer, reject a model, or cannot be reached.

use std::sync::Arc;
use std::time::Duration;

use hardware::{Conditions, Description, Device, DeviceError, Latency};

use super::*;

/// The behaviour of a device, measurement by measurement; the last one is repeated.
#[derive(Clone, Copy)]
enum Answer {
    Measured,
    Refused,
    Gone,
    NoMeter,
    WrongSettings,
    Failed,
    Broken,
    /// Cannot describe itself, once.
    Undescribed,
    /// Fails, and cannot describe itself from then on.
    Dead,
}

struct Scripted {
    name: &'static str,
    answers: Vec<Answer>,
}

impl Device for Scripted {
    fn describe(&mut self) -> Result<Description, DeviceError> {
        if matches!(self.answers[0], Answer::Undescribed | Answer::Dead) {
            if self.answers.len() > 1 {
                self.answers.remove(0);
            }
            return Err(DeviceError::Broken { device: self.name.to_owned(), reason: "its tool is missing".to_owned() });
        }
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
            Answer::NoMeter => Err(DeviceError::Meter { device, reason: "it was unplugged".to_owned() }),
            Answer::WrongSettings => {
                Err(DeviceError::Settings { device, problem: "supply.csv is not there: correct `file`".to_owned() })
            }
            Answer::Failed | Answer::Undescribed | Answer::Dead => {
                let (architecture, reason) = (model.architecture.clone(), "it crashed".to_owned());
                Err(DeviceError::Failed { device, architecture, reason })
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
    patient_pool(devices, Duration::ZERO)
}

fn patient_pool(devices: &[(&'static str, &[Answer])], patience: Duration) -> Arc<DevicePool> {
    let member = |(name, answers): &(&'static str, &[Answer])| {
        let device: Box<dyn Device> = Box::new(Scripted { name, answers: answers.to_vec() });
        Member::new(device, Spec { name: (*name).to_owned(), patience, turn: None })
    };
    Arc::new(DevicePool::of(devices.iter().map(member).collect(), Plan::default()))
}

/// The results of measuring models one after another.
fn measured(pool: &Arc<DevicePool>, models: usize) -> Vec<Result<String, PoolError>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    std::fs::write(&path, "a model").unwrap();
    let load = |model: usize| Model::load(format!("network {model}"), &path).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let one = |model| runtime.block_on(pool.measure(load(model), |_| true)).map(|(_, label)| label);
    (0..models).map(one).collect()
}

fn failed(result: &Result<String, PoolError>, text: &str) -> bool {
    matches!(result, Err(PoolError::Failed(reason)) if reason.contains(text))
}

#[test]
fn a_lost_device_costs_no_evaluation_while_another_is_left() {
    // The last device is used first, for as long as it is in the pool.
    for answer in [Answer::Gone, Answer::NoMeter] {
        let pool = pool(&[("a", &[Answer::Measured]), ("b", &[answer])]);
        assert_eq!(measured(&pool, 3), vec![Ok("a".to_owned()); 3]);
    }
}

#[test]
fn a_fault_of_the_equipment_that_passes_is_waited_for() {
    let answers = [Answer::NoMeter, Answer::Measured, Answer::Gone, Answer::Measured, Answer::Refused];
    let found = measured(&patient_pool(&[("a", &answers)], Duration::from_secs(60)), 3);
    assert_eq!(found[..2], [Ok("a".to_owned()), Ok("a".to_owned())]);
    assert!(failed(&found[2], "unknown operator"), "a rejected model is not a fault of the device: {found:?}");
}

#[test]
fn a_mistake_in_the_settings_is_not_waited_for() {
    let begun = std::time::Instant::now();
    let alone = measured(&patient_pool(&[("a", &[Answer::WrongSettings])], Duration::from_secs(300)), 1);
    assert!(matches!(&alone[0], Err(PoolError::NoneLeft(reason)) if reason.contains("correct `file`")), "{alone:?}");
    let both: [(_, &[Answer]); 2] = [("a", &[Answer::Measured]), ("b", &[Answer::WrongSettings])];
    assert_eq!(measured(&patient_pool(&both, Duration::from_secs(300)), 1), [Ok("a".to_owned())]);
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[test]
fn waits_are_reported_and_can_be_stopped() {
    let pool = patient_pool(&[("board", &[Answer::NoMeter])], Duration::from_secs(300));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    std::fs::write(&path, "a model").unwrap();
    let waits = Arc::new(Mutex::new(Vec::new()));
    let received = Arc::clone(&waits);
    let attend = move |stage| {
        let Stage::Away(wait) = stage else { return true };
        received.lock().unwrap().push(wait.to_string());
        received.lock().unwrap().len() < 3
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    let result = runtime.block_on(pool.measure(Model::load("n", &path).unwrap(), attend));
    assert_eq!(result.map(drop), Err(PoolError::Stopped));
    let waits = waits.lock().unwrap();
    assert_eq!(waits[0], "waiting for the meter of `board`: it was unplugged (0 s of 300)");
}

#[test]
fn stages_name_the_device_that_measures_and_one_that_is_lost() {
    // The last device is used first.
    let pool = pool(&[("a", &[Answer::Measured]), ("b", &[Answer::Gone])]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    std::fs::write(&path, "a model").unwrap();
    let stages = Arc::new(Mutex::new(Vec::new()));
    let received = Arc::clone(&stages);
    let attend = move |stage| {
        received.lock().unwrap().push(stage);
        true
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    runtime.block_on(pool.measure(Model::load("n", &path).unwrap(), attend)).unwrap();
    let measuring = |name: &str| Stage::Measuring { device: Some(name.to_owned()) };
    let stages = stages.lock().unwrap();
    let [begun, Stage::Lost { device, reason }, again] = &stages[..] else { panic!("{stages:?}") };
    assert_eq!((begun, again), (&measuring("b"), &measuring("a")));
    assert!(device == "b" && reason.contains("no route"), "{reason}");
}

#[test]
fn without_a_device_every_evaluation_gets_the_reason() {
    let pool = pool(&[("a", &[Answer::Gone]), ("b", &[Answer::Gone])]);
    for result in measured(&pool, 3) {
        assert!(matches!(&result, Err(PoolError::NoneLeft(reason)) if reason.contains("no route")), "{result:?}");
    }
}

#[test]
fn a_failure_is_the_devices_fault_if_it_cannot_describe_itself_afterwards() {
    let answers = [Answer::Failed, Answer::Undescribed, Answer::Measured];
    assert_eq!(measured(&patient_pool(&[("a", &answers)], Duration::from_secs(60)), 1), [Ok("a".to_owned())]);
    // A network that breaks the device each time is at fault itself.
    let once = [Answer::Failed, Answer::Undescribed];
    let answers: Vec<Answer> = once.repeat(3).into_iter().chain([Answer::Measured]).collect();
    let found = measured(&patient_pool(&[("a", &answers)], Duration::from_secs(60)), 1);
    assert!(failed(&found[0], "it crashed"), "{found:?}");
}

#[test]
fn a_device_that_fails_and_cannot_describe_itself_costs_no_evaluation() {
    let answers = [Answer::Measured, Answer::Dead];
    let pool = patient_pool(&[("a", &answers)], Duration::from_secs(4));
    let found = measured(&pool, 2);
    assert_eq!(found[0], Ok("a".to_owned()));
    assert!(
        matches!(&found[1], Err(PoolError::NoneLeft(reason)) if reason.contains("its tool is missing")),
        "{found:?}"
    );
}

#[test]
fn three_networks_with_the_same_fault_in_a_row_end_the_search() {
    for answer in [Answer::Failed, Answer::Broken] {
        let found = measured(&pool(&[("a", &[answer])]), 4);
        assert!(matches!(&found[..2], [Err(PoolError::Failed(_)), Err(PoolError::Failed(_))]), "{found:?}");
        let Err(PoolError::Suspect { reason, end }) = &found[2] else { panic!("{found:?}") };
        assert!(reason.contains("a") && end.contains("--retry-failed"), "{found:?}");
        assert!(matches!(&found[3], Err(PoolError::NoneLeft(_))), "{found:?}");
    }
    // Rejected models are not such faults, nor is one after which the device worked.
    let found = measured(&pool(&[("a", &[Answer::Refused])]), 5);
    assert!(found.iter().all(|result| failed(result, "unknown operator")), "{found:?}");
    let answers = [Answer::Failed, Answer::Measured, Answer::Failed];
    let found = measured(&pool(&[("a", &answers)]), 9);
    assert!(found[2..].iter().all(|result| failed(result, "it crashed")), "{found:?}");
}

#[test]
fn devices_that_are_not_alike_are_named_with_their_difference() {
    let board = |name: &str, mode: &str, host: &str| {
        Description::new("jetson", name).with("host", host).with("power mode", mode).with("power by", host)
    };
    let pair = |other: Description| unlike(&[("a", board("TX2", "0", "10.0.0.1")), ("b", other)]);
    assert_eq!(pair(board("TX2", "0", "10.0.0.2")), None);
    for (other, shown) in [
        (board("Nano", "0", "x"), "name: TX2 and Nano"),
        (board("TX2", "3", "x"), "power mode: 0 and 3"),
        (board("TX2", "0", "x").with("energy", "above idle"), "energy: absent and above idle"),
    ] {
        let found = pair(other).unwrap();
        assert!(found.contains("`a` and `b`") && found.contains(shown), "{found}");
    }
    let host = || toml::from_str::<DeviceOptions>("kind = 'host'").unwrap();
    let other = toml::from_str("kind = 'openvino'\ndevice = 'CPU'").unwrap();
    let [a, b] = ["a", "b"].map(str::to_owned);
    assert!(check_alike(&[(&a, &host()), (&b, &host())]).is_ok());
    let error = check_alike(&[(&a, &host()), (&b, &other)]).unwrap_err().to_string();
    assert!(error.contains("kind: \"host\" and \"openvino\""), "{error}");
}

/// A device of a machine that only one device may use at a time.
struct Exclusive {
    in_use: Arc<AtomicUsize>,
    released: Arc<AtomicUsize>,
}

impl Device for Exclusive {
    fn describe(&mut self) -> Result<Description, DeviceError> {
        Ok(Description::new("scripted", "exclusive"))
    }

    fn measure(&mut self, model: &Model, _plan: &Plan) -> Result<Measurement, DeviceError> {
        let others = self.in_use.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(20));
        self.in_use.fetch_sub(1, Ordering::SeqCst);
        let answers = vec![if others == 0 { Answer::Measured } else { Answer::Gone }];
        Scripted { name: "exclusive", answers }.measure(model, &Plan::default())
    }

    fn shares_machine(&self) -> bool {
        false
    }

    fn release(&mut self) {
        self.released.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_of_one_machine_take_turns() {
    let (in_use, released, turn) = (Arc::default(), Arc::<AtomicUsize>::default(), Arc::new(Mutex::new(())));
    let member = |name: &str| {
        let device = Exclusive { in_use: Arc::clone(&in_use), released: Arc::clone(&released) };
        let spec = Spec { name: name.to_owned(), patience: Duration::ZERO, turn: Some(Arc::clone(&turn)) };
        Member::new(Box::new(device), spec)
    };
    let pool = Arc::new(DevicePool::of(vec![member("a"), member("b")], Plan::default()));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    std::fs::write(&path, "a model").unwrap();
    let measure = |number| {
        let (pool, model) = (Arc::clone(&pool), Model::load(format!("network {number}"), &path).unwrap());
        tokio::spawn(async move { pool.measure(model, |_| true).await.map(drop) })
    };
    for measured in (0..8).map(measure).collect::<Vec<_>>() {
        assert_eq!(measured.await.unwrap(), Ok(()));
    }
    assert_eq!(released.load(Ordering::SeqCst), 8, "each gives the machine back");
}
