//! A run folder is taken once, opened by one, and told apart from others.

use super::*;

#[test]
fn a_folder_is_taken_once_and_opened_by_one() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("run");
    let experiment = Experiment::default();
    let folder = RunFolder::create(&path, &experiment).unwrap();
    let scratch = RunFolder::scratch(folder.path());
    std::fs::write(scratch.join("0.onnx"), "being measured").unwrap();
    assert!(matches!(RunFolder::open(&path), Err(RunError::Locked(_))));
    assert!(scratch.join("0.onnx").exists(), "who is refused leaves it alone");
    drop(folder);
    assert!(!scratch.exists());
    assert!(matches!(RunFolder::create(&path, &experiment), Err(RunError::Taken(_))));
    std::fs::create_dir(&scratch).unwrap();
    std::fs::write(scratch.join("1.onnx"), "left behind by a kill").unwrap();
    std::fs::write(path.join("models/1.onnx.tmp"), "half").unwrap();
    let (folder, found) = RunFolder::open(&path).unwrap();
    assert_eq!(std::fs::read_dir(folder.models()).unwrap().count(), 0);
    assert_eq!((found, std::fs::read_dir(&scratch).unwrap().count()), (experiment.clone(), 0));
    drop(folder);
    assert!(matches!(RunFolder::open(place.path()), Err(RunError::NotARun(_))));
    assert!(matches!(RunFolder::create(place.path(), &experiment), Err(RunError::NotEmpty { .. })));
    std::fs::remove_file(path.join("config.toml")).unwrap();
    assert!(RunFolder::create(&path, &experiment).is_ok(), "one that was killed while it began");
}

#[test]
fn differences_are_named_by_key() {
    let (mut there, mut here) = (Experiment::default(), Experiment::default());
    (here.search.evaluations, here.search.remeasure) = (999, 9);
    assert_eq!(differences(&there, &here).unwrap(), Vec::<String>::new());
    there.search.seed = 1;
    there.training.momentum = 0.5;
    let found = differences(&there, &here).unwrap();
    assert_eq!(found, ["search.seed (1 there, 0 here)", "training.momentum (0.5 there, 0.9 here)"]);
}
