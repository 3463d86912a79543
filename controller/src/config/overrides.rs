//! Overrides of single keys: `a.b.c=value`, as `--set` takes them.

use toml::{Table, Value};

use super::ConfigError;

/// Sections within one another that a key may lie in: more than there are, and too few to exhaust the stack.
const MOST_SECTIONS: usize = 16;

/// Overrides in the order in which none undoes another by accident: the `name` or `kind` of a section decides which other
/// keys it has, so it comes before those. Of two for the same key, and of a whole section and a key in it, the later one
/// counts.
pub(super) fn in_order(overrides: &[String]) -> Vec<&String> {
    let mut ordered: Vec<&String> = Vec::new();
    for given in overrides {
        let path = path_of(given);
        let (section, key) = path.rsplit_once('.').unwrap_or(("", path));
        // Behind the last one that sets this key, or the section as a whole.
        let sets_section = |earlier: &&String| {
            let earlier = path_of(earlier);
            earlier == path
                || section.strip_prefix(earlier).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let from = ordered.iter().rposition(sets_section).map_or(0, |at| at + 1);
        let is_within = |earlier: &&String| {
            path_of(earlier).strip_prefix(section).is_some_and(|rest| section.is_empty() || rest.starts_with('.'))
        };
        let within = ordered[from..].iter().position(is_within).filter(|_| chooses_keys(key));
        ordered.insert(within.map_or(ordered.len(), |at| from + at), given);
    }
    ordered
}

/// Whether a table has the section that an override's key lies in.
pub(super) fn has_section(table: &Table, given: &str) -> bool {
    let path = path_of(given);
    let Some((sections, _)) = path.rsplit_once('.') else { return true };
    let inner = sections.split('.').try_fold(table, |table, section| table.get(section)?.as_table());
    inner.is_some()
}

/// Whether an override decides which keys a section has.
pub(super) fn chooses_keys_of(given: &str, section: &str) -> bool {
    let (of, key) = path_of(given).rsplit_once('.').unwrap_or(("", path_of(given)));
    of == section && chooses_keys(key)
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
    fn a_choice_comes_before_the_keys_of_its_section_and_all_else_keeps_its_order() {
        for (given, expected) in [
            (&["s.blocks=2", "s.name=n", "s.blocks=3"][..], &["s.name=n", "s.blocks=2", "s.blocks=3"][..]),
            (&["d.m.period=5", "d.m.kind=r", "d.kind=b"], &["d.kind=b", "d.m.kind=r", "d.m.period=5"]),
            (&["s.name=a", "s.blocks=2", "s.name=b"], &["s.name=a", "s.name=b", "s.blocks=2"]),
            (&["d.m.kind=none", "d.m={}", "d.m.kind=r"], &["d.m.kind=none", "d.m={}", "d.m.kind=r"]),
            (&["d.m.period=5", "d={}", "d.m.kind=r"], &["d.m.period=5", "d={}", "d.m.kind=r"]),
            (&["sp.x=1", "s.name=a"], &["sp.x=1", "s.name=a"]),
        ] {
            let given: Vec<String> = given.iter().map(|one| (*one).to_owned()).collect();
            assert_eq!(in_order(&given), expected.iter().collect::<Vec<_>>());
        }
    }
}
