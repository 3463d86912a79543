//! Logs of trainings to several numbers of epochs.

use proptest::prelude::*;

use super::*;
use crate::mutation::mutated;

const FULL: &str = "accuracy = { column = \"top1\", unit = \"percent\", epochs = 200 }\n";
const SHORT: &str = "short_accuracy = { column = \"top1_12\", unit = \"percent\", epochs = 12 }\n";
const HEADER: &str = "architecture,top1,top1_12,time_ms,energy_mj";

fn columns(text: &str) -> Columns {
    toml::from_str(text).unwrap()
}

fn trained(epochs: u64, accuracy: f64) -> Trained {
    Trained { epochs: Some(epochs), accuracy, seconds: None }
}

fn journal(rows: &[Row]) -> Table {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("measurements.csv");
    let mut writer = Writer::create(&path).unwrap();
    rows.iter().for_each(|row| writer.write(row).unwrap());
    Table::load(&path, &Columns::default(), &as_it_is).unwrap()
}

/// Everything that two tables must agree on.
type All = (Vec<Row>, Vec<Vec<Trained>>, Vec<Option<f64>>, [Option<u64>; 2]);

fn all(table: &Table) -> All {
    let names: Vec<&str> = table.rows().iter().map(|row| row.architecture.as_str()).collect();
    let trained = names.iter().map(|name| table.accuracies(name).to_vec()).collect();
    let seconds = names.iter().map(|name| table.measure_seconds(name)).collect();
    (table.rows().to_vec(), trained, seconds, [table.full_epochs(), table.short_epochs()])
}

#[test]
fn columns_and_rows_of_several_epochs_mean_the_same() {
    let wide =
        load_with(&format!("{HEADER}\na,75,50,1,2\nb,87.5,62.5,3,4\n"), &columns(&[FULL, SHORT].concat())).unwrap();
    assert_eq!(wide.accuracies("a"), [trained(12, 0.5), trained(200, 0.75)]);
    let row = wide.get("a").unwrap();
    assert_eq!((row.accuracy, row.epochs, row.time_ms), (Some(0.75), Some(200), Some(1.0)));
    assert_eq!((wide.full_epochs(), wide.short_epochs()), (Some(200), Some(12)));
    let shown = "accuracy = \"top1\" (in percent, after 200 epochs)";
    assert!(wide.columns().contains(shown) && wide.columns().contains("after 12 epochs"), "{}", wide.columns());

    let long = "architecture,accuracy,epochs,time_ms,energy_mj\n";
    let repeated = "a,.5,12,1,2\na,.75,200,1,2\nb,.625,12,3,4\nb,.875,200,3,4\n";
    let once = "a,,,1,2\nb,.875,200,,\na,.75,200,,\na,.5,12,,\nb,.625,12,,\nb,,,3,4\n";
    let unsaid = "a,.75,,1,2\na,.5,12,,\nb,.875,200,3,4\nb,.625,12,,\n";
    for rows in [repeated, once, unsaid] {
        let table = load_with(&format!("{long}{rows}"), &columns("epochs = \"epochs\"")).unwrap();
        assert_eq!(all(&table), all(&wide), "{rows}");
    }
    let errors = "error = { column = \"top1\", unit = \"percent\", epochs = 200 }\n\
                  short_error = { column = \"top1_12\", unit = \"percent\", epochs = 12 }";
    let errors = load_with(&format!("{HEADER}\na,25,50,1,2\nb,12.5,37.5,3,4\n"), &columns(errors)).unwrap();
    assert_eq!(all(&errors), all(&wide));
}

#[test]
fn accuracies_are_averaged_with_those_of_the_same_epochs_alone() {
    let text = "architecture,accuracy,epochs,time_ms\na,.25,12,1\na,.75,200,3\na,.375,12,2\na,.5,,\na,.75,200,3\n";
    let table = load_with(text, &columns("epochs = \"epochs\"")).unwrap();
    assert_eq!(table.accuracies("a"), [trained(12, 0.3125), trained(200, 0.625)], "the same row twice counts once");
    let row = table.get("a").unwrap();
    assert_eq!((row.accuracy, row.time_ms), (Some(0.625), Some(2.0)));
    let one = load("architecture,accuracy,time_ms\na,.5,1\n").unwrap();
    assert_eq!(one.accuracies("a"), [Trained { epochs: None, accuracy: 0.5, seconds: None }]);
    assert_eq!((one.full_epochs(), one.short_epochs(), one.get("a").unwrap().epochs), (None, None, None));
    assert_eq!((one.accuracies("b"), one.measure_seconds("b")), (&[][..], None));
}

