//! A vector for a text. Two texts that belong together are read one by one, and the cosine of their vectors is as near
//! to their score as they are alike. Loss: the mean squared error between cosine and score, the regression objective of
//! Reimers & Gurevych ("Sentence-BERT", 2019; `CosineSimilarityLoss` of `sentence-transformers`). Measured like its
//! `EmbeddingSimilarityEvaluator` with the cosine.

use std::{path::Path, sync::Arc};

use candle_core::{DType, Tensor};
use hub_schemas::head::EmbeddingHead;

use super::{
    EmbeddingPrediction, Encoded, Expected, Predicted, Reading, TaskError, cosine, cosine_similarity,
    expected::of_rank,
    mean_squared_error,
    regression::{answered, truth},
};
use crate::{
    backbones::Mode,
    data::{DataError, DataFile, Example, TaskKind},
    heads::Prediction,
    inputs::InputEncoder,
    metrics::{Metric, Scores, pearson, spearman},
};

pub(super) const METRICS: [Metric; 2] = [Metric::Spearman, Metric::Pearson];

/// Refuses scores that no cosine can reach.
pub(super) fn check_scores(file: &DataFile) -> Result<(), DataError> {
    match file.examples.iter().find(|example| !example.is_cosine()) {
        None => Ok(()),
        Some(example) => Err(DataError::NoCosine {
            file: file.name.clone(),
            line: example.line,
            score: truth(example).unwrap_or(f64::NAN),
        }),
    }
}

/// A row for every example, with its text or its two, read as the head says.
pub(super) fn encoded(
    encoder: &InputEncoder,
    examples: &[Example],
    root: &Path,
    head: Option<&EmbeddingHead>,
) -> Result<Encoded, TaskError> {
    if let Some(example) = examples.iter().find(|example| !matches!(example.texts.len(), 1 | 2)) {
        return Err(TaskError::NotCompared(example.texts.len()));
    }
    // Files of images and recordings have names, which are read as they are.
    let inputs = match head.filter(|head| encoder.text().is_some() && !head.reads_as_is()) {
        Some(head) => {
            let read = |example: &Example| example.texts.iter().map(|text| head.read(text)).collect();
            let texts: Vec<Vec<String>> = examples.iter().map(read).collect();
            encoder.encode_apart(texts.iter().map(Vec::as_slice), root)?
        }
        None => encoder.encode_apart(examples.iter().map(|example| example.texts.as_slice()), root)?,
    };
    let texts = examples.iter().map(|example| example.texts.len()).collect();
    let truth = examples.iter().map(truth).collect();
    Ok(Encoded { inputs, expected: Arc::new(Vectors { texts, truth }) })
}

/// How many texts every row has, and how alike they are.
#[derive(Debug)]
struct Vectors {
    texts: Vec<usize>,
    truth: Vec<Option<f64>>,
}

impl Vectors {
    /// The vectors `[n, h]` of all texts of these rows.
    fn of<'p>(&self, prediction: &'p Prediction, rows: &[usize]) -> Result<&'p Tensor, TaskError> {
        let expected = "a vector for each text";
        let vectors = of_rank(prediction, 2, TaskKind::Embedding, expected)?;
        let texts: usize = rows.iter().map(|&row| self.texts[row]).sum();
        if vectors.dim(0)? == texts {
            return Ok(vectors);
        }
        let found = vectors.dims().to_vec();
        Err(TaskError::Output { kind: TaskKind::Embedding, found, expected })
    }
}

impl Expected for Vectors {
    fn loss(&self, prediction: &Prediction, rows: &[usize], _: Mode) -> Result<Tensor, TaskError> {
        let vectors = self.of(prediction, rows)?;
        let pairs = vectors.reshape((rows.len(), 2, ()))?;
        let side = |place: usize| pairs.narrow(1, place, 1)?.squeeze(1);
        let cosines = cosine_similarity(&side(0)?, &side(1)?)?;
        let truth: Vec<f64> = rows.iter().filter_map(|&row| self.truth[row]).collect();
        let truth = Tensor::from_vec(truth, rows.len(), vectors.device())?;
        Ok(mean_squared_error(&cosines, &truth.to_dtype(cosines.dtype())?)?)
    }

