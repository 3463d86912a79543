mod damage;

use std::path::{Path, PathBuf};
use std::time::Instant;

use csv::ByteRecord;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::measurement::{Conditions, Energy, Latency};

fn full_row() -> Row {
    Row {
        started_at: Some("2026-01-31T23:59:59.25Z".to_owned()),
        accuracy: Some(0.9375),
        time_ms: Some(5.807419),
        time_ms_std: Some(0.0125),
        time_runs: Some(512),
        energy_mj: Some(24.226614),
        energy_mj_std: Some(0.0),
        power_samples: Some(30),
        idle_power_mw: Some(1260.5),
        device: Some("host AMD EPYC (threads 1; cores 2)".to_owned()),
        epochs: Some(12),
        train_seconds: Some(61.25),
        measure_seconds: Some(3.0),
        message: Some("2 of 40 runs, \"far\" off".to_owned()),
        time_ms_p50: Some(5.75),
        time_ms_p95: Some(6.5),
        time_ms_p99: Some(7.25),
        trainer: Some("native (avx2)".to_owned()),
        target: Some("tx2".to_owned()),
        ..Row::new(7, "|a~0|+|b~0|c~1|", Status::Ok)
    }
}

fn new_log(rows: &[Row]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("measurements.csv");
    let mut writer = Writer::create(&path).unwrap();
    for row in rows {
        writer.write(row).unwrap();
    }
    (folder, path)
}

/// A log whose second line has one cell replaced.
fn with_cell(column: &str, cell: &str) -> LogError {
    let at = COLUMNS.iter().position(|name| *name == column).unwrap();
    let mut cells = vec![""; COLUMNS.len()];
    (cells[0], cells[2], cells[3]) = ("1", "a", "ok");
    cells[at] = cell;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.csv");
    std::fs::write(&path, format!("{}\n{}\n", COLUMNS.join(","), cells.join(","))).unwrap();
    read(&path).unwrap_err()
}

#[test]
fn a_row_is_written_as_documented() {
    let (_folder, path) = new_log(&[full_row(), Row::new(8, "b", Status::Bounded)]);
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "evaluation,started_at,architecture,status,accuracy,time_ms,time_ms_std,time_runs,\
             energy_mj,energy_mj_std,power_samples,idle_power_mw,device,epochs,train_seconds,\
             measure_seconds,message,time_ms_p50,time_ms_p95,time_ms_p99,trainer,target",
            "7,2026-01-31T23:59:59.25Z,|a~0|+|b~0|c~1|,ok,0.9375,5.807419,0.0125,512,24.226614,0,\
             30,1260.5,host AMD EPYC (threads 1; cores 2),12,61.25,3,\"2 of 40 runs, \"\"far\"\" \
             off\",5.75,6.5,7.25,native (avx2),tx2",
            "8,,b,bounded,,,,,,,,,,,,,,,,,,",
        ]
    );
}

#[test]
fn a_measurement_fills_its_columns_and_no_others() {
    let mut measurement = Measurement {
        latency: Latency::from_samples(&[1.0, 3.0]).unwrap(),
        latency_without_transfer: None,
        throughput_per_s: None,
        energy: Some(Energy {
            per_inference_mj: 5.0,
            above_idle_mj: None,
            counts_above_idle: false,
            std_mj: Some(0.5),
            idle_power_mw: Some(1200.0),
            mean_power_mw: Some(3700.0),
            power_samples: Some(64),
            power_interval: None,
            rails: Vec::new(),
            source: "test".to_owned(),
            recorded: None,
        }),
        conditions: Conditions::default(),
        warnings: Vec::new(),
    };
    let expected = Row {
        time_ms: Some(2.0),
        time_ms_std: Some(2.0_f64.sqrt()),
        time_runs: Some(2),
        energy_mj: Some(5.0),
        energy_mj_std: Some(0.5),
        power_samples: Some(64),
        idle_power_mw: Some(1200.0),
        time_ms_p50: Some(2.0),
        ..Row::new(1, "a", Status::Ok)
    };
    let mut row = Row::new(1, "a", Status::Ok);
    row.set_measurement(&measurement, Statistic::Mean).unwrap();
    assert_eq!(row, expected);
    assert!(row.set_measurement(&measurement, Statistic::P99).is_err());
    assert_eq!(row, expected);

    measurement.energy = None;
    row.set_measurement(&measurement, Statistic::Median).unwrap();
    assert_eq!((row.energy_mj, row.power_samples), (None, None));
}

