//! Overrides of single keys: `a.b.c=value`, as `--set` takes them.

use toml::{Table, Value};

use super::ConfigError;

/// Sections within one another that a key may stand in: more than there are, and too few to exhaust the stack.
const MOST_SECTIONS: usize = 16;

/// Overrides in the order in which none undoes another: outer sections first, and in a section the `name` or `kind` that
/// decides which other keys it has.
pub(super) fn in_order(overrides: &[String]) -> Vec<&String> {
    let mut ordered: Vec<&String> = overrides.iter().collect();
    ordered.sort_by_key(|given| {
        let path = path_of(given);
        (path.matches('.').count(), !chooses_keys(path.rsplit('.').next().unwrap_or_default()))
    });
    ordered
}

/// Whether a table has the section that an override's key stands in.
pub(super) fn has_section(table: &Table, given: &str) -> bool {
    let path = path_of(given);
    let Some((sections, _)) = path.rsplit_once('.') else { return true };
    let inner = sections.split('.').try_fold(table, |table, section| table.get(section)?.as_table());
    inner.is_some()
}

fn path_of(given: &str) -> &str {
    given.split_once('=').map_or(given, |(path, _)| path).trim()
}

/// Whether a key decides which other keys its section has.
fn chooses_keys(key: &str) -> bool {
    matches!(key, "name" | "kind")
}

/// Lays `a.b.c=value` over a table. The value is TOML; what is not TOML is a string, so that no quotes are needed.
pub(super) fn set(table: &mut Table, text: &str) -> Result<(), ConfigError> {
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
    if chooses_keys(last) && place.get(last).is_some_and(|chosen| *chosen != value) {
        place.clear();
    }
    place.insert(last.to_owned(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outer_sections_and_choices_come_first_and_equal_keys_keep_their_order() {
        let given = ["d.x.meter.kind=none", "space.blocks=2", "d.x.host=pi", "space.name=nasnet", "space.blocks=3"];
        let given = given.map(str::to_owned);
        let ordered: Vec<&str> = in_order(&given).into_iter().map(String::as_str).collect();
        assert_eq!(
            ordered,
            ["space.name=nasnet", "space.blocks=2", "space.blocks=3", "d.x.host=pi", "d.x.meter.kind=none"]
        );
    }
}
