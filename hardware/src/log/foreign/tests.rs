mod damage;
mod fidelity;

use std::path::Path;
use std::time::Instant;

use super::*;
use crate::log::{LogError, Row, Status, Writer};

fn as_it_is(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

fn load_with(text: &str, columns: &Columns) -> Result<Table, LogError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.csv");
    std::fs::write(&path, text).unwrap();
    Table::load(&path, columns, &as_it_is)
}

fn load(text: &str) -> Result<Table, LogError> {
    load_with(text, &Columns::default())
}

fn refusal(text: &str) -> String {
    load(text).unwrap_err().to_string()
}

#[test]
fn the_own_journal_needs_no_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("measurements.csv");
    let mut writer = Writer::create(&path).unwrap();
    writer
        .write(&Row {
            accuracy: Some(0.875),
            time_ms: Some(2.5),
            time_ms_std: Some(0.125),
            energy_mj: Some(7.25),
            device: Some("host here".to_owned()),
            message: Some("said, \"so\"".to_owned()),
            ..Row::new(0, "a", Status::Ok)
        })
        .unwrap();
    for (evaluation, status) in [(1, Status::Bounded), (2, Status::Failed), (3, Status::Diverged)] {
        writer.write(&Row::new(evaluation, format!("b{evaluation}"), status)).unwrap();
    }
    let table = Table::load(&path, &Columns::default(), &as_it_is).unwrap();
    assert_eq!((table.rows().len(), table.skipped()), (1, 3));
    assert_eq!((table.unsuccessful("b2"), table.unsuccessful("a")), (Some(Status::Failed), None));
    assert_eq!(
        table.get("a"),
        Some(&Row {
            accuracy: Some(0.875),
            time_ms: Some(2.5),
            time_ms_std: Some(0.125),
            energy_mj: Some(7.25),
            device: Some("host here".to_owned()),
            ..Row::new(0, "a", Status::Ok)
        })
    );
    assert_eq!(table.get("b"), None);
}

#[test]
fn foreign_units_are_converted() {
    let columns: Columns = toml::from_str(
        r#"
        architecture = "net"
        error = { column = "top1 error", unit = "percent" }
        time = { column = "us", unit = "us" }
        time_std = { column = "sd", unit = "ns" }
        energy = { column = "joule", unit = "j" }
        "#,
    )
    .unwrap();
    let text = "net,top1 error,us,sd,joule,accuracy\nx,12.5,2500,5000,0.25,junk\n";
    let table = load_with(text, &columns).unwrap();
    let record = table.get("x").unwrap();
    assert_eq!(record.accuracy, Some(0.875));
    assert_eq!((record.time_ms, record.time_ms_std), (Some(2.5), Some(0.005)));
    assert_eq!(record.energy_mj, Some(250.0));
}

#[test]
fn rows_keep_the_order_of_the_file_and_empty_cells_are_missing() {
    let table = load("architecture,accuracy,time_ms\nz,0.5,\na,,1.5\n").unwrap();
    let seen: Vec<_> =
        table.rows().iter().map(|record| (record.architecture.as_str(), record.accuracy, record.time_ms)).collect();
    assert_eq!(seen, [("z", Some(0.5), None), ("a", None, Some(1.5))]);
}

#[test]
fn cells_are_rejected_with_file_line_and_column() {
    let cases = [
        ("x,high,1,1", "accuracy", "is not a number"),
        ("x,nan,1,1", "accuracy", "finite"),
        ("x,1.5,1,1", "accuracy", "between 0 and 1"),
        ("x,-0.5,1,1", "accuracy", "between 0 and 1"),
        ("x,0.5,0,1", "time_ms", "above zero"),
        ("x,0.5,-2,1", "time_ms", "above zero"),
        ("x,0.5,inf,1", "time_ms", "finite"),
        ("x,0.5,1,-1", "energy_mj", "negative"),
        ("x,0.5,1e300,1", "time_ms", "not a value that a device could have"),
        (",0.5,1,1", "architecture", "empty"),
    ];
    for (row, column, problem) in cases {
        let text = format!("architecture,accuracy,time_ms,energy_mj\ngood,0.5,1,1\n{row}\n");
        let error = refusal(&text);
        let place = format!("log.csv:3: column {column:?}");
        assert!(error.contains(&place) && error.contains(problem), "{row}: {error}");
    }
}

#[test]
fn percent_beyond_a_hundred_and_vanishing_times_are_rejected() {
    let columns: Columns = toml::from_str(
        r#"
        accuracy = { column = "accuracy", unit = "percent" }
        time = { column = "ns", unit = "ns" }
        "#,
    )
    .unwrap();
    let refusal = |row| {
        let text = format!("architecture,accuracy,ns\n{row}\n");
        load_with(&text, &columns).unwrap_err().to_string()
    };
    assert!(refusal("x,101,5").contains("between 0 and 100"));
    assert!(refusal("x,50,1e-320").contains("not a value that a device could have"));
}

#[test]
fn a_missing_column_is_reported_with_the_nearest_one() {
    let columns: Columns = toml::from_str("accuracy = \"test_acuracy\"").unwrap();
    let error = load_with("architecture,test_accuracy,time_ms\nx,0.5,1\n", &columns).unwrap_err().to_string();
    assert!(error.contains("no column \"test_acuracy\""), "{error}");
    assert!(error.contains("did you mean \"test_accuracy\"?"), "{error}");
    assert!(error.contains("architecture, test_accuracy, time_ms"), "{error}");
    let error = refusal("arch,accuracy\nx,0.5\n");
    assert!(error.contains("did you mean \"arch\"?"), "{error}");
}

