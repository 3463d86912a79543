//! Reading experiment files, with overrides from the command line.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// An experiment that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be opened.
    #[error("cannot read the experiment file {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is not an experiment.
    #[error("{path}{place}: {message}{suggestion}")]
    Invalid {
        /// The file, or the option that it came from.
        path: String,
        /// `:line:column`, where it is known.
        place: String,
        /// What is wrong.
        message: String,
        /// The nearest right name, where there is one.
        suggestion: String,
    },
    /// An override that is not `key=value`.
    #[error("--set {text}: {reason}")]
    Override {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Settings that do not go together.
    #[error("{0}")]
    Contradiction(String),
}

/// Reads the experiment file's text, then lays the overrides over it.
///
/// # Errors
/// With line and column for what is wrong in the file, with the override's own text for what is wrong there.
pub(super) fn parse<T: DeserializeOwned + Serialize>(
    text: &str,
    name: &str,
    overrides: &[String],
) -> Result<T, ConfigError> {
    let from_file = toml::from_str::<T>(text).map_err(|error| invalid(name, text, &error))?;
    // Overrides are laid over everything resolved, so that a key of a section that the file leaves out finds one.
    let mut table =
        Table::try_from(&from_file).map_err(|error| ConfigError::Contradiction(format!("{name}: {error}")))?;
    for given in overrides {
        set(&mut table, given)?;
        let check: Result<T, _> = table.clone().try_into();
        check.map_err(|error| invalid(&format!("--set {given}"), "", &error))?;
    }
    table.try_into().map_err(|error| invalid(name, "", &error))
}

/// Reads a file and parses it.
///
/// # Errors
/// If the file cannot be read, or as [`parse`].
pub(super) fn read<T: DeserializeOwned + Serialize>(path: &Path, overrides: &[String]) -> Result<T, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    parse(&text, &path.display().to_string(), overrides)
}

/// Lays `a.b.c=value` over a table. The value is TOML; what is not TOML is a string, so that no quotes are needed.
fn set(table: &mut Table, text: &str) -> Result<(), ConfigError> {
    let wrong = |reason: String| ConfigError::Override { text: text.to_owned(), reason };
    let (key, value) =
        text.split_once('=').ok_or_else(|| wrong("expected KEY=VALUE, such as search.evaluations=200".to_owned()))?;
    let value = format!("value = {value}")
        .parse::<Table>()
        .ok()
        .and_then(|mut parsed| parsed.remove("value"))
        .unwrap_or_else(|| Value::String(value.to_owned()));
    let mut parts: Vec<&str> = key.trim().split('.').collect();
    let last = parts.pop().unwrap_or_default();
    if last.is_empty() || parts.iter().any(|part| part.is_empty()) {
        return Err(wrong(format!("`{key}` is not a key")));
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

fn invalid(path: &str, text: &str, error: &toml::de::Error) -> ConfigError {
    let place = error.span().filter(|_| !text.is_empty()).map_or_else(String::new, |span| {
        let start = unknown_key(error.message(), &text[span.start..]).map_or(span.start, |offset| span.start + offset);
        let before = &text[..start];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        format!(":{line}:{column}")
    });
    let message = error.message().to_owned();
    let suggestion = nearest(&message).map_or_else(String::new, |name| format!("\n  did you mean `{name}`?"));
    ConfigError::Invalid { path: path.to_owned(), place, message, suggestion }
}

/// Where an unknown key stands in the section that the error is about. Sections that are chosen by a name in them are
/// read as a whole, so that the error itself only knows where they begin.
fn unknown_key(message: &str, section: &str) -> Option<usize> {
    let key = message.strip_prefix("unknown field `")?.split('`').next()?;
    let stands_at = |(offset, _): &(usize, &str)| {
        let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        let after = section[offset + key.len()..].trim_start();
        after.starts_with('=') && !section[..*offset].ends_with(is_name)
    };
    section.match_indices(key).find(stands_at).map(|(offset, _)| offset)
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
    fn an_unknown_key_of_a_section_with_a_name_is_found() {
        let section = "[space]\nname = 'x'\nmy_cels = 2\n  cels=2\n";
        let offset = unknown_key("unknown field `cels`, expected `cells`", section).unwrap();
        assert_eq!(section[offset..].lines().next(), Some("cels=2"));
        assert_eq!(unknown_key("invalid type", section), None);
    }

    #[test]
    fn a_far_name_is_not_suggested() {
        assert_eq!(nearest("unknown field `zzzzzz`, expected `evaluations`"), None);
        assert_eq!(nearest("unknown field `sead`, expected one of `seed`, `space`"), Some("seed"));
    }
}
