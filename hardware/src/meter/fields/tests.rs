use super::numbers::number;
use super::*;
use crate::meter::power_meter::MOST_MW;
use proptest::prelude::*;

fn fields(text: &str) -> Fields {
    toml::from_str(text).unwrap()
}

#[test]
fn columns_are_found_by_number_and_by_name() {
    let mut by_number = fields("power = { column = 2, unit = \"mw\" }").layout("").unwrap();
    assert_eq!(by_number.read("17 230.5"), Ok(Row { own_ns: None, power_mw: 230.5, step_mw: 0.1 }));
    let named = fields(
        "volts = { column = \"U\", unit = \"v\" }\namperes = { column = \"I\", unit = \"ma\" }\n\
         time = { column = \"t\", unit = \"ms\" }",
    );
    let mut layout = named.layout("# t;I;U").unwrap();
    let row = layout.read("12,5;200,0;5,10V").unwrap();
    assert_eq!(row.own_ns, Some(12.5e6));
    assert!((row.power_mw - 1020.0).abs() < 1e-9 && (row.step_mw - 2.51).abs() < 1e-9, "{row:?}");
    assert_eq!(named.layout("t;I").err().unwrap().reason(), "the header lacks the column \"U\"");
}

#[test]
fn errors_say_why_a_line_is_not_a_reading() {
    let mut layout = fields("power = { column = 2, unit = \"w\" }").layout("").unwrap();
    for (line, expected) in [
        ("1", "column 2 is missing"),
        ("1,,", "column 2 is missing"),
        ("1,nan", "its value is"),
        ("1,[N/A]", "its value is"),
        ("1,5000mA", "not a number in w"),
        ("1,inf", "not a number"),
        ("1,1e9", "more than any meter"),
        ("1,\u{1b}[31m7", "not a number"),
        ("1,7e", "not a number"),
        ("1,0e310", "not a number"),
    ] {
        let error = layout.read(line).unwrap_err().to_string();
        assert!(error.contains(expected), "{line:?}: {error}");
    }
    assert_eq!(layout.read("1,-0.02").unwrap().power_mw, -20.0);
}

fn powers(columns: &str, header: &str, lines: &[&str]) -> Result<Vec<f64>, String> {
    let text = |rejected: Rejected| rejected.to_string();
    let mut layout = fields(columns).layout(header).map_err(text)?;
    let mut power_mw = |line: &&str| layout.read(line).map(|row| (row.power_mw * 1e3).round() / 1e3);
    lines.iter().map(|line| power_mw(line).map_err(text)).collect()
}

#[test]
fn one_file_has_one_separator_and_one_decimal_sign() {
    let third = "power = { column = 3, unit = \"mw\" }";
    assert_eq!(powers(third, "", &["0.0,\"2523,00\",\"2143.50\""]), Ok(vec![2143.5]));
    let timed = &format!("{third}\ntime = {{ column = 1, unit = \"s\" }}");
    assert_eq!(powers(timed, "", &["0.0,\"2523,00\",\"2143,50\"", "0.5,\"2523,00\",\"2143,50\""]), Ok(vec![2143.5; 2]));
    assert_eq!(powers("power = { column = 1, unit = \"w\" }", "", &["3,41", "4"]), Ok(vec![3410.0, 4000.0]));
    let watt = "power = { column = \"Watt\", unit = \"w\" }\ntime = { column = \"Zeit\", unit = \"s\" }";
    assert_eq!(powers(watt, "Zeit Watt", &["0,05 3,41", "0,10 3,42"]), Ok(vec![3410.0, 3420.0]));
    let label = "power = { column = \"P\", unit = \"mw\" }";
    assert_eq!(powers(label, "n,label,t,P", &["1,\"a, b\",0.0,5.0", "2,\"a\",1.0,7.0,"]), Ok(vec![5.0, 7.0]));
    let second = "power = { column = 2, unit = \"mw\" }\ntime = { column = 1, unit = \"s\" }";
    let error = powers(second, "t;P_mW", &["0.0;1,200"]).unwrap_err();
    assert!(error.contains("decimal sign"), "{error}");
    // Cells that are not read say what the sign is, too.
    let error = powers("power = { column = 2, unit = \"mw\" }", "", &["0.0;1,200"]).unwrap_err();
    assert!(error.contains("decimal sign"), "{error}");
    let error = powers(second, "", &["0.0;1.2", "0.5;1,300"]).unwrap_err();
    assert!(error.contains("other numbers before it have `.`"), "{error}");
    let error = powers("power = { column = \"P\", unit = \"w\" }", "t,P", &["0,0,1,500"]).unwrap_err();
    assert!(error.contains("4 cells instead of 2"), "{error}");
    let error = powers("power = { column = \"P\", unit = \"w\" }", "t,P,p", &[]).unwrap_err();
    assert!(error.contains("2 columns are called \"P\""), "{error}");
}

