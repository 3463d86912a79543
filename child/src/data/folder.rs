//! A folder of images: `train/<class>/*.png`, and the same under `validation/` (or `val/`, `valid/`) and `test/` if they
//! are there.
//!
//! Classes are the names of the folders under `train`, sorted; images are `.png`, `.jpg` or `.jpeg` files, sorted by
//! name. Files whose names begin with a dot and those that systems leave in folders are skipped, any other file is an
//! error: a picture in an unknown format must not go missing in silence. Transparency is dropped, and the orientation that a camera recorded is applied.

use std::fs;
use std::path::{Path, PathBuf};

use image::ImageDecoder;

use super::Dataset;
use super::decode::{Channels, LabelledFile, Reader, decoder, unreadable};
use crate::Error;

const EXTENSIONS: [&str; 3] = ["png", "jpg", "jpeg"];
/// Names of the validation part: torchvision's, and others that are common.
const VALIDATION: [&str; 3] = ["validation", "val", "valid"];
/// Files and folders that Windows, macOS and network drives leave in folders, in lower case.
const LEFT_BY_SYSTEMS: [&str; 7] =
    ["thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "@eadir", "icon\r"];

/// Loads the images under `dir`, which are brought to squares of `size` pixels a side (area-weighted linear
/// interpolation, without keeping the aspect ratio). Without `size` all must be of one size; without `channels` they
/// become grey if every file is. `progress` receives the number of files read so far, and of all, and begins again where
/// all files were looked at for their channels first.
///
/// # Errors
/// If a folder is missing or empty, there are two validation parts, the parts have different classes, or a file is not an
/// image, is truncated, or differs in size from the first.
pub(super) fn load(
    dir: &Path,
    size: Option<u32>,
    channels: Option<Channels>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Dataset, Error> {
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
    let train = files(&train, &class_names)?;
    let validation_folder = validation_folder(dir)?;
    let validation = validation_folder.map(|name| classed_files(&dir.join(name), &class_names)).transpose()?;
    let (test, mut notes) = test_files(&dir.join("test"), &class_names)?;
    notes.extend(unused_folders(dir)?);
    let all = || [Some(&train), validation.as_ref(), test.as_ref()].into_iter().flatten().flatten();
    let count = all().count();
    let channels = match channels {
        Some(channels) => channels,
        None => common_channels(all(), &mut |done| progress(done, count))?,
    };
    let mut reader = Reader::new(size, channels);
    let mut done = 0;
    let mut progress = || {
        done += 1;
        progress(done, count);
    };
    let train = reader.read_all(&train, &mut progress)?;
    let validation = validation.map(|files| reader.read_all(&files, &mut progress)).transpose()?;
    let test = test.map(|files| reader.read_all(&files, &mut progress)).transpose()?;
    let name = dir.file_name().map_or_else(|| dir.display().to_string(), |name| name.to_string_lossy().into_owned());
    let dataset = Dataset::new(&name, class_names, train, validation, test)?;
    let validation_folder = validation_folder.map(str::to_owned);
    Ok(Dataset { validation_folder, notes, resized: reader.resized(), ..dataset })
}

/// The name of the validation part, if there is one.
fn validation_folder(dir: &Path) -> Result<Option<&'static str>, Error> {
    let mut found = VALIDATION.into_iter().filter(|name| dir.join(name).exists());
    match (found.next(), found.next()) {
        // Where file names have no case, both may be one folder.
        (Some(first), Some(second)) => {
            let reason = format!("it has both {first}/ and {second}/; keep the one whose images validate");
            Err(folder_error(dir, reason))
        }
        (first, _) => Ok(first),
    }
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
    let name = |path: &PathBuf| Some(path.file_name()?.to_str()?.to_owned());
    let is_part = |name: &String| {
        let mut parts = VALIDATION.into_iter().chain(["train", "test"]);
        // Where file names have no case, both are one folder.
        parts.any(|part| name == part || name.eq_ignore_ascii_case(part) && dir.join(part).exists())
    };
    let folders = entries(dir)?.into_iter().filter(|path| path.is_dir());
    let unused = folders.filter_map(|path| name(&path)).filter(|name| !is_part(name));
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
mod tests {
    use image::{DynamicImage, GrayImage, RgbImage};
    use tempfile::TempDir;

    use super::*;
    use crate::graph::Shape;

    fn colour(side: u32, pixel: [u8; 3]) -> DynamicImage {
        RgbImage::from_pixel(side, side, pixel.into()).into()
    }

    fn grey(side: u32, value: u8) -> DynamicImage {
        GrayImage::from_pixel(side, side, [value].into()).into()
    }

    fn load(dir: &Path, size: Option<u32>, channels: Option<Channels>) -> Result<Dataset, Error> {
        super::load(dir, size, channels, &mut |_, _| ())
    }

    fn save(dir: &TempDir, name: &str, image: &DynamicImage) {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        image.save(path).unwrap();
    }

    /// Two classes of two grey images of 4x4 pixels.
    fn greys() -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (class, value) in [("dog", 30), ("cat", 10)] {
            save(&dir, &format!("train/{class}/b.png"), &grey(4, value + 1));
            save(&dir, &format!("train/{class}/a.png"), &grey(4, value));
        }
        dir
    }

    fn error(dir: &TempDir) -> String {
        load(dir.path(), None, None).unwrap_err().to_string()
    }

    #[test]
    fn folders_beside_the_parts_are_named() {
        let dir = greys();
        save(&dir, "Valid/cat/a.png", &grey(4, 0));
        save(&dir, "test/cat/a.png", &grey(4, 0));
        save(&dir, "test/dog/a.png", &grey(4, 0));
        fs::create_dir(dir.path().join("__MACOSX")).unwrap();
        let dataset = load(dir.path(), None, None).unwrap();
        // Unless file names have no case here.
        if !dir.path().join("valid").exists() {
            assert_eq!(dataset.notes, ["Valid/ is not used: its name is not train, validation, val, valid, or test"]);
        }
    }

    #[test]
    fn classes_and_images_are_sorted_by_name() {
        let dir = greys();
        fs::write(dir.path().join("train/.DS_Store"), "hidden").unwrap();
        let dataset = load(dir.path(), None, None).unwrap();
        assert_eq!(dataset.class_names, ["cat", "dog"]);
        assert_eq!(dataset.shape(), Shape::new(1, 4, 4));
        let first: Vec<_> = (0..4).map(|index| dataset.train.images.image(index)[0]).collect();
        assert_eq!(first, [10, 11, 30, 31]);
        assert_eq!(dataset.train.labels().collect::<Vec<_>>(), [0, 0, 1, 1]);
        assert!(dataset.validation.is_none() && dataset.test.is_none());
    }

    #[test]
    fn the_progress_counts_every_file() {
        let dir = greys();
        for channels in [None, Some(Channels::Grey)] {
            let mut seen = Vec::new();
            super::load(dir.path(), None, channels, &mut |done, all| seen.push((done, all))).unwrap();
            let whole: Vec<_> = (1..=4).map(|done| (done, 4)).collect();
            // Grey files are looked at before they are read.
            assert_eq!(seen, if channels.is_none() { [whole.clone(), whole].concat() } else { whole });
        }
    }

    #[test]
    fn one_coloured_file_makes_all_coloured_unless_set_otherwise() {
        let dir = greys();
        save(&dir, "test/cat/x.png", &colour(4, [1, 2, 3]));
        save(&dir, "test/dog/x.png", &grey(4, 9));
        let dataset = load(dir.path(), None, None).unwrap();
        let test = dataset.test.as_ref().unwrap();
        assert_eq!(dataset.shape(), Shape::new(3, 4, 4));
        assert_eq!((dataset.train.images.image(0), test.images.image(1)), (&[10; 48][..], &[9; 48][..]));
        assert_eq!(test.images.image(0)[..], [[1; 16], [2; 16], [3; 16]].concat());
        assert_eq!(load(dir.path(), None, Some(Channels::Grey)).unwrap().shape(), Shape::new(1, 4, 4));
    }

    #[test]
    fn images_of_several_sizes_need_a_size() {
        let dir = greys();
        save(&dir, "train/dog/c.png", &grey(9, 200));
        let error = error(&dir);
        assert!(error.contains("c.png is 9x9") && error.contains("4x4; set `size`"), "{error}");
        let dataset = load(dir.path(), Some(6), None).unwrap();
        assert_eq!(dataset.shape(), Shape::new(1, 6, 6));
        assert_eq!(dataset.train.images.image(4), [200; 36]);
    }

    #[test]
    fn a_validation_part_needs_the_classes_of_train() {
        let dir = greys();
        save(&dir, "validation/cat/x.png", &grey(4, 1));
        assert!(error(&dir).contains("the class dog of train is missing"));
        save(&dir, "validation/dog/x.png", &grey(4, 2));
        assert_eq!(load(dir.path(), None, None).unwrap().validation.unwrap().len(), 2);
        save(&dir, "validation/cow/x.png", &grey(4, 2));
        assert!(error(&dir).contains("the class cow is not among those of train"));
    }

    #[test]
    fn the_usual_names_of_validation_parts_are_known() {
        for name in VALIDATION {
            let dir = greys();
            for class in ["cat", "dog"] {
                save(&dir, &format!("{name}/{class}/x.png"), &grey(4, 1));
                save(&dir, &format!("test/{class}/x.png"), &grey(4, 2));
            }
            let dataset = load(dir.path(), None, None).unwrap();
            assert_eq!(dataset.validation.unwrap().len(), 2);
            assert_eq!(dataset.validation_folder.as_deref(), Some(name));
            // The test part is for nothing else.
            assert_eq!(dataset.test.unwrap().len(), 2);
        }
        let dir = greys();
        fs::create_dir_all(dir.path().join("val")).unwrap();
        assert!(error(&dir).contains("val: the class cat of train is missing"));
        fs::create_dir_all(dir.path().join("validation")).unwrap();
        assert!(error(&dir).contains("it has both validation/ and val/"));
    }

    #[test]
    fn a_test_part_without_labels_is_left_out_and_reported() {
        let dir = greys();
        save(&dir, "test/1.png", &grey(4, 1));
        let dataset = load(dir.path(), None, None).unwrap();
        assert!(dataset.test.is_none());
        assert!(dataset.notes[0].contains("test is not used: it has no folders of classes"), "{:?}", dataset.notes);
    }

    #[test]
    fn files_that_systems_leave_are_passed_over_and_a_folder_is_not_called_an_image() {
        let dir = greys();
        for name in ["train/cat/Thumbs.db", "train/desktop.ini", "train/dog/.DS_Store", "train/dog/._a.png"] {
            fs::write(dir.path().join(name), b"\xd0\xcf\x11\xe0").unwrap();
        }
        fs::create_dir_all(dir.path().join("train/__MACOSX/cat")).unwrap();
        let dataset = load(dir.path(), None, None).unwrap();
        assert_eq!((dataset.class_names.len(), dataset.train.len()), (2, 4));
        fs::create_dir_all(dir.path().join("train/cat/more.png")).unwrap();
        let error = error(&dir);
        assert!(error.contains("the folder ") && error.contains("cat/more.png: it lies in the folder"), "{error}");
        assert!(!error.contains("the image"), "{error}");
    }

    #[test]
    fn files_that_are_not_images_are_named() {
        let dir = greys();
        let path = dir.path().join("train/cat/c.png");
        let whole = fs::read(dir.path().join("train/cat/a.png")).unwrap();
        for (bytes, reason) in
            [(&b"text"[..], "neither PNG nor JPEG"), (b"", "neither"), (&whole[..whole.len() / 2], "")]
        {
            fs::write(&path, bytes).unwrap();
            let error = error(&dir);
            assert!(error.contains("train/cat/c.png: ") && error.contains(reason), "{error}");
        }
        fs::rename(&path, dir.path().join("train/cat/c.bmp")).unwrap();
        assert!(error(&dir).contains("c.bmp: only .png, .jpg and .jpeg"));
    }

    #[test]
    fn a_folder_of_another_layout_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(error(&dir).contains("train: it is not there"));
        let train = dir.path().join("train");
        fs::write(&train, "a file").unwrap();
        assert!(error(&dir).contains("train: it is not there"));
        fs::remove_file(&train).unwrap();
        fs::create_dir_all(train.join("cat")).unwrap();
        assert!(error(&dir).contains("it has 1 folders of classes"));
        fs::create_dir(train.join("dog")).unwrap();
        assert!(error(&dir).contains("cat: it holds no image"));
        fs::write(train.join("notes.txt"), "a file").unwrap();
        assert!(error(&dir).contains("notes.txt: it is a file"));
    }
}
