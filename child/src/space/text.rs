//! Errors that point into an architecture's text.

/// A text that is not an architecture of the space. Its display is the message, the text, and a caret under the place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} at column {}\n  {text}\n  {:>column$}", .column, "^", column = .column)]
pub struct TextError {
    /// The mistake and its remedy.
    pub(super) message: String,
    /// The whole text.
    text: String,
    /// Column in characters, from 1.
    pub(super) column: usize,
}

impl TextError {
    /// An error at a byte offset of the text.
    pub(super) fn new(text: &str, offset: usize, message: impl Into<String>) -> Self {
        let column = text.char_indices().take_while(|(at, _)| *at < offset).count() + 1;
        Self { message: message.into(), text: text.to_owned(), column }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_is_under_the_place() {
        let error = TextError::new("|é~0|", 4, "expected an edge's source");
        assert_eq!(error.column, 4);
        assert_eq!(error.to_string(), "expected an edge's source at column 4\n  |é~0|\n     ^");
    }
}
