//! One token after the other.

use candle_core::{DType, Result, Tensor};

use super::{Batch, Features, Hidden, Mode, Prediction, StitchedModel};
use crate::{
    backbones::DecoderInputs,
    generation::{Cache, Cached},
    heads::HeadInput,
};

impl StitchedModel {
    /// Runs the encoder once on an input of one row: what a decoder writes behind.
    pub fn read(&self, batch: &Batch) -> Result<Cache> {
        let encoded = self.backbone.encode(batch, &self.stitch, Mode::Eval)?;
        self.check_single(encoded.state.dim(0)?, 1)?;
        Ok(Cache::behind(encoded))
    }

    /// Scores of every token of the vocabulary to stand behind `ids`, which stand behind what `cache`
    /// has read; the cache has read them too afterwards.
    pub fn next_token_scores(&self, ids: &[u32], cache: &Cache) -> Result<Vec<f32>> {
        Ok(self.next_scores(&[ids], cache)?.swap_remove(0))
    }

    /// The same for several texts, each a row of what the cache has read, equally many tokens of each.
    pub fn next_scores(&self, rows: &[&[u32]], cache: &Cache) -> Result<Vec<Vec<f32>>> {
        self.short_pass(rows.iter().map(|row| row.len()).sum(), || self.scores(rows, cache))
    }

    fn scores(&self, rows: &[&[u32]], cache: &Cache) -> Result<Vec<Vec<f32>>> {
        let device = self.backbone.device();
        let shape = (rows.len(), rows.first().map_or(0, |row| row.len()));
        let ids = Tensor::from_vec(rows.concat(), shape, device)?;
        let batch = Batch { image: cache.image().cloned(), ..Batch::unpadded(ids)? };
        let hooks = Cached::new(&self.stitch, cache, rows.first().copied().unwrap_or_default());
        let Hidden { state, .. } = match cache.encoded() {
            Some(encoded) => {
                let inputs = DecoderInputs::unpadded(batch.input_ids.clone())?;
                self.backbone.decode(&inputs, encoded, &hooks, Mode::Eval)?
            }
            None => self.backbone.forward(&batch, &hooks, Mode::Eval)?,
        };
        let (found, tokens, _) = state.dims3()?;
        self.check_single(found, rows.len())?;
        let state = state.narrow(1, tokens - 1, 1)?.contiguous()?;
        let attention_mask = Tensor::ones((found, 1), DType::U32, device)?;
        let features = Features {
            backbone: &self.backbone,
            hooks: &hooks,
            state: &state,
            layer_sum: None,
            attention_mask: &attention_mask,
            read: found,
            ids: None,
        };
        let invert = |x| self.stitch.invert(x);
        let input = HeadInput { features, batch: &batch, mode: Mode::Eval, invert: &invert };
        match self.head.as_ref().map(|head| head.forward(&input)).transpose()? {
            Some(Prediction::Scores(scores)) => scores.squeeze(1)?.to_dtype(DType::F32)?.to_vec2(),
            _ => candle_core::bail!("the model has no language model's head"),
        }
    }

    /// Refuses compositions that give more rows than they read.
    fn check_single(&self, found: usize, rows: usize) -> Result<()> {
        if found != rows || self.by_task.is_some() {
            candle_core::bail!("a composition with several outputs can't generate; choose one member");
        }
        Ok(())
    }
}
