//! A text from another one: the encoder reads the source, the decoder the target one token further back, behind the
//! token it begins with (Sutskever et al. 2014; Raffel et al. 2020, section 2.1).

use super::{TaskError, next_token::Row};
use crate::{
    data::{Answer, Example, TaskKind},
    generation::{Dialogue, Turn},
    text::TextEncoder,
};

/// The row of an example. Source and target are cut at the encoder's longest input.
pub(super) fn row(dialogue: &Dialogue, encoder: &TextEncoder, example: &Example) -> Result<Row, TaskError> {
    let mut tokens = encoder.encode(&example.texts.join("\n\n"))?;
    let Answer::Text(answer) = &example.answer else {
        return Err(TaskError::NothingAsked(TaskKind::Seq2SeqLm));
    };
    let Turn { tokens: truth, truncated, .. } = dialogue.target(answer, encoder.max_length())?;
    let before = truth.iter().take(truth.len().saturating_sub(1));
    let decoder = std::iter::once(dialogue.start()?).chain(before.copied()).collect();
    tokens.truncated |= truncated;
    Ok(Row { tokens, image: None, decoder, first: 0, truth })
}