#[test]
fn a_journal_with_a_row_for_each_job_replays_as_one_with_whole_rows() {
    let measured = |number, name: &str, time_ms| Row {
        time_ms: Some(time_ms),
        energy_mj: Some(7.0),
        device: Some("tx2".to_owned()),
        measure_seconds: Some(9.0),
        ..Row::new(number, name, Status::Measured)
    };
    let trained = |number, name: &str, epochs: u64, accuracy| Row {
        accuracy: Some(accuracy),
        epochs: Some(epochs),
        train_seconds: Some(2.0 * epochs as f64),
        ..Row::new(number, name, Status::Ok)
    };
    let whole = |number, name: &str, accuracy, time_ms| Row {
        time_ms: Some(time_ms),
        energy_mj: Some(7.0),
        device: Some("tx2".to_owned()),
        measure_seconds: Some(9.0),
        ..trained(number, name, 20, accuracy)
    };
    let expected = journal(&[whole(0, "a", 0.5, 1.0), whole(1, "b", 0.75, 2.0)]);
    let jobs = [measured(0, "a", 1.0), measured(1, "b", 2.0), trained(1, "b", 20, 0.75), trained(0, "a", 20, 0.5)];
    assert_eq!(all(&journal(&jobs)), all(&expected));
    assert_eq!(expected.measure_seconds("a"), Some(9.0));
    let full = Trained { epochs: Some(20), accuracy: 0.75, seconds: Some(40.0) };
    assert_eq!(expected.accuracies("b"), [full]);

    // A short training adds to it, and networks that were not trained in full are measured ones.
    let short = [trained(1, "b", 2, 0.5), trained(2, "c", 2, 0.25), measured(2, "c", 3.0), measured(3, "d", 4.0)];
    let table = journal(&[&jobs[..], &short].concat());
    assert_eq!(table.get("b"), expected.get("b"));
    assert_eq!(table.accuracies("b"), [Trained { epochs: Some(2), accuracy: 0.5, seconds: Some(4.0) }, full]);
    assert_eq!((table.full_epochs(), table.short_epochs()), (Some(20), Some(2)));
    let found: Vec<_> = table.rows().iter().map(|row| (row.status, row.accuracy, row.time_ms)).collect();
    let expected = [
        (Status::Ok, Some(0.5), Some(1.0)),
        (Status::Ok, Some(0.75), Some(2.0)),
        (Status::Measured, None, Some(3.0)),
        (Status::Measured, None, Some(4.0)),
    ];
    assert_eq!(found, expected);
}

#[test]
fn time_and_energy_are_known_of_evaluations_that_did_not_succeed() {
    let header = "architecture,status,accuracy,epochs,time_ms,energy_mj\n";
    let rows = "a,bounded,,,9,1\nb,measured,,,2,3\nb,ok,.5,2,,\nb,stopped,.6,7,,\nc,measured,,,4,\nc,diverged,,5,,\n\
                d,failed,,,,\ne,ok,.75,20,1,1\nf,failed,,,,\nf,ok,.5,20,2,2\n";
    let table = load_with(&format!("{header}{rows}"), &columns("status = \"status\"\nepochs = \"epochs\"")).unwrap();
    let get = |name| table.get(name).map(|row| (row.status, row.accuracy, row.time_ms, row.energy_mj));
    assert_eq!(get("a"), Some((Status::Bounded, None, Some(9.0), Some(1.0))));
    assert_eq!(get("b"), Some((Status::Stopped, None, Some(2.0), Some(3.0))));
    assert_eq!(table.accuracies("b"), [trained(2, 0.5)], "without the training that was broken off");
    assert_eq!(get("c"), Some((Status::Diverged, None, Some(4.0), None)));
    assert_eq!((get("d"), table.unsuccessful("d")), (None, Some(Status::Failed)));
    assert_eq!((get("f").map(|row| row.0), table.unsuccessful("f")), (Some(Status::Ok), None), "a retry succeeded");
    let names: Vec<&str> = table.rows().iter().map(|row| row.architecture.as_str()).collect();
    assert_eq!((names, table.skipped()), (vec!["e", "f"], 4));
}

