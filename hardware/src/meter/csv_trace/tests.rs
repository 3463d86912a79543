use super::*;
use crate::meter::power_meter;
use crate::mutation::mutated;
use crate::time::Window;
use proptest::prelude::*;

fn fields(time: &str) -> Fields {
    let text = format!(
        "time = {{ column = \"time\", unit = \"{time}\" }}\nvolts = {{ column = \"U (V)\", unit = \"v\" }}\n\
         amperes = {{ column = \"I (mA)\", unit = \"ma\" }}"
    );
    toml::from_str(&text).unwrap()
}

impl CsvTrace {
    pub fn read(mut file: impl BufRead, path: &str, fields: &Fields) -> Result<Self, MeterError> {
        let mut parser = Parser::new(path, fields)?;
        while let Some((bytes, _)) = parser.next_line(&mut file)? {
            parser.take(&bytes)?;
        }
        parser.finish()
    }
}

fn read(text: &str, time: &str) -> Result<CsvTrace, MeterError> {
    CsvTrace::read(text.as_bytes(), "trace.csv", &fields(time))
}

#[test]
fn stamps_are_placed_on_our_clock() {
    let text = "Logger 3000\n\ntime;U (V);I (mA)\r\n1700000000,5;5,0;100\r\n# paused\r\n1700000001,5;5,0;200\r\n";
    let trace = read(text, "s").unwrap();
    assert_eq!(trace.resolution_mw.map(f64::round), Some(15.0));
    let start = jiff::Timestamp::from_second(1_700_000_000).unwrap();
    let ours = trace.by_stamps(start, 2_000_000_000, 9_000_000_000).unwrap().rail(RAIL);
    assert_eq!(ours.len(), 2);
    assert!(ours[0].at_ns.abs_diff(2_500_000_000) < 1000, "{ours:?}");
    assert!((ours[1].power_mw - 1000.0).abs() < 1e-9, "{ours:?}");
    let error = trace.by_stamps(start, 2_000_000_000, 2_100_000_000).unwrap_err().to_string();
    assert!(error.contains("after the measurement"), "{error}");
    let later = jiff::Timestamp::from_second(1_700_009_000).unwrap();
    let error = trace.by_stamps(later, 0, 1).unwrap_err().to_string();
    assert!(error.contains("before the measurement, the nearest by 8998.5 s"), "{error}");
    let dates = "time,U (V),I (mA)\n2023-11-14T22:13:20.5Z,5,100\n2023-11-14T23:13:21.5+01:00,5,100\n";
    let ours = read(dates, "rfc3339").unwrap().by_stamps(start, 0, u64::MAX).unwrap().rail(RAIL);
    assert!(ours[1].at_ns.abs_diff(1_500_000_000) < 1000, "{ours:?}");
}

#[test]
fn a_recorder_with_another_clock_is_placed_by_the_loads_edges() {
    let second = |s: f64| (s * 1e9) as u64;
    let window = |from_s: f64, to_s: f64| Window { from_ns: second(from_s), to_ns: second(to_s) };
    let loads = [window(3.0, 5.1), window(6.2, 7.4), window(9.0, 19.0)];
    let pattern = Pattern::new(window(1.0, 21.0), &loads).unwrap();
    let mut text = "time,U (V),I (mA)\n".to_owned();
    for index in 0..2200 {
        let ours_s = 0.5 + f64::from(index) * 0.01;
        let loaded = loads.iter().any(|load| (load.from_ns..load.to_ns).contains(&second(ours_s)));
        let ma = if loaded { 500 } else { 200 } + (index * 7919) % 21 - 10;
        text += &format!("{:.3},5.00,{ma}\n", 1_700_000_000.0 + ours_s * 1.002);
    }
    let trace = read(&text, "s").unwrap();
    let (ours, alignment) = trace.by_edges(&pattern, 0.01).unwrap();
    assert!((alignment.clock_error - 0.002).abs() < 5e-4, "{alignment:?}");
    assert!((alignment.offset_s - 1_700_000_000.0).abs() < 0.05, "{alignment:?}");
    let mean = crate::energy::mean_power(&ours.rail(RAIL), &[loads[2]]).unwrap().mean_mw;
    assert!((mean / 2500.0 - 1.0).abs() < 0.005, "{mean}");
}

