//! The files in which Linux shows a Jetson's INA3221 power monitors.
//!
//! JetPack 4 has a driver of its own, whose files give the power of each rail in mW; later kernels use hwmon, where
//! power is voltage (mV) times current (mA). The paths of the files and the
//! numbers of the rails differ between releases: the name in a neighbouring file identifies a rail.

use std::collections::BTreeMap;

/// Patterns of the files' paths, below the root of sysfs.
pub(super) const PATTERNS: [&str; 5] = [
    "bus/i2c/drivers/ina3221x/*/iio*device*/rail_name_*",
    "bus/i2c/drivers/ina3221x/*/iio*device*/in_power*_input",
    "class/hwmon/hwmon*/in*_label",
    "class/hwmon/hwmon*/in*_input",
    "class/hwmon/hwmon*/curr*_input",
];

/// A sensor's channel.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sensor {
    /// Its name: the label if it has one, else the chip's name and the channel: `ina226 power1`.
    pub name: String,
    /// Files whose numbers are multiplied.
    pub files: Vec<String>,
    /// Factor from the product to mW.
    pub factor: f64,
    /// Time over which its value is a mean, in ms; 0 if it is not known to be one.
    pub mean_ms: u64,
}

/// The rails of files, each with its content. The result omits files without a partner, rails that are not connected
/// (`NC`), and sums that the driver computes.
pub(super) fn rails(found: &[(String, String)]) -> Vec<Sensor> {
    let content: BTreeMap<&str, &str> = found.iter().map(|(path, text)| (path.as_str(), text.trim())).collect();
    let has = |path: &String| content.contains_key(path.as_str());
    let files = |path: &str| -> Option<Vec<String>> {
        let (folder, name) = path.rsplit_once('/')?;
        let files = if let Some(number) = name.strip_prefix("rail_name_") {
            vec![format!("{folder}/in_power{number}_input")]
        } else {
            let number = name.strip_prefix("in")?.strip_suffix("_label")?;
            vec![format!("{folder}/in{number}_input"), format!("{folder}/curr{number}_input")]
        };
        files.iter().all(has).then_some(files)
    };
    let rail = |(path, name): (&&str, &&str)| {
        let is_rail = !name.is_empty() && *name != "NC" && !name.to_lowercase().starts_with("sum of");
        let files = files(path).filter(|_| is_rail)?;
        // mV times mA is µW.
        let factor = if files.len() == 2 { 1e-3 } else { 1.0 };
        Some(Sensor { name: (*name).to_owned(), files, factor, mean_ms: 0 })
    };
    content.iter().filter_map(rail).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(files: &[(&str, &str)]) -> Vec<(String, String)> {
        files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn jetpack_4_names_power_itself() {
        let folder = "/sys/bus/i2c/drivers/ina3221x/0-0041/iio:device1";
        let paths = ["rail_name_0", "rail_name_1", "in_power0_input", "in_power1_input", "rail_name_2"]
            .map(|name| format!("{folder}/{name}"));
        let texts = ["VDD_IN\n", "NC\n", "1850\n", "0\n", "VDD_SYS_DDR\n"];
        let files: Vec<(&str, &str)> = paths.iter().map(String::as_str).zip(texts).collect();
        let rails = rails(&found(&files));
        assert_eq!(rails.len(), 1, "{rails:?}");
        let files = vec![format!("{folder}/in_power0_input")];
        assert_eq!(rails[0], Sensor { name: "VDD_IN".to_owned(), files, factor: 1.0, mean_ms: 0 });
    }

    #[test]
    fn hwmon_needs_voltage_and_current() {
        let files = [
            ("/sys/class/hwmon/hwmon3/in1_label", "VDD_IN"),
            ("/sys/class/hwmon/hwmon3/in1_input", "4960"),
            ("/sys/class/hwmon/hwmon3/curr1_input", "880"),
            ("/sys/class/hwmon/hwmon3/in7_label", "sum of shunt voltages"),
            ("/sys/class/hwmon/hwmon3/in7_input", "3"),
            ("/sys/class/hwmon/hwmon3/curr7_input", "3"),
            ("/sys/class/hwmon/hwmon1/in0_label", "fan"),
        ];
        let rails = rails(&found(&files));
        assert_eq!(rails.len(), 1, "{rails:?}");
        let files = ["in1_input", "curr1_input"].map(|file| format!("/sys/class/hwmon/hwmon3/{file}"));
        assert_eq!(rails[0], Sensor { name: "VDD_IN".to_owned(), files: files.to_vec(), factor: 1e-3, mean_ms: 0 });
    }

    proptest! {
        #[test]
        fn no_path_makes_it_panic(files in prop::collection::vec(("[a-z_/0-9]{0,30}", ".{0,12}"), 0..12)) {
            let _ = rails(&files);
        }

        /// Each rail has a name, and its files exist.
        #[test]
        fn rails_have_names_and_files_that_exist(
            files in prop::collection::btree_map("(a|b)/(rail_name_|in_power|in|curr)[01]?(_label|_input)?", "(NC|VDD|sum of x|)", 0..12),
        ) {
            let files: Vec<(String, String)> = files.into_iter().collect();
            let exists = |wanted: &String| files.iter().any(|(path, _)| path == wanted);
            let rails = rails(&files);
            prop_assert!(rails.iter().all(|rail| rail.files.iter().all(exists) && !rail.name.is_empty() && rail.name != "NC"));
        }
    }
}
