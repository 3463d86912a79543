//! Errors that point into an architecture's text.

/// A text that is not an architecture of the space: what is wrong, and where.
///
/// Its display is the message, the text, and a caret under the place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} at column {}\n  {text}\n  {:>column$}", .column, "^", column = .column)]
pub struct TextError {
    /// What is wrong and what would be right.
    pub message: String,
    /// The whole text.
    pub text: String,
    /// Column in characters, from 1.
    pub column: usize,
}

impl TextError {
    /// An error at a byte offset of the text.
    pub fn new(text: &str, offset: usize, message: impl Into<String>) -> Self {
        let column = text.char_indices().take_while(|(at, _)| *at < offset).count() + 1;
        Self { message: message.into(), text: text.to_owned(), column }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caret_stands_under_the_place() {
        let error = TextError::new("|é~0|", 4, "expected an edge's source");
        assert_eq!(error.column, 4);
        assert_eq!(error.to_string(), "expected an edge's source at column 4\n  |é~0|\n     ^");
    }
}
