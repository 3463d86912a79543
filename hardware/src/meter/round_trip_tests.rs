//! A trace that is written out and read again is the same trace.

use proptest::prelude::*;

use super::csv_trace::{CsvTrace, RAIL};
use super::{Point, fields::Fields};

/// Powers in mW up to the highest accepted one, and instants in ns that 64-bit floating point represents exactly.
fn points() -> impl Strategy<Value = Vec<Point>> {
    let power = prop_oneof![
        Just(0.0),
        Just(5e-324),
        Just(f64::MIN_POSITIVE),
        Just(0.1),
        Just(1e7),
        Just(1e7_f64.next_down()),
        1e-9..1e7_f64,
        1.0..2e4_f64,
    ];
    let steps = prop::collection::vec((1..3_000_000_000_u64, power), 2..40);
    steps.prop_map(|steps| {
        let mut at_ns = 0;
        let point = |(step, power_mw)| {
            at_ns += step;
            Point { at_ns, power_mw }
        };
        steps.into_iter().map(point).collect()
    })
}

fn read(text: &str, fields: &str) -> Vec<Point> {
    let fields: Fields = toml::from_str(fields).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("Spur é,\"日本\".csv");
    std::fs::write(&path, text).unwrap();
    let trace = CsvTrace::read(std::io::BufReader::new(std::fs::File::open(&path).unwrap()), "trace", &fields).unwrap();
    trace.by_stamps(jiff::Timestamp::UNIX_EPOCH, 0, u64::MAX).unwrap().rail(RAIL).to_vec()
}

fn bits(points: &[Point]) -> Vec<(u64, u64)> {
    points.iter().map(|point| (point.at_ns, point.power_mw.to_bits())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// In scientific notation, since the plain one of a tiny number is longer than any that a meter prints, and is
    /// rejected.
    #[test]
    fn traces_come_back_bit_by_bit(points in points(), separator in prop::sample::select(vec![",", ";", "\t", "  "])) {
        let line = |point: &Point| format!("{}{separator}{:e}\n", point.at_ns, point.power_mw);
        let fields = |time: &str, power: &str| {
            format!("time = {{ column = {time}, unit = \"ns\" }}\npower = {{ column = {power}, unit = \"mw\" }}")
        };
        let lines: String = points.iter().map(line).collect();
        prop_assert_eq!(bits(&read(&lines, &fields("1", "2"))), bits(&points));
        let header = format!("Leistung-日本\n\"t µ\"{separator}\"P\"\n");
        let named = fields("\"t µ\"", "\"P\"");
        // A blank ends a column, so that a name that contains one needs another separator.
        if separator != "  " {
            prop_assert_eq!(bits(&read(&(header + &lines.replace('\n', "\r\n")), &named)), bits(&points));
        }
    }

    /// Other units are scaled, with an error in the last place or two of a product.
    #[test]
    fn units_are_scaled_and_no_more(points in points(), with_comma: bool) {
        let line = |point: &Point| {
            let (time, power) = (format!("{}.{:09}", point.at_ns / 1_000_000_000, point.at_ns % 1_000_000_000), point.power_mw / 1e3);
            let line = format!("{time};{power:e}\n");
            if with_comma { line.replace('.', ",") } else { line }
        };
        let lines: String = points.iter().map(line).collect();
        let fields = "time = { column = 1, unit = \"s\" }\npower = { column = 2, unit = \"w\" }";
        for (found, point) in read(&lines, fields).iter().zip(&points) {
            prop_assert!(found.at_ns.abs_diff(point.at_ns) <= 1, "{:?} {:?}", found, point);
            prop_assert!((found.power_mw - point.power_mw).abs() <= 1e-15 * point.power_mw + 1e-318, "{:?} {:?}", found, point);
        }
    }
}
