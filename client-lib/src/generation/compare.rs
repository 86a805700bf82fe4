//! How close written answers come to the right ones.

use std::path::Path;

use super::{GenerateError, GenerationOptions, Generator};
use crate::{
    data::{Answer, Example, TaskKind},
    metrics::{Metric, Scores, bleu, rouge_l, rouge_n},
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
    let mean = |score: &dyn Fn(&str, &str) -> f64| {
        let sum: f64 = compared.iter().map(|pair| score(&pair.written, &pair.right)).sum();
        sum / compared.len().max(1) as f64
    };
    let (written, right): (Vec<&str>, Vec<&str>) =
        compared.iter().map(|pair| (pair.written.as_str(), pair.right.as_str())).unzip();
    Scores {
        examples: compared.len() as u64,
        values: vec![
            (Metric::Rouge1, mean(&|written, right| rouge_n(written, right, 1))),
            (Metric::Rouge2, mean(&|written, right| rouge_n(written, right, 2))),
            (Metric::RougeL, mean(&rouge_l)),
            (Metric::Bleu, bleu(&written, &right)),
        ],
        ..Scores::default()
    }
}
