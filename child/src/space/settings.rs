//! Checking the settings of a space, whatever file they come from.

use std::ops::RangeInclusive;

/// Settings that make no search space.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpaceError {
    /// An operation that the space does not know.
    #[error(
        "`{operation}` is not an operation of {space}{}; its operations are: {known}",
        .nearest.as_ref().map(|nearest| format!(", did you mean `{nearest}`?")).unwrap_or_default()
    )]
    Operation {
        /// Name of the space.
        space: &'static str,
        /// What was asked for.
        operation: String,
        /// The most similar operation, if one is similar.
        nearest: Option<String>,
        /// All operations, joined with commas.
        known: String,
    },
    /// A list of choices without a choice.
    #[error("`{key}` is empty: give at least one choice")]
    Empty {
        /// The setting.
        key: &'static str,
    },
    /// A list of choices that names one twice.
    #[error("`{key}` names {value} twice: each choice may stand there once")]
    Duplicate {
        /// The setting.
        key: &'static str,
        /// The choice.
        value: String,
    },
    /// A number outside its range.
    #[error("`{key}` is {value}, but must lie between {min} and {max}")]
    Range {
        /// The setting.
        key: &'static str,
        /// The number given.
        value: usize,
        /// The least that is allowed.
        min: usize,
        /// The most that is allowed.
        max: usize,
    },
    /// A setting that does not go with another.
    #[error("`{key}`: {reason}")]
    Setting {
        /// The setting.
        key: &'static str,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// Every decision has one choice.
    #[error("there is nothing to search in this {space}: every decision has a single choice, so give one of them more")]
    NothingToSearch {
        /// Name of the space.
        space: &'static str,
    },
}

/// Channels that a layer may have: more is a slip of the pen.
pub(super) const CHANNELS: RangeInclusive<usize> = 1..=4096;

/// Checks one number.
pub(super) fn within(key: &'static str, value: usize, range: RangeInclusive<usize>) -> Result<(), SpaceError> {
    let (min, max) = (*range.start(), *range.end());
    if range.contains(&value) { Ok(()) } else { Err(SpaceError::Range { key, value, min, max }) }
}

/// Checks a list of choices: not empty, nothing twice, everything within the range.
pub(super) fn list(key: &'static str, values: &[usize], range: RangeInclusive<usize>) -> Result<(), SpaceError> {
    unique(key, values)?;
    values.iter().try_for_each(|value| within(key, *value, range.clone()))
}

/// Checks that a list of choices is not empty and has nothing twice.
pub(super) fn unique<T: PartialEq + ToString>(key: &'static str, values: &[T]) -> Result<(), SpaceError> {
    if values.is_empty() {
        return Err(SpaceError::Empty { key });
    }
    match values.iter().enumerate().find(|(place, value)| values[..*place].contains(value)) {
        None => Ok(()),
        Some((_, value)) => Err(SpaceError::Duplicate { key, value: value.to_string() }),
    }
}

/// Looks up the operations named in `operations`.
pub(super) fn operations<T: Copy>(
    space: &'static str,
    names: &[String],
    known: &[(&str, T)],
) -> Result<Vec<T>, SpaceError> {
    unique("operations", names)?;
    let find = |name: &String| match known.iter().find(|(known, _)| known == name) {
        Some((_, operation)) => Ok(*operation),
        None => {
            let known: Vec<_> = known.iter().map(|(name, _)| (*name).to_owned()).collect();
            let nearest = nearest(name, &known).map(str::to_owned);
            Err(SpaceError::Operation { space, operation: name.clone(), nearest, known: known.join(", ") })
        }
    };
    names.iter().map(find).collect()
}

/// The known name most similar to one that is not known, if any is similar enough to be meant.
pub(super) fn nearest<'a>(name: &str, known: &'a [String]) -> Option<&'a str> {
    // Of numbers no one is nearer in meaning for looking alike.
    let words = known.iter().filter(|known| known.chars().any(|c| c.is_alphabetic()));
    let similar = words.map(|known| (strsim::normalized_damerau_levenshtein(name, known), known.as_str()));
    let best = similar.max_by(|(left, _), (right, _)| left.total_cmp(right))?;
    (best.0 >= 0.5).then_some(best.1)
}