#[test]
fn headers_without_the_needed_columns_are_rejected() {
    assert!(refusal("architecture,colour\nx,red\n").contains("no column holds an accuracy"));
    assert!(refusal("architecture,time_ms,time_ms\nx,1,2\n").contains("2 columns are called"));
    let columns: Columns = toml::from_str("accuracy = \"a\"\nerror = \"b\"").unwrap();
    let error = load_with("architecture,a,b\nx,0.5,0.5\n", &columns).unwrap_err();
    assert!(error.to_string().contains("name one, the other is 1 minus it"), "{error}");
}

#[test]
fn a_log_without_rows_is_rejected() {
    assert!(refusal("").contains("the file is empty"));
    assert!(refusal("architecture,time_ms\n").contains("no row follows the header"));
    let journal = "architecture,time_ms,status\na,1,failed\nb,2,bounded\n";
    let columns = toml::from_str("status = \"status\"").unwrap();
    assert!(load_with(journal, &columns).unwrap_err().to_string().contains("none of its 2 architectures"));
}

#[test]
fn an_unknown_status_is_rejected() {
    let columns = toml::from_str("status = \"status\"").unwrap();
    let error = load_with("architecture,time_ms,status\na,1,fine\n", &columns).unwrap_err().to_string();
    assert!(error.contains("log.csv:2: column \"status\""), "{error}");
}

#[test]
fn torn_rows_are_rejected_with_their_line() {
    for row in ["b", "b,1,2"] {
        let error = refusal(&format!("architecture,time_ms\na,1\n\n{row}"));
        assert!(error.contains("log.csv:4: the row has"), "{error}");
    }
}

#[test]
fn rows_of_one_architecture_are_measurements_of_it() {
    let table = load("architecture,time_ms,device\na,1,x\na,1.0,y\n").unwrap();
    assert_eq!(table.rows().len(), 1);
    assert_eq!(table.get("a").unwrap().device.as_deref(), Some("x"));
    assert_eq!(table.get("a").unwrap().time_ms_std, None, "the same row twice is one measurement");
    let rows =
        "architecture,accuracy,time_ms,time_ms_std,energy_mj\na,0.8,1,0.1,5\nb,0.5,2,0.2,\na,0.9,3,,\na,,5,,\na,,3,,\n";
    let table = load(rows).unwrap();
    assert_eq!(table.rows().len(), 2);
    let a = table.get("a").unwrap();
    assert_eq!((a.time_ms, a.energy_mj, a.energy_mj_std), (Some(3.0), Some(5.0), None));
    assert!((a.accuracy.unwrap() - 0.85).abs() < 1e-12);
    // Of 1, 3, 5 and 3: the sample variance is 8/3.
    assert!((a.time_ms_std.unwrap() - (8.0_f64 / 3.0 / 4.0).sqrt()).abs() < 1e-12);
    assert_eq!(table.get("b").unwrap().time_ms_std, Some(0.2));
}

#[test]
fn architectures_are_normalised_and_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.csv");
    std::fs::write(&path, "architecture,time_ms\n A,1\nb,2\nc?,3\n").unwrap();
    let lower = |text: &str| match text.contains('?') {
        true => Err(format!("{text:?} is not a network")),
        false => Ok(text.to_lowercase()),
    };
    let error = Table::load(&path, &Columns::default(), &lower).unwrap_err().to_string();
    assert!(error.contains("log.csv:4: column \"architecture\": \"c?\" is not"), "{error}");
    std::fs::write(&path, "architecture,time_ms\n A,1\na,1\nb,2\n").unwrap();
    let table = Table::load(&path, &Columns::default(), &lower).unwrap();
    assert_eq!(table.rows().len(), 2);
    assert_eq!(table.get("a").unwrap().time_ms, Some(1.0));
}

#[test]
fn a_published_benchmark_is_read() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/nb201_tx2_cifar10.csv"));
    if !path.exists() {
        println!("skipped: {} is not there", path.display());
        return;
    }
    let columns: Columns = toml::from_str(
        r#"
        accuracy = { column = "valid_accuracy_percent", unit = "percent", epochs = 200 }
        short_accuracy = { column = "valid_accuracy_12_epochs_percent", unit = "percent", epochs = 12 }
        "#,
    )
    .unwrap();
    let started = Instant::now();
    let table = Table::load(path, &columns, &as_it_is).unwrap();
    println!("{} rows were read in {:?}", table.rows().len(), started.elapsed());
    assert_eq!((table.rows().len(), table.skipped()), (15_625, 0));
    assert_eq!((table.full_epochs(), table.short_epochs()), (Some(200), Some(12)));
    let cell = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|";
    let record = table.get(cell).unwrap();
    assert_eq!(
        table.accuracies(cell).iter().map(|one| one.accuracy).collect::<Vec<_>>(),
        [82.834 / 100.0, 90.39 / 100.0]
    );
    assert_eq!(record.accuracy, Some(90.39 / 100.0));
    assert_eq!(record.time_ms, Some(6.547689));
    assert_eq!(record.energy_mj, Some(29.997148));
}

#[test]
fn an_accuracy_whose_name_says_what_it_is_needs_no_configuration() {
    let of = |text| load(text).unwrap().get("a").unwrap().accuracy;
    assert_eq!(of("architecture,valid_accuracy_percent,time_ms\na,87.5,1\n"), Some(0.875));
    assert_eq!(of("architecture,valid_accuracy,valid_accuracy_percent\na,0.5,87.5\n"), Some(0.5));
    assert_eq!(of("architecture,accuracy,accuracy_percent\na,0.25,87.5\n"), Some(0.25));
    assert_eq!(of("architecture,test_accuracy_percent,time_ms\na,87.5,1\n"), None);
}
