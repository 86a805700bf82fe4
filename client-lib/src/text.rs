//! From texts to token numbers, and from those to the tensors a backbone reads.
//!
//! A `tokenizer.json` also carries padding and truncation settings: MiniLM's pads
//! everything to 128 tokens. Those belong to whoever wrote the file; here padding is
//! decided per batch and truncation by the backbone's positions, whatever it says.

mod places;

use std::path::{Path, PathBuf};

use candle_core::Device;
use hub_formats::checkpoint::{gguf_at, gguf_tokenizer};
use tokenizers::{EncodeInput, Tokenizer, TruncationParams};

use crate::backbones::{Batch, HeadInputs, mask_of, padded};

pub use places::{Placed, WindowEncoder};

/// File name of a backbone's tokenizer.
pub const TOKENIZER_FILE: &str = "tokenizer.json";
/// Names of the padding token in the vocabularies of common backbones.
const PAD_TOKENS: [&str; 3] = ["[PAD]", "<pad>", "<|endoftext|>"];
/// Names of the token that stands for a hidden one.
const MASK_TOKENS: [&str; 2] = ["[MASK]", "<mask>"];

/// Tokens that a growing text is decoded from.
const KEPT_TOKENS: usize = 32;

/// A text that can't be turned into tokens.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// The backbone's folder has no tokenizer.
    #[error("`{}` is missing: the backbone's folder must hold its tokenizer", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The tokenizer's file can't be read.
    #[error("can't read the tokenizer `{}`: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Token numbers would point beyond the backbone's embedding table.
    #[error(
        "the tokenizer has {tokens} tokens, but the backbone's embedding table has {rows} rows: they do not belong together"
    )]
    Vocabulary {
        /// Tokens of the tokenizer.
        tokens: usize,
        /// Rows of the embedding table.
        rows: usize,
    },
    /// The length limit leaves no room for the text.
    #[error("a length of {max_length} tokens is too short; this tokenizer needs at least {least}")]
    TooShort {
        /// The limit.
        max_length: usize,
        /// The smallest usable one.
        least: usize,
    },
    /// The tokenizer failed on a text.
    #[error("the tokenizer failed on the text {text:?}: {reason}")]
    Encode {
        /// The text's beginning.
        text: String,
        /// What it said.
        reason: String,
    },
    /// A tensor could not be built.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

impl TextError {
    fn encode(text: &str, reason: &tokenizers::Error) -> Self {
        Self::Encode { text: text.chars().take(60).collect(), reason: reason.to_string() }
    }
}

/// One encoded text, or pair of texts, without padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    ids: Vec<u32>,
    type_ids: Vec<u32>,
    /// Whether the text was longer than allowed and its end was cut off.
    pub truncated: bool,
}

impl Tokens {
    /// How many tokens.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no token.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Their numbers.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// These tokens of a single text.
    pub fn of_ids(ids: Vec<u32>, truncated: bool) -> Self {
        Self { type_ids: vec![0; ids.len()], ids, truncated }
    }

    /// The same with other tokens in some places.
    #[must_use]
    pub fn replaced(&self, replacements: impl IntoIterator<Item = (usize, u32)>) -> Self {
        let mut tokens = self.clone();
        for (place, id) in replacements {
            if let Some(token) = tokens.ids.get_mut(place) {
                *token = id;
            }
        }
        tokens
    }
}

/// The tokenizer's file in a backbone's folder, and its content. Without such a file beside it a GGUF
/// file is asked for its own.
fn tokenizer_json(folder: &Path) -> Result<(PathBuf, Vec<u8>), TextError> {
    let unreadable = |path: &Path, reason: String| TextError::Unreadable { path: path.to_owned(), reason };
    let gguf = gguf_at(folder);
    let folder = gguf.as_deref().and_then(Path::parent).unwrap_or(folder);
    let path = folder.join(TOKENIZER_FILE);
    match (std::fs::read(&path), gguf) {
        (Ok(bytes), _) => Ok((path, bytes)),
        (Err(e), Some(gguf)) if e.kind() == std::io::ErrorKind::NotFound => {
            let bytes = gguf_tokenizer(&gguf).map_err(|e| unreadable(&gguf, e.to_string()))?;
            Ok((gguf, bytes))
        }
        (Err(e), None) if e.kind() == std::io::ErrorKind::NotFound => Err(TextError::Missing { path }),
        (Err(e), _) => Err(unreadable(&path, e.to_string())),
    }
}

/// Encodes texts for one backbone.
#[derive(Debug, Clone)]
pub struct TextEncoder {
    tokenizer: Tokenizer,
    pad: u32,
    max_length: usize,
}

