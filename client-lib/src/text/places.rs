//! Texts with where each token stands in them: for tags of words, and for answers inside passages.

use std::ops::Range;

use tokenizers::{Encoding, PostProcessor, Tokenizer, TruncationDirection};

use super::{TextEncoder, TextError, Tokens};

/// Tokens with their places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The tokens, special ones included.
    pub tokens: Tokens,
    /// The characters `start..end` that each token stands for, of the only text or, where there are two, of
    /// the second; `None` for special tokens and those of the first.
    pub places: Vec<Option<(usize, usize)>>,
}

impl Placed {
    fn new(encoding: &Encoding, sequence: usize, truncated: bool) -> Self {
        let special = encoding.get_special_tokens_mask();
        let of = encoding.get_sequence_ids();
        let place = |token: usize| {
            let is_text = special[token] == 0 && of[token].unwrap_or(0) == sequence;
            is_text.then(|| encoding.get_offsets()[token])
        };
        Self {
            places: (0..encoding.len()).map(place).collect(),
            tokens: Tokens {
                ids: encoding.get_ids().to_vec(),
                type_ids: encoding.get_type_ids().to_vec(),
                truncated,
            },
        }
    }
}

impl Placed {
    /// The first token of each word, by the characters where the words stand, in their order; `None` where no token
    /// of it was read.
    pub fn first_tokens(&self, words: &[(usize, usize)]) -> Vec<Option<usize>> {
        let mut tokens =
            (0..).zip(&self.places).filter_map(|(token, place)| Some((token, (*place)?))).peekable();
        let first = |&(start, end): &(usize, usize)| {
            // What ends in front of the word belongs to earlier ones.
            while tokens.next_if(|(_, place)| place.1 <= start).is_some() {}
            tokens.peek().filter(|(_, place)| place.0 < end).map(|(token, _)| *token)
        };
        words.iter().map(first).collect()
    }

    /// The tokens of each word, up to the first one of the next; `None` where none was read. Words within one token
    /// share it.
    pub fn tokens_of(&self, words: &[(usize, usize)]) -> Vec<Option<Range<usize>>> {
        let first = self.first_tokens(words);
        let mut end = self.places.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        let mut ranges: Vec<Option<Range<usize>>> = vec![None; words.len()];
        let mut last = None;
        for (range, first) in ranges.iter_mut().zip(&first).rev() {
            let Some(first) = *first else { continue };
            if let Some(later) = last.filter(|&later| later > first) {
                end = later;
            }
            *range = Some(first..end);
            last = Some(first);
        }
        ranges
    }
}

impl TextEncoder {
    /// Encodes one text, and says where its tokens stand.
    pub fn encode_placed(&self, text: &str) -> Result<Placed, TextError> {
        let encoding =
            self.tokenizer.encode_char_offsets(text, true).map_err(|e| TextError::encode(text, &e))?;
        let truncated = !encoding.get_overflowing().is_empty();
        Ok(Placed::new(&encoding, 0, truncated))
    }

    /// What cuts long passages into windows that overlap by `stride` tokens.
    pub fn windows(&self, stride: usize) -> Result<WindowEncoder, TextError> {
        let mut tokenizer = self.tokenizer.clone();
        let added = tokenizer.get_post_processor().map_or(0, |processor| processor.added_tokens(true));
        let max_length = self.max_length;
        // Nothing to fail: no truncation is set.
        tokenizer.with_truncation(None).map_err(|e| TextError::encode("", &e))?;
        match max_length.checked_sub(added).filter(|room| *room >= LEAST_ROOM) {
            Some(room) => Ok(WindowEncoder { tokenizer, room, stride }),
            None => Err(TextError::TooShort { max_length, least: added + LEAST_ROOM }),
        }
    }
}

/// A token of the question and one of the passage.
const LEAST_ROOM: usize = 2;

/// Encodes questions with passages of any length.
#[derive(Debug, Clone)]
pub struct WindowEncoder {
    tokenizer: Tokenizer,
    /// Tokens of both texts in a window.
    room: usize,
    stride: usize,
}