#[test]
fn short_epochs_are_those_that_half_of_the_trainings_have() {
    let rows = |counts: &[(u64, usize)]| -> String {
        let row = |epochs: u64, network: usize| format!("n{network},.5,{epochs}\n");
        counts.iter().flat_map(|&(epochs, count)| (0..count).map(move |network| row(epochs, network))).collect()
    };
    for (counts, expected) in [
        (&[(4, 9), (12, 8), (36, 2), (108, 4)][..], Some(12)),
        (&[(4, 4), (12, 4), (108, 4)], Some(12)),
        (&[(12, 1), (108, 4)], None),
        (&[(108, 4)], None),
    ] {
        let text = format!("architecture,accuracy,epochs\n{}", rows(counts));
        let table = load_with(&text, &columns("epochs = \"epochs\"")).unwrap();
        assert_eq!((table.full_epochs(), table.short_epochs()), (Some(108), expected), "{counts:?}");
    }
    let text = format!("architecture,top1,epochs\n{}", rows(&[(12, 4)]));
    let table = load_with(&text, &columns(&[FULL, "epochs = \"epochs\""].concat())).unwrap();
    assert_eq!(
        (table.full_epochs(), table.short_epochs()),
        (Some(200), Some(12)),
        "the column's, though no row has them"
    );
    assert_eq!(table.get("n0").unwrap().accuracy, None);
}

#[test]
fn a_network_without_a_full_accuracy_is_a_measured_one() {
    let table = load_with(&format!("{HEADER}\na,75,50,1,2\nb,,62.5,3,4\n"), &columns(&[FULL, SHORT].concat())).unwrap();
    let row = table.get("b").unwrap();
    assert_eq!((row.status, row.accuracy, row.epochs), (Status::Measured, None, None));
    assert_eq!(table.accuracies("b"), [trained(12, 0.625)]);
}

#[test]
fn contradictory_epochs_are_rejected_with_what_to_do() {
    let plain = "accuracy = \"top1\"\n";
    let cases = [
        ([FULL, "short_accuracy = \"top1_12\""].concat(), "write short_accuracy = { column = \"top1_12\""),
        ([FULL, &SHORT.replace("= 12 ", "= 200 ")].concat(), "after 200 epochs, the accuracy after 200"),
        ([FULL, &SHORT.replace("top1_12", "top1_21")].concat(), "did you mean \"top1_12\"?"),
        ([FULL, &SHORT.replace("top1_12", "top1")].concat(), "name the column of the short training"),
        ([FULL, SHORT, "short_error = \"time_ms\""].concat(), "(short_accuracy) and \"time_ms\" (short_error)"),
        ([plain, SHORT].concat(), "nothing says how many epochs the full training has"),
        (SHORT.to_owned(), "name it as `accuracy`"),
    ];
    for (settings, expected) in cases {
        let error = load_with(&format!("{HEADER}\na,75,50,1,2\n"), &columns(&settings)).unwrap_err().to_string();
        assert!(error.contains(expected), "{settings}: {error}");
    }
    let text = "architecture,top1,top1_12,epochs\na,75,50,200\nb,75,50,12\n";
    let error = load_with(text, &columns(&[FULL, SHORT, "epochs = \"epochs\""].concat())).unwrap_err().to_string();
    assert!(error.contains("log.csv:3: column \"top1_12\": it is after 12 epochs"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_logs_have_ascending_epochs_and_the_full_training_last(
        text in mutated(&["architecture,top1,top1_12,time_ms,epochs,train_seconds\na,75,50,1,,9\na,,,2,,\nb,60,,1,50,\n\
                           a,70,,,200,8\nb,61,40,3,100,1e3\n"]),
    ) {
        let Ok(table) = load_with(&text, &columns(&[FULL, SHORT, "epochs = \"epochs\""].concat())) else { return Ok(()) };
        for row in table.rows() {
            let trained = table.accuracies(&row.architecture);
            prop_assert!(trained.is_sorted_by(|one, next| one.epochs < next.epochs), "{trained:?}");
            prop_assert!(trained.iter().all(|trained| (0.0..=1.0).contains(&trained.accuracy)), "{trained:?}");
            let full = trained.iter().find(|trained| trained.epochs == table.full_epochs());
            prop_assert_eq!(full.map(|full| full.accuracy), row.accuracy);
        }
    }
}
