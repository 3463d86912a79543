//! Reading experiment files, with overrides from the command line.

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::place;

/// Sections within one another that a key may stand in: more than there are, and too few to exhaust the stack.
const MOST_SECTIONS: usize = 16;

/// An experiment that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file or an override is not an experiment.
    #[error("{path}{place}: {message}{suggestion}")]
    Invalid {
        /// The file, or the option that it came from.
        path: String,
        /// `:line:column`, where it is known.
        place: String,
        /// The problem.
        message: String,
        /// The nearest right name, where there is one.
        suggestion: String,
    },
    /// The file cannot be read, or its settings do not go together.
    #[error("{0}")]
    Other(String),
}

/// Reads the experiment file's text, then lays the overrides over it, one after the other.
///
/// # Errors
/// With line and column for what is wrong in the file, with the override's own text for what is wrong there.
pub(super) fn parse<T: DeserializeOwned + Serialize>(
    text: &str,
    name: &str,
    overrides: &[String],
) -> Result<T, ConfigError> {
    let from_file = toml::from_str::<T>(text).map_err(|error| invalid::<T>(name, text, &error))?;
    // Overrides are laid over everything resolved, so that a key of a section that the file leaves out finds one.
    let resolved = Table::try_from(&from_file).map_err(|error| ConfigError::Other(format!("{name}: {error}")))?;
    let mut table = resolved.clone();
    for given in overrides {
        set(&mut table, given)?;
    }
    // Together, for one may need another: a device's kind, and the keys that it cannot do without.
    match table.try_into() {
        Ok(read) => Ok(read),
        Err(error) => Err(invalid::<T>(&to_blame::<T>(resolved, overrides, &error), "", &error)),
    }
}

/// The first override with which the error is there, as it was given.
fn to_blame<T: DeserializeOwned>(mut table: Table, overrides: &[String], error: &toml::de::Error) -> String {
    let has_error = |given: &&String| {
        let is_set = set(&mut table, given).is_ok();
        let read: Result<T, _> = table.clone().try_into();
        is_set && read.is_err_and(|found| found.message() == error.message())
    };
    let given = overrides.iter().find(has_error).or(overrides.last());
    given.map_or_else(String::new, |given| format!("--set {given}"))
}

/// A contradiction, at its place in the file where its message begins with a key of it.
pub(super) fn contradiction(message: String, text: &str, name: &str) -> ConfigError {
    let Some(at) = place::of_key(text, &message) else { return ConfigError::Other(message) };
    let (path, place) = (name.to_owned(), place::line_and_column(text, at));
    ConfigError::Invalid { path, place, message, suggestion: String::new() }
}

/// Lays `a.b.c=value` over a table. The value is TOML; what is not TOML is a string, so that no quotes are needed.
fn set(table: &mut Table, text: &str) -> Result<(), ConfigError> {
    let wrong = |message: String| {
        let (path, place, suggestion) = (format!("--set {text}"), String::new(), String::new());
        ConfigError::Invalid { path, place, message, suggestion }
    };
    let (key, value) =
        text.split_once('=').ok_or_else(|| wrong("expected KEY=VALUE, such as search.evaluations=200".to_owned()))?;
    // What has more lines than one could bring other keys along.
    let value = format!("value = {value}")
        .parse::<Table>()
        .ok()
        .filter(|parsed| parsed.len() == 1)
        .and_then(|mut parsed| parsed.remove("value"))
        .unwrap_or_else(|| Value::String(value.to_owned()));
    let mut parts: Vec<&str> = key.trim().split('.').collect();
    let last = parts.pop().unwrap_or_default();
    if last.is_empty() || parts.iter().any(|part| part.is_empty()) {
        return Err(wrong(format!("`{key}` is not a key")));
    }
    if parts.len() >= MOST_SECTIONS {
        return Err(wrong(format!("no key is within {} sections", parts.len())));
    }
    let mut place = table;
    for part in parts {
        let entry = place.entry(part).or_insert_with(|| Value::Table(Table::new()));
        place = match entry {
            Value::Table(inner) => inner,
            other => return Err(wrong(format!("`{part}` is a {}, not a table", other.type_str()))),
        };
    }
    // Sections that are chosen by a name have keys of their own: another name starts with its defaults.
    if matches!(last, "name" | "kind") && place.get(last).is_some_and(|chosen| *chosen != value) {
        place.clear();
    }
    place.insert(last.to_owned(), value);
    Ok(())
}

fn invalid<T: DeserializeOwned>(path: &str, text: &str, error: &toml::de::Error) -> ConfigError {
    let at = if text.is_empty() { None } else { place::of_error::<T>(text, error) };
    let place = at.map_or_else(String::new, |at| place::line_and_column(text, at));
    let suggestion = nearest(error.message()).map_or_else(String::new, |name| format!("\n  did you mean `{name}`?"));
    ConfigError::Invalid { path: path.to_owned(), place, message: place::in_words(error.message()), suggestion }
}

