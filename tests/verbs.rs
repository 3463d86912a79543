//! The other verbs: `measure`, `train`, `export`, `front`, `doctor`.

use std::fs;
use std::path::Path;

use child::data::DataConfig;
use end_to_end::{Program, Table, experiment};
use hardware::host::Inference;
use image::RgbImage;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

const CELL: &str = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|nor_conv_1x1~2|";

fn program(folder: &tempfile::TempDir) -> Program {
    Program::new(folder.path())
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn every_verb_has_help() {
    let folder = tempfile::tempdir().unwrap();
    let help = program(&folder).args(["--help"]).succeed();
    for verb in ["search", "replay", "measure", "train", "export", "front", "serve", "propose", "compare", "doctor"] {
        assert!(help.contains(verb), "{help}");
        assert!(program(&folder).args([verb, "--help"]).succeed().contains("Usage"));
    }
    assert!(program(&folder).args(["--version"]).succeed().contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn an_architecture_is_exported_and_measured() {
    let folder = tempfile::tempdir().unwrap();
    program(&folder).args(["export", CELL, "--to", "cell.onnx", "--set", "export.opset=11"]).succeed();
    let logits = Inference::load(&folder.path().join("cell.onnx")).unwrap().run(&[0.1; 64]).unwrap();
    assert_eq!(logits.len(), 10);
    let short = ["--set", "measuring.time_limit_ms=200", "--json"];
    let of_file = json(&program(&folder).args(["measure", "cell.onnx"]).args(short).succeed());
    let of_text = json(&program(&folder).args(["measure", CELL]).args(short).succeed());
    for measurement in [&of_file, &of_text] {
        let figure = |name: &str| measurement[name].as_f64().unwrap_or_else(|| panic!("no {name}: {measurement}"));
        assert!(0.0 < figure("time_ms_min") && figure("time_ms_min") <= figure("time_ms_p50"));
        assert!(figure("time_ms_min") <= figure("time_ms") && figure("time_runs") >= 20.0);
        assert!(measurement["energy_mj"].is_null(), "tests have no meter");
        assert!(measurement["device"].as_str().unwrap().contains("host"));
    }
    assert_eq!(of_text["model"], CELL);
    // The plain form has the same figures' names.
    let plain = program(&folder).args(["measure", "cell.onnx"]).args(&short[..2]).succeed();
    assert!(plain.contains("time") && plain.contains("energy") && plain.contains("not measured"), "{plain}");
}

#[test]
fn every_path_on_the_command_line_may_begin_with_the_users_home() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    fs::create_dir(&home).unwrap();
    let from_home = |args: &[&str]| program(&folder).args(args).variable("HOME", &home.display().to_string()).succeed();
    from_home(&["export", CELL, "--to", "~/cell.onnx"]);
    let short = ["--set", "measuring.time_limit_ms=50"];
    from_home(&["measure", "~/cell.onnx", short[0], short[1]]);
    let epochs = ["--set", "training.epochs=1", "--evaluations", "1", "--quiet"];
    from_home(&[&["search", "--out", "~/run"][..], &short, &epochs].concat());
    from_home(&["front", "~/run"]);
    from_home(&["measure", CELL, "--experiment", "~/run", short[0], short[1]]);
    from_home(&[
        "replay",
        "~/run/measurements.csv",
        "--experiment",
        "~/run/config.toml",
        "--out",
        "~/again",
        "--quiet",
    ]);
    from_home(&["compare", "~/run", "~/again"]);
    from_home(&["import", "~/again", "--into", "~/run"]);
    let here: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(here, ["home"]);
}

#[test]
fn training_prints_every_epoch_and_exports_the_trained_network() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["train", CELL, "--set", "training.epochs=3", "--set", "data.limit=1200", "--export", "trained.onnx"];
    let printed = program(&folder).args(args).succeed();
    let accuracies: Vec<f64> =
        printed.lines().filter_map(|line| line.split_once("accuracy ")?.1.split_once(" %")?.0.parse().ok()).collect();
    assert!(accuracies.len() >= 3 && printed.contains("epoch 3/3"), "{printed}");
    assert!(*accuracies.last().unwrap() > 50.0, "ten digits are classified better than that: {printed}");
    let again = program(&folder).args(args).succeed();
    assert_eq!(losses(&printed), losses(&again), "the same seed trains the same network");
    Inference::load(&folder.path().join("trained.onnx")).unwrap();
}

/// The lines of the epochs without their times.
fn losses(printed: &str) -> Vec<&str> {
    let epochs = printed.lines().filter(|line| line.starts_with("epoch "));
    let losses: Vec<_> = epochs.map(|line| line.split_once(" %").map_or(line, |(losses, _)| losses)).collect();
    assert_eq!(losses.len(), 3, "{printed}");
    losses
}

/// Images as they are stored, with their labels.
#[derive(Default)]
struct Stored {
    pixels: Vec<u8>,
    labels: Vec<u8>,
}

impl Stored {
    fn push(&mut self, image: &[u8], label: u8) {
        self.pixels.extend_from_slice(image);
        self.labels.push(label);
    }

    /// Number of images that a model classifies right in the engine of the host.
    fn correct(&self, model: &Path) -> usize {
        let mut inference = Inference::load(model).unwrap();
        let images = self.pixels.chunks(self.pixels.len() / self.labels.len()).zip(&self.labels);
        let is_right = |(image, label): (&[u8], &u8)| {
            let pixels: Vec<f32> = image.iter().map(|value| f32::from(*value)).collect();
            let logits = inference.run(&pixels).unwrap();
            let largest = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap();
            largest == usize::from(*label)
        };
        images.map(is_right).filter(|right| *right).count()
    }
}

/// Checks that a model gives the printed accuracy on stored pixels, in the engine of the host and in onnxruntime, and
/// returns its metadata as onnxruntime reads them.
fn check_accuracy(model: &Path, printed: &str, sets: &[(&str, &Stored)]) -> Option<Value> {
    let folder = tempfile::tempdir().unwrap();
    for (name, stored) in sets {
        let line = printed.lines().find_map(|line| line.strip_prefix(&format!("{name} accuracy "))).unwrap();
        let images = stored.labels.len();
        let percent = format!("{:.2} % ({images} {name} images", 100.0 * stored.correct(model) as f64 / images as f64);
        assert!(line.starts_with(&percent), "{line} instead of {percent}");
        fs::write(folder.path().join(format!("{name}.pixels")), &stored.pixels).unwrap();
        fs::write(folder.path().join(format!("{name}.labels")), &stored.labels).unwrap();
    }
    fs::copy(model, folder.path().join("model.onnx")).unwrap();
    let report = end_to_end::python("check_accuracy.py", folder.path())?;
    for (name, stored) in sets {
        assert_eq!(report["correct"][name], stored.correct(model), "{name}");
    }
    Some(report["metadata"].clone())
}

/// Saves noisy images of three classes, which differ in the brightness of a colour, and returns them.
fn photos(folder: &Path, part: &str, images: usize, rng: &mut ChaCha8Rng) -> Stored {
    const SIDE: u32 = 8;
    let mut stored = Stored::default();
    for (label, class) in ["berry, \"red\"", "leaf", "sky"].into_iter().enumerate() {
        fs::create_dir_all(folder.join(part).join(class)).unwrap();
        for number in 0..images {
            let mut draw = |channel: usize| rng.random_range(60..200) + if channel == label { 10 } else { 0 };
            let image = RgbImage::from_fn(SIDE, SIDE, |_, _| [draw(0), draw(1), draw(2)].into());
            image.save(folder.join(part).join(class).join(format!("{number:03}.png"))).unwrap();
            let plane = |channel: usize| image.pixels().map(move |pixel| pixel[channel]);
            let planes: Vec<u8> = (0..3).flat_map(plane).collect();
            stored.push(&planes, label as u8);
        }
    }
    stored
}

#[test]
fn a_deployed_network_takes_the_pixels_of_a_folder_and_has_the_printed_accuracies() {
    let folder = tempfile::tempdir().unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let photo_folder = folder.path().join("photos");
    let [_, validation, test] =
        [("train", 40), ("val", 30), ("test", 20)].map(|(part, images)| photos(&photo_folder, part, images, &mut rng));
    fs::write(photo_folder.join("train/leaf/Thumbs.db"), b"\xd0\xcf\x11\xe0").unwrap();
    let settings = ["data={ name = \"folder\", dir = \"photos\" }", "training.epochs=4", "space.channels=8"];
    let settings = settings.iter().flat_map(|setting| ["--set", setting]);
    let printed = program(&folder).args(["train", CELL, "--export", "best.onnx"]).args(settings).succeed();
    assert!(printed.contains("120 training images, 90 validation images of val/, 60 test images"), "{printed}");
    let model = folder.path().join("best.onnx");
    let sets = [("validation", &validation), ("test", &test)];
    let Some(metadata) = check_accuracy(&model, &printed, &sets) else { return };
    for (key, value) in [
        ("architecture", CELL),
        ("data_set", "photos"),
        ("input_range", "0 to 255"),
        ("colour_order", "RGB"),
        ("orientation", "upright: the orientation that the camera recorded (EXIF) is applied"),
        ("resize_filter", "none: all images have 8x8 pixels (width x height)"),
        ("class_names", r#"["berry, \"red\"","leaf","sky"]"#),
        ("accuracy_images", "90 validation images of val/"),
        ("test_accuracy_images", "60 test images"),
    ] {
        assert_eq!(metadata[key], value, "{metadata}");
    }
    let share: f64 = metadata["accuracy"].as_str().unwrap().parse().unwrap();
    assert_eq!((share * 90.0).round() as usize, validation.correct(&model));
}

#[test]
fn a_deployed_network_takes_the_pixels_of_the_digits_and_has_the_printed_accuracy() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["train", CELL, "--set", "training.epochs=2", "--seed", "5", "--export", "digits.onnx"];
    let printed = program(&folder).args(args).succeed();
    let dataset = DataConfig::default().load().unwrap();
    let splits = dataset.split(0.25, &mut ChaCha8Rng::seed_from_u64(5)).unwrap();
    let mut validation = Stored::default();
    splits.validation.pixels().for_each(|(image, label)| validation.push(image, label as u8));
    let model = folder.path().join("digits.onnx");
    let Some(metadata) = check_accuracy(&model, &printed, &[("validation", &validation)]) else { return };
    assert_eq!((&metadata["input_range"], &metadata["colour_order"]), (&"0 to 16".into(), &"grey".into()));
    assert_eq!(metadata["test_accuracy"], Value::Null);
}

#[test]
fn output_paths_are_checked_before_the_training() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("taken.onnx")).unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    for (path, reason) in [
        ("taken.onnx", "it is a folder"),
        ("absent/best.onnx", "absent is not a folder"),
        ("file/best.onnx", "file is not a folder"),
        ("folder/", "it names no file"),
    ] {
        // Training for so long would not end.
        let train = ["train", CELL, "--set", "training.epochs=1000000", "--export", path];
        let export = ["export", CELL, "--to", path];
        for args in [&train[..], &export] {
            let message = program(&folder).args(args).fail();
            assert!(message.contains(&format!("cannot write {path}: {reason}")), "{message}");
        }
    }
}

