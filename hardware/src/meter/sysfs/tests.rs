use super::*;
use crate::meter::PowerMeter;
use proptest::prelude::*;

fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, format!("{text}\n")).unwrap();
    }
    root
}

fn local_mw(sensor: &Sensor) -> f64 {
    power_mw(std::slice::from_ref(sensor), |file| poll::whole_number(Path::new(file), RIGHTS)).unwrap()
}

#[test]
fn sensors_of_every_driver_are_found() {
    let root = tree(&[
        ("class/hwmon/hwmon0/name", "ina226"),
        ("class/hwmon/hwmon0/power1_input", "2350000"),
        ("class/hwmon/hwmon1/name", "ina3221"),
        ("class/hwmon/hwmon1/in1_label", "5V"),
        ("class/hwmon/hwmon1/in1_input", "5000"),
        ("class/hwmon/hwmon1/curr1_input", "100"),
        ("bus/iio/devices/iio:device0/name", "ina219"),
        ("bus/iio/devices/iio:device0/in_power2_raw", "100"),
        ("bus/iio/devices/iio:device0/in_power2_scale", "20.000000000"),
        ("bus/iio/devices/iio:device1/in_power2_raw", "100"),
    ]);
    let found = sensors(root.path());
    let names: Vec<&str> = found.iter().map(|sensor| sensor.name.as_str()).collect();
    assert_eq!(names, ["5V", "ina219 power2", "ina226 power1"]);
    let powers: Vec<f64> = found.iter().map(local_mw).collect();
    assert_eq!(powers, [500.0, 2000.0, 2350.0]);
    let error = SysfsMeter::find(root.path(), &[], Duration::from_millis(5), Clock::start()).err().unwrap();
    assert!(error.to_string().contains("\"ina219 power2\""), "{error}");
    let wanted = ["VDD".to_owned()];
    let error = SysfsMeter::find(root.path(), &wanted, Duration::from_millis(5), Clock::start()).err().unwrap();
    assert!(error.to_string().contains("no power sensor is called \"VDD\""), "{error}");
}

#[test]
fn a_sensor_that_has_a_mean_alone_is_found() {
    let root = tree(&[
        ("class/hwmon/hwmon0/name", "amdgpu"),
        ("class/hwmon/hwmon0/power1_average", "9000000"),
        ("class/hwmon/hwmon1/name", "power_meter"),
        ("class/hwmon/hwmon1/device/power1_average", "210000000"),
        ("class/hwmon/hwmon2/name", "ina226"),
        ("class/hwmon/hwmon2/power1_input", "2350000"),
        ("class/hwmon/hwmon2/power1_average", "2340000"),
        ("class/hwmon/hwmon2/device/power1_average", "2340000"),
    ]);
    let found = sensors(root.path());
    let powers: Vec<(&str, f64)> = found.iter().map(|sensor| (sensor.name.as_str(), local_mw(sensor))).collect();
    assert_eq!(powers, [("amdgpu power1", 9000.0), ("ina226 power1", 2350.0), ("power_meter power1", 210_000.0)]);
}

#[test]
fn a_mean_is_read_once_in_its_time_and_a_long_one_rejected() {
    for folder in ["class/hwmon/hwmon0", "class/hwmon/hwmon0/device"] {
        let find = |interval_ms: &str| {
            let (mean, interval) = (format!("{folder}/power1_average"), format!("{folder}/power1_average_interval"));
            let root = tree(&[(&mean, "210000000"), (&interval, interval_ms)]);
            SysfsMeter::find(root.path(), &[], Duration::from_millis(5), Clock::start())
        };
        let meter = find("1000").ok().unwrap();
        assert!(meter.describe().contains("read every 1000 ms"), "{}", meter.describe());
        let error = find("300000").err().unwrap().to_string();
        assert!(error.contains("a mean of 300 s") && error.contains("power1_average_interval`"), "{error}");
    }
}

#[test]
fn a_value_that_the_driver_keeps_is_one_reading() {
    use crate::meter::poll::Sensor as _;
    let root = tree(&[("class/hwmon/hwmon0/power1_input", "1000000")]);
    let clock = Clock::start();
    let SysfsMeter { sensor: mut sensors, .. } =
        SysfsMeter::find(root.path(), &[], Duration::from_millis(5), clock).unwrap();
    assert_eq!(sensors.poll(&clock).unwrap().len(), 1);
    std::thread::sleep(Duration::from_millis(500));
    std::fs::write(root.path().join("class/hwmon/hwmon0/power1_input"), "2000000").unwrap();
    assert_eq!(sensors.poll(&clock).unwrap().len(), 1);
    assert_eq!(sensors.poll(&clock).unwrap().len(), 0);
}

