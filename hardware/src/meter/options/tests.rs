use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::meter::csv_meter::Align;
use crate::remote::ssh::SshOptions;

fn parse(text: &str) -> Result<MeterOptions, toml::de::Error> {
    toml::from_str(text)
}

const COLUMNS: &str = "[columns]\ntime = { column = \"t\", unit = \"ms\" }\npower = { column = 2, unit = \"w\" }";

fn elsewhere() -> Place {
    Place::Over(SshOptions::new("board", "nvidia"))
}

#[test]
fn defaults_are_those_of_the_meters() {
    assert_eq!(parse("kind = \"auto\"").unwrap(), MeterOptions::default());
    assert_eq!(parse("kind = \"none\"").unwrap(), MeterOptions::None {});
    assert_eq!(parse("kind = \"rapl\"").unwrap(), MeterOptions::Rapl { period_ms: 20 });
    assert_eq!(parse("kind = \"battery\"").unwrap(), MeterOptions::Battery { period_ms: 250 });
    assert_eq!(parse("kind = \"nvml\"").unwrap(), MeterOptions::Nvml { gpu: None, period_ms: 20 });
    let hwmon = MeterOptions::Hwmon { sensors: Vec::new(), period_ms: 5, sysfs: "/sys".to_owned(), at: At::Here };
    assert_eq!(parse("kind = \"hwmon\"").unwrap(), hwmon);
    let stream = parse(&format!("kind = \"stream\"\ncommand = [\"x\"]\n{COLUMNS}")).unwrap();
    let MeterOptions::Stream(stream) = stream else { panic!() };
    assert_eq!((stream.start_limit_s, stream.at), (30.0, At::Here));
    let MeterOptions::Csv(csv) = parse(&format!("kind = \"csv\"\nfile = \"x\"\n{COLUMNS}")).unwrap() else { panic!() };
    assert_eq!((csv.align, csv.unit_s, csv.clock_error, csv.flush_limit_s), (Align::Stamps, 2.0, 1e-4, 10.0));
}

#[test]
fn options_are_written_as_they_are_read() {
    for text in [
        "kind = \"auto\"",
        "kind = \"none\"",
        "kind = \"rapl\"\nperiod_ms = 7",
        "kind = \"battery\"",
        "kind = \"nvml\"\ngpu = 1",
        "kind = \"nvml\"\ngpu = \"GPU-8f6d\"\nperiod_ms = 50",
        "kind = \"hwmon\"\nsensors = [\"VDD\", \"5V\"]\nat = \"device\"\nsysfs = \"/tmp/sys\"",
        &format!(
            "kind = \"stream\"\ncommand = [\"python3\", \"m.py\"]\nstart_limit_s = 60\nat = \"device\"\n{COLUMNS}"
        ),
        "kind = \"stream\"\ncommand = [\"x\"]\ncolumns = { volts = 3.3, amperes = { column = 1, unit = \"na\" } }",
        &format!("kind = \"csv\"\nfile = \"/a/b.csv\"\nalign = \"edges\"\nunit_s = 1\n{COLUMNS}"),
    ] {
        let options = parse(text).unwrap();
        let written = toml::to_string(&options).unwrap();
        assert_eq!(parse(&written).unwrap(), options, "{written}");
        assert!(written.contains(text.lines().next().unwrap()), "{written}");
    }
}

