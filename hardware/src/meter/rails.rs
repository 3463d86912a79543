//! The rails that make up the whole module or board.
//!
//! Boards differ: some have a sensor on the input of the whole module, on others the vendor's total
//! is a sum of rails in parallel. A rail that another rail feeds must not be
//! added to it, so that this module sums only rails that are known to be parallel.
//!
//! | board | total | source |
//! |---|---|---|
//! | TX1, TX2, Xavier NX, Orin NX and Nano | `VDD_IN` | NVIDIA: "the total power of module" ([forum 200883]) |
//! | Nano | `POM_5V_IN` | NVIDIA: the whole 5 V input ([forum 73608]) |
//! | AGX Thor | `VIN` | the board's input ([jetson_stats#900]) |
//! | AGX Xavier | `GPU + CPU + SOC + CV + VDDRQ + SYS5V` | NVIDIA ([forum 81016]); five are fed from the module's high-voltage input, `SYS5V` from its other one (design guide DG-09840, 5.6.2) |
//! | AGX Orin | `VDD_GPU_SOC + VDD_CPU_CV + VIN_SYS_5V0` | the developer guide, "Software-Based Power Consumption Modeling" ([r36.4.3]), as tools that cite it read it; also NVIDIA's [forum 223111] |
//!
//! On the AGX Orin `VDDQ_VDD2_1V8AO`, the memory, is fed from `VIN_SYS_5V0` and would be counted
//! twice. The guide's table itself was not available for this code; other tools,
//! jetson_stats among them, add that rail, and give 0.3 to 1.1 W more in the known lines.
//!
//! Only `VIN` and `POM_5V_IN` include the power of the carrier board.
//!
//! [forum 200883]: https://forums.developer.nvidia.com/t/interpretation-of-jetson-nx-power-rail/200883
//! [forum 73608]: https://forums.developer.nvidia.com/t/power-consumption-monitoring/73608/8
//! [forum 81016]: https://forums.developer.nvidia.com/t/xavier-jetson-total-power-consumption/81016
//! [forum 223111]: https://forums.developer.nvidia.com/t/223111
//! [jetson_stats#900]: https://github.com/rbonghi/jetson_stats/pull/900
//! [r36.4.3]: https://docs.nvidia.com/jetson/archives/r36.4.3/DeveloperGuide/SD/PlatformPowerAndPerformance/JetsonOrinNanoSeriesJetsonOrinNxSeriesAndJetsonAgxOrinSeries.html

use super::RailPower;

/// Rails that each measure the whole module or board.
const INPUTS: [&str; 3] = ["VDD_IN", "POM_5V_IN", "VIN"];

/// Rails that together make up the module.
struct Parts {
    summed: &'static [&'static str],
    /// Rails of the same board that are part of another one.
    contained: &'static [&'static str],
}

const SUMS: [Parts; 2] = [
    Parts { summed: &["GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"], contained: &[] },
    Parts { summed: &["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"], contained: &["VDDQ_VDD2_1V8AO"] },
];

/// The rails whose total power is that of the whole module or board.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Total {
    /// The rails' names: one for a sensor at the input; several parallel rails, whose sum is the vendor's total, for a
    /// board without such a sensor.
    pub rails: Vec<String>,
}

/// The total of a board that has rails of these names, in `tegrastats` or in sysfs.
///
/// `None` if the names are unknown, if a rail of a sum is missing, or if the board has a further rail that may belong
/// to the sum: a total that is slightly too small would remain unnoticed.
pub(super) fn total_of(names: &[&str]) -> Option<Total> {
    if let Some(input) = INPUTS.iter().find(|input| names.contains(input)) {
        return Some(Total::measured(input));
    }
    let parts = SUMS.iter().find(|parts| {
        parts.summed.iter().all(|part| names.contains(part))
            && names.iter().all(|name| *name == "NC" || parts.summed.contains(name) || parts.contained.contains(name))
    })?;
    Some(Total { rails: parts.summed.iter().map(|&part| part.to_owned()).collect() })
}

