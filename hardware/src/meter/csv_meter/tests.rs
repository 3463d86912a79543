//! The traces are synthetic: a thread plays the recorder of a supply.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::*;
use crate::energy;
use crate::meter::align;
use crate::time::Window;

const IDLE_W: f64 = 2.0;
const LOAD_W: f64 = 5.0;

/// Behaviour of the recorder.
#[derive(Clone, Copy)]
struct Manner {
    /// Lead of its clock over ours, in s.
    ahead_s: f64,
    /// How much faster its clock runs, relative to ours.
    fast: f64,
    /// Number of lines that it writes at once.
    at_once: usize,
}

struct Recorder {
    is_loaded: Arc<AtomicBool>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Recorder {
    /// A reading every 5 ms.
    fn begin(path: &Path, manner: Manner) -> Self {
        let (is_loaded, is_over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (loaded, over, path) = (Arc::clone(&is_loaded), Arc::clone(&is_over), path.to_owned());
        let write = move || {
            let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
            let (begun, mut lines, mut count) = (Instant::now(), String::new(), 0);
            let origin_s = Timestamp::now().as_nanosecond() as f64 / 1e9 + manner.ahead_s;
            while !over.load(Ordering::Relaxed) {
                let at_s = origin_s + begun.elapsed().as_secs_f64() * (1.0 + manner.fast);
                let watts = if loaded.load(Ordering::Relaxed) { LOAD_W } else { IDLE_W };
                count += 1;
                lines += &format!("{at_s:.6},{:.3}\n", watts + f64::from(count % 5 - 2) * 0.01);
                if count % manner.at_once as i32 == 0 {
                    file.write_all(lines.as_bytes()).unwrap();
                    lines.clear();
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            // The recorder stops within a line.
            file.write_all(b"17000").unwrap();
        };
        Self { is_loaded, is_over, thread: Some(std::thread::spawn(write)) }
    }

    fn load(&self, clock: &Clock, length: Duration) -> Window {
        let from_ns = clock.now_ns();
        self.is_loaded.store(true, Ordering::Relaxed);
        std::thread::sleep(length);
        self.is_loaded.store(false, Ordering::Relaxed);
        Window { from_ns, to_ns: clock.now_ns() }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

const GOOD: Manner = Manner { ahead_s: 0.0, fast: 0.0, at_once: 1 };

/// A file with the header and hours of earlier readings.
fn file() -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let old: String = (0..2000).map(|second| format!("{},999.0\n", 1_700_000_000 + second)).collect();
    // A damaged line among them does not matter.
    file.write_all(format!("Supply 3000\nt,P (W)\n{old}#?!\n").as_bytes()).unwrap();
    file
}

fn meter(path: &Path, more: &str) -> CsvMeter {
    let text = format!(
        "file = {path:?}\n{more}\n[columns]\ntime = {{ column = \"t\", unit = \"s\" }}\n\
         power = {{ column = \"P (W)\", unit = \"w\" }}"
    );
    CsvMeter::new(toml::from_str(&text).unwrap(), Clock::start()).unwrap()
}

fn mean_mw(trace: &Trace, window: Window) -> f64 {
    energy::mean_power(&trace.rail(RAIL), &[window.without_edges(20_000_000)]).unwrap().mean_mw
}

#[test]
fn a_file_that_grows_is_placed_by_its_stamps() {
    let file = file();
    for at_once in [1, 30] {
        let recorder = Recorder::begin(file.path(), Manner { at_once, ..GOOD });
        let mut meter = meter(file.path(), "flush_limit_s = 5.0");
        assert_eq!(meter.stop(), Err(MeterError::not_running("csv")));
        meter.start().unwrap();
        std::thread::sleep(Duration::from_millis(300));
        let load = recorder.load(&meter.clock, Duration::from_millis(600));
        let readings = meter.check().unwrap();
        assert!((20..400).contains(&readings), "{readings}");
        let trace = meter.stop().unwrap();
        assert!((mean_mw(&trace, load) - 5000.0).abs() < 30.0, "{}", mean_mw(&trace, load));
        assert!(trace.rail(RAIL).iter().all(|point| point.power_mw < 6000.0));
        assert!((trace.resolution_mw.unwrap() - 1.0).abs() < 1e-9);
        assert_eq!((meter.pattern_unit(), trace.stamp_uncertainty_s), (None, 0.0));
        drop(recorder);
        // The next recorder begins a new line.
        std::fs::OpenOptions::new().append(true).open(file.path()).unwrap().write_all(b"\n").unwrap();
    }
}

#[test]
fn a_recorder_with_another_clock_is_placed_by_edges() {
    let file = file();
    let recorder = Recorder::begin(file.path(), Manner { ahead_s: -86_400.0, fast: 3e-3, at_once: 7 });
    let mut meter = meter(file.path(), "align = \"edges\"\nunit_s = 0.1\nclock_error = 0.01\nflush_limit_s = 8.0");
    assert_eq!(meter.pattern_unit(), Some(Duration::from_millis(100)));
    meter.start().unwrap();
    let error = meter.stop().unwrap_err();
    assert!(matches!(error, MeterError::Settings(_)), "{error}");
    meter.start().unwrap();
    let mut loads = Vec::new();
    let from_ns = meter.clock.now_ns();
    let idle = || std::thread::sleep(Duration::from_millis(150));
    idle();
    for (turn, length) in align::coded(Duration::from_millis(100)).into_iter().enumerate() {
        if turn % 2 == 0 {
            loads.push(recorder.load(&meter.clock, length));
        } else {
            std::thread::sleep(length);
        }
    }
    idle();
    loads.push(recorder.load(&meter.clock, Duration::from_secs(2)));
    idle();
    let whole = Window { from_ns, to_ns: meter.clock.now_ns() };
    meter.set_pattern(Pattern::new(whole, &loads).unwrap());
    let trace = meter.stop().unwrap();
    let measured = *loads.last().unwrap();
    assert!((mean_mw(&trace, measured) - 5000.0).abs() < 50.0, "{}", mean_mw(&trace, measured));
    assert!((1e-6..0.02).contains(&trace.stamp_uncertainty_s), "{}", trace.stamp_uncertainty_s);
    assert!(meter.describe().contains("edges"));
}

#[test]
fn stamps_of_another_clock_are_an_error() {
    for (ahead_s, expected) in [(-30.0, "behind"), (30.0, "ahead of")] {
        let file = file();
        let _recorder = Recorder::begin(file.path(), Manner { ahead_s, ..GOOD });
        let mut meter = meter(file.path(), "");
        meter.start().unwrap();
        std::thread::sleep(Duration::from_millis(100));
        let error = meter.check().unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("edges"), "{error}");
        assert!(meter.stop().is_err());
    }
    // Too little to be noticed during the measurement.
    let file = file();
    let _recorder = Recorder::begin(file.path(), Manner { ahead_s: -0.9, ..GOOD });
    let mut meter = meter(file.path(), "flush_limit_s = 0.6");
    meter.start().unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let error = meter.stop().unwrap_err().to_string();
    assert!(error.contains("the time stamps of"), "{error}");
}

#[test]
fn a_trace_that_was_recorded_before_is_rejected() {
    let file = file();
    for more in ["", "align = \"edges\""] {
        let mut meter = meter(file.path(), &format!("{more}\nflush_limit_s = 0.3"));
        meter.start().unwrap();
        assert_eq!(meter.check(), Ok(0));
        std::thread::sleep(Duration::from_millis(400));
        let error = meter.check().unwrap_err().to_string();
        assert!(error.contains("has not grown") && error.contains("of another measurement"), "{error}");
        let second = |s: u64| s * 1_000_000_000;
        let load = Window { from_ns: second(1), to_ns: second(2) };
        meter.set_pattern(Pattern::new(Window { from_ns: 0, to_ns: second(3) }, &[load]).unwrap());
        assert!(meter.stop().unwrap_err().to_string().contains("has not grown"));
    }
}

#[test]
fn a_pattern_that_was_not_made_is_not_found() {
    let file = file();
    let _recorder = Recorder::begin(file.path(), GOOD);
    let mut meter = meter(file.path(), "align = \"edges\"\nunit_s = 0.1\nflush_limit_s = 0.8");
    meter.start().unwrap();
    let from_ns = meter.clock.now_ns();
    std::thread::sleep(Duration::from_millis(900));
    let to_ns = meter.clock.now_ns();
    let load = Window { from_ns: from_ns + 200_000_000, to_ns: from_ns + 500_000_000 };
    meter.set_pattern(Pattern::new(Window { from_ns, to_ns }, &[load]).unwrap());
    let error = meter.stop().unwrap_err().to_string();
    assert!(
        error.contains("does not stand out") || error.contains("the trace lasts") || error.contains("at two places"),
        "{error}"
    );
}

#[test]
fn a_file_that_is_damaged_or_begun_anew_is_an_error() {
    let mut file = file();
    let mut meter = meter(file.path(), "");
    meter.start().unwrap();
    let now_s = || Timestamp::now().as_nanosecond() as f64 / 1e9;
    file.write_all(format!("{:.6},1.0\n{:.6},", now_s(), now_s() + 1e-3).as_bytes()).unwrap();
    assert_eq!(meter.check(), Ok(1));
    // Half a line is not a reading yet.
    file.write_all(b"1.5\n").unwrap();
    assert_eq!(meter.check(), Ok(2));
    // One line is left out, and twenty are not.
    file.write_all(b"sensor lost\n").unwrap();
    assert_eq!(meter.check(), Ok(2));
    file.write_all("sensor lost\n".repeat(19).as_bytes()).unwrap();
    let error = meter.check().unwrap_err().to_string();
    assert!(error.contains("line 2025") && error.contains("sensor lost"), "{error}");
    meter.start().unwrap();
    std::fs::write(file.path(), "t,P (W)\n").unwrap();
    let error = meter.check().unwrap_err().to_string();
    assert!(error.contains("begun anew"), "{error}");
    std::fs::remove_file(file.path()).unwrap();
    assert!(matches!(meter.start(), Err(MeterError::Absent(_))));
}

#[test]
fn dates_without_an_offset_are_local_and_edges_ask_nothing_of_the_clock() {
    let columns = "[columns]\ntime = { column = \"t\", unit = \"rfc3339\" }\npower = { column = 2, unit = \"w\" }";
    for (align, earlier_s, is_right) in [("stamps", 0, true), ("stamps", 3600, false), ("edges", 3600, true)] {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"t,P\n").unwrap();
        let text = format!("file = {:?}\nalign = {align:?}\n{columns}", file.path());
        let mut meter = CsvMeter::new(toml::from_str(&text).unwrap(), Clock::start()).unwrap();
        meter.start().unwrap();
        for reading in 0..3 {
            let at = jiff::Zoned::now() - Duration::from_secs(earlier_s);
            file.write_all(format!("{},{reading}\n", at.strftime("%Y/%m/%d %H:%M:%S%.3f")).as_bytes()).unwrap();
            std::thread::sleep(Duration::from_millis(5));
        }
        match meter.check() {
            Ok(readings) => assert!(is_right && readings == 3, "{align} {readings}"),
            Err(error) => assert!(!is_right && error.to_string().contains("read as"), "{align}: {error}"),
        }
    }
}

#[test]
fn a_file_whose_lines_have_no_value_is_an_error_soon() {
    let mut file = file();
    let mut meter = meter(file.path(), "flush_limit_s = 0.3");
    meter.start().unwrap();
    let begun = Instant::now();
    let error = loop {
        writeln!(file, "{},unavailable", Timestamp::now().as_second()).unwrap();
        match meter.check() {
            Err(error) => break error.to_string(),
            Ok(readings) => assert_eq!(readings, 0),
        }
        assert!(begun.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(error.contains("has had no reading for") && error.contains("its value is \"unavailable\""), "{error}");
    writeln!(file, "{},unavailable", Timestamp::now().as_second()).unwrap();
    let error = meter.stop().unwrap_err().to_string();
    assert!(error.contains("although it grows"), "{error}");
}

#[test]
fn a_file_of_another_kind_is_named() {
    let columns = "[columns]\ntime = { column = 1, unit = \"s\" }\npower = { column = 2, unit = \"w\" }";
    for (content, name) in [
        (b"t,P\r1,2\r2,2\r".to_vec(), "carriage returns"),
        ([b"PK\x03\x04".as_slice(), &[7; 9000]].concat(), "workbook"),
        ("t\tP\n".encode_utf16().flat_map(u16::to_le_bytes).collect(), "UTF-16"),
    ] {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&content).unwrap();
        let text = format!("file = {:?}\n{columns}", file.path());
        let error =
            CsvMeter::new(toml::from_str(&text).unwrap(), Clock::start()).unwrap().start().unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn invalid_options_are_rejected() {
    let columns = "[columns]\ntime = { column = 1, unit = \"s\" }\npower = { column = 2, unit = \"w\" }";
    for more in ["unit_s = 0.0", "clock_error = 0.5", "flush_limit_s = -1.0", "flush_limit_s = nan"] {
        let options = toml::from_str(&format!("file = \"x\"\n{more}\n{columns}")).unwrap();
        let error = CsvMeter::new(options, Clock::start()).err().unwrap().to_string();
        assert!(error.contains("of a meter is from"), "{error}");
    }
    let options = toml::from_str("file = \"x\"\ncolumns = { power = { column = 2, unit = \"w\" } }").unwrap();
    assert!(CsvMeter::new(options, Clock::start()).is_err());
}