    fn read(&self, prediction: &Prediction, rows: &[usize]) -> Result<Vec<Reading>, TaskError> {
        let vectors = self.of(prediction, rows)?.to_dtype(DType::F32)?.to_vec2::<f32>()?;
        let mut vectors = vectors.into_iter();
        let mut readings = Vec::with_capacity(rows.len());
        for &row in rows {
            let embedding = vectors.next().unwrap_or_default();
            let pair_embedding = if self.texts[row] > 1 { vectors.next() } else { None };
            let similarity = pair_embedding.as_deref().map(|pair| cosine(&embedding, pair));
            readings.push(match (self.truth[row], similarity) {
                // Where it is known how alike two texts are, nobody asks for their vectors.
                (Some(truth), Some(cosine)) => Reading {
                    predicted: Predicted::Number { value: cosine as f32 },
                    loss: (cosine - truth).powi(2),
                    weight: 1.0,
                },
                _ => Reading {
                    predicted: Predicted::Embedding(EmbeddingPrediction {
                        similarity,
                        embedding,
                        pair_embedding,
                    }),
                    loss: 0.0,
                    weight: 0.0,
                },
            });
        }
        Ok(readings)
    }

    fn scores(&self, answers: &[Predicted]) -> Scores {
        let (truth, cosines) = answered(&self.truth, answers);
        Scores {
            examples: truth.len() as u64,
            values: vec![
                (Metric::Spearman, spearman(&truth, &cosines)),
                (Metric::Pearson, pearson(&truth, &cosines)),
            ],
            ..Scores::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn prediction<const N: usize>(vectors: [[f32; 2]; N]) -> Prediction {
        Prediction::Embedding(Tensor::new(&vectors, &Device::Cpu).expect("vectors"))
    }

    #[test]
    fn the_loss_of_a_batch_is_that_of_its_readings() {
        let truth = vec![Some(0.5), Some(-1.0), Some(0.25)];
        let vectors = Vectors { texts: vec![2; 3], truth };
        let given = prediction([[1.0, 0.0], [1.0, 1.0], [2.0, 0.0], [-3.0, 0.0]]);
        let loss = vectors.loss(&given, &[2, 1], Mode::Eval).and_then(|x| Ok(x.to_scalar::<f32>()?));
        let readings = vectors.read(&given, &[2, 1]).expect("reads");
        let mean = readings.iter().map(|reading| reading.loss).sum::<f64>() / 2.0;
        let expected = (0.5_f64.sqrt() - 0.25).powi(2) / 2.0;
        assert!((mean - expected).abs() < 1e-6, "{mean} is not {expected}");
        assert!((f64::from(loss.expect("a loss")) - expected).abs() < 1e-6);
        assert_eq!(readings[1].predicted, Predicted::Number { value: -1.0 });
    }

    #[test]
    fn texts_that_nobody_scored_are_answered_with_their_vectors() {
        let vectors = Vectors { texts: vec![1, 2], truth: vec![None; 2] };
        let given = prediction([[0.0, 1.0], [0.0, 2.0], [3.0, 0.0]]);
        let readings = vectors.read(&given, &[0, 1]).expect("reads");
        let answer = |similarity, embedding: [f32; 2], pair: Option<[f32; 2]>| {
            let (embedding, pair_embedding) = (embedding.to_vec(), pair.map(|pair| pair.to_vec()));
            Predicted::Embedding(EmbeddingPrediction { similarity, embedding, pair_embedding })
        };
        assert_eq!(readings[0].predicted, answer(None, [0.0, 1.0], None));
        assert_eq!(readings[1].predicted, answer(Some(0.0), [0.0, 2.0], Some([3.0, 0.0])));
        let error = vectors.read(&given, &[0]).expect_err("refused").to_string();
        assert!(error.contains("the shape [3, 2]; `embedding` reads a vector for each text"), "{error}");
    }
}
