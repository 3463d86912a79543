//! Writing and reading again is the identity, at the ends of what numbers and texts can be.

use std::path::PathBuf;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// Finite numbers from 0 on at which printing and parsing go wrong first: the ends of the range, the ends of the
/// normal numbers, halves of a last place, and a classic of slow or endless parsers.
const NUMBERS: [f64; 12] = [
    0.0,
    5e-324,
    2.225_073_858_507_201e-308,
    f64::MIN_POSITIVE,
    f64::EPSILON,
    0.1,
    0.300_000_000_000_000_04,
    1.0,
    9_007_199_254_740_993.0,
    1e23,
    1.797_693_134_862_315_5e308,
    f64::MAX,
];

fn written(rows: &[Row]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("measurements.csv");
    let mut writer = Writer::create(&path).unwrap();
    rows.iter().for_each(|row| writer.write(row).unwrap());
    (folder, path)
}

/// Any number of the kind that a column may hold, the special ones as often as all others.
fn number() -> impl Strategy<Value = f64> {
    let bits = any::<u64>().prop_map(|bits| f64::from_bits(bits).abs()).prop_filter("finite", |x| x.is_finite());
    prop_oneof![prop::sample::select(NUMBERS.to_vec()), bits]
}

/// Texts with what means something to CSV, to spreadsheets and to terminals, and any other.
fn text() -> impl Strategy<Value = String> {
    let awkward = [
        "\"", "\"\"", ",", ";", "\t", "=1+1", "'", "\\", "#", " ", "\u{feff}", "\u{2028}", "\0", "ß", "é", "日本",
        "🦀", "\u{200d}", "a",
    ];
    let made = prop::collection::vec(prop::sample::select(awkward.to_vec()), 1..12).prop_map(|parts| parts.concat());
    prop_oneof![made, "[^\r\n]{1,30}"]
}

/// The same with line breaks of every kind.
fn text_of_lines() -> impl Strategy<Value = String> {
    let end = prop::sample::select(vec!["\n", "\r\n", "\r", ""]);
    prop::collection::vec((text(), end), 1..5)
        .prop_map(|lines| lines.into_iter().map(|(line, end)| line + end).collect())
}

prop_compose! {
    fn row()(
        (evaluation, architecture, status) in (any::<u64>(), text(), prop::sample::select(Status::ALL.to_vec())),
        numbers in prop::collection::vec(prop::option::of(number()), 6),
        accuracy in prop::option::of(prop_oneof![Just(0.0), Just(1.0), Just(5e-324), Just(1.0 - f64::EPSILON / 2.0), 0.0..1.0]),
        counts in prop::collection::vec(prop::option::of(prop_oneof![Just(0), Just(u64::MAX), any::<u64>()]), 3),
        (device, message) in (prop::option::of(text()), prop::option::of(text())),
    ) -> Row {
        Row {
            accuracy,
            time_ms: numbers[0].filter(|time| *time > 0.0),
            time_ms_std: numbers[1],
            time_runs: counts[0],
            energy_mj: numbers[2],
            energy_mj_std: numbers[3],
            power_samples: counts[1],
            idle_power_mw: numbers[4],
            device,
            epochs: counts[2],
            train_seconds: numbers[5],
            message,
            ..Row::new(evaluation, architecture, status)
        }
    }
}

/// Rows by their bits: as numbers, 0 and −0 would be equal.
fn bits(row: &Row) -> Vec<Option<u64>> {
    let numbers = [
        row.accuracy,
        row.time_ms,
        row.time_ms_std,
        row.energy_mj,
        row.energy_mj_std,
        row.idle_power_mw,
        row.train_seconds,
        row.measure_seconds,
    ];
    numbers.map(|number| number.map(f64::to_bits)).to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rows_come_back_bit_by_bit(rows in prop::collection::vec(row(), 1..5)) {
        let (_folder, path) = written(&rows);
        let found = read(&path).unwrap();
        prop_assert_eq!(found.iter().map(bits).collect::<Vec<_>>(), rows.iter().map(bits).collect::<Vec<_>>());
        prop_assert_eq!(&found, &rows);
        let (_again, second) = written(&found);
        prop_assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(second).unwrap(), "the same bytes");
        // A continued journal equals one that was written at once.
        let (_parts, parts) = written(&rows[..rows.len() / 2]);
        let (mut writer, kept, torn) = Writer::append(&parts).unwrap();
        prop_assert!(torn.is_none() && kept == rows[..rows.len() / 2]);
        rows[rows.len() / 2..].iter().for_each(|row| writer.write(row).unwrap());
        prop_assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(parts).unwrap());
    }

    /// Line breaks become `; `, at the end nothing; what was read once then comes back as it is, and no text makes a
    /// row of more than a line or of other columns.
    #[test]
    fn texts_of_many_lines_come_back_as_one(message in text_of_lines(), device in text_of_lines()) {
        let row = Row { message: Some(message.clone()), device: Some(device), ..Row::new(1, "a", Status::Failed) };
        let (_folder, path) = written(&[row]);
        prop_assert_eq!(std::fs::read_to_string(&path).unwrap().split_inclusive('\n').count(), 2);
        let found = read(&path).unwrap();
        let message_read = found[0].message.clone().unwrap_or_default();
        prop_assert!(!message_read.contains(['\n', '\r']));
        let without = |text: &str| text.replace("; ", "").replace(['\n', '\r'], "");
        prop_assert_eq!(without(&message_read), without(&message), "nothing else is lost");
        let (_again, second) = written(&found);
        prop_assert_eq!(read(&second).unwrap(), found);
    }
}