#[test]
fn line_breaks_in_messages_keep_a_row_on_a_line() {
    let row = Row { message: Some("first\nsecond\r\nthird\n".to_owned()), ..Row::new(1, "a", Status::Failed) };
    let (_folder, path) = new_log(&[row]);
    let rows = read(&path).unwrap();
    assert_eq!(rows[0].message.as_deref(), Some("first; second; third"));
}

#[test]
fn every_bad_cell_is_rejected_with_its_place() {
    let cases = [
        ("evaluation", "-1"),
        ("evaluation", ""),
        ("started_at", "yesterday"),
        ("architecture", ""),
        ("status", "fine"),
        ("accuracy", "93.75"),
        ("accuracy", "NaN"),
        ("time_ms", "0"),
        ("time_ms", "fast"),
        ("time_ms_p50", "-1"),
        ("time_ms_p99", "fast"),
        ("time_ms_std", "-0.5"),
        ("time_runs", "1.5"),
        ("energy_mj", "inf"),
        ("energy_mj", "-3"),
        ("train_seconds", "-1"),
    ];
    for (column, cell) in cases {
        let error = with_cell(column, cell).to_string();
        let place = format!("log.csv:2: column {column:?}");
        assert!(error.contains(&place), "{column} {cell:?}: {error}");
    }
}

#[test]
fn a_row_that_could_not_be_read_back_is_not_written() {
    type Break = fn(&mut Row);
    let broken: [(&str, Break); 7] = [
        ("accuracy", |row| row.accuracy = Some(1.5)),
        ("time_ms", |row| row.time_ms = Some(0.0)),
        ("energy_mj", |row| row.energy_mj = Some(f64::NAN)),
        ("idle_power_mw", |row| row.idle_power_mw = Some(f64::INFINITY)),
        ("architecture", |row| row.architecture.clear()),
        ("architecture", |row| row.architecture.push('\n')),
        ("started_at", |row| row.started_at = Some("now".to_owned())),
    ];
    let (_folder, path) = new_log(&[full_row()]);
    let before = std::fs::read(&path).unwrap();
    let (mut writer, _, _) = Writer::append(&path).unwrap();
    for (column, break_it) in broken {
        let mut row = full_row();
        break_it(&mut row);
        let error = writer.write(&row).unwrap_err();
        let expected = format!("evaluation 7 cannot be logged: column {column:?}");
        assert!(error.to_string().contains(&expected), "{error}");
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

/// A log of the first version, with the given rows.
fn old_log(rows: &[&str]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("measurements.csv");
    std::fs::write(&path, format!("{}\n{}", COLUMNS[..FIRST].join(","), rows.concat())).unwrap();
    (folder, path)
}

#[test]
fn a_journal_of_an_earlier_version_keeps_its_columns() {
    let row = "8,,b,ok,0.5,2,,,,,,,,,,,\n";
    let (_folder, path) = old_log(&[row]);
    let (mut writer, rows, torn) = Writer::append(&path).unwrap();
    assert_eq!((rows.len(), rows[0].time_ms, rows[0].time_ms_p50, torn), (1, Some(2.0), None, None));
    writer.write(&full_row()).unwrap();
    assert_eq!(writer.held(&full_row()), full_row().with_columns(|_| false));
    assert_eq!(read(&path).unwrap()[1], full_row().with_columns(|_| false));
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with(&format!("{}\n{row}7,", COLUMNS[..FIRST].join(","))), "{text}");
    // What identifies a row is what the earlier version wrote.
    assert_eq!(identity(&rows[0]).unwrap(), row.as_bytes());
    assert_eq!(identity(&full_row()).unwrap(), line(&full_row()).unwrap());
}

#[test]
fn columns_are_found_by_name_and_those_of_later_versions_ignored() {
    let (_folder, path) = new_log(&[full_row()]);
    let text = std::fs::read_to_string(&path).unwrap();
    let wider: String = text.lines().zip(["carbon_mg", "3.5"]).map(|(line, cell)| format!("{cell},{line}\n")).collect();
    std::fs::write(&path, wider).unwrap();
    let (mut writer, rows, _) = Writer::append(&path).unwrap();
    assert_eq!(rows, [full_row()]);
    writer.write(&full_row()).unwrap();
    assert_eq!(read(&path).unwrap(), [full_row(), full_row()]);
    assert!(is_journal(COLUMNS.join(",").as_bytes()) && is_journal(COLUMNS[..FIRST].join(",").as_bytes()));
    assert!(!is_journal(COLUMNS[..FIRST - 1].join(",").as_bytes()) && !is_journal(b""));
    assert!(!is_journal(format!("{},status", COLUMNS.join(",")).as_bytes()));
}

#[test]
fn a_log_is_never_overwritten() {
    let (_folder, path) = new_log(&[full_row()]);
    let error = Writer::create(&path).unwrap_err();
    assert!(error.to_string().contains("measurements.csv"), "{error}");
    assert_eq!(read(&path).unwrap(), [full_row()]);
}

#[test]
fn a_log_torn_at_any_byte_is_repaired_and_goes_on() {
    let rows = [full_row(), Row::new(8, "b", Status::Diverged)];
    let (_folder, path) = new_log(&rows);
    let whole = std::fs::read(&path).unwrap();
    for length in 0..=whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        let lines = whole[..length].iter().filter(|byte| **byte == b'\n').count();
        let (mut writer, kept, torn) = Writer::append(&path).unwrap();
        assert_eq!(kept, rows[..lines.saturating_sub(1)], "at byte {length}");
        let ends_whole = length == 0 || whole[length - 1] == b'\n';
        assert_eq!(torn.is_none(), ends_whole, "at byte {length}");
        if let Some(torn) = torn {
            assert_eq!(torn.line, lines as u64 + 1);
            assert!(whole[..length].ends_with(torn.text.as_bytes()));
        }
        for row in &rows[kept.len()..] {
            writer.write(row).unwrap();
        }
        assert_eq!(std::fs::read(&path).unwrap(), whole, "at byte {length}");
    }
}

