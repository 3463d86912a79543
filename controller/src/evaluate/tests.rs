//! Live evaluations: on the digits, timed on this machine.

use child::data::DataConfig;
use child::space::SpaceConfig;
use child::train::TrainingConfig;
use hardware::log::{Joined, Status};

use super::*;
use crate::history::{Candidate, Work, evaluation_of};
use crate::objective::{Bounds, Objective, Objectives};
use crate::problem::{Fidelity, Problem};
use crate::scalarisation::RewardConfig;
use crate::stop::Stop;

const PLAIN: &str = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|nor_conv_1x1~1|none~2|";

struct Place {
    scratch: tempfile::TempDir,
    trainings: tempfile::TempDir,
    problem: Arc<Problem>,
}

impl Place {
    fn new(bounds: Bounds) -> Self {
        let space = toml::from_str::<SpaceConfig>("name = 'nasbench201'\nchannels = 4\ncells = 1").unwrap();
        let objectives = Objectives::new([Objective::Error, Objective::Time, Objective::Parameters]).unwrap();
        let shape = child::graph::Shape::new(1, 8, 8);
        let space = Arc::from(space.build().unwrap());
        let problem = Problem::new(space, shape, 10, objectives, bounds, RewardConfig::default()).unwrap();
        let problem = problem.with_fidelity(Fidelity { full_epochs: 3, ..Fidelity::default() });
        Self {
            scratch: tempfile::tempdir().unwrap(),
            trainings: tempfile::tempdir().unwrap(),
            problem: Arc::new(problem),
        }
    }

    fn evaluator(&self, training: TrainingConfig, stop: Stop) -> Arc<Live> {
        let [warm_up, time_limit] = [2, 20].map(std::time::Duration::from_millis);
        let plan = hardware::Plan { warm_up, time_limit, ..Default::default() };
        let devices = [("here".to_owned(), hardware::options::DeviceOptions::default())];
        let devices = DevicePool::open(devices.iter().map(|(name, device)| (name, device)), plan);
        let data: DataConfig = toml::from_str("name = 'digits'\nlimit = 300").unwrap();
        let data = TrainingSet::load(&data, 1, &mut |_, _| ()).unwrap();
        let settings = LiveSettings {
            problem: Arc::clone(&self.problem),
            deployment: data.deployment.clone(),
            data: Some(data),
            processors: training.processors().unwrap(),
            training,
            pools: vec![Some(Arc::new(devices.unwrap()))],
            export: child::onnx::Options::default(),
            seed: 1,
            trainers: 2,
            trainer_threads: 1,
            scratch: self.scratch.path().to_owned(),
            trainings: self.trainings.path().to_owned(),
            stop,
        };
        Arc::new(Live::new(settings, Arc::default()))
    }

    fn assignment(&self, number: u64, text: &str, work: Work) -> Assignment {
        let architecture = self.problem.space().parse(text).unwrap();
        let key = self.problem.key(&architecture).unwrap();
        let (activity, _) = tokio::sync::mpsc::unbounded_channel();
        let job = Job { number, candidate: Candidate { architecture, key }, work };
        Assignment { job, text: text.to_owned(), activity, broken_off: Arc::default() }
    }

    fn run(&self, evaluator: &Arc<Live>, text: &str, work: Work) -> Option<Finished> {
        let doing = Arc::clone(evaluator).run(self.assignment(4, text, work));
        tokio::runtime::Runtime::new().unwrap().block_on(doing)
    }
}

const TRAIN: Work = Work::Train { epochs: 3 };

fn training(learning_rate: f64) -> TrainingConfig {
    TrainingConfig { epochs: 3, batch_size: 32, learning_rate, ..TrainingConfig::default() }
}

