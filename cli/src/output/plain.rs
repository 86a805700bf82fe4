//! Text that can't draw on the terminal.
//!
//! A description or an error detail comes from whoever published the adapter or
//! runs the registry. Escape sequences in it could move the cursor, rewrite
//! earlier lines or change the window's title; characters that turn the writing
//! direction around could make one name look like another.

use std::{borrow::Cow, fmt::Write as _};

/// Whether `c` may change more than its own place on the terminal.
fn is_harmful(c: char) -> bool {
    let turns_direction =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns_direction
}

/// `text` on one line, harmful characters written as escapes.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    replace(text, is_harmful)
}

/// `text` with its line breaks, other harmful characters written as escapes.
pub(crate) fn lines(text: &str) -> Cow<'_, str> {
    replace(text, |c| c != '\n' && is_harmful(c))
}

/// JSON is ASCII-escaped where a terminal might obey it; it stays the same document.
pub(crate) fn json(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| c != '\n' && is_harmful(c)) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        // Such characters only stand inside strings, where an escape means the same.
        if c != '\n' && is_harmful(c) {
            // Writing to a String can't fail.
            let _ = write!(escaped, "\\u{:04x}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

fn replace(text: &str, harmful: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&harmful) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' | '\t' if harmful(c) => plain.push(' '),
            c if harmful(c) => plain.extend(c.escape_unicode()),
            c => plain.push(c),
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_lose_their_power() {
        assert_eq!(line("a\u{1b}[2Jb\nc\u{9b}31m"), "a\\u{1b}[2Jb c\\u{9b}31m");
        assert_eq!(lines("two\nlines\r"), "two\nlines\\u{d}");
        assert_eq!(line("invoice\u{202e}gnp"), "invoice\\u{202e}gnp");
    }

    #[test]
    fn json_keeps_its_meaning() {
        let text = serde_json::to_string("a\u{9b}b\u{202e}").expect("JSON");
        let escaped = json(&text);
        assert!(escaped.is_ascii());
        assert_eq!(serde_json::from_str::<String>(&escaped).expect("JSON"), "a\u{9b}b\u{202e}");
    }
}
