//! The operating system's facts about this machine. Linux only; absent elsewhere.

use std::fs;
use std::path::Path;

/// The processor's name.
pub(super) fn processor() -> Option<String> {
    processor_in(&fs::read_to_string("/proc/cpuinfo").ok()?)
}

/// Processors of Arm boards have no `model name`; there the board's `Hardware` line comes closest.
fn processor_in(cpuinfo: &str) -> Option<String> {
    let field = |wanted: &str| {
        cpuinfo.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let value = value.trim();
            (name.trim() == wanted && !value.is_empty()).then(|| value.to_owned())
        })
    };
    field("model name").or_else(|| field("Hardware"))
}

/// Present clock of a core, in MHz.
pub(super) fn clock_mhz(core: usize) -> Option<f64> {
    let path = format!("/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq");
    Some(whole_number(Path::new(&path))? / 1e3)
}

/// Present temperature of the processor, in °C: of the first thermal zone that names one.
pub(super) fn temperature_c() -> Option<f64> {
    let mut zones: Vec<_> = fs::read_dir("/sys/class/thermal")
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|zone| is_processor(&fs::read_to_string(zone.join("type")).unwrap_or_default()))
        .collect();
    zones.sort();
    Some(whole_number(&zones.first()?.join("temp"))? / 1e3)
}

fn is_processor(zone: &str) -> bool {
    let zone = zone.trim().to_ascii_lowercase();
    zone == "x86_pkg_temp" || zone.contains("cpu")
}

fn whole_number(path: &Path) -> Option<f64> {
    let number: i64 = fs::read_to_string(path).ok()?.trim().parse().ok()?;
    Some(number as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_has_a_name_on_x86_and_on_arm() {
        let x86 = "processor\t: 0\nmodel\t\t: 2\nmodel name\t: AMD EPYC\nstepping\t: 1\n";
        assert_eq!(processor_in(x86).as_deref(), Some("AMD EPYC"));
        let arm = "processor : 0\nCPU part : 0xd03\n\nHardware : BCM2835\n";
        assert_eq!(processor_in(arm).as_deref(), Some("BCM2835"));
        assert_eq!(processor_in("processor : 0\nmodel name :\n"), None);
    }

    #[test]
    fn thermal_zones_of_processors_are_known() {
        assert!(is_processor("x86_pkg_temp\n"));
        assert!(is_processor("CPU-therm\n"));
        assert!(!is_processor("iwlwifi_1\n"));
    }
}
