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
    Folder { dir, size, channels, limit: None, uses_validation: true }.load(None, &mut |_, _| ())
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
        let note = "Valid/ is not used: its name is not train, validation, val, valid, or test";
        assert_eq!(dataset.notes, [note]);
        save(&dir, "valid/cat/a.png", &grey(4, 0));
        save(&dir, "valid/dog/a.png", &grey(4, 0));
        assert_eq!(load(dir.path(), None, None).unwrap().notes, [note]);
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
        let folder = Folder { dir: dir.path(), size: None, channels, limit: None, uses_validation: true };
        folder.load(None, &mut |done, all| seen.push((done, all))).unwrap();
        let whole: Vec<_> = (1..=4).map(|done| (done, 4)).collect();
        // Grey files are looked at before they are read.
        assert_eq!(seen, if channels.is_none() { [whole.clone(), whole].concat() } else { whole });
    }
}

#[test]
fn a_limit_decodes_the_chosen_files_alone_and_chooses_as_it_does_among_images() {
    let dir = tempfile::tempdir().unwrap();
    for (class, first, images) in [("cat", 0, 9), ("dog", 100, 5)] {
        for number in 0..images {
            save(&dir, &format!("train/{class}/{number}.png"), &grey(4, first + number));
        }
    }
    let mut all = load(dir.path(), None, None).unwrap();
    all.limit_train(6).unwrap();
    let limited = || {
        Folder { dir: dir.path(), size: None, channels: None, limit: Some(6), uses_validation: true }
            .load(None, &mut |_, _| ())
    };
    let pixels = |dataset: &Dataset| -> Vec<(Vec<u8>, u16)> {
        dataset.train.pixels().map(|(image, label)| (image.to_vec(), label)).collect()
    };
    assert_eq!(pixels(&limited().unwrap()), pixels(&all));
    assert_eq!(limited().unwrap().train.images.len(), 6);
    // The first file of each class is chosen, the last is not.
    fs::write(dir.path().join("train/cat/8.png"), "text").unwrap();
    assert_eq!(pixels(&limited().unwrap()), pixels(&all));
    fs::write(dir.path().join("train/cat/0.png"), "text").unwrap();
    assert!(limited().unwrap_err().to_string().contains("cat/0.png"));
}

#[test]
fn images_that_do_not_fit_into_the_memory_are_not_decoded() {
    let dir = greys();
    // Its header is right, and nothing else.
    let path = dir.path().join("train/cat/b.png");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..40]).unwrap();
    let error = |size, free_bytes| {
        let folder =
            Folder { dir: dir.path(), size, channels: Some(Channels::Colour), limit: None, uses_validation: true };
        folder.load(Some(free_bytes), &mut |_, _| ()).unwrap_err().to_string()
    };
    let needed = 4 * 3 * 4096 * 4096;
    let expected = "its 4 images need 0.2 GB of memory, 0.2 GB are free: lower `limit`";
    assert!(error(Some(4096), needed - 1).contains(expected), "{}", error(Some(4096), needed - 1));
    assert!(error(None, 4 * 3 * 16 - 1).contains("its 4 images need"));
    assert!(error(None, 4 * 3 * 16).contains("b.png"), "now they are decoded");
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
fn a_validation_part_that_is_not_used_is_not_read() {
    let dir = greys();
    // A class is missing, a file holds text, and there are two parts.
    fs::create_dir_all(dir.path().join("val/cat")).unwrap();
    fs::write(dir.path().join("val/cat/x.png"), "text").unwrap();
    fs::create_dir(dir.path().join("valid")).unwrap();
    let folder = Folder { dir: dir.path(), size: None, channels: None, limit: None, uses_validation: false };
    let dataset = folder.load(None, &mut |_, _| ()).unwrap();
    assert!(dataset.validation.is_none() && dataset.validation_folder.is_none());
    assert_eq!(dataset.notes.len(), 2);
    assert!(dataset.notes[0].starts_with("val/ is not used: `data.validation` holds"), "{:?}", dataset.notes);
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
    for (bytes, reason) in [(&b"text"[..], "neither PNG nor JPEG"), (b"", "neither"), (&whole[..whole.len() / 2], "")] {
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