#[test]
fn a_torn_line_is_reported_when_only_reading() {
    let (_folder, path) = new_log(&[full_row(), Row::new(8, "b", Status::Ok)]);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &text[..text.len() - 5]).unwrap();
    let error = read(&path).unwrap_err();
    assert!(error.to_string().contains("measurements.csv:3: the last line is torn"), "{error}");
    let (rows, torn) = read_whole_lines(&path).unwrap();
    assert_eq!(rows, [full_row()]);
    assert!(torn.unwrap().text.starts_with("8,,b,ok"));
    assert_eq!(std::fs::read_to_string(&path).unwrap().len(), text.len() - 5);
}

#[test]
fn other_files_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.csv");
    for content in ["\n", "shopping list", "name,price\nmilk,1", "evaluation,time\n1,2\n"] {
        std::fs::write(&path, content).unwrap();
        let error = Writer::append(&path).unwrap_err();
        assert!(error.to_string().contains("notes.csv:1: this is not a measurement log"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
    }
}

#[test]
fn a_damaged_row_is_rejected_before_a_torn_one_is_cut() {
    let (_folder, path) = new_log(&[full_row()]);
    let mut text = std::fs::read_to_string(&path).unwrap();
    text.push_str("8,,b\n9,,c,o");
    std::fs::write(&path, &text).unwrap();
    let error = Writer::append(&path).unwrap_err();
    assert!(error.to_string().contains("measurements.csv:3: the row has 3 cells instead of 22: it is torn"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_reported_with_the_file() {
    let path = Path::new("/dev/full");
    let file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
    let mut writer = Writer::over(path, file, 0, &ByteRecord::new());
    let error = writer.write(&full_row()).unwrap_err();
    // A device cannot be cut back to a length, so the writer must not go on.
    assert!(error.to_string().contains("its last line may be torn"), "{error}");
    assert!(error.to_string().contains("evaluation 7"), "{error}");
    assert!(error.to_string().contains("/dev/full"), "{error}");
    assert!(writer.write(&full_row()).is_err());
}

/// Set in the process that runs under a limit on the size of files.
#[cfg(target_os = "linux")]
const LIMITED: &str = "HARDWARE_LOG_UNDER_FILE_SIZE_LIMIT";

#[test]
#[cfg(target_os = "linux")]
fn half_a_row_on_a_full_disk_is_taken_back() {
    if let Ok(path) = std::env::var(LIMITED) {
        let mut writer = Writer::create(Path::new(&path)).unwrap();
        let mut row = full_row();
        while let Ok(()) = writer.write(&row) {
            row.evaluation += 1;
        }
        let error = writer.write(&row).unwrap_err();
        assert!(error.to_string().contains("which ends whole"), "{error}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("measurements.csv");
    // With the signal ignored a write beyond the limit is cut short, then fails: as on a full disk.
    let status = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "log::tests::half_a_row_on_a_full_disk_is_taken_back"])
        .env(LIMITED, &path)
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let rows = read(&path).unwrap();
    let size = std::fs::metadata(&path).unwrap().len();
    assert!(rows.len() > 10 && !size.is_multiple_of(512), "{} rows", rows.len());
    assert_eq!(rows.last().unwrap().evaluation, 6 + rows.len() as u64);
}

#[test]
fn many_rows_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("measurements.csv");
    let rows: Vec<Row> = (0..20_000).map(|evaluation| Row { evaluation, ..full_row() }).collect();
    let lines = rows.iter().flat_map(|row| line(row).unwrap());
    std::fs::write(&path, format!("{}\n", COLUMNS.join(",")).bytes().chain(lines).collect::<Vec<_>>()).unwrap();
    let started = Instant::now();
    let found = read(&path).unwrap();
    println!("20,000 rows were read in {:?}", started.elapsed());
    assert_eq!(found, rows);
}

#[test]
fn status_texts_are_read_back() {
    for status in Status::ALL {
        assert_eq!(status.to_string().parse(), Ok(status));
    }
    assert!("OK".parse::<Status>().is_err());
}

fn number(lowest: f64) -> impl Strategy<Value = Option<f64>> {
    let positive = proptest::num::f64::POSITIVE | proptest::num::f64::SUBNORMAL;
    proptest::option::of(positive.prop_map(move |x| x.abs().max(lowest)))
}

fn text() -> impl Strategy<Value = Option<String>> {
    proptest::option::of("[^\r\n]+|[ ,\"';|~a-z]{1,20}")
}

prop_compose! {
    fn any_row()(
        (evaluation, architecture, status) in (any::<u64>(), text(), 0..4_usize),
        started_at in proptest::option::of(0..4_000_000_000_i64),
        accuracy in proptest::option::of(0.0..=1.0),
        (time_ms, time_ms_std, time_runs) in (number(1e-300), number(0.0), any::<Option<u64>>()),
        (energy_mj, energy_mj_std) in (number(0.0), number(0.0)),
        (power_samples, idle_power_mw) in (any::<Option<u64>>(), number(0.0)),
        (device, message, trainer, epochs) in (text(), text(), text(), any::<Option<u64>>()),
        (train_seconds, measure_seconds) in (number(0.0), number(0.0)),
        (time_ms_p50, time_ms_p95, time_ms_p99) in (number(1e-300), number(1e-300), number(1e-300)),
    ) -> Row {
        Row {
            started_at: started_at
                .map(|second| jiff::Timestamp::from_second(second).unwrap().to_string()),
            accuracy, time_ms, time_ms_std, time_runs, energy_mj, energy_mj_std, power_samples,
            idle_power_mw, device, epochs, train_seconds, measure_seconds, message,
            time_ms_p50, time_ms_p95, time_ms_p99, trainer,
            ..Row::new(
                evaluation,
                architecture.unwrap_or_else(|| "a".to_owned()),
                Status::ALL[status],
            )
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rows_are_read_back_as_they_were_written(rows in prop::collection::vec(any_row(), 0..6)) {
        let (_folder, path) = new_log(&rows);
        prop_assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), rows.len() + 1);
        prop_assert_eq!(read(&path).unwrap(), rows);
    }
}
