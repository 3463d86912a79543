//! CIFAR-10: 50,000 training and 10,000 test images of 32×32 pixels in ten classes.
//!
//! A. Krizhevsky (2009), *Learning Multiple Layers of Features from Tiny Images*. The binary version is described at
//! <https://www.cs.toronto.edu/~kriz/cifar.html>: a record is the label, then the red, green and blue planes.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use super::{Dataset, Images, download};
use crate::Error;
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
/// Limit on the unpacked bytes of the archive, which has 184 million.
const MOST_UNPACKED: u64 = 256 << 20;
const TRAIN_FILES: usize = 5;
const RECORDS_PER_FILE: usize = 10_000;
const SHAPE: Shape = Shape::new(3, 32, 32);
const RECORD_BYTES: usize = 1 + SHAPE.elements();
const CLASS_NAMES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// Loads CIFAR-10 from `dir`, which is the folder of the `.bin` files itself, holds that folder
/// (`cifar-10-batches-bin`), or holds the archive (`cifar-10-binary.tar.gz`, which is read as it is, unless all of the
/// files are there).
///
/// # Errors
/// If it is missing, or a file is missing, of another size, or has a label without a class.
pub(super) fn load(dir: &Path) -> Result<Dataset, Error> {
    load_files(dir, RECORDS_PER_FILE)
}

/// Downloads the archive into `dir`, which is created if necessary, and checks it against its published MD5. Gives the
/// path of the archive, which a data set of `dir` then finds. An archive that is already there and whole is kept.
///
/// `progress` receives the bytes so far, and their total if the server sends it.
///
/// # Errors
/// If the transfer fails or the checksum differs; then no file is left behind.
pub fn download(dir: &Path, progress: &mut dyn FnMut(u64, Option<u64>)) -> Result<PathBuf, Error> {
    std::fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
    let archive = dir.join(ARCHIVE);
    download::fetch(&download::agent(), URL, MD5, &archive, progress)?;
    Ok(archive)
}

/// [`load`] for files of any number of records.
fn load_files(dir: &Path, records: usize) -> Result<Dataset, Error> {
    let mut contents = Contents::new(records);
    let nested = dir.join(FOLDER);
    let archive = dir.join(ARCHIVE);
    let folders = [dir, &nested];
    let is_there = |folder: &Path, file: &&str| folder.join(file).is_file();
    let whole = folders.into_iter().find(|folder| FILES.iter().all(|file| is_there(folder, file)));
    // A folder that was unpacked in part does not hide the archive; without one, reading it names the missing file.
    let in_part = || folders.into_iter().find(|folder| FILES.iter().any(|file| is_there(folder, file)));
    if let Some(folder) = whole.or_else(|| in_part().filter(|_| !archive.is_file())) {
        for (number, file) in FILES.iter().enumerate() {
            let path = folder.join(file);
            let mut reader = File::open(&path).map_err(Error::io("read", &path))?;
            let size = reader.metadata().map_err(Error::io("read", &path))?.len();
            let name = path.display().to_string();
            let mut bytes = contents.room_for(&name, size)?;
            reader.read_exact(&mut bytes).map_err(Error::io("read", &path))?;
            contents.put(number, &name, &bytes)?;
        }
    } else if archive.is_file() {
        read_archive(&archive, &mut contents)?;
    } else {
        let reason = format!("expected the folder {FOLDER} or the archive {ARCHIVE} there; the archive is at {URL}");
        return Err(Error::new(format_args!("no CIFAR-10 in {}", dir.display()), reason));
    }
    let (train, test) = contents.images()?;
    Dataset::new("cifar10", CLASS_NAMES.map(str::to_owned).to_vec(), train, None, Some(test))
}

/// Reads the files as they lie in the archive, in any order.
fn read_archive(path: &Path, contents: &mut Contents) -> Result<(), Error> {
    let broken = |reason: String| {
        Error::new(format_args!("the archive {}", path.display()), reason + "; delete it and download it again")
    };
    let file = File::open(path).map_err(Error::io("read", path))?;
    let unpacked = Bounded { source: GzDecoder::new(BufReader::new(file)), left: MOST_UNPACKED };
    let mut archive = tar::Archive::new(unpacked);
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

/// A reader that fails after a number of bytes: a few kilobytes can unpack to any number, and a tar header can demand all
/// of it in memory.
struct Bounded<R> {
    source: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.source.read(buffer)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => return Err(std::io::Error::other(format!("it unpacks to more than {} MiB", MOST_UNPACKED >> 20))),
        }
        Ok(read)
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

    /// A buffer for a file, if it has the right size.
    fn room_for(&self, name: &str, size: u64) -> Result<Vec<u8>, Error> {
        let bytes = self.records_per_file * RECORD_BYTES;
        if size != bytes as u64 {
            let reason =
                format!("expected {bytes} bytes, found {size}; it is incomplete or not CIFAR-10's binary version");
            return Err(Error::new(name, reason));
        }
        Ok(vec![0; bytes])
    }

    /// Stores the records of a file in their place.
    fn put(&mut self, number: usize, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let first = number * self.records_per_file;
        let images = self.data.chunks_exact_mut(SHAPE.elements()).zip(&mut self.labels).skip(first);
        for ((nth, record), (image, label)) in bytes.chunks_exact(RECORD_BYTES).enumerate().zip(images) {
            let classes = CLASS_NAMES.len();
            if usize::from(record[0]) >= classes {
                let reason = format!(
                    "record {} (byte {}) has the label {}, but there are {classes} classes from 0",
                    nth + 1,
                    nth * RECORD_BYTES,
                    record[0]
                );
                return Err(Error::new(name, reason));
            }
            *label = u16::from(record[0]);
            image.copy_from_slice(&record[1..]);
        }
        Ok(())
    }

    fn images(mut self) -> Result<(Images, Images), Error> {
        let train = TRAIN_FILES * self.records_per_file;
        let test_data = self.data.split_off(train * SHAPE.elements());
        let test_labels = self.labels.split_off(train);
        let test = Images::new(SHAPE, u8::MAX, test_data, test_labels)?;
        Ok((Images::new(SHAPE, u8::MAX, self.data, self.labels)?, test))
    }
}

#[cfg(test)]
mod tests;
