use super::*;
use proptest::prelude::*;

fn fields(text: &str) -> Fields {
    toml::from_str(text).unwrap()
}

#[test]
fn columns_are_found_by_number_and_by_name() {
    let by_number = fields("power = { column = 2, unit = \"mw\" }").layout("").unwrap();
    assert_eq!(by_number.read("17 230.5"), Ok(Row { own_ns: None, power_mw: 230.5, step_mw: 0.1 }));
    let named = fields(
        "volts = { column = \"U\", unit = \"v\" }\namperes = { column = \"I\", unit = \"ma\" }\n\
         time = { column = \"t\", unit = \"ms\" }",
    );
    let layout = named.layout("# t;I;U").unwrap();
    let row = layout.read("12,5;200,0;5,10V").unwrap();
    assert_eq!(row.own_ns, Some(12.5e6));
    assert!((row.power_mw - 1020.0).abs() < 1e-9 && (row.step_mw - 2.51).abs() < 1e-9, "{row:?}");
    assert_eq!(named.layout("t;I"), Err("there is no column \"U\"".to_owned()));
}

#[test]
fn lines_that_are_no_reading_say_why() {
    let layout = fields("power = { column = 2, unit = \"w\" }").layout("").unwrap();
    for (line, told) in [
        ("1", "column 2 is missing"),
        ("1,,", "column 2 is missing"),
        ("1,nan", "no number"),
        ("1,5000mW", "no number in w"),
        ("1,inf", "no number"),
        ("1,1e9", "more than any meter"),
        ("1,\u{1b}[31m7", "no number"),
        ("1,7e", "no number"),
    ] {
        let error = layout.read(line).unwrap_err();
        assert!(error.contains(told), "{line:?}: {error}");
    }
    assert_eq!(layout.read("1,-0.02").unwrap().power_mw, -20.0);
}

#[test]
fn mistakes_in_an_experiment_file_are_told() {
    for text in ["", "volts = { column = 1, unit = \"v\" }", "power = { column = 0, unit = \"w\" }"] {
        assert!(fields(text).check().is_err(), "{text}");
    }
    let error = toml::from_str::<Fields>("power = { column = 1.5, unit = \"w\" }").unwrap_err().to_string();
    assert!(error.contains("a column is a number, 1 for the first"), "{error}");
}

#[test]
fn dates_are_time_stamps() {
    assert_eq!(stamp("1970-01-01T00:00:01.5Z", StampUnit::Rfc3339), Ok(1.5e9));
    assert_eq!(stamp("1970-01-01T01:00:01+01:00", StampUnit::Rfc3339), Ok(1e9));
    assert!(stamp("yesterday", StampUnit::Rfc3339).is_err());
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(line in ".{0,80}", header in ".{0,40}", numbers in "[0-9eE+,.;\\t -]{0,60}") {
        let by_number = fields("volts = { column = 1, unit = \"mv\" }\namperes = { column = 2, unit = \"ua\" }\ntime = { column = 3, unit = \"rfc3339\" }");
        let layout = by_number.layout(&header).unwrap();
        let _ = layout.read(&line);
        let _ = layout.read(&numbers);
        let _ = number(&numbers, "w");
        let _ = fields("power = { column = \"P\", unit = \"w\" }").layout(&header);
    }
}
