//! The files through which Linux shows a Jetson's INA3221 power monitors.
//!
//! JetPack 4 has a driver of its own, whose files give the power of each rail in mW; later kernels use hwmon, where
//! power is voltage (mV) times current (mA). Where a file lies, and which rail has which number, moves between releases:
//! a rail is known by the name in the file beside it.

use std::collections::BTreeMap;

use thiserror::Error;

use super::tegrastats::RailPower;

/// Where the files are, below the root of sysfs.
pub const PATTERNS: [&str; 5] = [
    "bus/i2c/drivers/ina3221x/*/iio*device*/rail_name_*",
    "bus/i2c/drivers/ina3221x/*/iio*device*/in_power*_input",
    "class/hwmon/hwmon*/in*_label",
    "class/hwmon/hwmon*/in*_input",
    "class/hwmon/hwmon*/curr*_input",
];

/// A rail, and the files whose product is its power.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RailFiles {
    /// Name of the rail: `VDD_IN`.
    pub rail: String,
    /// One file with mW, or one with mV and one with mA.
    pub files: Vec<String>,
}

/// Why a value of such a file is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the power monitor's file {file} holds {text:?}, which is no number a monitor can give")]
pub struct Ina3221Error {
    /// The file.
    pub file: String,
    /// What it holds.
    pub text: String,
}

/// Most of any value, in mW, mV or mA: a kilowatt.
const MOST: f64 = 1e6;

/// The rails that some files, each with its content, belong to. Files without a partner are left out, and so are rails
/// that are not connected (`NC`) and sums that the driver makes of others.
pub fn rails(found: &[(String, String)]) -> Vec<RailFiles> {
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
        Some(RailFiles { rail: (*name).to_owned(), files })
    };
    content.iter().filter_map(rail).collect()
}

/// Power of each rail from the contents of its files, all of them in the order of [`RailFiles`].
///
/// # Errors
/// If there are not as many contents as files, or one is no number.
pub fn reading(rails: &[RailFiles], contents: &[String]) -> Result<Vec<RailPower>, Ina3221Error> {
    let mut rest = contents.iter();
    let mut value = |file: &String| {
        let text = rest.next().map(String::as_str).unwrap_or_default();
        let value = text.trim().parse::<f64>().ok().filter(|value| value.is_finite() && value.abs() <= MOST);
        let shown = || text.chars().take(40).collect();
        value.ok_or_else(|| Ina3221Error { file: file.clone(), text: shown() })
    };
    let mut powers = Vec::with_capacity(rails.len());
    for rail in rails {
        let values = rail.files.iter().map(&mut value).collect::<Result<Vec<f64>, _>>()?;
        // mV times mA are µW.
        let power_mw = if let [mv, ma] = values[..] { mv * ma / 1e3 } else { values.iter().sum() };
        powers.push(RailPower { name: rail.rail.clone(), power_mw });
    }
    Ok(powers)
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
        let powers = reading(&rails, &["1850".to_owned()]).unwrap();
        assert_eq!((powers[0].name.as_str(), powers[0].power_mw), ("VDD_IN", 1850.0));
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
        let powers = reading(&rails, &["4960".to_owned(), "880".to_owned()]).unwrap();
        assert!((powers[0].power_mw - 4364.8).abs() < 1e-9);
        let error = reading(&rails, &["4960".to_owned(), "88o".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("curr1_input") && error.contains("88o"), "{error}");
        assert!(reading(&rails, &["4960".to_owned()]).is_err());
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(files in prop::collection::vec(("[a-z_/0-9]{0,30}", ".{0,12}"), 0..12), texts in prop::collection::vec(".{0,80}", 0..6)) {
            let rails = rails(&files);
            let _ = reading(&rails, &texts);
        }

        /// Each rail is named, has files that were found, and a power within bounds.
        #[test]
        fn rails_are_of_files_that_are_there_and_powers_are_bounded(
            files in prop::collection::btree_map("(a|b)/(rail_name_|in_power|in|curr)[01]?(_label|_input)?", "(NC|VDD|sum of x|)", 0..12),
            texts in prop::collection::vec("-?[0-9]{1,7}([.][0-9]{1,3})?|[1-9]e[0-9]{1,3}|nan|", 0..8),
        ) {
            let files: Vec<(String, String)> = files.into_iter().collect();
            let rails = rails(&files);
            let is_there = |wanted: &String| files.iter().any(|(path, _)| path == wanted);
            prop_assert!(rails.iter().all(|rail| rail.files.iter().all(is_there) && !rail.rail.is_empty() && rail.rail != "NC"));
            match reading(&rails, &texts) {
                Ok(powers) => {
                    prop_assert_eq!(powers.len(), rails.len());
                    prop_assert!(powers.iter().all(|rail| rail.power_mw.abs() <= MOST * MOST / 1e3));
                }
                Err(error) => prop_assert!(is_there(&error.file), "{}", error),
            }
        }
    }
}
