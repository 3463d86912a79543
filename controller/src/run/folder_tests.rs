//! A run folder is taken once, opened by one process, and distinguished from other folders.

use super::*;

fn rejection<T>(result: anyhow::Result<T>) -> String {
    result.map(drop).unwrap_err().to_string()
}

#[test]
fn a_folder_is_taken_once_and_opened_by_one() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("run");
    let experiment = Experiment::default();
    let folder = RunFolder::create(&path, &experiment).unwrap();
    let scratch = folder.join(SCRATCH);
    std::fs::write(scratch.join("0.onnx"), "being measured").unwrap();
    assert!(rejection(RunFolder::open(&path)).contains("another process is searching"));
    assert!(scratch.join("0.onnx").exists(), "a rejected process leaves it alone");
    drop(folder);
    assert!(!scratch.exists());
    assert!(rejection(RunFolder::create(&path, &experiment)).contains("holds a run already"));
    std::fs::create_dir(&scratch).unwrap();
    std::fs::write(scratch.join("1.onnx"), "left behind by a kill").unwrap();
    std::fs::write(path.join("models/1.onnx.tmp"), "half").unwrap();
    let (folder, found) = RunFolder::open(&path).unwrap();
    assert_eq!(std::fs::read_dir(folder.join(MODELS)).unwrap().count(), 0);
    assert_eq!((found, std::fs::read_dir(&scratch).unwrap().count()), (experiment.clone().of_begun_run(), 0));
    drop(folder);
    assert!(rejection(RunFolder::open(place.path())).contains("is not a run folder"));
    assert!(rejection(RunFolder::create(place.path(), &experiment)).contains("holds something else already (run)"));
    std::fs::remove_file(path.join("config.toml")).unwrap();
    assert!(RunFolder::create(&path, &experiment).is_ok(), "one that was killed while it began");
}

#[test]
fn differences_are_named_by_key() {
    let (mut there, mut here) = (Experiment::default(), Experiment::default());
    (here.search.evaluations, here.search.remeasure) = (Some(999), 9);
    assert_eq!(differences(&there, &here).unwrap(), Vec::<String>::new());
    there.search.seed = 1;
    there.training.momentum = 0.5;
    let found = differences(&there, &here).unwrap();
    let expected = [
        "search.seed (1 there, 0 here): other networks would be proposed",
        "training.momentum (0.5 there, 0.9 here): accuracies could not be compared with those before",
    ];
    assert_eq!(found, expected);
}

#[test]
fn patience_logins_and_places_may_differ_and_what_changes_a_result_may_not() {
    let board = "[devices.b]\nkind = 'command'\ncommand = ['python3', '/a/run.py']\nhost = 'pi'\nuser = 'me'\n\
                 meter = { kind = 'stream', command = ['read'], columns = { power = { column = 1, unit = 'w' } } }\n";
    let read = |set: &[&str]| {
        let set: Vec<String> = set.iter().map(|set| (*set).to_owned()).collect();
        Experiment::parse(board, "x", &set).unwrap()
    };
    let found = |set: &str| differences(&read(&[]), &read(&[set])).unwrap();
    for free in [
        "search.trainers=3",
        "training.checkpoint_every=5",
        "devices.b.patience_s=900",
        "devices.b.host=10.0.0.9",
        "devices.b.user=you",
        "devices.b.work_folder=elsewhere",
        "devices.b.meter.command=[\"other\", \"--port\", \"1\"]",
        "devices.b.command=[\"/usr/bin/python3\", \"/b/run.py\"]",
    ] {
        assert_eq!(found(free), Vec::<String>::new(), "{free}");
    }
    let set = |devices: &str| read(&["training.backend=tch", devices]);
    let found_of = |there: &str, here: &str| differences(&set(there), &set(here)).unwrap();
    let [first, both] = ["training.devices=[\"cuda:0\"]", "training.devices=[\"cuda:0\", \"cuda:1\"]"];
    assert_eq!(found_of(first, both), Vec::<String>::new());
    assert!(found_of(first, "training.devices=[\"cpu\"]")[0].contains("accuracies could not be compared"));
    for changing in [
        "search.seed=7",
        "devices.b.command=[\"python3\", \"/a/other.py\"]",
        "devices.b.meter={kind = \"none\"}",
        "devices.b.energy.subtract_idle=true",
        "measuring.min_runs=7",
    ] {
        let found = found(changing);
        assert!(
            found[0].contains(" there, ") && found[0].contains("would be proposed") || found[0].contains("compared"),
            "{found:?}"
        );
    }
}

#[test]
fn a_reserved_folder_is_of_one_process_and_goes_unless_a_run_begins_in_it() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("runs/quickstart");
    let reserved = [(); 3].map(|()| Reserved::new(&path).unwrap());
    let names = reserved.each_ref().map(|one| one.path().file_name().unwrap().to_str().unwrap().to_owned());
    assert_eq!(names, ["quickstart", "quickstart-2", "quickstart-3"]);
    let second = reserved[1].path().to_owned();
    drop(RunFolder::create(&second, &Experiment::default()).unwrap());
    drop(reserved);
    assert!(!path.exists() && second.join(CONFIG).is_file());
    std::fs::remove_dir_all(&second).unwrap();
    drop(Reserved::new(&path).unwrap());
    assert!(path.parent().is_some_and(Path::exists), "it was there before");
    std::fs::remove_dir(path.parent().unwrap()).unwrap();
    drop(Reserved::new(&path).unwrap());
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "nothing is left behind");
}
