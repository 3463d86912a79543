//! OpenVINO's own benchmark_app through the program: on the processor with time and energy, and on a Neural Compute
//! Stick up to the stick itself, which need not be there.

#[path = "openvino/faults.rs"]
mod faults;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use end_to_end::{Journal, Program, openvino, skip};
use serde_json::Value;
use tempfile::TempDir;

/// The experiment as users have it.
const EXPERIMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments/ncs.toml");

const CELL: &str = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|";

/// Children small and quickly trained, measured no longer than need be.
const SMALL: [&str; 10] = [
    "fidelity.measure_ahead=0",
    "data={ name = \"digits\", limit = 300 }",
    "training.epochs=1",
    "training.augmentation={}",
    "space={ name = \"nasbench201\", channels = 4, cells = 1 }",
    "search.batch=3",
    "strategy.start=3",
    "measuring.time_limit_ms=1000",
    "devices.ncs.patience_s=60",
    "devices.ncs.tries=6",
];

/// Prints a synthetic trace: a hundred readings a second around 1 W, for any work of the device. Energy is then time
/// times 1 W, and any other integration of it shows.
const SYNTHETIC_METER: &str = r#"
import math, sys, time
print("seconds,volts,amperes", flush=True)
begun, count = time.monotonic(), 0
while True:
    print("%.4f,%.4f,%.5f" % (count / 100, 5.0, 0.2 + 0.004 * math.sin(count)), flush=True)
    count += 1
    time.sleep(max(0, begun + count / 100 - time.monotonic()))
"#;

/// A folder to work in, with the program's files.
struct Place {
    folder: TempDir,
    settings: Vec<String>,
}

impl Place {
    /// Without a meter.
    fn new(device: &str, tool: &Path) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap(), settings: SMALL.map(str::to_owned).to_vec() };
        let place = place.set("devices.ncs.device", device).set("devices.ncs.tool", &tool.display().to_string());
        place.set("devices.ncs.meter.kind", "none")
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn set(mut self, key: &str, value: &str) -> Self {
        self.settings.push(format!("{key}={value}"));
        self
    }

    /// With a meter: a program in Python, of which there are a header and three columns.
    fn with_meter(self, program: &str) -> Self {
        let path = self.file("meter.py", program);
        let columns = "time = { column = \"seconds\", unit = \"s\" }, volts = { column = \"volts\", unit = \"v\" }, \
                       amperes = { column = \"amperes\", unit = \"a\" }";
        let command = format!("[\"python3\", \"-u\", {:?}]", path.display().to_string());
        let meter = format!("{{ kind = \"stream\", command = {command}, columns = {{ {columns} }} }}");
        self.set("devices.ncs.meter", &meter)
            .set("devices.ncs.energy", "{ window_s = 1, window_limit_s = 4, idle_s = 0.3 }")
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// The program with a verb's arguments, the experiment and its settings.
    fn program(&self, arguments: &[&str]) -> Program {
        let settings = self.settings.iter().flat_map(|setting| ["--set", setting]);
        let cache = self.path().join("cache").display().to_string();
        Program::new(self.path()).args(arguments).args(settings).variable("XDG_CACHE_HOME", &cache)
    }

    fn measure(&self, model: &str, further: &[&str]) -> Program {
        self.program(&[&["measure", model, "--experiment", EXPERIMENT], further].concat())
    }
}

/// While the processor is measured nothing else is to be at work: benchmark_app notices, and is not believed.
static PROCESSOR: RwLock<()> = RwLock::new(());

/// The processor for one test alone.
fn alone() -> RwLockWriteGuard<'static, ()> {
    PROCESSOR.write().unwrap_or_else(PoisonError::into_inner)
}

/// The processor for tests that measure something else.
fn together() -> RwLockReadGuard<'static, ()> {
    PROCESSOR.read().unwrap_or_else(PoisonError::into_inner)
}

/// Whether there is a stick after all, by its maker's number.
fn has_stick() -> bool {
    let devices = fs::read_dir("/sys/bus/usb/devices").into_iter().flatten().flatten();
    let mut makers = devices.filter_map(|entry| fs::read_to_string(entry.path().join("idVendor")).ok());
    makers.any(|maker| maker.trim() == "03e7")
}

fn number(found: &Value, key: &str) -> f64 {
    found[key].as_f64().unwrap_or_else(|| panic!("no {key}: {found}"))
}

