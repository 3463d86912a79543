//! Texts of other programs, as they are shown to a user.

/// Beginning and end of a text that may be of any length, on one line and without escape sequences. Errors of serde repeat
/// the value that is wrong, and tell its place behind that.
pub(crate) fn ends_of(text: &str) -> String {
    const START: usize = 400;
    const END: usize = 80;
    let clean = |part: &str| part.replace(|c: char| c.is_control() && c != '\t', " ");
    if text.len() <= START + END {
        return clean(text);
    }
    let (start, end) = (text.floor_char_boundary(START), text.ceil_char_boundary(text.len() - END));
    format!("{} … {}", clean(&text[..start]), clean(&text[end..]))
}

/// The first characters of a text, without control characters but tabs.
pub(crate) fn start_of(text: &str, most_chars: usize) -> String {
    text.chars().filter(|c| !c.is_control() || *c == '\t').take(most_chars).collect()
}

/// The place of a line in a text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    /// From 1.
    pub number: usize,
    /// Whether a line break follows it: the last line may end within a word.
    pub whole: bool,
}

/// The lines of a text that may be cut anywhere.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (Line, &str)> {
    let all = text.lines().count();
    let place = move |at: usize| Line { number: at + 1, whole: at + 1 < all || text.ends_with('\n') };
    text.lines().enumerate().map(move |(at, line)| (place(at), line))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_long_text_keeps_both_of_its_ends() {
        assert_eq!(ends_of("a\n\u{1b}[31mb"), "a  [31mb");
        let shown = ends_of(&format!("invalid type: string \"{}\" at line 1 column 9", "é".repeat(9000)));
        assert!(shown.starts_with("invalid type: string \"é") && shown.ends_with("\" at line 1 column 9"), "{shown}");
    }

    proptest! {
        #[test]
        fn no_text_is_shown_at_length(text in any::<String>(), times in 0..200_usize) {
            let shown = ends_of(&text.repeat(times));
            prop_assert!(shown.len() <= 500 && !shown.contains(|c: char| c.is_control() && c != '\t'));
        }
    }
}