#[test]
fn unknown_keys_and_wrong_units_are_rejected() {
    for (text, expected) in [
        ("kind = \"watt\"", "unknown variant `watt`, expected one of `auto`, `none`, `rapl`"),
        ("period_ms = 5", "missing field `kind`"),
        ("kind = \"auto\"\nperiod_ms = 5", "unknown field `period_ms`"),
        ("kind = \"none\"\nx = 5", "unknown field `x`"),
        ("kind = \"rapl\"\nperiod = 5", "unknown field `period`, expected `period_ms`"),
        ("kind = \"rapl\"\nperiod_ms = \"20 ms\"", "invalid type: string \"20 ms\""),
        ("kind = \"nvml\"\ngpu = 1.5", "a GPU is its number"),
        ("kind = \"hwmon\"\nat = \"board\"", "unknown variant `board`, expected `here` or `device`"),
        ("kind = \"stream\"\ncommand = [\"x\"]\ncolumns = { power = { column = 1, unit = \"wh\" } }", "`wh`"),
        ("kind = \"stream\"\ncommand = [\"x\"]\ncolumns = { volts = \"5\" }", "the volts of the supply"),
        ("kind = \"stream\"\ncommand = \"x\"", "invalid type"),
        ("kind = \"csv\"\nfile = \"x\"\ncolumns = {}\nalign = \"guess\"", "expected `stamps` or `edges`"),
        ("kind = \"csv\"\nfile = \"x\"\ncolumns = {}\nfolder = 1", "unknown field `folder`"),
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let open = |options: MeterOptions| options.open(Clock::start(), &Place::Here, "/w").err().unwrap().to_string();
    assert!(open(MeterOptions::Rapl { period_ms: 0 }).contains("from 1 to 60000, not 0"));
    assert!(open(parse("kind = \"stream\"\ncommand = []\ncolumns = {}").unwrap()).contains("needs a `command`"));
    assert!(open(parse("kind = \"csv\"\nfile = \"x\"\ncolumns = {}").unwrap()).contains("either `power`, or"));
}

#[test]
fn a_meter_of_this_machine_is_rejected_for_another_machine() {
    for text in ["kind = \"rapl\"", "kind = \"battery\"", "kind = \"nvml\""] {
        let error = parse(text).unwrap().open(Clock::start(), &elsewhere(), "/w").err().unwrap().to_string();
        assert!(error.contains("nvidia@board:22") && error.contains("at = \"device\""), "{error}");
    }
    let auto = MeterOptions::default();
    assert!(auto.open(Clock::start(), &elsewhere(), "/w").unwrap().is_none());
    assert!(auto.why_none(&elsewhere()).unwrap().contains("nvidia@board:22"));
    let none = MeterOptions::None {};
    assert!(none.open(Clock::start(), &Place::Here, "/w").unwrap().is_none());
    assert!(none.why_none(&Place::Here).unwrap().contains("\"none\""));
    assert_eq!(MeterOptions::Rapl { period_ms: 20 }.why_none(&Place::Here), None);
}

#[test]
fn meters_are_opened_here_and_at_a_device_that_is_here() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("class/hwmon/hwmon0");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("power1_input"), "1000000\n").unwrap();
    for at in ["here", "device"] {
        let text = format!("kind = \"hwmon\"\nsysfs = {:?}\nat = \"{at}\"", root.path());
        let meter = parse(&text).unwrap().open(Clock::start(), &Place::Here, "/w").unwrap().unwrap();
        assert!(meter.describe().contains("sensor power1, read every 5 ms"), "{}", meter.describe());
        let text = format!("kind = \"stream\"\ncommand = [\"x\"]\nat = \"{at}\"\n{COLUMNS}");
        let meter = parse(&text).unwrap().open(Clock::start(), &Place::Here, "/w").unwrap().unwrap();
        assert_eq!(meter.name(), "stream");
    }
    // The machine is first contacted at the start.
    let text = format!("kind = \"stream\"\ncommand = [\"x\"]\nat = \"device\"\n{COLUMNS}");
    let meter = parse(&text).unwrap().open(Clock::start(), &elsewhere(), "/w").unwrap().unwrap();
    assert!(meter.describe().ends_with("on nvidia@board:22"), "{}", meter.describe());
    let csv = parse(&format!("kind = \"csv\"\nfile = \"x\"\nalign = \"edges\"\n{COLUMNS}")).unwrap();
    let meter = csv.open(Clock::start(), &Place::Here, "/w").unwrap().unwrap();
    assert_eq!(meter.pattern_unit(), Some(Duration::from_secs(2)));
}

