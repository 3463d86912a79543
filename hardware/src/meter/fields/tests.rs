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
    assert_eq!(named.layout("t;I"), Err("there is no column \"U\"".to_owned()));
}

#[test]
fn errors_say_why_a_line_is_not_a_reading() {
    let mut layout = fields("power = { column = 2, unit = \"w\" }").layout("").unwrap();
    for (line, expected) in [
        ("1", "column 2 is missing"),
        ("1,,", "column 2 is missing"),
        ("1,nan", "not a number"),
        ("1,5000mW", "not a number in w"),
        ("1,inf", "not a number"),
        ("1,1e9", "more than any meter"),
        ("1,\u{1b}[31m7", "not a number"),
        ("1,7e", "not a number"),
        ("1,0e310", "not a number"),
    ] {
        let error = layout.read(line).unwrap_err();
        assert!(error.contains(expected), "{line:?}: {error}");
    }
    assert_eq!(layout.read("1,-0.02").unwrap().power_mw, -20.0);
}

fn powers(columns: &str, header: &str, lines: &[&str]) -> Result<Vec<f64>, String> {
    let mut layout = fields(columns).layout(header)?;
    lines.iter().map(|line| layout.read(line).map(|row| (row.power_mw * 1e3).round() / 1e3)).collect()
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
    let error = powers(second, "", &["0.0;1.2", "0.5;1,300"]).unwrap_err();
    assert!(error.contains("other numbers before it have `.`"), "{error}");
    let error = powers("power = { column = \"P\", unit = \"w\" }", "t,P", &["0,0,1,500"]).unwrap_err();
    assert!(error.contains("4 cells instead of 2"), "{error}");
    let error = powers("power = { column = \"P\", unit = \"w\" }", "t,P,p", &[]).unwrap_err();
    assert!(error.contains("2 columns are called \"P\""), "{error}");
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
                Err(reason) => prop_assert!(!reason.is_empty() && reason.len() < 400, "{}", reason),
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