impl TextEncoder {
    /// Reads the tokenizer in `folder`, for a backbone with `vocab_size` embeddings;
    /// texts are cut at `max_length` tokens, special ones included.
    pub fn open(folder: &Path, vocab_size: usize, max_length: usize) -> Result<Self, TextError> {
        let (path, bytes) = tokenizer_json(folder)?;
        let mut tokenizer = Tokenizer::from_bytes(bytes)
            .map_err(|e| TextError::Unreadable { path, reason: e.to_string() })?;
        let tokens = tokenizer.get_vocab_size(true);
        if tokens > vocab_size {
            return Err(TextError::Vocabulary { tokens, rows: vocab_size });
        }
        let declared = tokenizer.get_padding().map(|padding| padding.pad_id);
        let pad = declared
            .or_else(|| PAD_TOKENS.iter().find_map(|token| tokenizer.token_to_id(token)))
            .unwrap_or(0);
        tokenizer.with_padding(None);
        Self { tokenizer, pad, max_length }.within(max_length)
    }

    /// The same for texts that are cut at `max_length` tokens.
    pub fn within(mut self, max_length: usize) -> Result<Self, TextError> {
        let least = 1 + self
            .tokenizer
            .get_post_processor()
            .map_or(0, |processor| tokenizers::PostProcessor::added_tokens(processor, true));
        if max_length < least {
            return Err(TextError::TooShort { max_length, least });
        }
        let truncation = TruncationParams { max_length, ..TruncationParams::default() };
        let truncated = self.tokenizer.with_truncation(Some(truncation));
        truncated.map_err(|_| TextError::TooShort { max_length, least })?;
        self.max_length = max_length;
        Ok(self)
    }

    /// The length that texts are cut at.
    pub const fn max_length(&self) -> usize {
        self.max_length
    }

    /// Encodes one text.
    pub fn encode(&self, text: &str) -> Result<Tokens, TextError> {
        self.encode_input(text.into(), text)
    }

    /// Encodes two texts that belong together: question and passage, premise and hypothesis.
    pub fn encode_pair(&self, first: &str, second: &str) -> Result<Tokens, TextError> {
        self.encode_input((first, second).into(), first)
    }

    /// The tokens of a text that a model continues, none cut off; with the tokenizer's special tokens where
    /// the text does not have them.
    pub fn encode_prompt(&self, text: &str, special: bool) -> Result<Vec<u32>, TextError> {
        let encoding = self.tokenizer.encode_fast(text, special).map_err(|e| TextError::encode(text, &e))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The token that stands for a hidden one, where the tokenizer has one.
    pub fn mask_token(&self) -> Option<u32> {
        MASK_TOKENS.iter().find_map(|token| self.tokenizer.token_to_id(token))
    }

    /// The number of tokens.
    pub fn vocabulary(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// The text of a token.
    pub fn token(&self, id: u32) -> Option<String> {
        self.tokenizer.id_to_token(id)
    }

    /// Turns tokens into text one by one.
    pub fn decode_stream(&self) -> TextStream<'_> {
        TextStream { tokenizer: &self.tokenizer, ids: Vec::new(), done: String::new() }
    }

    fn encode_input(&self, input: EncodeInput<'_>, text: &str) -> Result<Tokens, TextError> {
        let encoding = self.tokenizer.encode_fast(input, true).map_err(|e| TextError::encode(text, &e))?;
        Ok(Tokens {
            ids: encoding.get_ids().to_vec(),
            type_ids: encoding.get_type_ids().to_vec(),
            truncated: !encoding.get_overflowing().is_empty(),
        })
    }

    /// Puts `rows` into one batch, padded to the longest of them.
    pub fn batch(&self, rows: &[&Tokens], device: &Device) -> Result<Batch, TextError> {
        let lengths: Vec<usize> = rows.iter().map(|row| row.len()).collect();
        let rows = |values: fn(&Tokens) -> &[u32]| rows.iter().map(|row| values(row)).collect::<Vec<_>>();
        Ok(Batch {
            input_ids: padded(&rows(|row| &row.ids), self.pad, device)?,
            attention_mask: mask_of(&lengths, device)?,
            is_unmasked: false,
            token_type_ids: Some(padded(&rows(|row| &row.type_ids), 0, device)?),
            head_inputs: HeadInputs::default(),
            signal: None,
            decoder: None,
            passed: None,
            image: None,
        })
    }
}

/// A text that grows by tokens. A character may need several of them: it appears with the last one.
#[derive(Debug)]
pub struct TextStream<'a> {
    tokenizer: &'a Tokenizer,
    /// What is not yet followed by a safe place to cut.
    ids: Vec<u32>,
    /// The part of their text that was given out.
    done: String,
}