/// What a reader gives for each line: a power in mW, nothing, or the reason.
fn lines(columns: &str, lines: &[&str]) -> Vec<Result<Option<f64>, Rejected>> {
    let mut reader = LineReader::new(fields(columns));
    let power_mw = |row: Row| (row.power_mw * 1e6).round() / 1e6;
    lines.iter().map(|line| reader.read(line).map(|row| row.map(power_mw))).collect()
}

/// The powers of those lines that are readings, in mW.
fn readings(columns: &str, text: &str) -> Vec<f64> {
    lines(columns, &text.lines().collect::<Vec<_>>()).into_iter().filter_map(|line| line.ok().flatten()).collect()
}

const WATTS: &str = "power = { column = \"P\", unit = \"w\" }";

#[test]
fn units_are_those_of_the_experiment_or_of_the_cell() {
    assert_eq!(readings(WATTS, "t,P\n0.0,0.015 kW\n0.5,950 mW\n1.0,1.5\n"), [15_000.0, 950.0, 1500.0]);
    assert_eq!(readings("power = { column = 2, unit = \"kW\" }", "t,P\n0.0,0.015\n"), [15_000.0]);
    let micro = "volts = { column = \"vbus_µV\", unit = \"uv\" }\namperes = { column = \"ibus_µA\", unit = \"ua\" }";
    assert_eq!(readings(micro, "timestamp_ms,vbus_µV,ibus_µA\n1000,5071000,196400\n"), [995.9444]);
    let constant = "volts = 3.3\namperes = { column = \"Current(uA)\", unit = \"ua\" }\n\
                    time = { column = \"Timestamp(ms)\", unit = \"ms\" }";
    let recorded = "Timestamp(ms),Current(uA),D0-D7\n0.00,50134.364,00000000\n";
    assert_eq!(readings(constant, recorded), [165.443401]);
    assert!(fields(constant).check().is_ok());
    assert!(fields("volts = 0\namperes = { column = 1, unit = \"a\" }").check().is_err());
}

#[test]
fn a_unit_that_the_header_contradicts_is_rejected() {
    let [Ok(None), Err(Rejected::Contradiction(error))] = &lines(WATTS, &["t,P (mW)", "0.0,950"])[..] else { panic!() };
    assert!(error.contains("is mw by its name, and w in the experiment"), "{error}");
    // The cell's own unit counts.
    assert_eq!(readings(WATTS, "t,P (mW)\n0.0,1.5 W\n"), [1500.0]);
    assert_eq!(readings("power = { column = \"P\", unit = \"mw\" }", "t,P [mW]\n0.0,950\n"), [950.0]);
}

#[test]
fn a_unit_after_a_blank_counts() {
    let watts = "power = { column = 1, unit = \"w\" }";
    assert_eq!(readings(watts, "1.05 W\n950 mW\n1.10 W\n"), [1050.0, 950.0, 1100.0]);
    assert_eq!(readings(watts, "1.05 12\n"), [1050.0]);
}

#[test]
fn decimal_commas_are_read_beside_units_and_labels_or_the_separator_is_asked_for() {
    let watts = |column: usize| format!("power = {{ column = {column}, unit = \"w\" }}");
    for (column, line, power_mw) in [
        (1, "3,41 W", 3410.0),
        (1, "3,41W", 3410.0),
        (1, "3,4100E+0", 3410.0),
        (2, "energy-rate:   7,644 W", 7644.0),
        (2, "Power: 3,41 W", 3410.0),
        (2, "0,5 W", 5000.0),
    ] {
        assert_eq!(readings(&watts(column), line), [power_mw], "{line}");
    }
    let line = "12:00:00 3,41 W";
    let found = lines(&watts(2), &[line]);
    assert!(matches!(&found[0], Err(Rejected::Contradiction(reason)) if reason.contains("`separator`")), "{found:?}");
    assert_eq!(readings(&format!("{}\nseparator = \"blanks\"", watts(2)), line), [3410.0]);
}

#[test]
fn a_cell_that_is_missing_between_blanks_shifts_no_column() {
    let columns = "power = { column = \"P\", unit = \"w\" }\ntime = { column = \"t\", unit = \"s\" }";
    let found = lines(columns, &["t P U", "0.0 5.0 12.0", "0.5      12.0", "1.0 [N/A] 12.0", "1.5 5.1 12.0"]);
    assert_eq!((&found[1], &found[4]), (&Ok(Some(5000.0)), &Ok(Some(5100.0))));
    assert!(
        matches!(&found[2], Err(Rejected::Damaged(reason)) if reason.contains("2 cells instead of 3")),
        "{found:?}"
    );
    assert!(matches!(&found[3], Err(Rejected::Missing(_))), "{found:?}");
}

