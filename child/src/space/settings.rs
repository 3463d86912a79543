//! Checks of the settings of a space.

use crate::Error;
use std::ops::RangeInclusive;

/// Channels that a layer may have; a larger number is a typing mistake.
pub(super) const CHANNELS: RangeInclusive<usize> = 1..=4096;

pub(super) fn within(key: &str, value: usize, range: RangeInclusive<usize>) -> Result<(), Error> {
    if range.contains(&value) {
        return Ok(());
    }
    let (min, max) = (range.start(), range.end());
    Err(Error(format!("`{key}` is {value}, but must lie between {min} and {max}")))
}

/// Checks a list of choices: not empty, nothing twice, everything within the range.
pub(super) fn list(key: &str, values: &[usize], range: RangeInclusive<usize>) -> Result<(), Error> {
    unique(key, values)?;
    values.iter().try_for_each(|value| within(key, *value, range.clone()))
}

/// Checks that a list of choices is not empty and has nothing twice.
pub(super) fn unique<T: PartialEq + ToString>(key: &str, values: &[T]) -> Result<(), Error> {
    if values.is_empty() {
        return Err(Error(format!("`{key}` is empty: give at least one choice")));
    }
    for (place, value) in values.iter().enumerate() {
        if values[..place].contains(value) {
            let value = value.to_string();
            return Err(Error(format!("`{key}` names {value} twice: a choice may be there only once")));
        }
    }
    Ok(())
}

/// Looks up the operations named in `operations`.
pub(super) fn operations<T: Copy>(space: &str, names: &[String], known: &[(&str, T)]) -> Result<Vec<T>, Error> {
    unique("operations", names)?;
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        let Some((_, operation)) = known.iter().find(|(known, _)| known == name) else {
            let known: Vec<_> = known.iter().map(|(name, _)| (*name).to_owned()).collect();
            let hint = nearest(name, &known).map_or_else(String::new, |nearest| format!(", did you mean `{nearest}`?"));
            let known = known.join(", ");
            let text = format!("`{name}` is not an operation of {space}{hint}; its operations are: {known}");
            return Err(Error(text));
        };
        found.push(*operation);
    }
    Ok(found)
}

/// The known name that is most similar to an unknown one, if it is similar enough to be meant.
pub(super) fn nearest<'a>(name: &str, known: &'a [String]) -> Option<&'a str> {
    // Numbers that look alike do not mean something similar.
    let words = known.iter().filter(|known| known.chars().any(|c| c.is_alphabetic()));
    let similar = words.map(|known| (strsim::normalized_damerau_levenshtein(name, known), known.as_str()));
    let best = similar.max_by(|(left, _), (right, _)| left.total_cmp(right))?;
    (best.0 >= 0.5).then_some(best.1)
}
