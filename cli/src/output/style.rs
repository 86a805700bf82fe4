//! Colour, which never carries the meaning alone.

use console::Style;

/// Paints `text` when `on`.
pub(crate) fn paint(text: &str, style: Style, on: bool) -> String {
    if on { style.force_styling(true).apply_to(text).to_string() } else { text.to_owned() }
}

/// Paints what stands between backticks: commands, names, values, paths.
pub(crate) fn code_spans(text: &str, on: bool) -> String {
    if !on || text.matches('`').count() % 2 == 1 {
        return text.to_owned();
    }
    let mut painted = String::with_capacity(text.len() + 16);
    for (index, part) in text.split('`').enumerate() {
        if index % 2 == 1 {
            painted.push('`');
            painted.push_str(&paint(part, Style::new().cyan(), true));
            painted.push('`');
        } else {
            painted.push_str(part);
        }
    }
    painted
}