impl WindowEncoder {
    /// A question with every window of a passage: at least one. A question that would fill more than half
    /// of the window is cut. Two windows overlap, at most by half of what a window has of the passage.
    pub fn encode(&self, question: &str, passage: &str) -> Result<Vec<Placed>, TextError> {
        let plain = |text: &str| {
            self.tokenizer.encode_char_offsets(text, false).map_err(|e| TextError::encode(text, &e))
        };
        let (mut question_tokens, mut passage_tokens) = (plain(question)?, plain(passage)?);
        let is_cut = question_tokens.len() > self.room / 2;
        question_tokens.truncate(self.room / 2, 0, TruncationDirection::Right);
        question_tokens.take_overflowing();
        let space = self.room - question_tokens.len();
        passage_tokens.truncate(space, self.stride.min(space / 2), TruncationDirection::Right);
        let others = passage_tokens.take_overflowing();
        let window = |part: Encoding| {
            let pair = self.tokenizer.post_process(question_tokens.clone(), Some(part), true);
            let pair = pair.map_err(|e| TextError::encode(question, &e))?;
            Ok(Placed::new(&pair, 1, is_cut))
        };
        std::iter::once(passage_tokens).chain(others).map(window).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::folder, *};

    fn encoder(max_length: usize) -> TextEncoder {
        TextEncoder::open(folder().path(), 7, max_length).expect("opens")
    }

    #[test]
    fn every_token_of_a_text_has_its_characters() {
        let placed = encoder(12).encode_placed("good  bad").expect("encodes");
        assert_eq!(placed.tokens.ids(), [0, 4, 5, 1]);
        assert_eq!(placed.places, [None, Some((0, 4)), Some((6, 9)), None]);
    }

    #[test]
    fn a_word_has_its_tokens_and_shares_one_that_is_not_its_own_alone() {
        let places = [None, Some((0, 2)), Some((2, 4)), Some((5, 8)), Some((9, 10)), None];
        let tokens = encoder(12).encode("good film bad film").expect("encodes");
        let placed = Placed { tokens, places: places.to_vec() };
        let words = [(0, 4), (5, 6), (6, 8), (9, 10), (11, 14)];
        assert_eq!(placed.first_tokens(&words), [Some(1), Some(3), Some(3), Some(4), None]);
        assert_eq!(placed.tokens_of(&words), [Some(1..3), Some(3..4), Some(3..4), Some(4..5), None]);
    }

    #[test]
    fn a_long_passage_is_read_in_windows_that_overlap() {
        let encoder = encoder(8).windows(1).expect("fits");
        let windows = encoder.encode("good", "bad film bad film good film good").expect("encodes");
        // Three special tokens and the question leave four for the passage.
        let passages: Vec<Vec<u32>> = windows.iter().map(|w| w.tokens.ids()[3..].to_vec()).collect();
        assert_eq!(passages, [vec![5, 6, 5, 6, 1], vec![6, 4, 6, 4, 1]]);
        assert_eq!(windows[1].places[3], Some((13, 17)));
        assert!(windows.iter().all(|w| w.places[..3].iter().all(Option::is_none)));
        assert!(windows.iter().all(|w| w.tokens.type_ids[3..].iter().all(|&segment| segment == 1)));
    }

    #[test]
    fn every_length_and_stride_reads_the_whole_passage() {
        let (question, passage) = ("good ".repeat(9), "bad film ".repeat(20));
        for max_length in 5..20 {
            for stride in [0, 1, 5, 100] {
                let encoder = encoder(max_length).windows(stride).expect("fits");
                let windows = encoder.encode(&question, &passage).expect("encodes");
                assert!(windows.iter().all(|w| w.tokens.len() <= max_length));
                let read: std::collections::BTreeSet<_> =
                    windows.iter().flat_map(|w| w.places.iter().flatten()).collect();
                assert_eq!(read.len(), 40, "length {max_length}, stride {stride}");
            }
        }
        assert!(encoder(4).windows(0).is_err());
    }

    #[test]
    fn an_empty_passage_has_one_window() {
        let windows = encoder(8).windows(1).expect("fits").encode("good", "").expect("encodes");
        assert_eq!(windows.len(), 1);
    }
}