impl TextStream<'_> {
    /// What the next token adds to the text; special tokens add nothing.
    pub fn next(&mut self, token: u32) -> Result<String, TextError> {
        let tokenizer = self.tokenizer;
        let decode = |ids: &[u32]| {
            let decoded = tokenizer.decode(ids, true);
            decoded.map_err(|e| TextError::Encode { text: format!("{ids:?}"), reason: e.to_string() })
        };
        self.ids.push(token);
        let text = decode(&self.ids)?;
        // A part of a character, or a text that later tokens still change.
        let Some(added) = text.strip_prefix(&self.done).filter(|added| !added.ends_with('\u{FFFD}')) else {
            return Ok(String::new());
        };
        let added = added.to_owned();
        // The last tokens stay: the space in front of a word depends on what is before it.
        if self.ids.len() > KEPT_TOKENS {
            self.ids.drain(..self.ids.len() - KEPT_TOKENS / 2);
            self.done = decode(&self.ids)?;
        } else {
            self.done = text;
        }
        Ok(added)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Tensor;

    use super::*;

    /// A word-level tokenizer that asks for padding to eight tokens, as MiniLM's asks for 128.
    pub(super) fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let json = serde_json::json!({
            "version": "1.0",
            "truncation": {"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0},
            "padding": {"strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": null,
                        "pad_id": 3, "pad_type_id": 0, "pad_token": "[PAD]"},
            "added_tokens": [],
            "normalizer": null,
            "pre_tokenizer": {"type": "Whitespace"},
            "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 1], "cls": ["[CLS]", 0]},
            "decoder": null,
            "model": {"type": "WordLevel", "unk_token": "[UNK]", "vocab":
                {"[CLS]": 0, "[SEP]": 1, "[UNK]": 2, "[PAD]": 3, "good": 4, "bad": 5, "film": 6}},
        });
        std::fs::write(folder.path().join(TOKENIZER_FILE), json.to_string()).expect("writes");
        folder
    }

    #[test]
    fn padding_and_truncation_of_the_file_are_ignored() {
        let folder = folder();
        let encoder = TextEncoder::open(folder.path(), 7, 12).expect("opens");
        assert_eq!(encoder.encode("good film").expect("encodes").ids(), [0, 4, 6, 1]);
        let long = encoder.encode(&"film ".repeat(9)).expect("encodes");
        assert_eq!((long.len(), long.truncated), (11, false));
        let longer = encoder.encode(&"film ".repeat(30)).expect("encodes");
        assert_eq!((longer.len(), longer.truncated), (12, true));
        assert_eq!(longer.ids().last(), Some(&1), "special tokens survive the cut");
    }

    #[test]
    fn a_batch_is_padded_to_its_longest_row() {
        let folder = folder();
        let encoder = TextEncoder::open(folder.path(), 7, 12).expect("opens");
        let rows = ["good film", "bad"].map(|text| encoder.encode(text).expect("encodes"));
        let batch = encoder.batch(&rows.iter().collect::<Vec<_>>(), &Device::Cpu).expect("a batch");
        let values = |t: &Tensor| t.to_vec2::<u32>().expect("values");
        assert_eq!(values(&batch.input_ids), [[0, 4, 6, 1], [0, 5, 1, 3]]);
        assert_eq!(values(&batch.attention_mask), [[1, 1, 1, 1], [1, 1, 1, 0]]);
    }

    #[test]
    fn a_pair_has_two_segments() {
        let folder = folder();
        let encoder = TextEncoder::open(folder.path(), 7, 12).expect("opens");
        let pair = encoder.encode_pair("good", "bad film").expect("encodes");
        assert_eq!(pair.ids, [0, 4, 1, 5, 6, 1]);
        assert_eq!(pair.type_ids, [0, 0, 0, 1, 1, 1]);
    }

    #[test]
    fn a_tokenizer_that_does_not_fit_is_refused() {
        let folder = folder();
        let message =
            |vocab, length| TextEncoder::open(folder.path(), vocab, length).expect_err("refused").to_string();
        insta::assert_snapshot!(format!("{}\n{}", message(5, 12), message(7, 2)), @r"
        the tokenizer has 7 tokens, but the backbone's embedding table has 5 rows: they do not belong together
        a length of 2 tokens is too short; this tokenizer needs at least 4
        ");
        let empty = tempfile::tempdir().expect("a folder");
        let missing = TextEncoder::open(empty.path(), 7, 12).expect_err("missing").to_string();
        assert!(missing.contains("tokenizer.json"), "{missing}");
        std::fs::write(empty.path().join(TOKENIZER_FILE), "{").expect("writes");
        assert!(matches!(TextEncoder::open(empty.path(), 7, 12), Err(TextError::Unreadable { .. })));
    }
}
