use std::path::Path;

use proptest::prelude::*;

use crate::mutation::mutated;

use super::*;
use crate::meter::rails::total_of;

const TX2: &str = "RAM 900/7852MB (lfb 7x2MB) SWAP 0/3926MB (cached 0MB) CPU [3%@350,off,2%@499,1%@341,off,0%@345] \
    EMC_FREQ 17%@40 GR3D_FREQ 5%@114 APE 150 MTS fg 0% bg 3% PLL@34C PMIC@100C GPU@32.5C thermal@33.2C \
    VDD_SYS_GPU 153/150 VDD_SYS_SOC 383/380 VDD_4V0_WIFI 0/0 VDD_IN 1876/1900 VDD_SYS_CPU 229/230";
const ORIN_NX: &str = "05-15-2025 18:30:28 RAM 698/7620MB (lfb 5x1MB)   SWAP 26/1638MB (cached 2MB) \
    CPU [97%@1984,9%@247] EMC_FREQ 18%@3199 GR3D_FREQ 84%@[713] NVENC 1%@115 NVDEC off VIC 31%@115 OFA   off \
    PVA0_FREQ off APE 174 cv0@-256C cpu@65.562C tj@66C VDD_IN 17946mW/15710mW VDD_CPU_GPU_CV 8896mW/7585mW";
const AGX_ORIN: &str = "RAM 4321/62801MB (lfb 9x4MB) CPU [0%@729] GR3D_FREQ 14%@[400,410] \
    cpu@52.9C/53C VDD_GPU_SOC 2340mW/2350mW/2400mW VDD_CPU_CV -398mW/-390mW/0mW VIN_SYS_5V0 4025mW/4030mW/4100mW \
    NC 0mW/0mW/0mW VDDQ_VDD2_1V8AO 301mW/301mW/310mW NC 0mW/0mW/0mW";
const XAVIER: &str = "RAM 721/31927MB (lfb 9x4MB) IRAM 0/252kB(lfb 252kB) CPU [2%@1190,off] GR3D_FREQ 0%@318 \
    GPU@37.5C CPU@38C GPU 1/0 CPU 311/311 SOC 932/932 CV 0/0 VDDRQ 621/621 SYS5V 1482/1482";
const THOR: &str = "04-21-2026 15:50:52 RAM 105/1257MB (lfb 3x4MB) CPU [0%@972] EMC_FREQ 0%@2750 \
    GR3D_FREQ @[314,314,314] NVENC0_FREQ @314 VIC off APE 300 tj@38.875C VIN_SYS_5V0 5635mW/5635mW VIN 19780mW/1mW";
const OLD: &str = "RAM 2440/6660MB (lfb 620x4MB) cpu [0%@1994,1%@2035] EMC 0%@1600 GR3D 5%@1275 GR3D_PCI 0%@2607";
const OLD_WITHOUT_ROOT: &str = "RAM 2417/6660MB (lfb 620x4MB) cpu [0%@1996,0%@2035]";
const ALL: [&str; 7] = [TX2, ORIN_NX, AGX_ORIN, XAVIER, THOR, OLD, OLD_WITHOUT_ROOT];

fn powers(stats: &Stats) -> Vec<(&str, f64)> {
    stats.rails.iter().map(|rail| (rail.name.as_str(), rail.power_mw)).collect()
}

fn temperatures(stats: &Stats) -> Vec<(&str, f64)> {
    stats.temperatures.iter().map(|(sensor, celsius)| (sensor.as_str(), *celsius)).collect()
}

#[test]
fn a_line_of_a_tx2_is_read_whole() {
    let stats = parse(TX2).unwrap();
    assert_eq!(
        powers(&stats),
        [
            ("VDD_SYS_GPU", 153.0),
            ("VDD_SYS_SOC", 383.0),
            ("VDD_4V0_WIFI", 0.0),
            ("VDD_IN", 1876.0),
            ("VDD_SYS_CPU", 229.0)
        ]
    );
    assert_eq!(temperatures(&stats), [("PLL", 34.0), ("PMIC", 100.0), ("GPU", 32.5), ("thermal", 33.2)]);
    assert_eq!(stats.condition(7), Condition { at_ns: 7, temperature_c: Some(32.5), clock_mhz: Some(114.0) });
}

