//! The log that ships inside the program: the cells of NAS-Bench-201 with time and energy on a Jetson TX2.
//!
//! `controller/data/SOURCE.md` names its authors and licences, and says how it was made.

use std::io::{self, Read as _};
use std::path::Path;

use flate2::read::GzDecoder;
use hardware::log::foreign::{Column, Columns, FractionUnit};

use super::ReplayConfig;

/// Its name on the command line and in experiment files.
const NAME: &str = "tx2";
/// Its name in a resolved experiment, which no file has by accident.
const LOG: &str = "built-in:tx2";
const TABLE: &[u8] = include_bytes!("../../data/tx2.csv.gz");
/// A description for the user.
pub(crate) const ABOUT: &str =
    "tx2: 15,625 cells of NAS-Bench-201 on CIFAR-10 (NATS-Bench), measured on a Jetson TX2 (HW-NAS-Bench)";

/// Gives the shipped log the name that it has in a resolved experiment, where the experiment means it: a file of its short
/// name comes first. Names its column of accuracies, unless the experiment names columns.
pub(crate) fn resolve(replay: &mut ReplayConfig) {
    if replay.log == Path::new(NAME) && !replay.log.is_file() {
        replay.log = LOG.into();
    }
    if is_shipped(&replay.log) && replay.columns == Columns::default() {
        let column = "valid_accuracy_percent".to_owned();
        replay.columns.accuracy = Some(Column { column, unit: FractionUnit::Percent, epochs: Some(200) });
    }
}

/// Whether a log of a resolved experiment ships inside the program.
pub(crate) fn is_shipped(log: &Path) -> bool {
    log == Path::new(LOG)
}

/// The content of a log of a resolved experiment.
pub(crate) fn read(log: &Path) -> io::Result<Vec<u8>> {
    if !is_shipped(log) {
        return std::fs::read(log);
    }
    let mut content = Vec::new();
    GzDecoder::new(TABLE).read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Experiment;
    use crate::fingerprint::sha256;

    #[test]
    fn the_table_is_the_one_that_its_source_describes() {
        let source = include_str!("../../data/SOURCE.md");
        let content = read(Path::new(LOG)).unwrap();
        assert!(source.contains(&sha256(TABLE)) && source.contains(&sha256(&content)));
        assert_eq!(content.split(|byte| *byte == b'\n').count(), 1 + 15_625 + 1);
    }

    #[test]
    fn a_resolved_experiment_keeps_its_name_and_its_columns() {
        let read = |text: &str| Experiment::parse(text, "x", &[]).unwrap();
        let resolved = read("[replay]\nlog = 'tx2'");
        let replay = resolved.replay.as_ref().unwrap();
        assert!(is_shipped(&replay.log) && replay.columns.accuracy.is_some());
        assert_eq!(read(&resolved.to_toml().unwrap()), resolved);
        let named = read("[replay]\nlog = 'tx2'\n[replay.columns]\naccuracy = 'test'").replay.unwrap();
        assert_eq!(named.columns.accuracy.unwrap().column, "test");
        for file in ["./tx2", "tx2.csv", "/tx2"] {
            assert!(!is_shipped(&read(&format!("[replay]\nlog = '{file}'")).replay.unwrap().log), "{file}");
        }
    }
}
