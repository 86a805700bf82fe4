//! What only some prediction heads read, beside the tokens.

use std::ops::Range;

use candle_core::Tensor;

/// The inputs of a batch that the backbone itself does not read.
#[derive(Debug, Clone, Default)]
pub struct HeadInputs {
    /// The tokens of each word, row by row, for dependency parsing.
    pub words: Option<Vec<Vec<Range<usize>>>>,
    /// The task of each row, by its number, for adapters that divide the rows by task.
    pub tasks: Option<Vec<usize>>,
    /// The tokens that a language model predicts, as positions in the flattened `[b, t]`, u32 `[n]`; all of
    /// them when absent. Its scores are `[1, n, vocabulary]` then: few tokens of many are masked, or answers.
    /// Behind an encoder they are the decoder's.
    pub positions: Option<Tensor>,
    /// How many sequences in a row are the choices of one example.
    pub choices: Option<usize>,
}
