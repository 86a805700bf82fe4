//! How close written answers come to the right ones.

use std::path::Path;

use super::{GenerateError, GenerationOptions, Generator};
use crate::{
    data::{Answer, Example, TaskKind},
    metrics::{Metric, Rouge, Scores, bleu},
};

/// A prompt with what was written and what is right.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Compared {
    /// What was asked, or the picture's file.
    pub prompt: String,
    /// What the model writes.
    pub written: String,
    /// What is right.
    pub right: String,
}

/// Answers every example that has an answer; `progress` hears how many are done. The end of a prompt that leaves no
/// room for the answer is left out. Relative names of pictures count from `folder`.
pub fn compare(
    generator: &Generator,
    (examples, folder): (&[Example], &Path),
    options: &GenerationOptions,
    mut progress: impl FnMut(usize),
) -> Result<Vec<Compared>, GenerateError> {
    let encoder = generator.encoder()?;
    let room = generator.longest_input().saturating_sub(options.max_new_tokens).max(1);
    let is_behind = generator.task().is_some_and(|task| task.kind() == TaskKind::Seq2SeqLm);
    let mut compared = Vec::new();
    for example in examples {
        let Answer::Text(right) = &example.answer else { continue };
        // A picture's file stands in front of what is asked about it.
        let (file, asked) = match example.texts.split_first() {
            Some((file, asked)) if generator.sees() => (Some(file), asked),
            _ => (None, example.texts.as_slice()),
        };
        let prompt = asked.join("\n\n");
        let tokens = match encoder.text().filter(|_| is_behind) {
            Some(encoder) => encoder.encode(&prompt)?.ids().to_vec(),
            None => generator.dialogue().prompt(&prompt, room)?.tokens,
        };
        let asked = match file {
            Some(file) => generator.look(&folder.join(file), tokens)?,
            None => generator.prompt_of(tokens)?,
        };
        let generated = generator.generate(&asked, options, &mut |_| {})?;
        let (written, right) = (generated.text.trim().to_owned(), right.clone());
        compared.push(Compared { prompt: file.cloned().unwrap_or(prompt), written, right });
        progress(compared.len());
    }
    Ok(compared)
}

/// ROUGE, the mean over the answers, and BLEU of all of them.
pub fn closeness(compared: &[Compared]) -> Scores {
    let rouge: Vec<Rouge> = compared.iter().map(|pair| Rouge::of(&pair.written, &pair.right)).collect();
    let mean = |score: fn(&Rouge) -> f64| rouge.iter().map(score).sum::<f64>() / rouge.len().max(1) as f64;
    let (written, right): (Vec<&str>, Vec<&str>) =
        compared.iter().map(|pair| (pair.written.as_str(), pair.right.as_str())).unzip();
    Scores {
        examples: compared.len() as u64,
        values: vec![
            (Metric::Rouge1, mean(|rouge| rouge.one)),
            (Metric::Rouge2, mean(|rouge| rouge.two)),
            (Metric::RougeL, mean(|rouge| rouge.longest)),
            (Metric::Bleu, bleu(&written, &right)),
        ],
        ..Scores::default()
    }
}