#[test]
fn units_triples_negative_rails_and_switched_off_sensors_are_read() {
    let orin = parse(ORIN_NX).unwrap();
    assert_eq!(powers(&orin), [("VDD_IN", 17946.0), ("VDD_CPU_GPU_CV", 8896.0)]);
    assert_eq!(temperatures(&orin), [("cpu", 65.562), ("tj", 66.0)]);
    assert_eq!((orin.condition(0).temperature_c, orin.gpu_clock_mhz), (Some(66.0), Some(713.0)));

    let agx = parse(AGX_ORIN).unwrap();
    assert_eq!(
        powers(&agx),
        [("VDD_GPU_SOC", 2340.0), ("VDD_CPU_CV", -398.0), ("VIN_SYS_5V0", 4025.0), ("VDDQ_VDD2_1V8AO", 301.0)]
    );
    assert_eq!(temperatures(&agx), [("cpu", 52.9)]);
    assert_eq!((agx.condition(0).temperature_c, agx.gpu_clock_mhz), (None, Some(405.0)));
}

#[test]
fn a_name_may_be_both_a_sensor_and_a_rail() {
    let stats = parse(XAVIER).unwrap();
    assert_eq!(temperatures(&stats), [("GPU", 37.5), ("CPU", 38.0)]);
    assert_eq!(powers(&stats)[..2], [("GPU", 1.0), ("CPU", 311.0)]);
    assert_eq!(stats.rails.len(), 6);
}

#[test]
fn clocks_without_a_load_and_loads_without_a_clock_are_read() {
    let thor = parse(THOR).unwrap();
    assert_eq!(thor.gpu_clock_mhz, Some(314.0));
    let user = parse("RAM 1/2MB (lfb 3x4MB) CPU [9%,off,3%] EMC_FREQ 0% GR3D_FREQ 7% tj@4C").unwrap();
    assert_eq!(user.gpu_clock_mhz, None);
}

#[test]
fn the_oldest_lines_have_other_names_and_no_rails() {
    let root = parse(OLD).unwrap();
    assert_eq!((root.gpu_clock_mhz, root.rails.len()), (Some(1275.0), 0));
    let user = parse(OLD_WITHOUT_ROOT).unwrap();
    assert_eq!(user, Stats::default());
    let one_clock = parse("RAM 1/2MB (lfb 3x4MB) cpu [0%,off,5%]@1734").unwrap();
    assert_eq!(one_clock, Stats::default());
}

#[test]
fn a_rail_of_a_future_board_is_a_rail() {
    let stats = parse("RAM 1/2MB (lfb 3x4MB) NPU_CORE 120mW/130mW XYZ 17 DRAM_A 40/41 tj@4C\r\n").unwrap();
    assert_eq!(powers(&stats), [("NPU_CORE", 120.0), ("DRAM_A", 40.0)]);
}

#[test]
fn other_text_is_rejected() {
    for line in ["", "   ", "hello", "tegrastats: command not found", "GR3D_FREQ 0%@140 VDD_IN 1/1", "1 2 3", "RAM"] {
        let error = parse(line).unwrap_err();
        assert!(error.contains("not a line of tegrastats") || error.contains("cut off in"), "{line:?}: {error}");
    }
    let long = format!("RAM 1/2MB (lfb {}", "1".repeat(MAX_LINE));
    assert!(parse(&long).unwrap_err().contains(&format!("{} bytes", long.len())));
}

#[test]
fn cut_lines_are_rejected_with_the_field() {
    for (end, field) in [
        (" VDD_IN", "VDD_IN"),
        (" VDD_IN 19", "VDD_IN"),
        (" VDD_IN 1931/", "VDD_IN"),
        (" VDD_IN 1931mW/19", "VDD_IN"),
        (" VDD_IN 1931mW/1931m", "VDD_IN"),
        (" GPU 46", "GPU"),
        (" CPU [3%@350,of", "CPU"),
        (" CPU [3%@350,off", "CPU"),
        (" GR3D_FREQ 0", "GR3D_FREQ"),
        (" GR3D_FREQ", "GR3D_FREQ"),
        (" SWAP 278/81", "SWAP"),
        (" SWAP 278/8192MB (cac", "SWAP"),
        (" MTS fg 0% bg", "bg"),
        (" tj@48.8", "tj"),
        (" tj@", "tj"),
        (" tj@48C/4", "tj"),
        (" A", "A"),
    ] {
        let error = parse(&format!("RAM 1/2MB (lfb 3x4MB) APE 150{end}")).unwrap_err();
        assert!(error.contains("cut off in") || error.contains("which is not"), "{end}: {error}");
        assert!(error.contains(field), "{end}: {error}");
    }
}