impl Total {
    /// The total that one rail measures.
    pub(crate) fn measured(rail: &str) -> Self {
        Self { rails: vec![rail.to_owned()] }
    }

    /// Power of the whole at one moment, in mW. `None` if one of its rails is missing or occurs twice.
    pub(crate) fn power_mw(&self, rails: &[RailPower]) -> Option<f64> {
        let mut power_mw = 0.0;
        for name in &self.rails {
            let mut of_that_name = rails.iter().filter(|rail| rail.name == *name);
            power_mw += of_that_name.next()?.power_mw;
            if of_that_name.next().is_some() {
                return None;
            }
        }
        (!self.rails.is_empty()).then_some(power_mw)
    }

    /// The rail's name, or the names with a note that they are a sum.
    pub(crate) fn label(&self) -> String {
        let names = self.rails.join(" + ");
        if self.rails.len() > 1 { format!("{names} (sum; the board has no rail for its whole input)") } else { names }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rails(powers: &[(&str, f64)]) -> Vec<RailPower> {
        powers.iter().map(|&(name, power_mw)| RailPower { name: name.to_owned(), power_mw }).collect()
    }

    #[test]
    fn a_rail_at_the_input_is_the_total_beside_any_other_rails() {
        for (names, input) in [
            (vec!["VDD_SYS_GPU", "VDD_SYS_SOC", "VDD_4V0_WIFI", "VDD_IN", "VDD_SYS_CPU", "VDD_SYS_DDR"], "VDD_IN"),
            (vec!["VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"], "VDD_IN"),
            (vec!["POM_5V_IN", "POM_5V_GPU", "POM_5V_CPU"], "POM_5V_IN"),
            (vec!["VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0", "VIN"], "VIN"),
        ] {
            let total = total_of(&names).unwrap();
            assert_eq!(total, Total { rails: vec![input.to_owned()] });
            assert_eq!(total.label(), input);
        }
    }

    #[test]
    fn agx_boards_are_summed_and_the_memory_of_the_orin_is_not_counted_twice() {
        let total = total_of(&["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0", "NC", "VDDQ_VDD2_1V8AO", "NC"]).unwrap();
        assert_eq!(
            total.label(),
            "VDD_GPU_SOC + VDD_CPU_CV + VIN_SYS_5V0 (sum; the board has no rail for its whole input)"
        );
        let now = rails(&[
            ("VDD_GPU_SOC", 2000.0),
            ("VDD_CPU_CV", -300.0),
            ("VIN_SYS_5V0", 4000.0),
            ("VDDQ_VDD2_1V8AO", 500.0),
        ]);
        assert_eq!(total.power_mw(&now), Some(5700.0));

        let xavier = total_of(&["GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"]).unwrap();
        assert_eq!(xavier.rails.len(), 6);
    }

    #[test]
    fn part_of_a_sum_and_unknown_rails_give_none() {
        for names in [
            &[][..],
            &["GPU", "CPU", "SOC", "CV", "VDDRQ"],
            &["VDD_GPU_SOC", "VDD_CPU_CV"],
            &["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0", "VDD_NPU"],
            &["VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"],
            &["VDD_SYS_GPU", "VDD_SYS_CPU"],
            &["vdd_in"],
        ] {
            assert_eq!(total_of(names), None, "{names:?}");
        }
    }

    #[test]
    fn a_total_needs_each_of_its_rails_once() {
        let total = total_of(&["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"]).unwrap();
        assert_eq!(total.power_mw(&rails(&[("VDD_GPU_SOC", 1.0), ("VDD_CPU_CV", 1.0)])), None);
        let twice = [("VDD_GPU_SOC", 1.0), ("VDD_CPU_CV", 1.0), ("VIN_SYS_5V0", 1.0), ("VIN_SYS_5V0", 2.0)];
        assert_eq!(total.power_mw(&rails(&twice)), None);
        assert_eq!(Total { rails: vec![] }.power_mw(&[]), None);
    }
}
