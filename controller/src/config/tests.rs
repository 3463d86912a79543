//! The experiment files that ship are what they say.

use super::*;

fn shipped() -> Vec<std::path::PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments");
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn every_shipped_experiment_is_read_and_written() {
    for path in shipped() {
        let experiment = Experiment::read(&path, &[]).unwrap();
        let text = experiment.to_toml().unwrap();
        assert_eq!(Experiment::parse(&text, "written", &[]).unwrap(), experiment, "{}", path.display());
    }
}

#[test]
fn the_quickstart_documents_every_key() {
    let table = toml::Table::try_from(Experiment::default()).unwrap();
    fn keys(table: &toml::Table, found: &mut Vec<String>) {
        for (key, value) in table {
            found.push(key.clone());
            if let toml::Value::Table(inner) = value {
                keys(inner, found);
            }
        }
    }
    let mut found = Vec::new();
    keys(&table, &mut found);
    for key in found {
        assert!(QUICKSTART.contains(&key), "`{key}` is not in experiments/quickstart.toml");
    }
}

#[test]
fn contradictions_are_refused() {
    for (set, message) in [
        ("search.evaluations=0", "at least one evaluation"),
        ("search.batch=0", "at least 1"),
        ("search.objectives=[\"error\", \"error\"]", "`error` is named twice"),
        ("search.objectives=[\"error\"]", "2 to 5"),
        ("training.momentum=1", "training.momentum = 1 is out of range"),
        ("space.operations=[\"none\"]", "nothing to search"),
        ("space.operations=[\"nor_conv_9x9\"]", "nor_conv_9x9"),
        ("space.operatoins=[\"none\"]", "did you mean `operations`?"),
        ("measuring.confidence_interval=2", "above 0 and below 1"),
    ] {
        let error = Experiment::quickstart(&[set.to_owned()]).unwrap_err().to_string();
        assert!(error.contains(message), "{set}: {error}");
    }
}

#[test]
fn the_place_of_an_unknown_key_is_told_in_every_section() {
    for (text, place) in [
        ("[space]\nname = 'nasbench201'\nchanels = 8\n", "x:3:1: "),
        ("[strategy]\nname = 'evolution'\n# crossovr\ncrossovr = 1\n", "x:4:1: "),
        ("[devices.host]\nkind = 'host'\n  thread = 2\n", "x:3:3: "),
        ("[data]\nnam = 'digits'\n", "x:2:1: "),
        ("[training]\nepoch = 3\n", "x:2:1: "),
    ] {
        let error = Experiment::parse(text, "x", &[]).unwrap_err().to_string();
        assert!(error.starts_with(place) && error.contains("did you mean"), "{text}: {error}");
    }
}

#[test]
fn a_key_of_a_section_that_the_file_leaves_out_can_be_set() {
    let set = |text: &str, key: &str| Experiment::parse(text, "x", &[key.to_owned()]).unwrap();
    assert_eq!(set("", "space.channels=8").space.build().unwrap().name(), "nasbench201");
    let evolution = Experiment::quickstart(&["strategy.name=evolution".to_owned()]).unwrap();
    assert_eq!(evolution.strategy.name(), "evolution");
    let same = Experiment::quickstart(&["space.name=nasbench201".to_owned()]).unwrap();
    assert_eq!(same.space, Experiment::quickstart(&[]).unwrap().space, "the same name keeps its settings");
    let mobile = Experiment::quickstart(&["space.name=mobile".to_owned()]).unwrap();
    assert_eq!(mobile.space.build().unwrap().name(), "mobile");
}