/// The right name nearest to a wrong one, out of serde's message ``unknown … `x`, expected one of `a`, `b` ``.
fn nearest(message: &str) -> Option<&str> {
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let (wrong, known) = names.split_first()?;
    if !["unknown field", "unknown variant"].iter().any(|start| message.starts_with(start)) {
        return None;
    }
    let similarity = |name: &&&str| strsim::damerau_levenshtein(name, wrong);
    known.iter().min_by_key(similarity).filter(|name| similarity(name) <= wrong.len().max(name.len()) / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, Serialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Example {
        search: Search,
    }

    #[derive(Debug, Deserialize, Serialize, PartialEq)]
    #[serde(deny_unknown_fields, default)]
    struct Search {
        evaluations: u64,
        title: String,
    }

    impl Default for Search {
        fn default() -> Self {
            Self { evaluations: 5, title: String::new() }
        }
    }

    fn example(text: &str, overrides: &[&str]) -> Result<Example, ConfigError> {
        parse(text, "x.toml", &overrides.iter().map(|o| (*o).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_place_and_the_nearest_name() {
        let message = example("[search]\nevaluatoins = 3\n", &[]).unwrap_err().to_string();
        assert!(message.starts_with("x.toml:2:1: unknown field `evaluatoins`"), "{message}");
        assert!(message.ends_with("did you mean `evaluations`?"), "{message}");
        let message = example("[search]\nevaluations = 'x'\n", &[]).unwrap_err().to_string();
        assert!(message.starts_with("x.toml:2:15: invalid type"), "{message}");
    }

    #[test]
    fn overrides_win_and_are_named_when_wrong() {
        let set = example("[search]\nevaluations = 3\n", &["search.evaluations=7", "search.title=two words"]).unwrap();
        assert_eq!(set.search, Search { evaluations: 7, title: "two words".to_owned() });
        let message = example("[search]", &["search.evaluation=7"]).unwrap_err().to_string();
        assert!(message.starts_with("--set search.evaluation=7: unknown field"), "{message}");
        assert!(message.contains("did you mean `evaluations`?"), "{message}");
        for wrong in ["search.evaluations", "=3", "search..x=3"] {
            let message = example("[search]", &[wrong]).unwrap_err().to_string();
            assert!(message.starts_with(&format!("--set {wrong}: ")), "{message}");
        }
    }

    #[test]
    fn overrides_that_need_one_another_are_read_together() {
        #[derive(Debug, Deserialize, Serialize)]
        struct Together {
            devices: std::collections::BTreeMap<String, Device>,
        }
        #[derive(Debug, Deserialize, Serialize)]
        #[serde(tag = "kind", rename_all = "lowercase")]
        enum Device {
            Host {},
            Board { host: String, port: u16 },
        }
        let read = |overrides: &[&str]| {
            let overrides: Vec<String> = overrides.iter().map(|given| (*given).to_owned()).collect();
            parse::<Together>("[devices.x]\nkind = 'host'\n", "x.toml", &overrides).map_err(|error| error.to_string())
        };
        let read_all = read(&["devices.x.kind=board", "devices.x.host=pi", "devices.x.port=22"]).unwrap();
        assert!(matches!(&read_all.devices["x"], Device::Board { host, port: 22 } if host == "pi"));
        // The one to blame is named, not one that was only not enough by itself.
        let error = read(&["devices.x.kind=board", "devices.x.host=pi", "devices.x.port=many"]).unwrap_err();
        assert!(error.starts_with("--set devices.x.port=many: "), "{error}");
        let error = read(&["devices.x.kind=board", "devices.x.port=22"]).unwrap_err();
        assert_eq!(error, "--set devices.x.kind=board: missing field `host`");
    }

    #[test]
    fn an_override_sets_one_key_and_no_other() {
        let error = example("[search]", &["search.evaluations=7\nsearch = 3"]).unwrap_err().to_string();
        assert!(error.starts_with("--set search.evaluations=7\nsearch = 3: invalid type"), "{error}");
        let title = example("[search]", &["search.title=a\nb"]).unwrap().search.title;
        assert_eq!(title, "a\nb");
        // As deep as an argument may be long.
        let deep = format!("{}a=1", "a.".repeat(60_000));
        let error = example("[search]", &[&deep]).unwrap_err().to_string();
        assert!(error.ends_with("no key is within 60000 sections"), "{}", &error[error.len() - 100..]);
    }

    #[test]
    fn a_far_name_is_not_suggested() {
        assert_eq!(nearest("unknown field `zzzzzz`, expected `evaluations`"), None);
        assert_eq!(nearest("unknown field `sead`, expected one of `seed`, `space`"), Some("seed"));
    }
}