#[test]
fn a_front_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    replayed_run(folder.path());
    let table = program(&folder).args(["front", "run"]).succeed();
    assert!(table.contains("accuracy %") && table.contains("energy mJ"), "{table}");
    program(&folder).args(["front", "run", "--svg", "front.svg"]).succeed();
    let svg = fs::read_to_string(folder.path().join("front.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("time"), "{}", &svg[..200.min(svg.len())]);
}

fn replayed_run(folder: &Path) {
    Table::write(folder);
    fs::write(folder.join("experiment.toml"), experiment()).unwrap();
    let args =
        ["replay", "table.csv", "--experiment", "experiment.toml", "--evaluations", "20", "--quiet", "--out", "run"];
    Program::new(folder).args(args).succeed();
}

#[test]
fn the_doctor_reports_present_and_missing_parts() {
    let folder = tempfile::tempdir().unwrap();
    let healthy = program(&folder).args(["doctor"]).succeed();
    assert!(healthy.contains("host") && !healthy.contains("FAILED"), "{healthy}");
    let ill = program(&folder).args(["doctor", "--set", "data={ name = \"cifar10\", dir = \"nowhere\" }"]).run();
    assert_eq!(ill.code, Some(1), "{ill}");
    let failed: Vec<_> = ill.out.lines().filter(|line| line.contains("FAILED")).collect();
    assert!(failed.len() == 1 && failed[0].contains("nowhere"), "{ill}");
}

#[test]
fn every_experiment_of_the_project_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let experiments = Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments");
    let mut found = 0;
    for entry in fs::read_dir(experiments).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let ended = program(&folder).args(["doctor"]).args([&path]).run();
            // Its data or its log need not be here, but its keys are right.
            assert!(ended.out.contains("ok      search space"), "{}: {ended}", path.display());
            found += 1;
        }
    }
    assert!(found >= 3, "{found} experiments");
}
