//! CIFAR-10: 50,000 training and 10,000 test images of 32×32 pixels in ten classes.
//!
//! A. Krizhevsky (2009), *Learning Multiple Layers of Features from Tiny Images*. The binary version is described at
//! <https://www.cs.toronto.edu/~kriz/cifar.html>: a record is the label, then the red, green and blue planes.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use super::{DataError, Dataset, Images, download};
use crate::graph::Shape;

const URL: &str = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz";
const MD5: &str = "c32a1d4ab5d03f1284b67883e8d87530";
const ARCHIVE: &str = "cifar-10-binary.tar.gz";
const FOLDER: &str = "cifar-10-batches-bin";
/// The training files, then the test file.
const FILES: [&str; 6] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];
const TRAIN_FILES: usize = 5;
const RECORDS_PER_FILE: usize = 10_000;
const SHAPE: Shape = Shape::new(3, 32, 32);
const RECORD_BYTES: usize = 1 + SHAPE.elements();
const CLASS_NAMES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// Loads CIFAR-10 from `dir`, which is the folder of the `.bin` files itself, holds that folder
/// (`cifar-10-batches-bin`), or holds the archive (`cifar-10-binary.tar.gz`, which is read as it is).
///
/// # Errors
/// If it is not there, or a file is missing, of another size, or has a label that stands for no class.
pub fn load(dir: &Path) -> Result<Dataset, DataError> {
    load_files(dir, RECORDS_PER_FILE)
}

/// Downloads the archive into `dir`, which is made if need be, and checks it against its published MD5. Gives the
/// archive's path, for which [`load`] of `dir` then looks. An archive that is already there and whole is kept.
///
/// `progress` is told the bytes that have come, and their number in the end if the server tells.
///
/// # Errors
/// If the transfer fails or brings something else; then no file is left behind.
pub fn download(dir: &Path, progress: &mut dyn FnMut(u64, Option<u64>)) -> Result<PathBuf, DataError> {
    std::fs::create_dir_all(dir).map_err(DataError::io("create", dir))?;
    let archive = dir.join(ARCHIVE);
    download::fetch(&download::agent(), URL, MD5, &archive, progress)?;
    Ok(archive)
}

/// [`load`] for files of any number of records.
fn load_files(dir: &Path, records: usize) -> Result<Dataset, DataError> {
    let mut contents = Contents::new(records);
    let nested = dir.join(FOLDER);
    let archive = dir.join(ARCHIVE);
    // Any of the files tells the folder, so that a missing one among them is named as such.
    let holds_files = |dir: &Path| FILES.iter().any(|file| dir.join(file).is_file());
    if let Some(folder) = [dir, &nested].into_iter().find(|dir| holds_files(dir)) {
        for (number, file) in FILES.iter().enumerate() {
            let path = folder.join(file);
            let unreadable = || DataError::io("read", &path);
            let mut reader = File::open(&path).map_err(unreadable())?;
            let size = reader.metadata().map_err(unreadable())?.len();
            let name = path.display().to_string();
            let mut bytes = contents.room_for(&name, size)?;
            reader.read_exact(&mut bytes).map_err(unreadable())?;
            contents.put(number, &name, &bytes)?;
        }
    } else if archive.is_file() {
        read_archive(&archive, &mut contents)?;
    } else {
        return Err(DataError::NoCifar10 { dir: dir.to_owned(), url: URL });
    }
    let (train, test) = contents.images()?;
    Dataset::new("cifar10", CLASS_NAMES.map(str::to_owned).to_vec(), train, None, Some(test))
}

/// Reads the files as they lie in the archive, in any order.
fn read_archive(path: &Path, contents: &mut Contents) -> Result<(), DataError> {
    let broken = |reason: String| DataError::Archive { path: path.to_owned(), reason };
    let file = File::open(path).map_err(DataError::io("read", path))?;
    let mut archive = tar::Archive::new(GzDecoder::new(BufReader::new(file)));
    let mut found = [false; FILES.len()];
    for entry in archive.entries().map_err(|error| broken(error.to_string()))? {
        let mut entry = entry.map_err(|error| broken(error.to_string()))?;
        let entry_path = entry.path().map_err(|error| broken(error.to_string()))?.into_owned();
        let Some(number) = FILES.iter().position(|file| entry_path.file_name() == Some(file.as_ref())) else {
            continue;
        };
        let name = format!("{} in {}", entry_path.display(), path.display());
        let mut bytes = contents.room_for(&name, entry.size())?;
        let unpacked = entry.read_exact(&mut bytes);
        unpacked.map_err(|error| broken(format!("{} cannot be unpacked: {error}", FILES[number])))?;
        contents.put(number, &name, &bytes)?;
        found[number] = true;
    }
    match found.iter().position(|found| !found) {
        Some(missing) => Err(broken(format!("it holds no {}", FILES[missing]))),
        None => Ok(()),
    }
}

