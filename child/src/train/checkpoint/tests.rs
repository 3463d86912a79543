use std::ops::ControlFlow;
use std::sync::Arc;

use proptest::prelude::*;
use rand::SeedableRng;

use super::*;
use crate::damage::damaged;
use crate::data::{Augmentation, Normalisation, Splits};
use crate::train::recipe_tests::processors;
use crate::train::tests::{digits, small_network};
use crate::train::{EpochReport, Observer, TrainError, Trained, TrainingConfig, Validation};

/// Notes everything, and stops after an epoch.
#[derive(Default)]
struct Log {
    stop_after: usize,
    losses: Vec<(usize, u64)>,
    continued: Option<usize>,
    notes: Vec<String>,
    /// The checkpoint, and the epochs in whose reports it had changed.
    path: PathBuf,
    file: Vec<u8>,
    saved: Vec<usize>,
}

impl Observer for Log {
    fn continued(&mut self, from: &Continued) {
        assert!(from.seconds > 0.0 && from.epochs == EPOCHS);
        self.continued = Some(from.epoch);
    }

    fn note(&mut self, message: &str) {
        self.notes.push(message.to_owned());
    }

    fn epoch(&mut self, report: &EpochReport) -> ControlFlow<()> {
        self.losses.push((report.epoch, report.loss.to_bits()));
        let file = std::fs::read(&self.path).unwrap_or_default();
        if file != self.file {
            self.saved.push(report.epoch);
            self.file = file;
        }
        if report.epoch == self.stop_after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

const EPOCHS: usize = 4;

struct Setup {
    splits: Splits,
    normalisation: Normalisation,
    config: TrainingConfig,
    interval: Duration,
    folder: tempfile::TempDir,
}

impl Setup {
    fn new() -> Self {
        let (mut splits, normalisation) = digits(7);
        splits.train = splits.train.first(100);
        splits.validation = splits.validation.first(50);
        let config = TrainingConfig {
            epochs: EPOCHS,
            batch_size: 48,
            drop_path: 0.3,
            augmentation: Augmentation { crop_padding: 1, cutout: 2, ..Augmentation::default() },
            ..TrainingConfig::default()
        };
        Self { splits, normalisation, config, interval: Duration::ZERO, folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("1.training")
    }

    /// A training that stops after an epoch, or never for 0, with a checkpoint of an identity; none without.
    fn train(
        &self,
        processor: &Processor,
        identity: Option<&str>,
        stop_after: usize,
    ) -> (Result<Trained, TrainError>, ChaCha8Rng, Log) {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let network = Network::init(Arc::new(small_network(&self.splits)), &mut rng);
        let path = self.path();
        let trainer = Trainer {
            data: &self.splits,
            normalisation: &self.normalisation,
            config: &self.config,
            processor,
            validation: Validation::AtEnd,
            checkpoint: identity.map(|identity| TrainingCheckpoint { path: &path, identity, interval: self.interval }),
        };
        let mut log = Log { stop_after, path: path.clone(), ..Log::default() };
        let trained = trainer.train(network, &mut rng, &mut log);
        (trained, rng, log)
    }

    /// Leaves the checkpoint of a training of the native engine behind.
    fn break_off_after(&self, epoch: usize, identity: &str) {
        let stopped = self.train(&Processor::Native, Some(identity), epoch).0;
        assert_eq!(stopped.unwrap_err(), TrainError::Stopped { epoch });
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

#[test]
fn a_continued_training_gives_the_bits_of_one_that_was_not_broken_off() {
    let setup = Setup::new();
    let checkpoint = TrainingCheckpoint { path: &setup.path(), identity: "", interval: setup.interval };
    for processor in processors() {
        let (expected, expected_rng, whole) = setup.train(&processor, None, 0);
        let expected = expected.unwrap();
        assert_eq!(setup.files(), [""; 0]);
        for stops in [&[1][..], &[2], &[3], &[1, 2, 3]] {
            let mut losses = Vec::new();
            for (part, stop) in stops.iter().enumerate() {
                let (stopped, _, log) = setup.train(&processor, Some(""), *stop);
                assert_eq!(stopped.unwrap_err(), TrainError::Stopped { epoch: *stop });
                assert_eq!(log.continued, part.checked_sub(1).map(|before| stops[before]));
                assert_eq!(setup.files(), ["1.training"]);
                losses.extend(log.losses);
            }
            let (trained, rng, log) = setup.train(&processor, Some(""), 0);
            let trained = trained.unwrap();
            assert_eq!((log.continued, log.notes), (stops.last().copied(), vec![]), "{processor:?}");
            losses.extend(log.losses);
            assert_eq!(losses, whole.losses, "{processor:?} {stops:?}");
            assert_eq!(trained.network, expected.network, "{processor:?} {stops:?}");
            assert_eq!((trained.accuracy.to_bits(), rng), (expected.accuracy.to_bits(), expected_rng.clone()));
            assert_eq!(setup.files(), ["1.training"]);
            checkpoint.remove().unwrap();
            assert_eq!(setup.files(), [""; 0]);
        }
    }
    assert!(checkpoint.remove().is_ok(), "there is none");
}

#[test]
fn a_training_is_saved_as_often_as_the_recipe_and_the_caller_say() {
    /// Epochs that are saved, by the epoch of each report at which the file is another one.
    fn saved(every: usize, interval: Duration) -> Vec<usize> {
        let mut setup = Setup::new();
        (setup.config.checkpoint_every, setup.interval) = (every, interval);
        let (trained, _, log) = setup.train(&Processor::Native, Some(""), 0);
        trained.unwrap();
        log.saved
    }
    let hour = Duration::from_secs(3600);
    for (every, interval, expected) in [
        (0, Duration::ZERO, &[][..]),
        (1, Duration::ZERO, &[1, 2, 3]),
        (2, Duration::ZERO, &[2]),
        (3, Duration::ZERO, &[3]),
        (9, Duration::ZERO, &[]),
        (1, hour, &[]),
    ] {
        assert_eq!(saved(every, interval), expected, "every {every}, {interval:?}");
    }
}

#[test]
fn a_training_that_is_stopped_is_saved_in_any_case() {
    let mut setup = Setup::new();
    setup.config.checkpoint_every = 0;
    setup.break_off_after(3, "");
    assert_eq!(setup.files(), [""; 0], "but where none is saved");
    (setup.config.checkpoint_every, setup.interval) = (2, Duration::from_secs(3600));
    setup.break_off_after(3, "");
    // How often a training is saved does not change its result.
    setup.config.checkpoint_every = 0;
    assert_eq!(setup.train(&Processor::Native, Some(""), 0).2.continued, Some(3));
}

#[test]
fn a_file_of_another_training_is_not_continued() {
    let mut setup = Setup::new();
    let notes =
        |setup: &Setup, processor: &Processor, identity| setup.train(processor, Some(identity), 1).2.notes.concat();
    setup.break_off_after(1, "images");
    let note = notes(&setup, &Processor::Native, "other images");
    assert!(note.starts_with("the training begins from its start: its checkpoint /"), "{note}");
    assert!(note.ends_with("1.training belongs to another training"), "{note}");
    assert_eq!(notes(&setup, &Processor::Native, "other images"), "", "it is replaced");
    let of_burn = notes(&setup, &Processor::Burn(burn::tensor::Device::flex()), "other images");
    assert!(of_burn.contains(" is of the engine native (") && of_burn.ends_with(", and flex rounds differently"));
    setup.config.momentum = 0.8;
    assert!(notes(&setup, &Processor::Native, "other images").contains("another training"));
    setup.config.epochs = 1;
    assert!(notes(&setup, &Processor::Native, "other images").contains("another training"));
    setup.splits.train = setup.splits.train.first(99);
    assert!(notes(&setup, &Processor::Native, "other images").contains("another training"));
}

#[test]
fn a_training_that_cannot_be_saved_goes_on_and_says_so_once() {
    let setup = Setup::new();
    std::fs::create_dir(setup.path()).unwrap();
    let (trained, _, log) = setup.train(&Processor::Native, Some(""), 0);
    assert!(trained.is_ok());
    let [unread, unwritten] = &log.notes[..] else { panic!("{:?}", log.notes) };
    assert!(unread.contains("cannot be read"), "{unread}");
    assert!(unwritten.contains("goes on unsaved") && unwritten.contains("cannot write /"), "{unwritten}");
    assert_eq!(setup.files(), ["1.training"]);
}

#[test]
fn whole_files_with_other_contents_are_errors() {
    let setup = Setup::new();
    setup.break_off_after(2, "");
    let good = std::fs::read(setup.path()).unwrap();
    let note = |content: &[u8]| {
        write(&setup.path(), content).unwrap();
        let (trained, _, log) = setup.train(&Processor::Native, Some(""), 1);
        assert_eq!((trained.unwrap_err(), log.continued), (TrainError::Stopped { epoch: 1 }, None));
        log.notes.concat()
    };
    let content = &good[MAGIC.len() + CHECKSUM..];
    for cut in [1, 4, content.len() / 2] {
        assert!(note(&content[..content.len() - cut]).ends_with("does not fit the network"));
    }
    assert!(note(&[content, &[0; 4]].concat()).ends_with("does not fit the network"));
    let text = String::from_utf8_lossy(content);
    let header = text.lines().next().unwrap();
    for epoch in ["0", "4", "18446744073709551615"] {
        let changed = header.replace("\"epoch\":2", &format!("\"epoch\":{epoch}"));
        assert_ne!(changed, header);
        let content = [changed.as_bytes(), &content[header.len()..]].concat();
        assert!(note(&content).ends_with("does not fit the network"), "epoch {epoch}");
    }
    for content in ["", "\n", "{}\n", header] {
        assert!(note(content.as_bytes()).contains("is damaged"), "{content}");
    }
}

#[test]
fn a_damaged_file_begins_the_training_from_its_start_and_says_so() {
    let setup = Setup::new();
    setup.break_off_after(1, "");
    let good = std::fs::read(setup.path()).unwrap();
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let last = good.len() - 1;
    let damaged =
        [vec![], good[..last].to_vec(), flipped(0), flipped(MAGIC.len()), flipped(good.len() / 2), flipped(last)];
    for bytes in damaged {
        std::fs::write(setup.path(), bytes).unwrap();
        let (_, _, log) = setup.train(&Processor::Native, Some(""), 1);
        assert!(log.notes.concat().ends_with("is damaged or of another version of the program"), "{:?}", log.notes);
        assert_eq!((log.continued, log.losses[0].0, setup.files().len()), (None, 1, 1));
    }
}

/// A whole file with some numbers.
fn file() -> Vec<u8> {
    let rng = ChaCha8Rng::seed_from_u64(1);
    let progress = Progress { epoch: 1, seconds: 0.5, rng, drop_path: None };
    let mut content = serde_json::to_vec(&Header { training: String::new(), engine: String::new(), progress }).unwrap();
    content.extend(b"\n12345678");
    [MAGIC, Sha256::digest(&content).as_slice(), &content].concat()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_damage_to_a_file_is_found(bytes in damaged(vec![file()])) {
        prop_assert_eq!(parse(&bytes).is_some(), bytes == file());
    }
}