#[test]
fn auto_takes_counters_then_a_battery_and_else_says_why_not() {
    let (counters, batteries) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let search = || found(&Place::Here, counters.path(), batteries.path());
    let why = |found: Result<MeterOptions, String>| found.err().unwrap();
    let on_battery = Ok(MeterOptions::Battery { period_ms: battery::PERIOD_MS });
    assert!(why(search()).contains("no energy counter"));
    let bat = batteries.path().join("BAT0");
    std::fs::create_dir(&bat).unwrap();
    std::fs::write(bat.join("power_now"), "9000000\n").unwrap();
    std::fs::write(bat.join("status"), "Full\n").unwrap();
    assert!(why(search()).contains("unplug the charger"));
    std::fs::write(bat.join("status"), "Discharging\n").unwrap();
    assert_eq!(search(), on_battery);
    assert_eq!(search().unwrap().usual_times(), (Duration::from_secs(60), Duration::from_secs(10)));
    let package = counters.path().join("intel-rapl:0");
    std::fs::create_dir(&package).unwrap();
    for (file, text) in [("name", "package-0"), ("energy_uj", "5"), ("max_energy_range_uj", "262143328850")] {
        std::fs::write(package.join(file), text).unwrap();
    }
    // A counter that stands still is none, and the battery serves.
    assert_eq!(search(), on_battery);
    std::fs::write(bat.join("status"), "Full\n").unwrap();
    assert!(why(search()).contains("does not move"));
    let (next, counter, is_over) = (counters.path().join("next"), package.join("energy_uj"), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for value in (0..).take_while(|_| !is_over.load(Ordering::Relaxed)) {
                std::fs::write(&next, format!("{value}")).and_then(|()| std::fs::rename(&next, &counter)).unwrap();
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        let found = search();
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(found, Ok(MeterOptions::Rapl { period_ms: rapl::PERIOD_MS }));
    });
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let counter = package.join("energy_uj");
        std::fs::set_permissions(&counter, std::fs::Permissions::from_mode(0o000)).unwrap();
        // Root may read every file.
        if std::fs::read(&counter).is_err() {
            assert!(why(search()).contains("sudo chmod a+r"));
        }
    }
}

#[test]
fn slow_meters_have_longer_windows() {
    let seconds = |text: &str| {
        let (window, idle) = parse(text).unwrap().usual_times();
        (window.as_secs_f64(), idle.as_secs_f64())
    };
    assert_eq!(seconds("kind = \"rapl\""), (2.0, 0.5));
    assert_eq!(seconds("kind = \"battery\""), (60.0, 10.0));
    assert_eq!(seconds(&format!("kind = \"csv\"\nfile = \"x\"\n{COLUMNS}")), (10.0, 3.0));
}

#[test]
fn paths_of_this_machine_may_begin_with_the_users_home() {
    let columns = "columns = { power = { column = 1, unit = \"w\" } }";
    let home = std::env::home_dir().unwrap();
    let mut csv = parse(&format!("kind = \"csv\"\nfile = \"~/supply.csv\"\n{columns}")).unwrap();
    csv.make_absolute().unwrap();
    assert!(matches!(&csv, MeterOptions::Csv(csv) if csv.file == home.join("supply.csv")), "{csv:?}");
    for (at, program) in [("here", home.join("um25c.py").display().to_string()), ("device", "~/um25c.py".to_owned())] {
        let command = "command = [\"python3\", \"~/um25c.py\", \"~x\"]";
        let mut stream = parse(&format!("kind = \"stream\"\nat = {at:?}\n{command}\n{columns}")).unwrap();
        stream.make_absolute().unwrap();
        let MeterOptions::Stream(stream) = stream else { panic!() };
        assert_eq!(stream.command, ["python3", &program, "~x"]);
    }
}
