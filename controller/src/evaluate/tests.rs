//! Live evaluations: on the digits, timed on this machine.

use child::data::DataConfig;
use child::space::SpaceConfig;
use child::train::TrainingConfig;
use hardware::log::Status;

use super::*;
use crate::history::evaluation_of;
use crate::objective::{Bounds, Objective, Objectives};
use crate::problem::Problem;
use crate::scalarisation::RewardConfig;
use crate::stop::Stop;

const PLAIN: &str = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|nor_conv_1x1~1|none~2|";

struct Place {
    scratch: tempfile::TempDir,
    problem: Arc<Problem>,
}

impl Place {
    fn new(bounds: Bounds) -> Self {
        let space = toml::from_str::<SpaceConfig>("name = 'nasbench201'\nchannels = 4\ncells = 1").unwrap();
        let objectives = Objectives::new([Objective::Error, Objective::Time, Objective::Parameters]).unwrap();
        let shape = child::graph::Shape::new(1, 8, 8);
        let space = Arc::from(space.build().unwrap());
        let problem = Problem::new(space, shape, 10, objectives, bounds, RewardConfig::default()).unwrap();
        Self { scratch: tempfile::tempdir().unwrap(), problem: Arc::new(problem) }
    }

    fn evaluator(&self, training: TrainingConfig, stop: Stop) -> Arc<Live> {
        let [warm_up, time_limit] = [2, 20].map(std::time::Duration::from_millis);
        let plan = hardware::Plan { warm_up, time_limit, ..Default::default() };
        let devices = [("here".to_owned(), hardware::options::DeviceOptions::default())];
        let devices = DevicePool::open(devices.iter().map(|(name, device)| (name, device)), plan);
        let data: DataConfig = toml::from_str("name = 'digits'\nlimit = 300").unwrap();
        Arc::new(Live::new(LiveSettings {
            problem: Arc::clone(&self.problem),
            data: TrainingSet::load(&data, 1, &mut |_, _| ()).unwrap(),
            processors: training.processors().unwrap(),
            training,
            devices: Arc::new(devices.unwrap()),
            export: child::onnx::Options::default(),
            seed: 1,
            trainers: 2,
            trainer_threads: 1,
            scratch: self.scratch.path().to_owned(),
            stop,
        }))
    }

    fn job(&self, number: u64, text: &str) -> Job {
        let architecture = self.problem.space().parse(text).unwrap();
        let key = self.problem.key(&architecture).unwrap();
        let (activity, _) = tokio::sync::mpsc::unbounded_channel();
        let candidate = Candidate { architecture, key };
        Job { number, candidate, text: text.to_owned(), remeasure: false, activity }
    }
}

fn training(learning_rate: f64) -> TrainingConfig {
    TrainingConfig { epochs: 3, batch_size: 32, learning_rate, ..TrainingConfig::default() }
}

fn finish(evaluating: Evaluating) -> Option<Finished> {
    tokio::runtime::Runtime::new().unwrap().block_on(evaluating)
}

#[test]
fn a_child_is_measured_trained_and_exported() {
    let place = Place::new(Bounds::default());
    let evaluator = place.evaluator(training(0.1), Stop::default());
    let finished = finish(Arc::clone(&evaluator).evaluate(place.job(4, PLAIN))).unwrap();
    let row = &finished.row;
    assert_eq!((row.evaluation, row.status, row.epochs), (4, Status::Ok, Some(3)), "{:?}", row.message);
    assert!(row.accuracy.unwrap() > 0.3 && row.time_ms.unwrap() > 0.0 && row.energy_mj.is_none(), "{row:?}");
    assert!(row.device.as_ref().unwrap().starts_with("host "));
    assert!(finished.model.unwrap().len() > 1000);
    assert_eq!(std::fs::read_dir(place.scratch.path()).unwrap().count(), 0, "nothing is left behind");
    let evaluation = evaluation_of(&place.problem, place.job(4, PLAIN).candidate, row).unwrap();
    let architecture = place.problem.space().parse(PLAIN).unwrap();
    let graph = place.problem.space().graph(&architecture, place.problem.input(), 10).unwrap().pruned();
    assert_eq!(evaluation.values[2], Some(graph.cost().parameters as f64));
    // The same network and seed give the same child, under any number and beside others.
    let again = finish(evaluator.evaluate(place.job(9, PLAIN))).unwrap();
    assert_eq!(again.row.accuracy, row.accuracy);
}

#[test]
fn a_fault_of_a_child_ends_that_child_alone() {
    let place = Place::new(Bounds::new([(Objective::Parameters, 1000.0)]).unwrap());
    let finished = finish(place.evaluator(training(0.1), Stop::default()).evaluate(place.job(0, PLAIN))).unwrap();
    assert_eq!((finished.row.status, finished.row.accuracy, finished.row.train_seconds), (Status::Bounded, None, None));
    assert!(finished.row.time_ms.is_some() && finished.model.is_none());
    assert!(finished.row.message.unwrap().contains("above its bound 1000"));

    let place = Place::new(Bounds::default());
    let diverging = place.evaluator(training(1e30), Stop::default());
    let finished = finish(diverging.evaluate(place.job(0, PLAIN))).unwrap();
    assert_eq!((finished.row.status, finished.row.accuracy), (Status::Diverged, None));
    assert!(finished.row.message.unwrap().contains("the loss is not finite"));

    let disconnected = "|none~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|skip_connect~2|";
    let evaluator = place.evaluator(training(0.1), Stop::default());
    let finished = finish(evaluator.evaluate(place.job(0, disconnected))).unwrap();
    assert_eq!((finished.row.status, finished.row.time_ms), (Status::Failed, None));
    assert!(finished.row.message.unwrap().contains("no path leads from the image"));
}

#[test]
fn a_stopped_search_ends_its_evaluations() {
    let place = Place::new(Bounds::default());
    let stop = Stop::default();
    stop.ask();
    assert!(finish(place.evaluator(training(0.1), stop).evaluate(place.job(0, PLAIN))).is_none());
}

#[test]
fn a_repeated_measurement_is_not_trained_and_ignores_bounds() {
    // A network that was trained stays so, even if a repeated measurement exceeds a bound.
    let place = Place::new(Bounds::new([(Objective::Parameters, 1000.0)]).unwrap());
    let job = Job { remeasure: true, ..place.job(7, PLAIN) };
    let finished = finish(place.evaluator(training(0.1), Stop::default()).evaluate(job)).unwrap();
    let row = &finished.row;
    assert_eq!((row.evaluation, row.status), (7, Status::Ok), "{:?}", row.message);
    assert!(row.time_ms.is_some() && row.device.is_some() && row.measure_seconds.is_some(), "{row:?}");
    assert_eq!((row.accuracy, row.epochs, row.train_seconds, finished.model), (None, None, None, None));
    let evaluation = evaluation_of(&place.problem, place.job(7, PLAIN).candidate, row).unwrap();
    assert_eq!(evaluation.deviations, [None, row.time_ms_std, Some(0.0)]);
}
