//! A text token by token: the answer to a prompt, of which nothing else is learned, or a whole text (Radford et
//! al. 2018). A text that is longer than what is read falls into pieces that share one token, so that each but
//! the very first is asked for once.

use std::sync::Arc;

use super::{TaskError, next_token::Row};
use crate::{
    data::{Answer, Example},
    generation::{Dialogue, Turn},
    inputs::Input,
    text::Tokens,
};

/// The rows of a picture that is described, the file of which stands in front of the prompt.
pub(super) fn described(
    dialogue: &Dialogue,
    example: &Example,
    image: Vec<f32>,
    most: usize,
) -> Result<Vec<Row>, TaskError> {
    let texts = example.texts.get(1..).unwrap_or_default().to_vec();
    let about = Example { texts, ..example.clone() };
    let image = Arc::new(image);
    let seen = |row: Row| match row.input {
        Input::Text(tokens) => Row { input: Input::Seen { tokens, image: image.clone() }, ..row },
        _ => row,
    };
    Ok(rows(dialogue, &about, most)?.into_iter().map(seen).collect())
}

/// The rows of an example.
pub(super) fn rows(dialogue: &Dialogue, example: &Example, most: usize) -> Result<Vec<Row>, TaskError> {
    let text = example.texts.join("\n\n");
    if let Answer::Text(answer) = &example.answer {
        let turn = dialogue.turn(&text, answer, most)?;
        if turn.answer >= turn.tokens.len() {
            return Err(TaskError::NoRoom { max_length: most, prompt: turn.answer });
        }
        return Ok(vec![row(turn)]);
    }
    let tokens = dialogue.text(&text)?;
    let step = most.saturating_sub(1).max(1);
    let piece = |number: usize| {
        let start = number * step;
        let tokens = tokens[start..tokens.len().min(start + step + 1)].to_vec();
        row(Turn { tokens, answer: 1, truncated: false })
    };
    Ok((0..tokens.len().saturating_sub(1).div_ceil(step)).map(piece).collect())
}

fn row(turn: Turn) -> Row {
    let is_cut = turn.truncated;
    let (read, first, truth) = turn.asked();
    Row { input: Input::Text(Tokens::of_ids(read, is_cut)), decoder: Vec::new(), first, truth, is_cut }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(row: &Row) -> &[u32] {
        match &row.input {
            Input::Text(tokens) => tokens.ids(),
            other => panic!("a text was asked for: {other:?}"),
        }
    }

    #[test]
    fn only_the_answer_is_asked_for() {
        let row = row(Turn { tokens: vec![5, 6, 7, 8, 9], answer: 3, truncated: false });
        assert_eq!((ids(&row), row.first), ([5, 6, 7, 8].as_slice(), 2));
        assert_eq!(row.truth, [8, 9], "behind the tokens 2 and 3");
    }

    #[test]
    fn an_answer_without_a_prompt_loses_its_first_token() {
        let row = row(Turn { tokens: vec![5, 6, 7], answer: 0, truncated: false });
        assert_eq!((ids(&row), row.first, row.truth.as_slice()), ([5, 6].as_slice(), 0, [6, 7].as_slice()));
    }
}
