//! Reading experiment files, with overrides from the command line.

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::Table;

use super::{missing, overrides, place, table};

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

/// Reads the experiment file's text, then lays the overrides over it. Their order does not matter, except between two of
/// the same key, of which the last counts.
///
/// # Errors
/// With line and column for what is wrong in the file, with the override's own text for what is wrong there.
pub(super) fn parse<T: DeserializeOwned + Serialize>(
    text: &str,
    name: &str,
    overrides: &[String],
) -> Result<T, ConfigError> {
    let overrides = overrides::in_order(overrides);
    let from_file = match toml::from_str::<T>(text) {
        Ok(read) => read,
        Err(error) => {
            completed(text, name, &overrides, &error).unwrap_or_else(|| Err(invalid::<T>(name, text, &error)))?
        }
    };
    // Overrides are laid over everything resolved, so that a key of a section that the file leaves out finds one.
    let resolved = table::of(&from_file).map_err(|error| ConfigError::Other(format!("{name}: {error}")))?;
    let mut changed = resolved.clone();
    overrides.iter().try_for_each(|given| overrides::set(&mut changed, given))?;
    // Together, for one may need another: a device's kind, and the keys that it cannot do without.
    match table::read(&changed) {
        Ok(read) => Ok(read),
        Err(error) => Err(invalid_override::<T>(resolved, changed, &overrides, &error)),
    }
}

/// An incomplete file, read with those overrides that complete its sections: `None` if they do not change
/// the error.
fn completed<T: DeserializeOwned>(
    text: &str,
    name: &str,
    overrides: &[&String],
    error: &toml::de::Error,
) -> Option<Result<T, ConfigError>> {
    let of_file = text.parse::<Table>().ok()?;
    let within = overrides.iter().copied().filter(|given| overrides::has_section(&of_file, given));
    let within: Vec<&String> = within.collect();
    let mut changed = of_file.clone();
    if let Err(wrong) = within.iter().try_for_each(|given| overrides::set(&mut changed, given)) {
        return Some(Err(wrong));
    }
    match table::read(&changed) {
        Ok(read) => Some(Ok(read)),
        Err(other) if other.message() == error.message() => None,
        Err(other) => Some(Err(match missing::of_error::<T>(&changed, &other) {
            // Overrides have mended one mistake of the file, and this is another one.
            Some(missing) if !within.iter().any(|given| overrides::chooses_keys_of(given, &missing.section())) => {
                missing_of_file(text, name, &missing)
            }
            _ => invalid_override::<T>(of_file, changed, &within, &other),
        })),
    }
}

/// The error of a table with overrides, which the first of them is named for with which the error is there.
fn invalid_override<T: DeserializeOwned>(
    mut before: Table,
    after: Table,
    overrides: &[&String],
    error: &toml::de::Error,
) -> ConfigError {
    let has_error = |given: &&&String| {
        let is_set = overrides::set(&mut before, given).is_ok();
        let read: Result<T, _> = table::read(&before);
        is_set && read.is_err_and(|found| found.message() == error.message())
    };
    let given = overrides.iter().find(has_error).or(overrides.last());
    let path = given.map_or_else(String::new, |given| format!("--set {given}"));
    let missing = missing::of_error::<T>(&after, error).map(|missing| missing.to_string());
    ConfigError::Invalid {
        path,
        place: String::new(),
        message: missing.unwrap_or_else(|| place::in_words(error.message())),
        suggestion: suggestion(error),
    }
}

/// A contradiction, at its place in the file where its message begins with a key of it.
pub(super) fn contradiction(message: String, text: &str, name: &str) -> ConfigError {
    let Some(at) = place::of_key(text, &message) else { return ConfigError::Other(message) };
    let (path, place) = (name.to_owned(), place::line_and_column(text, at));
    ConfigError::Invalid { path, place, message, suggestion: String::new() }
}

fn invalid<T: DeserializeOwned>(path: &str, text: &str, error: &toml::de::Error) -> ConfigError {
    let missing = text.parse::<Table>().ok().and_then(|table| missing::of_error::<T>(&table, error));
    let at = missing.as_ref().and_then(|missing| place::of_key(text, &missing.section()));
    let at = at.or_else(|| place::of_error::<T>(text, error));
    ConfigError::Invalid {
        path: path.to_owned(),
        place: at.map_or_else(String::new, |at| place::line_and_column(text, at)),
        message: missing.map_or_else(|| place::in_words(error.message()), |missing| missing.to_string()),
        suggestion: suggestion(error),
    }
}

/// A key that the file lacks, at its section.
fn missing_of_file(text: &str, name: &str, missing: &missing::Missing) -> ConfigError {
    let at = place::of_key(text, &missing.section());
    let place = at.map_or_else(String::new, |at| place::line_and_column(text, at));
    ConfigError::Invalid { path: name.to_owned(), place, message: missing.to_string(), suggestion: String::new() }
}

fn suggestion(error: &toml::de::Error) -> String {
    nearest(error.message()).map_or_else(String::new, |name| format!("\n  did you mean `{name}`?"))
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
        assert_eq!(error, "--set devices.x.kind=board: missing field `host` in [devices.x]: expected a text in quotes");
    }

    #[test]
    fn a_key_that_the_file_lacks_is_not_blamed_on_an_override() {
        #[derive(Debug, Deserialize, Serialize)]
        struct Lacking {
            a: Login,
        }
        #[derive(Debug, Deserialize, Serialize)]
        struct Login {
            host: String,
            user: String,
        }
        let read = |overrides: &[&str]| {
            let overrides: Vec<String> = overrides.iter().map(|given| (*given).to_owned()).collect();
            parse::<Lacking>("x = 1\n[a]\n", "x.toml", &overrides).map(drop).map_err(|error| error.to_string())
        };
        let error = read(&["a.host=pi"]).unwrap_err();
        assert_eq!(error, "x.toml:2:2: missing field `user` in [a]: expected a text in quotes");
        assert_eq!(read(&["a.host=pi", "a.user=me"]), Ok(()));
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
