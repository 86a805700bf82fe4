//! Texts that end an answer.

/// What may be shown of a growing text: up to the first stop text, or without an end that may yet
/// become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shown {
    /// Bytes that may be shown.
    pub(super) len: usize,
    /// Whether a stop text was found behind them.
    pub(super) is_over: bool,
}

/// Looks for the first of `stops` in `text`.
pub(super) fn shown(text: &str, stops: &[String]) -> Shown {
    let stops = || stops.iter().filter(|stop| !stop.is_empty());
    if let Some(len) = stops().filter_map(|stop| text.find(stop.as_str())).min() {
        return Shown { len, is_over: true };
    }
    let held = |stop: &String| {
        let starts = text.char_indices().map(|(at, _)| at);
        starts.filter(|&at| stop.starts_with(&text[at..])).min().unwrap_or(text.len())
    };
    Shown { len: stops().map(held).min().unwrap_or(text.len()), is_over: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_held_back_while_it_may_become_a_stop() {
        let stops = ["\nUser:".to_owned(), "END".to_owned()];
        assert_eq!(shown("hello", &stops), Shown { len: 5, is_over: false });
        assert_eq!(shown("hello\nUs", &stops), Shown { len: 5, is_over: false });
        assert_eq!(shown("hello\nUser: x END", &stops), Shown { len: 5, is_over: true });
        assert_eq!(shown("über E", &stops), Shown { len: 6, is_over: false });
    }
}