#[test]
fn a_child_is_measured_trained_and_exported() {
    let place = Place::new(Bounds::default());
    let evaluator = place.evaluator(training(0.1), Stop::default());
    let Finished { row: measured, model } = place.run(&evaluator, PLAIN, Work::Measure { target: 0 }).unwrap();
    assert_eq!((measured.evaluation, measured.status, measured.accuracy), (4, Status::Measured, None));
    assert!(measured.time_ms.unwrap() > 0.0 && measured.energy_mj.is_none() && model.is_none(), "{measured:?}");
    assert!(measured.device.as_ref().unwrap().starts_with("host ") && measured.measure_seconds.is_some());
    assert_eq!(std::fs::read_dir(place.scratch.path()).unwrap().count(), 0, "nothing is left behind");
    let Finished { row: trained, model } = place.run(&evaluator, PLAIN, TRAIN).unwrap();
    assert_eq!((trained.status, trained.epochs, trained.time_ms), (Status::Ok, Some(3), None), "{trained:?}");
    assert!(trained.accuracy.unwrap() > 0.3 && trained.train_seconds.is_some() && model.unwrap().len() > 1000);
    let mut joined = Joined::new(measured, 0);
    joined.add(trained.clone(), 0);
    let candidate = place.assignment(4, PLAIN, TRAIN).job.candidate;
    let evaluation = evaluation_of(&place.problem, candidate, &joined).unwrap();
    let architecture = place.problem.space().parse(PLAIN).unwrap();
    let graph = place.problem.space().graph(&architecture, place.problem.input(), 10).unwrap().pruned();
    assert_eq!(evaluation.values[2], Some(graph.cost().parameters as f64));
    assert_eq!(evaluation.deviations, [None, joined.row.time_ms_std, Some(0.0)]);
    // The same network and seed give the same child.
    assert_eq!(place.run(&evaluator, PLAIN, TRAIN).unwrap().row.accuracy, trained.accuracy);
}

#[test]
fn a_short_training_has_a_schedule_of_its_own_and_no_model() {
    let place = Place::new(Bounds::default());
    let evaluator = place.evaluator(training(0.1), Stop::default());
    let short = place.run(&evaluator, PLAIN, Work::Train { epochs: 1 }).unwrap();
    assert_eq!((short.row.status, short.row.epochs), (Status::Ok, Some(1)));
    let alone = place.evaluator(TrainingConfig { epochs: 1, ..training(0.1) }, Stop::default());
    let alone = place.run(&alone, PLAIN, Work::Train { epochs: 1 }).unwrap();
    assert_eq!(short.row.accuracy, alone.row.accuracy);
    assert!(short.model.is_none() && alone.row.accuracy.is_some());
}

#[test]
fn a_fault_of_a_child_ends_its_job_alone() {
    let place = Place::new(Bounds::default());
    let finished = place.run(&place.evaluator(training(1e30), Stop::default()), PLAIN, TRAIN).unwrap();
    assert_eq!((finished.row.status, finished.row.accuracy), (Status::Diverged, None));
    assert!(finished.row.message.unwrap().contains("the loss is not finite"));

    let disconnected = "|none~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|skip_connect~2|";
    let evaluator = place.evaluator(training(0.1), Stop::default());
    let finished = place.run(&evaluator, disconnected, Work::Measure { target: 0 }).unwrap();
    assert_eq!((finished.row.status, finished.row.time_ms), (Status::Failed, None));
    assert!(finished.row.message.unwrap().contains("no path leads from the image"));
}

#[test]
fn a_stopped_search_ends_its_jobs() {
    let place = Place::new(Bounds::default());
    let stop = Stop::default();
    stop.ask();
    let evaluator = place.evaluator(training(0.1), stop);
    assert!([Work::Measure { target: 0 }, TRAIN].into_iter().all(|work| place.run(&evaluator, PLAIN, work).is_none()));
}

#[test]
fn a_training_that_is_broken_off_says_how_far_it_went() {
    let place = Place::new(Bounds::default());
    let evaluator = place.evaluator(training(0.1), Stop::default());
    let assignment = place.assignment(4, PLAIN, TRAIN);
    assignment.broken_off.store(true, std::sync::atomic::Ordering::Relaxed);
    let doing = Arc::clone(&evaluator).run(assignment.clone());
    let Finished { row, model } = tokio::runtime::Runtime::new().unwrap().block_on(doing).unwrap();
    assert_eq!((row.status, row.epochs, row.accuracy), (Status::Stopped, Some(1), None), "{row:?}");
    assert!(row.message.unwrap().contains("little chance") && model.is_none());
    // Its file goes with its row.
    let files = || std::fs::read_dir(place.trainings.path()).unwrap().count();
    assert_eq!(files(), 1);
    evaluator.recorded(&assignment.job);
    assert_eq!(files(), 0);
}
