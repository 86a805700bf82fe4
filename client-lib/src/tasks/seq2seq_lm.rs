//! A text from another one, or from a recording: the encoder reads the source, the decoder the target one token further
//! back, behind the tokens that it begins with (Sutskever et al. 2014; Raffel et al. 2020, section 2.1). In front of a
//! transcript these say the language and what is asked for, and have no loss (Radford et al. 2022, section 2.3).

use super::{TaskError, next_token::Row};
use crate::{
    data::{Answer, Example, TaskKind},
    generation::{Dialogue, Turn},
    inputs::Input,
    text::TextEncoder,
};

/// The row of an example. The source is cut at the encoder's longest input.
pub(super) fn row(dialogue: &Dialogue, encoder: &TextEncoder, example: &Example) -> Result<Row, TaskError> {
    let mut tokens = encoder.encode(&example.texts.join("\n\n"))?;
    let turn = dialogue.target(written(example)?)?;
    tokens.truncated |= turn.truncated;
    Ok(behind(Input::Text(tokens), turn))
}

/// The row of a recording.
pub(super) fn heard(dialogue: &Dialogue, recording: Input, example: &Example) -> Result<Row, TaskError> {
    Ok(behind(recording, dialogue.transcript(written(example)?)?))
}

fn written(example: &Example) -> Result<&str, TaskError> {
    match &example.answer {
        Answer::Text(answer) => Ok(answer),
        _ => Err(TaskError::NothingAsked(TaskKind::Seq2SeqLm)),
    }
}

fn behind(input: Input, turn: Turn) -> Row {
    let is_cut = turn.truncated;
    let (decoder, first, truth) = turn.asked();
    Row { input, decoder, first, truth, is_cut }
}
