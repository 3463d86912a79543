//! Files and archives that a broken transfer or a full disk leaves behind.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::damage::damaged;

/// Records of a file here: few, so that many cases fit in little time.
const FEW: usize = 2;

fn record_file() -> Vec<u8> {
    file(1)[..FEW * RECORD_BYTES].to_vec()
}

fn tar_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, *bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    std::io::Write::write_all(&mut gzip, bytes).unwrap();
    gzip.finish().unwrap()
}

fn whole_tar() -> Vec<u8> {
    let content = record_file();
    tar_of(&FILES.map(|name| (name, &content[..])))
}

/// Checks that the data set is whole, or that the error names its folder.
fn check(dir: &Path) -> Result<(), TestCaseError> {
    match load_files(dir, FEW) {
        Ok(dataset) => {
            prop_assert_eq!(
                dataset.train.len() + dataset.test.as_ref().map_or(0, |test| test.len()),
                FILES.len() * FEW
            );
            prop_assert!(dataset.train.labels().all(|label| usize::from(label) < CLASS_NAMES.len()));
        }
        Err(error) => {
            // With so few records a class is missing: the files themselves were read.
            let error = error.to_string();
            let is_read =
                error.starts_with("the data set cifar10: the class ") && error.contains("has no training image");
            prop_assert!(is_read || error.contains(&dir.display().to_string()), "{}", error);
        }
    }
    Ok(())
}

/// A few kilobytes that unpack to gigabytes: the reader neither holds nor awaits them.
#[test]
fn an_archive_that_unpacks_without_end_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(ARCHIVE);
    // A long name is one entry's content for the next one's header, and is read into memory as a whole.
    let mut long_name = tar::Header::new_gnu();
    long_name.set_entry_type(tar::EntryType::GNULongName);
    long_name.set_size(64 << 30);
    long_name.set_cksum();
    let mut gzip = GzEncoder::new(File::create(&path).unwrap(), Compression::fast());
    std::io::Write::write_all(&mut gzip, long_name.as_bytes()).unwrap();
    let zeros = vec![b'a'; 1 << 20];
    for _ in 0..300 {
        std::io::Write::write_all(&mut gzip, &zeros).unwrap();
    }
    gzip.finish().unwrap();
    let begun = Instant::now();
    let error = load_files(dir.path(), FEW).unwrap_err().to_string();
    assert!(error.contains(ARCHIVE) && error.contains("unpacks to more than 256 MiB"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

proptest! {
    // Fewer cases, for each writes several files.
    #![proptest_config(ProptestConfig {
        failure_persistence: None, cases: ProptestConfig::default().cases.div_ceil(8), ..ProptestConfig::default()
    })]

    #[test]
    fn damaged_archives_are_read_whole_or_named_in_an_error(bytes in damaged(vec![packed(&whole_tar())])) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(ARCHIVE), bytes).unwrap();
        check(dir.path())?;
    }

    /// Damage that the packing's checksum does not see, because it was there before.
    #[test]
    fn damage_before_packing_is_read_whole_or_named_in_an_error(bytes in damaged(vec![whole_tar()])) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(ARCHIVE), packed(&bytes)).unwrap();
        check(dir.path())?;
    }

    #[test]
    fn damaged_files_are_read_whole_or_named_in_an_error(bytes in damaged(vec![record_file()]), label: u8) {
        let dir = tempfile::tempdir().unwrap();
        for name in FILES {
            fs::write(dir.path().join(name), record_file()).unwrap();
        }
        fs::write(dir.path().join(FILES[2]), &bytes).unwrap();
        check(dir.path())?;
        fs::write(dir.path().join(FILES[2]), [&[label][..], &record_file()[1..]].concat()).unwrap();
        check(dir.path())?;
    }
}