/// Images and labels of all files, in the order of [`FILES`].
struct Contents {
    records_per_file: usize,
    data: Vec<u8>,
    labels: Vec<u16>,
}

impl Contents {
    fn new(records_per_file: usize) -> Self {
        let images = FILES.len() * records_per_file;
        Self { records_per_file, data: vec![0; images * SHAPE.elements()], labels: vec![0; images] }
    }

    /// A buffer for a file, if that is of the right size.
    fn room_for(&self, name: &str, size: u64) -> Result<Vec<u8>, DataError> {
        let bytes = self.records_per_file * RECORD_BYTES;
        if size != bytes as u64 {
            return Err(DataError::Size { file: name.to_owned(), expected: bytes as u64, found: size });
        }
        Ok(vec![0; bytes])
    }

    /// Puts a file's records to their place.
    fn put(&mut self, number: usize, name: &str, bytes: &[u8]) -> Result<(), DataError> {
        let first = number * self.records_per_file;
        let images = self.data.chunks_exact_mut(SHAPE.elements()).zip(&mut self.labels).skip(first);
        for ((nth, record), (image, label)) in bytes.chunks_exact(RECORD_BYTES).enumerate().zip(images) {
            let classes = CLASS_NAMES.len();
            if usize::from(record[0]) >= classes {
                let (file, offset) = (name.to_owned(), nth * RECORD_BYTES);
                return Err(DataError::Label { file, record: nth + 1, offset, label: record[0], classes });
            }
            *label = u16::from(record[0]);
            image.copy_from_slice(&record[1..]);
        }
        Ok(())
    }

    /// Training and test images.
    fn images(mut self) -> Result<(Images, Images), DataError> {
        let train = TRAIN_FILES * self.records_per_file;
        let test_data = self.data.split_off(train * SHAPE.elements());
        let test_labels = self.labels.split_off(train);
        let images = |data, labels| Images::new(SHAPE, u8::MAX, data, labels);
        Ok((images(self.data, self.labels)?, images(test_data, test_labels)?))
    }
}

#[cfg(test)]
mod tests {
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
        let image = dataset.train.images().image(3 * RECORDS - 1);
        assert_eq!((image[0], image[1024], image[3071]), (30, 31, 32));
        assert_eq!(dataset.train.labels().nth(3 * RECORDS - 1), Some(9));
        assert_eq!(test.images().image(0)[0], 60);
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
    fn what_is_missing_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = load(dir.path()).unwrap_err().to_string();
        assert!(error.contains(&dir.path().display().to_string()) && error.contains(URL), "{error}");
        write_files(dir.path());
        fs::remove_file(dir.path().join("data_batch_4.bin")).unwrap();
        let error = load_files(dir.path(), RECORDS).unwrap_err().to_string();
        assert!(error.contains("cannot read") && error.contains("data_batch_4.bin"), "{error}");
    }

    #[test]
    fn a_file_of_another_size_or_with_a_wrong_label_is_refused() {
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
    fn a_broken_archive_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(ARCHIVE);
        let refused = || load_files(dir.path(), RECORDS).unwrap_err().to_string();
        write_archive(dir.path(), Some("data_batch_3.bin"));
        assert!(refused().contains("it holds no data_batch_3.bin"), "{}", refused());
        write_archive(dir.path(), None);
        let whole = fs::read(&path).unwrap();
        for bytes in [&whole[..whole.len() / 2], b"<html>not here</html>", b""] {
            fs::write(&path, bytes).unwrap();
            assert!(refused().contains("download it again"), "{}", refused());
        }
    }

    #[test]
    fn the_real_files_hold_what_is_published() {
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
        let frog = dataset.train.images().image(0);
        assert_eq!((dataset.train.images().labels()[0], frog[0], frog[1024], frog[2048]), (6, 59, 62, 63));
        // Statistics used throughout the literature.
        let normalisation = crate::data::Normalisation::of(&dataset.train);
        for (found, published) in normalisation.mean.iter().zip([0.4914, 0.4822, 0.4465]) {
            assert!((found - published).abs() < 1e-4, "{normalisation:?}");
        }
        for (found, published) in normalisation.std.iter().zip([0.2470, 0.2435, 0.2616]) {
            assert!((found - published).abs() < 1e-4, "{normalisation:?}");
        }
    }
}