#[test]
fn impossible_values_are_rejected_with_the_field() {
    for (fields, field) in [
        ("VDD_IN 1000001/1", "VDD_IN"),
        ("VDD_IN -1000001mW/1mW", "VDD_IN"),
        ("VDD_IN 5W/5W", "VDD_IN"),
        ("VDD_IN 1/2/3/4", "VDD_IN"),
        ("VDD_IN 1e3/1e3", "VDD_IN"),
        ("VDD_IN inf/nan", "VDD_IN"),
        ("VDD_IN off", "VDD_IN"),
        ("VDD_IN 19", "VDD_IN"),
        ("VDD_IN 5/5 VDD_IN 5/5", "VDD_IN"),
        ("SWAP 5/6M", "SWAP"),
        ("GPU@5000C", "GPU"),
        ("GPU@39F", "GPU"),
        ("GR3D_FREQ 101%@5", "GR3D_FREQ"),
        ("EMC_FREQ 1%@1000000", "EMC_FREQ"),
        ("CPU [1%@x]", "CPU"),
        ("RAM 1/2MB", "RAM"),
        ("%& 3", "%&"),
    ] {
        let error = parse(&format!("RAM 1/2MB (lfb 3x4MB) {fields} tj@40C")).unwrap_err();
        assert!(!error.contains("cut off in"), "{fields}: {error}");
        assert!(error.contains(field), "{fields}: {error}");
    }
}

#[test]
fn every_collected_line_is_read() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/samples/tegrastats.txt"));
    let Ok(samples) = std::fs::read_to_string(path) else {
        println!("skipped: {} is not there", path.display());
        return;
    };
    let mut lines = 0;
    for line in samples.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let stats = parse(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        lines += 1;
        if stats.rails.is_empty() {
            assert!(line.contains(" cpu ["), "{line}");
            continue;
        }
        assert!(!stats.temperatures.is_empty(), "{line}");
        let names: Vec<&str> = stats.rails.iter().map(|rail| rail.name.as_str()).collect();
        let total = total_of(&names).unwrap_or_else(|| panic!("no total: {line}"));
        assert_eq!(total.rails.len() > 1, line.contains("SYS5V") || line.contains("VDD_GPU_SOC"), "{line}");
        assert!((500.0..60_000.0).contains(&total.power_mw(&stats.rails).unwrap()), "{line}");
    }
    assert!(lines >= 30, "{lines}");
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None, cases: ProptestConfig::default().cases * 2, ..ProptestConfig::default()
    })]

    #[test]
    fn no_text_makes_it_panic(text in any::<String>(), fields in r"(RAM 1/2MB )?[\]\[()@%/,. A-Zm0-9-]{0,80}") {
        let _ = parse(&text);
        let _ = parse(&fields);
    }

    #[test]
    fn damaged_lines_give_sound_numbers_or_an_error(line in mutated(&ALL)) {
        if let Ok(stats) = parse(&line) {
            prop_assert!(stats.rails.iter().all(|rail| rail.power_mw.abs() <= MAX_POWER_MW && rail.name != "NC"));
            prop_assert!(stats.temperatures.iter().all(|(_, celsius)| celsius.abs() <= MAX_CELSIUS));
            prop_assert!(stats.gpu_clock_mhz.iter().all(|mhz| (0.0..=MAX_CLOCK_MHZ).contains(mhz)));
        }
    }

    /// If a cut line is accepted, each rail in it has its name and its whole value: only the average after it may be
    /// cut.
    #[test]
    fn a_cut_line_never_gives_part_of_a_rail(line in prop::sample::select(&ALL[..]), at in any::<prop::sample::Index>()) {
        let whole = parse(line).unwrap();
        if let Ok(cut) = parse(&line[..at.index(line.len())]) {
            prop_assert!(whole.rails.starts_with(&cut.rails), "{:?}", cut.rails);
        }
    }
}
