//! Where in an experiment file a mistake stands, and what it is in the file's own words.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::table;

/// A key of a file that stands for no section.
struct Leaf {
    /// Its sections' names, then its own.
    path: Vec<String>,
    key: Range<usize>,
    value: Range<usize>,
    text: Option<String>,
}

/// `:line:column` of a place in a text.
pub(super) fn line_and_column(text: &str, at: usize) -> String {
    let before = &text[..text.floor_char_boundary(at)];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!(":{line}:{column}")
}

/// Where an error of reading a text stands, in bytes.
///
/// Sections that are chosen by a name in them are read as a whole before their keys are looked at, so that the error
/// itself only knows where they begin. The key to blame is then the one without which the error does not occur.
pub(super) fn of_error<T: DeserializeOwned>(text: &str, error: &toml::de::Error) -> Option<usize> {
    let span = error.span()?;
    let leaves = leaves(text);
    let is_within = |range: &Range<usize>| range.contains(&span.start);
    if leaves.iter().any(|leaf| is_within(&leaf.key) || is_within(&leaf.value)) {
        return Some(span.start);
    }
    let is_to_blame = |leaf: &&Leaf| {
        let Ok(mut without) = text.parse::<Table>() else { return false };
        remove(&mut without, &leaf.path);
        let names_its_text = || leaf.text.as_ref().is_some_and(|text| error.message().contains(&format!("`{text}`")));
        let is_missing =
            |message: &str| leaf.path.last().is_some_and(|key| message == format!("missing field `{key}`"));
        match table::read::<T>(&without) {
            Ok(_) => true,
            // A key that is missing then says nothing about this one, unless the error names its text.
            Err(other) => other.message() != error.message() && (!is_missing(other.message()) || names_its_text()),
        }
    };
    let blamed = leaves.iter().find(is_to_blame);
    let is_key = error.message().starts_with("unknown field");
    Some(blamed.map_or(span.start, |leaf| if is_key { leaf.key.start } else { leaf.value.start }))
}

/// Where the value stands that a message is about which begins with its key: `search.batch = 0 …`. Where the key itself
/// is left out, where its section begins.
pub(super) fn of_key(text: &str, message: &str) -> Option<usize> {
    let path: Vec<&str> = message.trim_start_matches('`').split([' ', ':', '`']).next()?.split('.').collect();
    let table = DeTable::parse(text).ok()?;
    let (mut inner, mut found) = (table.get_ref(), None);
    for part in path {
        let Some((key, value)) = inner.iter().find(|(key, _)| key.get_ref() == part) else { break };
        match value.get_ref() {
            DeValue::Table(below) => (inner, found) = (below, Some(key.span().start)),
            _ => return Some(value.span().start),
        }
    }
    found
}

/// serde's words for types, in those of a file.
pub(super) fn in_words(message: &str) -> String {
    const TYPES: [(&[&str], &str); 7] = [
        (&["f64", "f32"], "a number"),
        (&["usize", "u64", "u32", "u16", "u8"], "a whole number, 0 or above"),
        (&["isize", "i64", "i32"], "a whole number"),
        (&["a boolean"], "true or false"),
        (&["a string", "path string"], "a text in quotes"),
        (&["a sequence"], "a list in brackets"),
        (&["a map", "struct"], "a section"),
    ];
    let Some((found, expected)) = message.rsplit_once(", expected ") else { return message.to_owned() };
    // A list of another length than the section has keys.
    if message.starts_with("invalid length") && expected.starts_with("struct ") {
        return "invalid type: a list, expected a section".to_owned();
    }
    let is_of_type = ["invalid type", "invalid value"].iter().any(|start| message.starts_with(start));
    // `struct X` and `internally tagged enum X` name what no file has.
    let kind = if expected.starts_with("struct ") || expected.contains("tagged enum ") { "struct" } else { expected };
    match TYPES.iter().find(|(types, _)| types.contains(&kind)) {
        Some((_, words)) if is_of_type => format!("{found}, expected {words}"),
        _ => message.to_owned(),
    }
}

fn leaves(text: &str) -> Vec<Leaf> {
    let mut found = Vec::new();
    if let Ok(table) = DeTable::parse(text) {
        gather(table.get_ref(), &mut Vec::new(), &mut found);
    }
    // Tables are sorted by name; of several keys to blame the first in the file is named.
    found.sort_by_key(|leaf: &Leaf| leaf.key.start);
    found
}

fn gather(table: &DeTable<'_>, path: &mut Vec<String>, found: &mut Vec<Leaf>) {
    for (key, value) in table {
        path.push(key.get_ref().to_string());
        match value.get_ref() {
            DeValue::Table(inner) => gather(inner, path, found),
            other => found.push(Leaf {
                path: path.clone(),
                key: key.span(),
                value: Spanned::span(value),
                text: other.as_str().map(str::to_owned),
            }),
        }
        path.pop();
    }
}

fn remove(table: &mut Table, path: &[String]) {
    let Some((last, sections)) = path.split_last() else { return };
    let mut inner = table;
    for section in sections {
        let Some(Value::Table(below)) = inner.get_mut(section) else { return };
        inner = below;
    }
    inner.remove(last);
}