#[test]
fn two_chips_of_one_kind_have_different_names_and_are_added() {
    let root = tree(&[
        ("class/hwmon/hwmon0/name", "ina219"),
        ("class/hwmon/hwmon0/power1_input", "1000000"),
        ("class/hwmon/hwmon1/name", "ina219"),
        ("class/hwmon/hwmon1/power1_input", "500000"),
    ]);
    let wanted: Vec<String> = sensors(root.path()).into_iter().map(|sensor| sensor.name).collect();
    assert_eq!(wanted, ["ina219 power1 (hwmon0)", "ina219 power1 (hwmon1)"]);
    let mut meter = SysfsMeter::find(root.path(), &wanted, Duration::from_millis(3), Clock::start()).unwrap();
    meter.start().unwrap();
    while meter.check().unwrap() < 5 {
        std::thread::sleep(Duration::from_millis(3));
    }
    let trace = meter.stop().unwrap();
    assert!(trace.rail(NAME).iter().all(|point| point.power_mw == 1500.0));
    assert_eq!(trace.resolution_mw, None);
}

#[test]
fn two_channels_of_one_chip_with_the_same_label_have_different_names() {
    let root = tree(&[
        ("class/hwmon/hwmon0/power1_input", "1000000"),
        ("class/hwmon/hwmon0/power1_label", "VDD"),
        ("class/hwmon/hwmon0/power2_input", "500000"),
        ("class/hwmon/hwmon0/power2_label", "VDD"),
    ]);
    let names: Vec<String> = sensors(root.path()).into_iter().map(|sensor| sensor.name).collect();
    assert_eq!(names, ["VDD (hwmon0) (power1_input)", "VDD (hwmon0) (power2_input)"]);
}

#[test]
fn a_sensor_that_goes_away_is_an_error() {
    let root = tree(&[("class/hwmon/hwmon0/power1_input", "1000000")]);
    let mut meter = SysfsMeter::find(root.path(), &[], Duration::from_millis(1), Clock::start()).unwrap();
    meter.start().unwrap();
    std::fs::remove_dir_all(root.path().join("class")).unwrap();
    while meter.check().is_ok() {
        std::thread::sleep(Duration::from_millis(3));
    }
    let error = meter.stop().unwrap_err().to_string();
    assert!(error.contains("power1_input"), "{error}");
    let error = SysfsMeter::find(root.path(), &[], Duration::from_millis(1), Clock::start()).err().unwrap();
    assert!(error.to_string().contains("driver is not loaded"), "{error}");
}

#[test]
fn stars_stand_for_any_part_of_a_name() {
    assert!(fits("iio:device12", "iio*device*") && fits("in_power0_input", "in_power*_input"));
    assert!(!fits("in_power0_label", "in_power*_input") && !fits("hwmon", "iio*") && fits("x", "*"));
}

proptest! {
    #[test]
    fn no_name_or_pattern_makes_it_panic(name in ".{0,20}", pattern in "[a-z*é]{0,8}") {
        let _ = fits(&name, &pattern);
    }

    /// Each sensor has its own name, files that exist, and a power within bounds for any content.
    #[test]
    fn sensors_have_files_that_exist_and_powers_are_bounded(
        files in prop::collection::btree_map(
            "/sys/class/hwmon/hwmon[01]/(name|(power|in|curr)[12]_(input|label))|/sys/bus/iio/devices/iio:device[01]/(name|in_power[12]_(raw|scale|label))",
            "(VDD|-?[0-9]{1,4}([.][0-9]{1,4})?|[1-9]e-?[0-9]{1,3}|inf|nan|)", 0..20,
        ),
        value: i64,
    ) {
        let files: Vec<(String, String)> = files.into_iter().collect();
        let found = sensors_of(&files);
        for sensor in &found {
            prop_assert!(sensor.files.iter().all(|wanted| files.iter().any(|(path, _)| path == wanted)));
            prop_assert!(sensor.factor.is_finite() && sensor.factor > 0.0 && !sensor.name.is_empty());
            let asked = choose(found.clone(), std::slice::from_ref(&sensor.name), "/sys").unwrap();
            prop_assert_eq!(&asked, std::slice::from_ref(sensor), "of {:?}", found);
        }
        match power_mw(&found, |_| Ok(value)) {
            Ok(sum) => prop_assert!(sum.abs() <= MOST_MW * found.len() as f64),
            Err(error) => prop_assert!(error.to_string().contains("absurd"), "{}", error),
        }
    }
}
