//! One token after the other.

use candle_core::{DType, Result, Tensor};

use super::{Batch, Features, Hidden, Mode, Prediction, StitchedModel};
use crate::{
    backbones::HeadInputs,
    generation::{Cache, Cached},
    heads::HeadInput,
};

impl StitchedModel {
    /// Scores of every token of the vocabulary to stand behind `ids`, which stand behind what `cache`
    /// has read; the cache has read them too afterwards.
    pub fn next_token_scores(&self, ids: &[u32], cache: &Cache) -> Result<Vec<f32>> {
        let device = self.backbone.device();
        let shape = (1, ids.len());
        let batch = Batch {
            input_ids: Tensor::from_slice(ids, shape, device)?,
            attention_mask: Tensor::ones(shape, DType::U32, device)?,
            token_type_ids: None,
            head_inputs: HeadInputs::default(),
            signal: None,
            decoder: None,
        };
        let hooks = Cached::new(&self.stitch, cache);
        let Hidden { state, .. } = self.backbone.forward(&batch, &hooks, Mode::Eval)?;
        let (rows, tokens, _) = state.dims3()?;
        if rows != 1 || self.by_task.is_some() {
            candle_core::bail!("a composition with several outputs can't generate; choose one member");
        }
        let state = state.narrow(1, tokens - 1, 1)?.contiguous()?;
        let attention_mask = Tensor::ones((1, 1), DType::U32, device)?;
        let features = Features {
            backbone: &self.backbone,
            hooks: &hooks,
            state: &state,
            attention_mask: &attention_mask,
        };
        let invert = |x| self.stitch.invert(x);
        let input = HeadInput { features, batch: &batch, mode: Mode::Eval, invert: &invert };
        match self.head.as_ref().map(|head| head.forward(&input)).transpose()? {
            Some(Prediction::Scores(scores)) => scores.flatten_all()?.to_dtype(DType::F32)?.to_vec1(),
            _ => candle_core::bail!("the model has no language model's head"),
        }
    }
}
