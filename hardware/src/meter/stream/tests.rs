use super::*;
use crate::meter::power_meter::fault_of;

fn meter(script: &str, columns: &str) -> StreamMeter {
    let command = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    let columns = toml::from_str(columns).unwrap();
    let options = StreamOptions { command, columns, start_limit_s: 20.0, at: At::Here };
    let mut meter = StreamMeter::new(options, Clock::start()).unwrap();
    meter.shortest_silence = Duration::from_millis(700);
    meter
}

const WATTS: &str = "power = { column = 1, unit = \"w\" }";

fn wait_for(meter: &StreamMeter, readings: usize) {
    for _ in 0..2000 {
        match meter.check() {
            Ok(count) if count < readings => std::thread::sleep(Duration::from_millis(5)),
            Ok(_) => return,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("too slow");
}

#[test]
fn a_header_and_an_odd_line_are_left_out() {
    let script = "echo connecting; echo 'U;I'; i=0; while :; do i=$((i+1)); \
                  if [ $i = 7 ]; then echo 'checksum error'; fi; echo '5,00;200'; sleep 0.01; done";
    let columns = "volts = { column = \"U\", unit = \"v\" }\namperes = { column = \"I\", unit = \"ma\" }";
    let mut meter = meter(script, columns);
    let before = meter.clock.now_ns();
    meter.start().unwrap();
    wait_for(&meter, 60);
    let trace = meter.stop().unwrap();
    let series = trace.rail(NAME);
    assert!(series.len() >= 60);
    assert!(series.iter().all(|point| (point.power_mw - 1000.0).abs() < 1e-9));
    assert!(series[0].at_ns >= before && series[59].at_ns <= meter.clock.now_ns());
    assert!((trace.resolution_mw.unwrap() - 7.0).abs() < 1e-9, "{:?}", trace.resolution_mw);
    let notes = &trace.notes;
    assert!(matches!(&notes[..], [note] if note.starts_with("1 of ") && note.contains("checksum error")), "{notes:?}");
    assert!(meter.describe().contains("/bin/sh"));
}

#[test]
fn the_error_output_of_an_unplugged_meter_is_in_its_error() {
    let script = "for i in 1 2 3 4 5; do echo 2.5; sleep 0.1; done; echo 'device lost' >&2; exit 3";
    let error = fault_of(&mut meter(script, WATTS)).to_string();
    assert!(error.contains("ended with exit code 3") && error.contains("device lost"), "{error}");
    let error = meter("echo 'no such port' >&2; exit 1", WATTS).start().unwrap_err().to_string();
    assert!(error.contains("ended with exit code 1") && error.contains("no such port"), "{error}");
    let error = fault_of(&mut meter("echo 1; echo 1; sleep 0.5; exec >&-; sleep 100", WATTS)).to_string();
    assert!(error.contains("closed its output"), "{error}");
}

#[test]
fn a_meter_that_stalls_is_an_error() {
    let error = fault_of(&mut meter("for i in 1 2 3 4 5; do echo 2.5; sleep 0.01; done; sleep 100", WATTS)).to_string();
    assert!(error.contains("has given no reading for"), "{error}");
    // The spacing of a meter that has hardly begun is unknown.
    let mut slow = meter("echo 1; sleep 1.5; while :; do echo 1; sleep 0.01; done", WATTS);
    slow.start().unwrap();
    wait_for(&slow, 3);
    assert!(slow.stop().is_ok());
    let mut silent = meter("echo hello; sleep 100", WATTS);
    silent.options.start_limit_s = 0.5;
    let error = silent.start().unwrap_err().to_string();
    assert!(error.contains("no reading for 0.5 s") && error.contains("\"hello\""), "{error}");
}

#[test]
fn too_many_invalid_lines_are_rejected_and_shown() {
    let error = fault_of(&mut meter("echo 1; echo 1; while :; do echo '#?!'; sleep 0.03; done", WATTS)).to_string();
    assert!(error.contains("20 of 22") && error.contains("#?!"), "{error}");
    let mut half = meter("while :; do echo 1; echo 'x\u{1b}y'; sleep 0.01; done", WATTS);
    half.start().unwrap();
    wait_for(&half, 20);
    let error = half.stop().unwrap_err().to_string();
    assert!(error.contains("\"xy\""), "{error}");
    let error = meter("while :; do echo nothing; done", WATTS).start().unwrap_err().to_string();
    assert!(error.contains("51 of 51"), "{error}");
}

#[test]
fn a_program_and_its_children_are_ended() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    // It ignores the request to end.
    let script =
        format!("trap '' TERM; sleep 300 & echo $! > {}; while :; do echo 1; sleep 0.01; done", file.display());
    let mut stubborn = meter(&script, WATTS);
    stubborn.start().unwrap();
    let pid = std::fs::read_to_string(&file).unwrap().trim().to_owned();
    drop(stubborn);
    // A zombie waits for its new parent.
    let lives = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z'))
    };
    for _ in 0..200 {
        if !lives() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{pid} lives");
}

#[test]
fn time_that_jumps_and_negative_power_are_rejected() {
    let columns = "time = { column = 1, unit = \"ms\" }\npower = { column = 2, unit = \"mw\" }";
    let jump = "i=0; while :; do i=$((i+10)); [ $i = 300 ] && i=90000; echo $i 500; sleep 0.01; done";
    let mut jumping = meter(jump, columns);
    jumping.start().unwrap();
    wait_for(&jumping, 60);
    let error = jumping.stop().unwrap_err().to_string();
    assert!(error.contains("jumps by") && error.contains("at reading 30"), "{error}");
    let mut negative = meter("while :; do echo -2.5; sleep 0.01; done", WATTS);
    negative.start().unwrap();
    wait_for(&negative, 10);
    let error = negative.stop().unwrap_err().to_string();
    assert!(error.contains("negative"), "{error}");
}

#[test]
fn invalid_options_are_rejected() {
    let options = |text: &str| toml::from_str::<StreamOptions>(text).unwrap();
    let columns = "[columns]\npower = { column = 1, unit = \"w\" }";
    for text in ["command = []", "command = [\"x\"]\nstart_limit_s = 0.0", "command = [\"\"]"] {
        assert!(StreamMeter::new(options(&format!("{text}\n{columns}")), Clock::start()).is_err(), "{text}");
    }
    let missing = options(&format!("command = [\"/nowhere/meter\"]\n{columns}"));
    let error = StreamMeter::new(missing, Clock::start()).unwrap().start().unwrap_err().to_string();
    assert!(error.contains("/nowhere/meter could not be started"), "{error}");
}