#[test]
fn thousands_among_whole_numbers_are_not_read_as_decimals() {
    let watts = "power = { column = 1, unit = \"w\" }";
    let found = lines(watts, &["999", "998", "1,200"]);
    assert!(matches!(&found[2], Err(Rejected::Contradiction(reason)) if reason.contains("thousands")), "{found:?}");
    // A line that was cut.
    for text in [["412", "3,412", "3,413"], ["3,412", "412", "3,413"]] {
        let found = lines(watts, &text);
        assert_eq!(found.iter().filter(|line| *line == &Ok(Some(3_412.0))).count(), 1, "{found:?}");
        assert_eq!(found[2], Ok(Some(3_413.0)));
    }
    assert!(matches!(lines(watts, &["3,412", "412"])[1], Err(Rejected::Damaged(_))));
    assert_eq!(readings(watts, "999\n998\n0,950\n1,200\n"), [999e3, 998e3, 950.0, 1200.0]);
}

#[test]
fn a_line_with_another_decimal_sign_is_damaged_and_ends_nothing_unless_it_shows_an_error_before() {
    let watts = "power = { column = 1, unit = \"w\" }";
    // A bit of the sign was lost on the wire.
    for (first, glitch) in [("0.95", "1,200"), ("1.200", "1,201")] {
        let found = lines(watts, &[first, glitch, first]);
        assert!(matches!(&found[1], Err(Rejected::Damaged(reason)) if reason.contains("decimal sign")), "{found:?}");
        assert!(found[0].is_ok() && found[0] == found[2], "{found:?}");
    }
    // 1.200 may have been 1,200 W.
    let found = lines(watts, &["1.200", "950,5"]);
    assert!(matches!(found[1], Err(Rejected::Contradiction(_))), "{found:?}");
}

#[test]
fn values_that_are_unknown_for_a_moment_are_missing() {
    let found = lines(
        "power = { column = 1, unit = \"w\" }",
        &["power.draw [W]", "45.30 W", "[N/A]", "unavailable", "45.40 W"],
    );
    assert!(
        matches!(found[2], Err(Rejected::Missing(_))) && matches!(found[3], Err(Rejected::Missing(_))),
        "{found:?}"
    );
    assert_eq!((&found[1], &found[4]), (&Ok(Some(45_300.0)), &Ok(Some(45_400.0))));
}

#[test]
fn a_header_that_comes_again_is_left_out_and_noted() {
    for columns in [WATTS, "power = { column = 2, unit = \"w\" }"] {
        let mut reader = LineReader::new(fields(columns));
        for line in ["t,P", "0.0,5", "t,P", "0.5,5", "0.5,5"] {
            let _ = reader.read(line).unwrap_or_default();
        }
        assert!(reader.note().unwrap().contains("1 time(s)"));
    }
    // A reading that comes again is one.
    assert_eq!(readings("power = { column = 1, unit = \"w\" }", "5\n5\n5\n"), [5000.0; 3]);
}

#[test]
fn the_row_of_the_whole_processor_counts() {
    let block = "Core\tCPU\tAvg_MHz\tPkgWatt\n-\t-\t30\t3.40\n0\t0\t30\t1.40\n0\t2\t33\n1\t1\t35\n";
    let columns = "power = { column = \"PkgWatt\", unit = \"w\" }";
    assert_eq!(readings(columns, &block.repeat(3)), [3400.0; 3]);
    // Without such a row, each is a reading.
    assert_eq!(readings(columns, "CPU\tPkgWatt\n0\t3.40\n1\t3.50\n"), [3400.0, 3500.0]);
}

#[test]
fn lines_of_json_are_read() {
    let columns = "power = { column = \"apower\", unit = \"w\" }\ntime = { column = \"ts\", unit = \"s\" }";
    let found = lines(
        columns,
        &["{\"ts\":1709294400,\"apower\":12.3}", "{\"apower\":null,\"ts\":2}", "{\"ts\":3}", "{\"ts\":4,"],
    );
    assert_eq!(found[0], Ok(Some(12_300.0)));
    assert!(matches!(&found[1..3], [Err(Rejected::Missing(_)), Err(Rejected::Missing(_))]), "{found:?}");
    assert!(matches!(found[3], Err(Rejected::Damaged(_))), "{found:?}");
    assert_eq!(
        readings("power = { column = \"em.power\", unit = \"w\" }", "[\n{\"em\":{\"power\":\"1.5\"}},\n]"),
        [1500.0]
    );
}