#[test]
fn the_search_of_the_stick_runs_on_the_processor_with_time_and_energy() {
    let Some(tool) = openvino(None) else { return };
    let _alone = alone();
    let place = Place::new("CPU", &tool).with_meter(SYNTHETIC_METER).set("search.evaluations", "3");
    let place = place.set("devices.ncs.threads", "1");
    place.program(&["search", EXPERIMENT, "--out", "run", "--quiet"]).succeed();
    let journal = Journal::read(&place.path().join("run/measurements.csv"));
    assert_eq!(journal.ended().len(), 3);
    for row in journal.ended() {
        assert_eq!(row.text("status"), "ok", "{row:?}");
        let (time_ms, energy_mj) = (row.number("time_ms").unwrap(), row.number("energy_mj").unwrap());
        assert!(time_ms > 1e-3 && time_ms < 100.0 && row.number("accuracy").unwrap() > 0.0, "{row:?}");
        // The loop of the tool is in the energy, and not in the time.
        let power_w = energy_mj / time_ms;
        assert!(power_w > 0.9 && energy_mj < 1.1 * time_ms + 0.1, "{power_w} W: {row:?}");
        let idle_mw = row.number("idle_power_mw").unwrap();
        assert!((idle_mw / 1000.0 - 1.0).abs() < 0.01, "{idle_mw} mW at rest: {row:?}");
        assert!(row.number("power_samples").unwrap() >= 30.0, "{row:?}");
        let device = row.text("device");
        assert!(device.starts_with("openvino CPU") && device.contains("OpenVINO 20"), "{device}");
    }
    // A run goes on in any working directory.
    let config = fs::read_to_string(place.path().join("run/config.toml")).unwrap();
    let config: toml::Table = config.parse().unwrap();
    let used = config["devices"]["ncs"]["tool"].as_str().unwrap();
    assert!(Path::new(used).is_absolute(), "{used}");
    assert!(fs::metadata(place.path().join("cache/controller")).is_ok(), "where else did it write?");
}

#[test]
fn measure_reports_time_and_throughput_on_the_processor() {
    let Some(tool) = openvino(None) else { return };
    let _alone = alone();
    let environment = tool.parent().and_then(Path::parent).unwrap();
    let place = Place::new("CPU", environment).set("devices.ncs.throughput", "true").set("devices.ncs.threads", "1");
    let printed = place.measure(CELL, &["--json"]).succeed();
    let found: Value = serde_json::from_str(&printed).unwrap();
    let time_ms = number(&found, "time_ms");
    assert!((1e-3..100.0).contains(&time_ms) && number(&found, "time_runs") >= 20.0, "{found}");
    assert!((0.05..50.0).contains(&(number(&found, "throughput_per_s") * time_ms / 1e3)), "{found}");
    assert!(found["energy_mj"].is_null() && found["energy_counts_above_idle"].is_null(), "{found}");
    assert!(found["time_ms_std"].is_null(), "the tool tells none: {found}");
}

#[test]
fn an_old_version_measures_as_well() {
    let Some(tool) = openvino(Some("2021.4.2")) else { return };
    let _alone = alone();
    let place = Place::new("CPU", &tool).with_meter(SYNTHETIC_METER).set("devices.ncs.threads", "1");
    let printed = place.measure(CELL, &[]).succeed();
    for text in ["OpenVINO 2021.4.2", "time (median):", "energy (mean ± σ):", "(counted)", "above idle:", "readings"]
    {
        assert!(printed.contains(text), "{text} is not in:\n{printed}");
    }
}

#[test]
fn the_real_plugin_reports_a_missing_stick_soon() {
    let Some(tool) = openvino(Some("2021.4.2")) else { return };
    if has_stick() {
        return skip::quietly("a Neural Compute Stick is plugged in");
    }
    let _together = together();
    let place = Place::new("MYRIAD", &tool).set("devices.ncs.patience_s", "4");
    let wanted = |text: &str| {
        let is_told = text.contains("Neural Compute Stick cannot be opened") && text.contains("lsusb");
        assert!(is_told || text.contains("Install libusb-1.0-0"), "{text}");
    };
    let begun = Instant::now();
    let ended = place.program(&["doctor", EXPERIMENT]).run();
    assert!(ended.code.is_some_and(|code| code != 0) && ended.out.contains("FAILED  device ncs: "), "{ended}");
    wanted(&ended.out);
    // A meter that works does not hide it.
    wanted(&place.with_meter(SYNTHETIC_METER).measure(CELL, &[]).fail());
    // Twice the patience, and what the plugin itself takes.
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
}

#[test]
fn a_version_that_drives_no_stick_names_the_one_that_does() {
    let Some(tool) = openvino(None) else { return };
    let _together = together();
    let message = Place::new("MYRIAD", &tool).measure(CELL, &[]).fail();
    assert!(message.contains("scripts/openvino.sh 2021.4.2"), "{message}");
}
