//! Labels for texts: backbone, adapter, head and tokenizer behind one door.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use candle_core::Device;
use hub_schemas::head::Head;

use crate::{
    backbones::{Backbone, Mode},
    checkpoint::{AdapterFolder, BaseFolder, CheckpointError},
    inputs::{Input, InputEncoder, InputError},
    model::{Attribution, ModelError, StitchedModel},
};

/// Texts per forward pass. More than this gains nothing on a CPU and costs memory.
const BATCH: usize = 32;

/// Why nothing can be predicted.
#[derive(Debug, thiserror::Error)]
pub enum PredictError {
    /// A folder can't be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Adapter and backbone don't go together.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A text or an image can't be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// There is no head.
    #[error("the adapter in `{}` has no classification head: it can't label texts", .0.display())]
    NoHead(std::path::PathBuf),
    /// The head does something else.
    #[error(
        "the adapter in `{}` has a `{kind}` head: only a `classification` head labels texts",
        folder.display()
    )]
    OtherHead {
        /// The adapter's folder.
        folder: std::path::PathBuf,
        /// What the head does.
        kind: &'static str,
    },
    /// The head answers with something that is not a number.
    #[error("the prediction for {text:?} is not a number: the adapter's weights are damaged")]
    NotFinite {
        /// The text's beginning.
        text: String,
    },
}

/// What the model thinks of one text.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Prediction {
    /// The most probable label.
    pub label: String,
    /// Its probability.
    pub probability: f64,
    /// The score of every label, in the adapter's order.
    pub logits: Vec<f32>,
}

/// What is stitched into a backbone.
#[derive(Debug)]
pub struct Assembly<'a> {
    /// The adapter, or the composition.
    pub folder: &'a AdapterFolder,
    /// The members of a composition, by the names that it calls them; empty for an adapter.
    pub members: &'a [(String, AdapterFolder)],
    /// Layers without adapters (Rücklé et al., "`AdapterDrop`", 2021).
    pub skip_layers: Vec<usize>,
}

/// A model that labels texts.
#[derive(Debug)]
pub struct Predictor {
    model: StitchedModel,
    encoder: InputEncoder,
    labels: Vec<String>,
}

impl Predictor {
    /// Stitches the adapter in one folder into the backbone in another.
    pub fn open(base: &Path, adapter: &Path, device: &Device) -> Result<Self, PredictError> {
        let folder = AdapterFolder::open(adapter)?;
        Self::assemble(base, &Assembly { folder: &folder, members: &[], skip_layers: Vec::new() }, device)
    }

    /// Stitches an adapter, or a composition with its members, into the backbone in a folder.
    pub fn assemble(base: &Path, assembly: &Assembly<'_>, device: &Device) -> Result<Self, PredictError> {
        let base = BaseFolder::open(base)?;
        let folder = assembly.folder;
        let adapter = folder.path.as_path();
        if folder.head.is_some() {
            check_head(adapter, folder.head.as_ref())?;
        }
        let config = base.config();
        let encoder = InputEncoder::open(base.path(), config, config.longest_input())?;
        let backbone = Arc::new(Backbone::load(&base, device)?);
        let members: Vec<_> = assembly.members.iter().map(|(name, f)| (name.clone(), f)).collect();
        let model = StitchedModel::load_composition(backbone, folder, &members)?
            .skipping(assembly.skip_layers.clone())?;
        check_head(adapter, model.head())?;
        let labels = model.labels().to_vec();
        Ok(Self { model, encoder, labels })
    }

    /// Names of the labels, in the adapter's order.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The model inside.
    pub fn model(&self) -> &StitchedModel {
        &self.model
    }

    /// What makes batches of texts, or of images.
    pub fn encoder(&self) -> &InputEncoder {
        &self.encoder
    }

    /// Labels `texts`, which are names of files where the backbone reads images; the answers stand in the same order.
    pub fn predict<T: AsRef<str>>(&self, texts: &[T]) -> Result<Vec<Prediction>, PredictError> {
        let inputs = self.encoder.encode_all(texts.iter().map(AsRef::as_ref), Path::new(""))?;
        let mut order: Vec<usize> = (0..texts.len()).collect();
        // Like lengths together: less padding.
        order.sort_by_key(|&row| inputs[row].len());
        let mut answers = BTreeMap::new();
        for rows in order.chunks(BATCH) {
            let batch: Vec<&Input> = rows.iter().map(|&row| &inputs[row]).collect();
            let batch = self.encoder.batch(&batch, self.model.backbone().device())?;
            let output = self.model.forward(&batch, Mode::Eval)?;
            // `open` has checked that there is a head, and that it labels texts.
            let logits = output.logits().map(candle_core::Tensor::to_vec2::<f32>).transpose()?;
            let logits = logits.unwrap_or_default();
            for (&row, logits) in rows.iter().zip(logits) {
                answers.insert(row, self.answer(texts[row].as_ref(), logits)?);
            }
        }
        Ok(answers.into_values().collect())
    }

    /// Labels one text, and says how fusions and gates chose on the way.
    pub fn explain(&self, text: &str) -> Result<(Prediction, Vec<Attribution>), PredictError> {
        let inputs = self.encoder.encode_all(std::iter::once(text), Path::new(""))?;
        let batch: Vec<&Input> = inputs.iter().collect();
        let batch = self.encoder.batch(&batch, self.model.backbone().device())?;
        let (output, attributions) = self.model.explain(&batch)?;
        let logits = output.logits().map(candle_core::Tensor::to_vec2::<f32>).transpose()?;
        let logits = logits.unwrap_or_default().into_iter().next().unwrap_or_default();
        Ok((self.answer(text, logits)?, attributions))
    }

    fn answer(&self, text: &str, logits: Vec<f32>) -> Result<Prediction, PredictError> {
        if logits.iter().any(|score| !score.is_finite()) {
            return Err(PredictError::NotFinite { text: text.chars().take(60).collect() });
        }
        let best = argmax(&logits) as usize;
        let label = self.labels.get(best).map_or_else(|| format!("LABEL_{best}"), Clone::clone);
        Ok(Prediction { label, probability: log_softmax(&logits)[best].exp(), logits })
    }
}

/// Only a classification head labels texts.
fn check_head(adapter: &Path, head: Option<&Head>) -> Result<(), PredictError> {
    match head {
        Some(Head::Classification(_)) => Ok(()),
        Some(other) => Err(PredictError::OtherHead { folder: adapter.to_owned(), kind: other.kind() }),
        None => Err(PredictError::NoHead(adapter.to_owned())),
    }
}

/// `z_j − log Σ_k exp z_k`, in double precision.
pub fn log_softmax(scores: &[f32]) -> Vec<f64> {
    let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = scores.iter().map(|&z| f64::from(z - max).exp()).sum();
    scores.iter().map(|&z| f64::from(z - max) - sum.ln()).collect()
}

/// The class with the highest score; the first of equals.
pub fn argmax(scores: &[f32]) -> u32 {
    let mut best = 0;
    for (class, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = class;
        }
    }
    best as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_sum_to_one_even_for_huge_scores() {
        let sum: f64 = log_softmax(&[1e30, 0.0, -1e30]).iter().map(|l| l.exp()).sum();
        assert!((sum - 1.0).abs() < 1e-12);
        assert!((log_softmax(&[0.0, 0.0])[0] + 2.0_f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn the_first_of_equal_scores_wins() {
        assert_eq!(argmax(&[0.5, 2.0, 2.0]), 1);
    }
}
