//! The experiment files that ship are what they say.

mod damage;

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
    let table = table::of(&Experiment::default()).unwrap();
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
        ("training.devices=[\"gpu\"]", "unknown device \"gpu\": write \"cpu\", or \"cuda:0\""),
        ("training.devices=[\"cuda:0\"]", "the backend `native` takes only \"cpu\""),
        ("training.precision=bfloat16", "the backend `native` computes in float32 alone"),
        ("training.precision=float16", "unknown variant `float16`, expected `float32` or `bfloat16`"),
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
fn errors_name_the_place_of_an_unknown_key_in_every_section() {
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

#[test]
fn the_order_of_overrides_does_not_matter() {
    let set = |overrides: &[&str]| {
        let overrides: Vec<String> = overrides.iter().map(|given| (*given).to_owned()).collect();
        Experiment::quickstart(&overrides).unwrap()
    };
    for [first, second] in [
        ["space.blocks=2", "space.name=nasnet"],
        ["strategy.crossover=0.25", "strategy.name=evolution"],
        ["devices.host.meter.period_ms=50", "devices.host.meter.kind=rapl"],
    ] {
        assert_eq!(set(&[first, second]), set(&[second, first]), "{first} {second}");
        assert_ne!(set(&[first, second]), set(&[second]), "{first} is not lost");
    }
}

#[test]
fn an_override_supplies_a_key_that_the_file_lacks() {
    let board = "[devices.pi]\nkind = 'jetson'\nuser = 'me'\n";
    let read = |overrides: &[&str]| {
        let overrides: Vec<String> = overrides.iter().map(|given| (*given).to_owned()).collect();
        Experiment::parse(board, "x", &overrides).map_err(|error| error.to_string())
    };
    let whole = Experiment::parse(&format!("{board}host = 'pi'\n"), "x", &[]).unwrap();
    assert_eq!(read(&["devices.pi.host=pi"]).unwrap(), whole);
    let set = read(&["strategy.update.learning_rate=0.5", "devices.pi.host=pi", "search.seed=3"]).unwrap();
    assert_eq!(set.search.seed, 3);
    let error = read(&["devices.pi.host=3"]).unwrap_err();
    assert!(error.starts_with("--set devices.pi.host=3: invalid type: integer `3`"), "{error}");
    let error = read(&["search.seed=3"]).unwrap_err();
    assert!(error.starts_with("x:1:10: missing field `host` in [devices.pi]"), "{error}");
}

#[test]
fn errors_name_the_place_of_a_wrong_value_in_every_section() {
    let board = "[devices.pi]\nkind = 'jetson'\nhost = 'pi'\nuser = 'me'\n";
    for (text, wanted) in [
        (format!("{board}window_s = 'ten'\n"), "x:5:12: invalid type: string \"ten\", expected a number"),
        (format!("{board}tries = -1\n"), "x:5:9: invalid value: integer `-1`, expected a whole number, 0 or above"),
        (format!("{board}precision = 'fp8'\n"), "x:5:13: unknown variant `fp8`"),
        (format!("{board}idle_s = -2\n"), "x:5:10: -2 must be between 0 and 86400 s"),
        (format!("{board}timeout_s = 0\n"), "x:5:13: devices.pi.timeout_s = 0 must be 1 to 86400"),
        (
            "[devices.b]\nkind = 'jetson'\nuser = 'u'\n".to_owned(),
            "x:1:10: missing field `host` in [devices.b]: expected a text in quotes",
        ),
        (
            "[devices.b]\nhost = 'pi'\n".to_owned(),
            "x:1:10: missing field `kind` in [devices.b]: expected one of `host`, `jetson`, `openvino`, `command`",
        ),
        ("[replay]\n".to_owned(), "x:1:2: missing field `log` in [replay]: expected a text in quotes"),
        ("# a\n[devices.b]\nkind = 'hots'\n".to_owned(), "x:3:8: unknown variant `hots`"),
        ("[devices.b]\nkind = 'host'\nthreads = true\n".to_owned(), "x:3:11: invalid type: boolean `true`"),
        (
            "[devices.b]\nkind = 'host'\nmeter = { kind = 'rapl', period_ms = 'x' }\n".to_owned(),
            "x:3:38: invalid type: string \"x\"",
        ),
        ("[devices.b]\nkind = 'host'\nenergy = { window_s = -1 }\n".to_owned(), "x:3:23: -1 must be between"),
        (
            "[devices.b]\nkind = 'openvino'\ndevice = 'CPU'\nuser = 'me'\n".to_owned(),
            "x:1:10: devices.b: `user` belongs to a login on another machine",
        ),
        ("[space]\nname = 'nasbench201'\ncells = 'few'\n".to_owned(), "x:3:9: invalid type: string \"few\""),
        ("[search]\nseed = 3\nbatch = 0\n".to_owned(), "x:3:9: search.batch = 0: it must be at least 1"),
        ("[input]\nclasses = 2\nshape = [3, 0, 1]\n".to_owned(), "x:3:9: input.shape = [3, 0, 1] must be"),
        ("[reward]\nimprovement = -1.0\n".to_owned(), "x:2:15: `reward.improvement` is -1"),
        (
            "[strategy]\nname = 'evolution'\ncrossover = 1.5\n".to_owned(),
            "x:3:13: strategy.crossover = 1.5: it must be a share from 0 to 1",
        ),
        (
            "[strategy.update]\nlearning_rate = nan\n[strategy]\nname = 'model-based'\n".to_owned(),
            "x:2:17: strategy.update.learning_rate = NaN is out of its range",
        ),
        ("input = []\n".to_owned(), "x:1:9: invalid type: a list, expected a section"),
        ("[measuring]\nwarm_up_ms = 86400001\n".to_owned(), "x:2:14: measuring.warm_up_ms = 86400001 must"),
    ] {
        let error = Experiment::parse(&text, "x", &[]).unwrap_err().to_string();
        assert!(error.starts_with(wanted), "{text}: {error}");
    }
    // An override has no place in the file, also where the file has its key.
    let error =
        Experiment::parse("[search]\nbatch = 3\n", "x", &["search.batch=0".to_owned()]).unwrap_err().to_string();
    assert!(error.starts_with("search.batch = 0"), "{error}");
}

#[test]
fn secrets_are_not_asked_for_when_a_file_is_read() {
    let text =
        "[devices.pi]\nkind = 'jetson'\nhost = 'pi'\nuser = 'me'\npassword_variable = 'NO_SUCH_VARIABLE_OF_OURS'\n";
    assert!(Experiment::parse(text, "x", &[]).is_ok());
}

#[test]
fn the_nearest_key_of_every_kind_of_device_is_suggested() {
    let jetson = "[devices.pi]\nkind = 'jetson'\nhost = 'pi'\nuser = 'me'\n";
    let openvino = "[devices.ncs]\nkind = 'openvino'\ndevice = 'CPU'\n";
    for (text, place, nearest) in [
        (format!("{jetson}windo_s = 1\n"), "x:5:1: ", "window_s"),
        (format!("{jetson}knwon_hosts = 'a'\n"), "x:5:1: ", "known_hosts"),
        (format!("{jetson}trtexc = 'a'\n"), "x:5:1: ", "trtexec"),
        (format!("{openvino}hots = 'a'\n"), "x:4:1: ", "host"),
        (format!("{openvino}thread = 1\n"), "x:4:1: ", "threads"),
        ("[devices.a]\nkind = 'host'\nmetre = 1\n".to_owned(), "x:3:1: ", "meter"),
    ] {
        let error = Experiment::parse(&text, "x", &[]).unwrap_err().to_string();
        assert!(error.starts_with(place) && error.contains(&format!("did you mean `{nearest}`?")), "{text}: {error}");
    }
}

#[test]
fn an_unknown_training_device_is_an_error_with_its_place_and_the_possible_names() {
    let text = "[training]\nbackend = 'tch'\ndevices = ['cuda:0', 'cuda1']\n";
    let error = Experiment::parse(text, "x", &[]).unwrap_err().to_string();
    assert!(error.starts_with("x:3:") && error.contains("\"cuda1\": write \"cpu\", or \"cuda:0\""), "{error}");
}

/// Experiments as earlier versions wrote them into run folders: read and written they are the same, and so is their
/// fingerprint, by which a run folder knows its experiment.
#[test]
fn what_time_is_belongs_to_the_text_of_an_experiment_unless_it_is_the_mean() {
    let written = |statistic: &str| {
        let text = format!("[measuring]\nmin_runs = 20\n{statistic}");
        Experiment::parse(&text, "x", &[]).unwrap().of_begun_run().to_toml().unwrap()
    };
    assert!(written("statistic = \"median\"").contains("statistic = \"median\""));
    // A run of a version that knew no other statistic keeps its text, and so its fingerprint.
    assert_eq!(written(""), written("statistic = \"mean\""));
    assert!(!written("").contains("statistic"));
}

#[test]
fn a_jetson_that_computes_with_8_bit_integers_has_a_reservation() {
    let reservations = |precision: &str| {
        let text = format!("[devices.nano]\nkind = 'jetson'\nhost = 'nano'\nuser = 'me'\nprecision = '{precision}'\n");
        Experiment::parse(&text, "x", &[]).unwrap().reservations()
    };
    assert_eq!(reservations("fp16"), [""; 0]);
    assert!(reservations("int8")[0].starts_with("device `nano`: the engine was built with precision = \"int8\""));
}

#[test]
fn an_experiment_of_an_earlier_version_keeps_its_text() {
    let written = include_str!("tests/earlier.toml");
    let experiment = Experiment::parse(written, "earlier.toml", &[]).unwrap();
    assert_eq!(experiment.to_toml().unwrap(), written);
}
