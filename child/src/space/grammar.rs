//! The text form that all spaces share: fixed text with the name of one choice in it for every decision.

use super::settings::nearest;
use super::{Architecture, Decision, TextError};
use crate::Error;

/// The name and the decisions of a space, and the fixed text around the names of their choices.
///
/// A grammar is built from left to right by [`text`](Self::text) and [`decision`](Self::decision). The name of a choice
/// consists of letters, digits and `_`, and does not contain the character that follows it in the text.
#[derive(Debug, Clone)]
pub struct Grammar {
    pub(super) name: &'static str,
    decisions: Vec<Decision>,
    /// Fixed text before each decision's choice.
    before: Vec<String>,
    /// Fixed text after the last decision.
    closing: String,
}

impl Grammar {
    /// An empty text for the space of a name.
    pub fn new(name: &'static str) -> Self {
        Self { name, decisions: Vec::new(), before: Vec::new(), closing: String::new() }
    }

    /// Appends fixed text.
    pub fn text(&mut self, text: &str) {
        self.closing.push_str(text);
    }

    /// Appends a decision: here the text has the name of its choice.
    pub fn decision(&mut self, name: impl Into<String>, choices: impl IntoIterator<Item = impl Into<String>>) {
        self.before.push(std::mem::take(&mut self.closing));
        self.decisions.push(Decision::new(name, choices));
    }

    /// The fixed text before each decision, and that after the last one.
    pub(super) fn pieces(&self) -> impl Iterator<Item = &str> {
        self.before.iter().chain([&self.closing]).map(String::as_str)
    }

    pub(super) fn decisions(&self) -> &[Decision] {
        &self.decisions
    }

    pub(super) fn check(&self, architecture: &Architecture) -> Result<(), Error> {
        let (expected, found) = (self.decisions.len(), architecture.choices().len());
        if expected != found {
            let text = format!("the architecture has {found} choices, but the space has {expected} decisions");
            return Err(Error(text));
        }
        for (decision, choice) in self.decisions.iter().zip(architecture.choices()) {
            let (name, choices) = (&decision.name, decision.choices.len());
            if *choice >= choices {
                let text =
                    format!("decision `{name}` has {choices} choices, so a choice number {choice} does not exist");
                return Err(Error(text));
            }
        }
        Ok(())
    }

    pub(super) fn format(&self, architecture: &Architecture) -> Result<String, Error> {
        self.check(architecture)?;
        let mut text = String::new();
        for ((decision, before), choice) in self.decisions.iter().zip(&self.before).zip(architecture.choices()) {
            text.push_str(before);
            text.push_str(&decision.choices[*choice]);
        }
        Ok(text + &self.closing)
    }

    pub(super) fn parse(&self, text: &str) -> Result<Architecture, TextError> {
        let mut at = 0;
        let mut choices = Vec::with_capacity(self.decisions.len());
        for (index, decision) in self.decisions.iter().enumerate() {
            at = read_fixed(text, at, &self.before[index])?;
            let follows = self.before.get(index + 1).unwrap_or(&self.closing).chars().next();
            let (end, choice) = read_choice(text, at, decision, follows)?;
            choices.push(choice);
            at = end;
        }
        at = read_fixed(text, at, &self.closing)?;
        if at < text.len() {
            return Err(TextError::new(text, at, "the architecture is complete: nothing may follow"));
        }
        Ok(Architecture::new(choices))
    }
}

/// Reads fixed text at a byte offset and gives the offset after it.
fn read_fixed(text: &str, at: usize, fixed: &str) -> Result<usize, TextError> {
    let rest = &text[at..];
    let alike = rest.chars().zip(fixed.chars()).take_while(|(found, expected)| found == expected);
    let same: usize = alike.map(|(found, _)| found.len_utf8()).sum();
    if same == fixed.len() {
        return Ok(at + same);
    }
    let expected = &fixed[same..];
    let message = if same == rest.len() {
        format!("the text ends where `{expected}` should follow")
    } else {
        format!("expected `{expected}`")
    };
    Err(TextError::new(text, at + same, message))
}

/// Reads the name of one of the decision's choices and gives the offset after it and the choice.
fn read_choice(text: &str, at: usize, decision: &Decision, follows: Option<char>) -> Result<(usize, usize), TextError> {
    let rest = &text[at..];
    let in_name = |c: char| (c.is_ascii_alphanumeric() || c == '_') && Some(c) != follows;
    let name = &rest[..rest.find(|c| !in_name(c)).unwrap_or(rest.len())];
    if let Some(choice) = decision.choices.iter().position(|known| known == name) {
        return Ok((at + name.len(), choice));
    }
    let (decision_name, known) = (&decision.name, decision.choices.join(", "));
    let message = if rest.is_empty() {
        format!("the text ends where {decision_name} should follow (one of: {known})")
    } else if let Some(nearest) = nearest(name, &decision.choices) {
        format!("`{name}` is not a choice of {decision_name}; did you mean `{nearest}`? (one of: {known})")
    } else if name.is_empty() {
        format!("expected {decision_name} (one of: {known})")
    } else {
        format!("`{name}` is not a choice of {decision_name} (one of: {known})")
    };
    Err(TextError::new(text, at, message))
}
