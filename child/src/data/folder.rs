//! A folder of images: `train/<class>/*.png`, and the same under `validation/` (or `val/`, `valid/`) and `test/` if they
//! are there.
//!
//! Classes are the names of the folders under `train`, sorted; images are `.png`, `.jpg` or `.jpeg` files, sorted by
//! name. Files whose names begin with a dot and those that systems leave in folders are skipped, any other file is an
//! error: a picture in an unknown format must not go missing in silence. Transparency is dropped, and the orientation
//! that a camera recorded is applied.

use std::fs;
use std::path::{Path, PathBuf};

use image::ImageDecoder;

use super::Dataset;
use super::decode::{Channels, LabelledFile, Reader, decoder, pixels, unreadable};
use super::stratify::limited;
use crate::Error;

const EXTENSIONS: [&str; 3] = ["png", "jpg", "jpeg"];
/// Names of the validation part: torchvision's, and others that are common.
const VALIDATION: [&str; 3] = ["validation", "val", "valid"];
/// Files and folders that Windows, macOS and network drives leave in folders, in lower case.
const LEFT_BY_SYSTEMS: [&str; 7] =
    ["thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "@eadir", "icon\r"];

/// A folder of images, and what is read of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Folder<'a> {
    pub(super) dir: &'a Path,
    /// Side in pixels of the squares to which images are brought (area-weighted linear interpolation, without keeping the
    /// aspect ratio); without it all must be of one size.
    pub(super) size: Option<u32>,
    /// Channels to which images are brought; without them they become grey if every file that is read is.
    pub(super) channels: Option<Channels>,
    /// Number of training images that are read: see [`limited`].
    pub(super) limit: Option<usize>,
    /// Whether the validation part is read, where there is one.
    pub(super) uses_validation: bool,
}

impl Folder<'_> {
    /// Loads the images. `progress` receives the number of files read so far, and of all, and begins again where all
    /// files were looked at for their channels first. `free_bytes` is the memory that they may take, if it is known.
    ///
    /// # Errors
    /// If a folder is missing or empty, there are two validation parts, the parts have different classes, the images do
    /// not fit into the memory, or a file is not an image, is truncated, or differs in size from the first.
    pub(super) fn load(
        &self,
        free_bytes: Option<u64>,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Dataset, Error> {
        let Self { dir, size, channels, limit, uses_validation } = *self;
        let train = dir.join("train");
        if !train.is_dir() {
            let reason = "it is not there; images are expected in train/<class>/, one folder a class";
            return Err(folder_error(&train, reason));
        }
        let class_names = class_names(&train)?;
        if class_names.len() < 2 || class_names.len() > usize::from(u16::MAX) {
            let reason = format!("it has {} folders of classes; 2 to 65,535 are possible", class_names.len());
            return Err(folder_error(&train, reason));
        }
        let mut train = files(&train, &class_names)?;
        if let Some(limit) = limit {
            let kept = limited(train.iter().map(|(_, label)| *label), class_names.len(), limit)?;
            train = kept.into_iter().map(|position| std::mem::take(&mut train[position])).collect();
        }
        let (test, mut notes) = test_files(&dir.join("test"), &class_names)?;
        notes.extend(unused_folders(dir)?);
        let mut validation_folders: Vec<_> = VALIDATION.into_iter().filter(|name| dir.join(name).exists()).collect();
        if !uses_validation {
            let note = |name| format!("{name}/ is not used: `data.validation` holds a part of train/ out in its place");
            notes.extend(validation_folders.drain(..).map(note));
        }
        let validation_folder = match validation_folders[..] {
            [] => None,
            [name] => Some(name),
            [first, second, ..] => {
                let reason = format!("it has both {first}/ and {second}/; keep the one whose images validate");
                return Err(folder_error(dir, reason));
            }
        };
        let validation = validation_folder.map(|name| classed_files(&dir.join(name), &class_names)).transpose()?;
        let all = || [Some(&train), validation.as_ref(), test.as_ref()].into_iter().flatten().flatten();
        let count = all().count();
        let channels = match channels {
            Some(channels) => channels,
            None => common_channels(all(), &mut |done| progress(done, count))?,
        };
        if let Some(free_bytes) = free_bytes {
            let pixels = size.map_or_else(|| pixels(&train[0].0), |size| Ok(u64::from(size).pow(2)))?;
            check_memory(dir, count, pixels.saturating_mul(channels as u64), free_bytes)?;
        }
        let mut reader = Reader::new(size, channels);
        let mut done = 0;
        let mut progress = || {
            done += 1;
            progress(done, count);
        };
        let train = reader.read_all(&train, &mut progress)?;
        let validation = validation.map(|files| reader.read_all(&files, &mut progress)).transpose()?;
        let test = test.map(|files| reader.read_all(&files, &mut progress)).transpose()?;
        let name =
            dir.file_name().map_or_else(|| dir.display().to_string(), |name| name.to_string_lossy().into_owned());
        let dataset = Dataset::new(&name, class_names, train, validation, test)?;
        let validation_folder = validation_folder.map(str::to_owned);
        Ok(Dataset { validation_folder, notes, resized: reader.resized(), from_files: true, ..dataset })
    }
}