#[test]
fn files_that_are_not_a_trace_are_rejected_by_line() {
    for (text, expected) in [
        ("time,U (V),I (mA)\n1,5,100\n2,5,x\n", "line 3: \"x\" is not a number in ma"),
        ("time,U (V),I (mA)\n5,5,100\n2,5,1\n", "line 3: its time goes back by 3.0"),
        ("time,U (V),I (mA)\n5,5,100\n", "gave 1 reading"),
        ("Supply\ntime,U,I\n5,5,100\n", "named columns: the header lacks the column \"U (V)\" in \"time,U,I\""),
        ("", "named columns"),
        ("time,U (V),I (mA)\n1,5,100\n2,5\n", "line 3: it has 2 cells instead of 3"),
        ("time,U (V),I (mA)\n1,5,100\n2,5,1,0\n", "line 3: it has 4 cells instead of 3"),
        ("time,U (V),I (mA),I (mA)\n1,5,100,7\n", "2 columns are called"),
        ("time,U (V),I (mA)\r1,5,100\r2,5,100\r", "carriage returns alone"),
        ("time,U (V),I (mA)\n1,5,100\n\0\0\0\n2,5,100\n", "line 3 of trace.csv: it holds NUL bytes"),
        ("time;U (V);I (mA)\n0.0;5;1,200\n", "line 2: \"1,200\" has `,` for its decimal sign"),
        ("time,U (V),I (mA)\n1,5,-100\n2,5,-100\n", "wrong way round"),
    ] {
        let error = read(text, "s").unwrap_err().to_string();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
    let twice = read("time,U (V),I (mA)\n1,5,100\n1,5,100\n2,5,100\n", "s").unwrap();
    assert!(matches!(&twice.notes[..], [note] if note.starts_with("1 of 3 readings")));
    let left_out = "time,U (V),I (mA)\n1,5,100\n2,5,unavailable\ntime,U (V),I (mA)\n3,5,100\n4,5,100\nmean,5,100\n";
    let trace = read(left_out, "s").unwrap();
    assert_eq!(trace.readings.len(), 3);
    assert!(
        matches!(&trace.notes[..], [count, header] if count.starts_with("2 of 5") && header.contains("1 time(s)")),
        "{:?}",
        trace.notes
    );
    let worse = "1,5,100\n".to_owned() + &"2,5,x\n".repeat(9);
    assert!(read(&format!("time,U (V),I (mA)\n{worse}"), "s").unwrap_err().to_string().contains("9 of 10 readings"));
    let long = format!("time,U (V),I (mA)\n{}\n", "1".repeat(5000));
    assert!(read(&long, "s").unwrap_err().to_string().contains("more than 4096 bytes"));
    let no_time = Fields { time: None, ..fields("s") };
    assert!(matches!(CsvTrace::read("".as_bytes(), "t", &no_time), Err(MeterError::Settings(_))));
}

/// A file as recorders write it: a title, the header, readings.
const RECORDED: &str = "Supply 3000\n\ntime,U (V),I (mA)\n# begun\n1700000000.25,5.00,100\n1700000000.50,5.01,-0.5\n\
                        1700000000.50,5.01,0\n1700000000.75,\"5.00 V\",1e2\n";

proptest! {
    /// A damaged file is rejected with the number of the line, or its readings are valid, in order, and independent of
    /// the parts in which the file arrives.
    #[test]
    fn damaged_traces_are_sound_or_rejected_by_line(text in mutated(&[RECORDED]), cut in any::<prop::sample::Index>()) {
        let lines = text.split('\n').count() as u64;
        match read(&text, "s") {
            Ok(trace) => {
                prop_assert!(trace.readings.is_sorted_by(|one, next| one.0 < next.0));
                prop_assert!(trace.readings.iter().all(|(_, power_mw)| power_mw.abs() <= power_meter::MOST_MW));
                prop_assert!(trace.resolution_mw.is_some_and(|step| step.is_finite() && step >= 0.0));
                // Like a file that grows: half a line waits for its end.
                let (mut parser, mut from) = (Parser::new("t", &fields("s")).unwrap(), 0);
                for until in [cut.index(text.len() + 1), text.len()] {
                    let mut part = &text.as_bytes()[from..until];
                    while let Some((bytes, true)) = parser.next_line(&mut part).unwrap() {
                        from += bytes.len();
                        parser.take(&bytes).unwrap();
                    }
                }
                if from == text.len() {
                    prop_assert_eq!(parser.finish(), Ok(trace));
                }
            }
            Err(MeterError::Failed(text)) if text.starts_with("line ") => {
                let place = text.strip_prefix("line ").and_then(|rest| rest.split_once(" of trace.csv: "));
                let (line, problem) = place.unwrap_or(("0", ""));
                prop_assert!((0..=lines + 1).contains(&line.parse().unwrap()) && !problem.is_empty(), "{}", text);
            }
            Err(error) => prop_assert!(error.to_string().contains("trace.csv"), "{}", error),
        }
    }

    #[test]
    fn no_input_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), lines in "([0-9.,;e-]{0,12}\n){0,20}") {
        let _ = CsvTrace::read(bytes.as_slice(), "t", &fields("s"));
        let _ = read(&format!("time,U (V),I (mA)\n{lines}"), "ns").map(|trace| trace.by_stamps(jiff::Timestamp::UNIX_EPOCH, 0, 5));
    }
}