#[test]
fn readings_of_several_lines_are_rejected_in_plain_words() {
    let text = ["0:00 -> Bus Voltage:   4.70 V", "0:00 -> Current:  206.20 mA", "0:00 -> Power:    970.00 mW"];
    for columns in ["power = { column = 4, unit = \"mw\" }", "power = { column = \"Power\", unit = \"mw\" }"] {
        let found = lines(columns, &text);
        let Some(Err(rejected)) = found.iter().find(|line| line.is_err()) else { panic!("{found:?}") };
        assert!(rejected.reason().contains("one line"), "{rejected}");
        assert!(found.iter().all(|line| line != &Ok(Some(970.0))), "{found:?}");
    }
    let bare = "0:00 -> Current: 206.20\n0:00 -> Power: 970.00\n";
    let found = lines("power = { column = 4, unit = \"mw\" }", &bare.lines().collect::<Vec<_>>());
    assert!(
        matches!(&found[1], Err(Rejected::Contradiction(reason)) if reason.contains("span several lines")),
        "{found:?}"
    );
    assert_eq!(readings("power = { column = 2, unit = \"w\" }", "Power: 1.5 W\nPower: 1.6 W\n"), [1500.0, 1600.0]);
}

#[test]
fn rows_wider_than_their_header_are_rejected_without_names_too() {
    let columns = "power = { column = 2, unit = \"w\" }\ntime = { column = 1, unit = \"s\" }";
    let found = lines(columns, &["t,P", "0,0,1,500", "0,5,1,510"]);
    assert!(found[1..].iter().all(|line| matches!(line, Err(Rejected::Damaged(_)))), "{found:?}");
}

#[test]
fn errors_name_mistakes_in_an_experiment_file() {
    for text in ["", "volts = { column = 1, unit = \"v\" }", "power = { column = 0, unit = \"w\" }"] {
        assert!(fields(text).check().is_err(), "{text}");
    }
    let error = toml::from_str::<Fields>("power = { column = 1.5, unit = \"w\" }").unwrap_err().to_string();
    assert!(error.contains("a column is a number, 1 for the first"), "{error}");
}

#[test]
fn dates_are_time_stamps() {
    let columns = "power = { column = 2, unit = \"w\" }\ntime = { column = 1, unit = \"rfc3339\" }";
    let mut layout = fields(columns).layout("").unwrap();
    let mut own_ns = |date: &str| layout.read(&format!("{date},1")).map(|row| row.own_ns);
    assert_eq!(own_ns("1970-01-01T00:00:01.5Z"), Ok(Some(1.5e9)));
    assert_eq!(own_ns("1970-01-01T01:00:01+01:00"), Ok(Some(1e9)));
    assert!(own_ns("yesterday").is_err());
}

/// A number as meters print it, with unit symbols and damage.
const NUMBER: &str = "[+-]?[0-9]{0,4}([.,][0-9]{0,3})?([eE][+-]?[0-9]{0,4})?( ?[mµu]?[VAW])?|.{0,6}";

proptest! {
    /// Every accepted reading is a possible power with a finite resolution.
    #[test]
    fn readings_are_sound(columns in prop::collection::vec(NUMBER, 1..5), separator in prop::sample::select(&[";", "\t", ",", " "][..])) {
        let line = columns.join(separator);
        for text in [
            "power = { column = 1, unit = \"w\" }\ntime = { column = 2, unit = \"ns\" }",
            "volts = { column = 1, unit = \"mv\" }\namperes = { column = 2, unit = \"a\" }\ntime = { column = 3, unit = \"s\" }",
            "power = { column = 2, unit = \"uw\" }\nseparator = \"semicolon\"",
        ] {
            match fields(text).layout("").unwrap().read(&line) {
                Ok(Row { own_ns, power_mw, step_mw }) => {
                    prop_assert!(power_mw.abs() <= MOST_MW, "{}", power_mw);
                    prop_assert!(step_mw.is_finite() && step_mw >= 0.0, "{:?}: {}", line, step_mw);
                    prop_assert!(own_ns.is_none_or(|own| own.abs() < 1e19));
                }
                Err(rejected) => prop_assert!(!rejected.reason().is_empty() && rejected.reason().len() < 400, "{}", rejected),
            }
        }
    }

    #[test]
    fn no_input_makes_it_panic(line in ".{0,80}", header in ".{0,40}", numbers in "[0-9eE+,.;\\t -]{0,60}") {
        let by_number = fields("volts = { column = 1, unit = \"mv\" }\namperes = { column = 2, unit = \"ua\" }\ntime = { column = 3, unit = \"rfc3339\" }");
        let mut layout = by_number.layout(&header).unwrap();
        let _ = layout.read(&line);
        let _ = layout.read(&numbers);
        let _ = number(&numbers);
        let _ = fields("power = { column = \"P\", unit = \"w\" }").layout(&header);
    }
}