/// Checks that images of so many bytes each fit into the free memory.
fn check_memory(dir: &Path, images: usize, image_bytes: u64, free_bytes: u64) -> Result<(), Error> {
    let bytes = image_bytes.saturating_mul(images as u64);
    if bytes <= free_bytes {
        return Ok(());
    }
    let [needed, free] = [bytes, free_bytes].map(|bytes| bytes as f64 / 1e9);
    let reason = format!(
        "its {images} images need {needed:.1} GB of memory, {free:.1} GB are free: lower `limit` (training images) or \
         `size` (pixels a side)"
    );
    Err(folder_error(dir, reason))
}

/// Files of the test part, if it has any with labels, and a note if it has others.
fn test_files(part: &Path, class_names: &[String]) -> Result<(Option<Vec<LabelledFile>>, Vec<String>), Error> {
    if !part.exists() {
        return Ok((None, Vec::new()));
    }
    if part.is_dir() && entries(part)?.iter().all(|path| !path.is_dir()) {
        let note =
            format!("{} is not used: it has no folders of classes, so its images have no labels", part.display());
        return Ok((None, vec![note]));
    }
    Ok((Some(classed_files(part, class_names)?), Vec::new()))
}

/// A note for each folder beside the parts, such as one of them in capitals.
fn unused_folders(dir: &Path) -> Result<Vec<String>, Error> {
    let entries = entries(dir)?;
    let name = |path: &PathBuf| Some(path.file_name()?.to_str()?.to_owned());
    let is_part = |name: &String| {
        let is_listed = |part: &str| entries.iter().any(|path| path.file_name() == Some(part.as_ref()));
        let mut parts = VALIDATION.into_iter().chain(["train", "test"]);
        // Where file names have no case, a part that is there and not listed is this folder.
        let is_same = |part: &str| name.eq_ignore_ascii_case(part) && dir.join(part).exists() && !is_listed(part);
        parts.any(|part| name == part || is_same(part))
    };
    let folders = entries.iter().filter(|path| path.is_dir());
    let unused = folders.filter_map(name).filter(|name| !is_part(name));
    Ok(unused
        .map(|name| format!("{name}/ is not used: its name is not train, {}, or test", VALIDATION.join(", ")))
        .collect())
}

fn folder_error(path: &Path, reason: impl std::fmt::Display) -> Error {
    Error::new(format_args!("the image folder {}", path.display()), reason)
}

/// Files and folders in a folder, sorted, without hidden ones and those of systems.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io("read", folder))? {
        let entry = entry.map_err(Error::io("read", folder))?;
        let name = entry.file_name().to_string_lossy().to_lowercase();
        if !name.starts_with('.') && !LEFT_BY_SYSTEMS.contains(&name.as_str()) {
            entries.push(entry.path());
        }
    }
    entries.sort_unstable();
    Ok(entries)
}

/// Names of the folders in a part, sorted.
fn class_names(part: &Path) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for path in entries(part)? {
        if !path.is_dir() {
            return Err(folder_error(&path, "it is a file; only folders of classes are expected here"));
        }
        let name = path.file_name().and_then(|name| name.to_str());
        names.push(name.ok_or_else(|| folder_error(&path, "the name of a class must be UTF-8"))?.to_owned());
    }
    Ok(names)
}

/// Files of a part with their labels.
fn files(part: &Path, class_names: &[String]) -> Result<Vec<LabelledFile>, Error> {
    let mut files = Vec::new();
    for (class, label) in class_names.iter().zip(0..=u16::MAX) {
        let folder = part.join(class);
        let paths = entries(&folder)?;
        if paths.is_empty() {
            let reason = "it holds no image; add .png, .jpg or .jpeg files or remove the class";
            return Err(folder_error(&folder, reason));
        }
        for path in paths {
            if path.is_dir() {
                let reason =
                    "it lies in the folder of a class, which holds images only; move its images up or remove it";
                return Err(Error::new(format_args!("the folder {}", path.display()), reason));
            }
            let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
            if !EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension)) {
                return Err(unreadable(&path, "only .png, .jpg and .jpeg files are read; convert or remove it"));
            }
            files.push((path, label));
        }
    }
    Ok(files)
}

/// Files of a part that must have the classes of train.
fn classed_files(part: &Path, class_names: &[String]) -> Result<Vec<LabelledFile>, Error> {
    let found = self::class_names(part)?;
    if let Some(class) = found.iter().find(|class| !class_names.contains(class)) {
        return Err(folder_error(part, format!("the class {class} is not among those of train")));
    }
    if let Some(class) = class_names.iter().find(|class| !found.contains(class)) {
        return Err(folder_error(part, format!("the class {class} of train is missing")));
    }
    files(part, class_names)
}

/// Grey if every file is.
fn common_channels<'a>(
    files: impl Iterator<Item = &'a LabelledFile>,
    progress: &mut dyn FnMut(usize),
) -> Result<Channels, Error> {
    for (done, (path, _)) in (1..).zip(files) {
        let bytes = fs::read(path).map_err(Error::io("read", path))?;
        if decoder(path, &bytes)?.color_type().has_color() {
            return Ok(Channels::Colour);
        }
        progress(done);
    }
    Ok(Channels::Grey)
}

#[cfg(test)]
mod tests;
