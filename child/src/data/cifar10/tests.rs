mod damage;

use std::fs;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

const RECORDS: usize = 20;

/// A file whose record `r` has the label `r % 10` and planes of `10 * file + plane`.
fn file(number: u8) -> Vec<u8> {
    let record = |label: u8| {
        let planes = (0..3).flat_map(|plane| vec![10 * number + plane; 1024]);
        std::iter::once(label).chain(planes).collect::<Vec<u8>>()
    };
    (0..RECORDS as u8).flat_map(|nth| record(nth % 10)).collect()
}

fn write_files(dir: &Path) {
    fs::create_dir_all(dir).unwrap();
    for (name, number) in FILES.into_iter().zip(1..) {
        fs::write(dir.join(name), file(number)).unwrap();
    }
}

/// Like the official archive, but with its files in another order.
fn write_archive(dir: &Path, without: Option<&str>) {
    let file_out = File::create(dir.join(ARCHIVE)).unwrap();
    let mut tar = tar::Builder::new(GzEncoder::new(file_out, Compression::fast()));
    let names: Vec<_> = FILES.into_iter().zip(1..).collect();
    for (name, number) in names.into_iter().rev().filter(|(name, _)| Some(*name) != without) {
        let bytes = file(number);
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, format!("{FOLDER}/{name}"), &bytes[..]).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap();
}

fn check(dataset: &Dataset) {
    let test = dataset.test.as_ref().unwrap();
    assert_eq!((dataset.train.len(), test.len(), dataset.classes()), (5 * RECORDS, RECORDS, 10));
    assert_eq!(dataset.train.class_counts(10), [10; 10]);
    // The last image of the third file.
    let image = dataset.train.images.image(3 * RECORDS - 1);
    assert_eq!((image[0], image[1024], image[3071]), (30, 31, 32));
    assert_eq!(dataset.train.labels().nth(3 * RECORDS - 1), Some(9));
    assert_eq!(test.images.image(0)[0], 60);
}

#[test]
fn the_folder_its_parent_and_the_archive_hold_the_same() {
    let dir = tempfile::tempdir().unwrap();
    write_archive(dir.path(), None);
    check(&load_files(dir.path(), RECORDS).unwrap());
    fs::write(dir.path().join(ARCHIVE), "not read when the folder is there").unwrap();
    write_files(&dir.path().join(FOLDER));
    check(&load_files(dir.path(), RECORDS).unwrap());
    check(&load_files(&dir.path().join(FOLDER), RECORDS).unwrap());
}

#[test]
fn missing_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = load(dir.path()).unwrap_err().to_string();
    assert!(error.contains(&dir.path().display().to_string()) && error.contains(URL), "{error}");
    write_files(dir.path());
    fs::remove_file(dir.path().join("data_batch_4.bin")).unwrap();
    let error = load_files(dir.path(), RECORDS).unwrap_err().to_string();
    assert!(error.contains("cannot read") && error.contains("data_batch_4.bin"), "{error}");
}

#[test]
fn a_folder_that_was_unpacked_in_part_does_not_hide_the_archive() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join(FOLDER);
    write_files(&folder);
    fs::remove_file(folder.join("test_batch.bin")).unwrap();
    let error = load_files(dir.path(), RECORDS).unwrap_err().to_string();
    assert!(error.contains("cannot read") && error.contains("test_batch.bin"), "{error}");
    write_archive(dir.path(), None);
    check(&load_files(dir.path(), RECORDS).unwrap());
}

#[test]
fn a_file_of_another_size_or_with_a_wrong_label_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    write_files(dir.path());
    let error = load(dir.path()).unwrap_err().to_string();
    assert!(error.contains("data_batch_1.bin: expected 30730000 bytes, found 61460;"), "{error}");
    let mut bytes = file(2);
    bytes[2 * RECORD_BYTES] = 10;
    fs::write(dir.path().join("data_batch_2.bin"), bytes).unwrap();
    let error = load_files(dir.path(), RECORDS).unwrap_err().to_string();
    assert!(error.contains("data_batch_2.bin: record 3 (byte 6146) has the label 10"), "{error}");
}

#[test]
fn a_broken_archive_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(ARCHIVE);
    let error = || load_files(dir.path(), RECORDS).unwrap_err().to_string();
    write_archive(dir.path(), Some("data_batch_3.bin"));
    assert!(error().contains("it holds no data_batch_3.bin"), "{}", error());
    write_archive(dir.path(), None);
    let whole = fs::read(&path).unwrap();
    for bytes in [&whole[..whole.len() / 2], b"<html>not here</html>", b""] {
        fs::write(&path, bytes).unwrap();
        assert!(error().contains("download it again"), "{}", error());
    }
}

#[test]
fn the_real_files_equal_the_published_ones() {
    let archive = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/cifar-10-binary.tar.xz");
    if !Path::new(archive).is_file() {
        println!("skipped: {archive} is not there");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let unpacked = std::process::Command::new("tar").arg("-xJf").arg(archive).arg("-C").arg(dir.path()).status();
    assert!(unpacked.unwrap().success());
    let dataset = load(dir.path()).unwrap();
    assert_eq!(dataset.train.class_counts(10), [5_000; 10]);
    assert_eq!(dataset.test.as_ref().unwrap().class_counts(10), [1_000; 10]);
    // Known from the Python version: the first training image is a frog whose first pixel is (59, 62, 63).
    let frog = dataset.train.images.image(0);
    assert_eq!((dataset.train.images.labels[0], frog[0], frog[1024], frog[2048]), (6, 59, 62, 63));
    // Statistics used throughout the literature.
    let normalisation = crate::data::Normalisation::of(&dataset.train);
    for (found, published) in normalisation.mean.iter().zip([0.4914, 0.4822, 0.4465]) {
        assert!((found - published).abs() < 1e-4, "{normalisation:?}");
    }
    for (found, published) in normalisation.std.iter().zip([0.2470, 0.2435, 0.2616]) {
        assert!((found - published).abs() < 1e-4, "{normalisation:?}");
    }
}
