//! Texts of other programs and machines, as they are shown to a user.

use std::borrow::Cow;

/// Longest part of a word that is left out, so that a cut is between words.
const MOST_OF_A_WORD: usize = 20;

/// A text of another program on one line: without escape sequences and without marks that turn the direction of writing
/// round, and with a blank for each other control character but tabs.
pub fn clean(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => rest = behind_sequence(rest.as_str()).chars(),
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            '\u{2028}' | '\u{2029}' => shown.push(' '),
            c if c.is_control() && c != '\t' => shown.push(' '),
            c => shown.push(c),
        }
    }
    shown
}

/// What follows an escape sequence whose escape character was read. Without that character, short ones are plain letters.
fn behind_sequence(text: &str) -> &str {
    let mut rest = text.chars();
    match rest.next() {
        // Colours and movements, up to a letter.
        Some('[') => {
            let end = rest.as_str().trim_start_matches(|c| matches!(c, ' '..='?'));
            end.strip_prefix(|c| matches!(c, '@'..='~')).unwrap_or(end)
        }
        // Titles and links, up to a bell or another escape sequence, which ends them. One without an end hides nothing.
        Some(']' | 'P' | 'X' | '^' | '_') => match rest.as_str().split_once(['\u{7}', '\u{1b}']) {
            Some((_, end)) => end.strip_prefix('\\').unwrap_or(end),
            None => rest.as_str(),
        },
        _ => text,
    }
}

/// Beginning and end of a text that may be of any length, on one line and without escape sequences. Errors of serde repeat
/// the value that is wrong, and tell its place behind that.
pub(crate) fn ends_of(text: &str) -> String {
    const START: usize = 400;
    const END: usize = 80;
    if text.len() <= START + END {
        return clean(text);
    }
    let (start, end) = text.split_at(text.ceil_char_boundary(text.len() - END));
    let (start, rest) = start.split_at(start.floor_char_boundary(START));
    let end = match end.find(char::is_whitespace).filter(|at| *at <= MOST_OF_A_WORD) {
        Some(at) if !rest.ends_with(char::is_whitespace) => end[at..].trim_start(),
        _ => end,
    };
    format!("{} … {}", clean(whole_words(start, rest)), clean(end))
}

/// The beginning of a line of input that a message repeats, as [`clean`] shows it.
pub fn line_of(text: &str) -> String {
    const MOST: usize = 120;
    start_of(text, MOST)
}

/// The first characters of a text, as [`clean`] shows it; of a longer text up to the end of a word, with an ellipsis.
pub(crate) fn start_of(text: &str, most_chars: usize) -> String {
    let text = clean(text);
    let mut shown = text.chars();
    let start: String = shown.by_ref().take(most_chars).collect();
    match shown.next() {
        None => start,
        Some(next) => format!("{} …", whole_words(&start, next.encode_utf8(&mut [0; 4]))),
    }
}

/// The beginning of a text without the part of a word at its end, where another part follows.
fn whole_words<'a>(start: &'a str, rest: &str) -> &'a str {
    let cut = start.rfind(char::is_whitespace).filter(|at| start.len() - at <= MOST_OF_A_WORD);
    match cut {
        Some(at) if !rest.starts_with(char::is_whitespace) => start[..at].trim_end(),
        _ => start.trim_end(),
    }
}

/// Words as a shell takes them, for a command that a user can paste.
pub(crate) fn pasted<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    // No shell takes a NUL character: a word that holds one stays as it is.
    let quoted = |word: &'a str| shlex::try_quote(word).unwrap_or(Cow::Borrowed(word));
    words.into_iter().map(quoted).collect::<Vec<_>>().join(" ")
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
        assert_eq!(ends_of("a\n\u{1b}[31mb"), "a b");
        let shown = ends_of(&format!("invalid type: string \"{}\" at line 1 column 9", "é".repeat(9000)));
        assert!(shown.starts_with("invalid type: string \"é") && shown.ends_with("\" at line 1 column 9"), "{shown}");
    }

    #[test]
    fn a_shown_text_neither_steers_the_terminal_nor_runs_backwards() {
        for (text, shown) in [
            ("\u{1b}[2J\u{1b}[1;31mred\u{1b}[0m", "red"),
            ("\u{1b}]0;a title\u{7}a\u{1b}]8;;http://a\u{1b}\\link", "alink"),
            ("\u{1b}]0;without an end", "0;without an end"),
            ("\u{1b}cb\u{1b}", "cb"),
            ("a\r\nb\u{9b}\u{2028}c\td", "a  b  c\td"),
            ("\u{202e}evil\u{202c}\u{2066}\u{200f} grün 東京", "evil grün 東京"),
        ] {
            assert_eq!(clean(text), shown);
        }
    }

    #[test]
    fn a_cut_is_between_words_and_marked() {
        assert_eq!(start_of("one two three", 20), "one two three");
        assert_eq!(start_of("one two three", 9), "one two …");
        assert_eq!(start_of("one two three", 7), "one two …");
        assert_eq!(start_of(&"x".repeat(99), 30), format!("{} …", "x".repeat(30)));
    }

    #[test]
    fn a_pasted_command_has_the_same_words() {
        assert_eq!(pasted(["sudo", "-n", "nvpmodel", "-m", "2"]), "sudo -n nvpmodel -m 2");
        let words = ["ssh-add", "my keys/it's $HOME;", "", "\0"];
        assert_eq!(shlex::split(&pasted(words)).unwrap(), words);
    }

    proptest! {
        #[test]
        fn no_text_is_shown_at_length(text in any::<String>(), times in 0..200_usize) {
            let shown = ends_of(&text.repeat(times));
            prop_assert!(shown.len() <= 500 && !shown.contains(|c: char| c.is_control() && c != '\t'));
        }
    }
}
