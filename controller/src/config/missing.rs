//! A key that a section lacks: which section, and the values that the key takes.

use std::fmt;

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::{place, table};

/// A key that is missing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Missing {
    key: String,
    section: Vec<String>,
    /// The values that it takes, in the words of a message, if they are known.
    expected: Option<String>,
}

impl Missing {
    /// The section's name as a file has it: `devices.board`.
    pub fn section(&self) -> String {
        self.section.join(".")
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "missing field `{}`", self.key)?;
        if !self.section.is_empty() {
            write!(f, " in [{}]", self.section())?;
        }
        self.expected.as_ref().map_or(Ok(()), |expected| write!(f, ": expected {expected}"))
    }
}

/// The key whose absence is a table's error. serde knows neither its section nor its values: the section is the one
/// where any value of the key changes the error, and the values are in the error of a wrong one.
pub(super) fn of_error<T: DeserializeOwned>(table: &Table, error: &toml::de::Error) -> Option<Missing> {
    let key = error.message().strip_prefix("missing field `")?.strip_suffix('`')?;
    let read_with = |section: &[String], value: Value| -> Option<Result<T, toml::de::Error>> {
        let mut complete = table.clone();
        let inner = section.iter().try_fold(&mut complete, |inner, name| inner.get_mut(name)?.as_table_mut())?;
        inner.insert(key.to_owned(), value);
        Some(table::read(&complete))
    };
    let unknown = format!("unknown field `{key}`");
    let section = sections(table).into_iter().find(|section| match read_with(section, Value::Boolean(true)) {
        Some(Ok(_)) => true,
        Some(Err(other)) => other.message() != error.message() && !other.message().starts_with(&unknown),
        None => false,
    })?;
    let of_wrong_value = |value: Value| {
        let message = read_with(&section, value)?.err()?.message().to_owned();
        let is_about_value = ["unknown variant", "invalid type"].iter().any(|start| message.starts_with(start));
        let message = place::in_words(&message);
        is_about_value.then(|| Some(message.rsplit_once(", expected ")?.1.to_owned())).flatten()
    };
    let expected = of_wrong_value(Value::String("?".to_owned())).or_else(|| of_wrong_value(Value::Boolean(true)));
    Some(Missing { key: key.to_owned(), section, expected })
}

/// All sections of a table, itself included; a section comes after those within it.
fn sections(table: &Table) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (name, inner) in table.iter().filter_map(|(name, value)| Some((name, value.as_table()?))) {
        found.extend(sections(inner).into_iter().map(|mut below| {
            below.insert(0, name.clone());
            below
        }));
    }
    found.push(Vec::new());
    found
}
