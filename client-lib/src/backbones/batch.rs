//! What a backbone reads: rows of tokens, padded to one length.

use candle_core::{Device, Result, Tensor};

use super::{DecoderInputs, HeadInputs, Signal};

/// Token ids with their masks, padded to one length.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Token ids, u32 `[b, t]`.
    pub input_ids: Tensor,
    /// 1 for tokens and 0 for padding, u32 `[b, t]`.
    pub attention_mask: Tensor,
    /// Whether nobody said which of the tokens are padding, so that none is.
    pub is_unmasked: bool,
    /// Segment of each token, u32 `[b, t]`; all zero when absent.
    pub token_type_ids: Option<Tensor>,
    /// What only some heads read.
    pub head_inputs: HeadInputs,
    /// What is read instead of tokens, whose ids are then 0: one for each token that it makes.
    pub signal: Option<Signal>,
    /// What a decoder behind the encoder reads.
    pub decoder: Option<DecoderInputs>,
    /// What the first blocks gave for it before: they don't run again.
    pub passed: Option<Passed>,
    /// What another backbone saw of each row's image, `[b, f]`.
    pub image: Option<Tensor>,
}

/// What the first blocks of a backbone gave for a batch.
#[derive(Debug, Clone)]
pub struct Passed {
    /// `[b, t, h]`; what stands at padding is read by nothing.
    pub state: Tensor,
    /// How many blocks: of a backbone whose layers share blocks, how many layers.
    pub blocks: usize,
}

impl Passed {
    /// The rows that `order` names, u32 `[b]`.
    pub fn select(&self, order: &Tensor) -> Result<Self> {
        Ok(Self { state: self.state.index_select(order, 0)?, blocks: self.blocks })
    }
}

impl Batch {
    /// Token ids, u32 `[b, t]`, without padding.
    pub fn unpadded(input_ids: Tensor) -> Result<Self> {
        Ok(Self {
            attention_mask: input_ids.ones_like()?,
            is_unmasked: false,
            input_ids,
            token_type_ids: None,
            head_inputs: HeadInputs::default(),
            signal: None,
            decoder: None,
            passed: None,
            image: None,
        })
    }

    /// Images `[b, c, height, width]`, each of which makes so many tokens.
    pub fn of_images(pixels: Tensor, tokens: usize) -> Result<Self> {
        let batch = Self::of_lengths(&vec![tokens; pixels.dim(0)?], pixels.device())?;
        Ok(Self { signal: Some(Signal::Pixels(pixels)), ..batch })
    }

    /// Spectrograms `[b, mels, frames]`, each of which makes so many tokens.
    pub fn of_recordings(features: Tensor, tokens: usize) -> Result<Self> {
        let batch = Self::of_lengths(&vec![tokens; features.dim(0)?], features.device())?;
        Ok(Self { signal: Some(Signal::Spectrogram(features)), ..batch })
    }

    /// Rows of so many tokens that have no ids.
    pub fn of_lengths(lengths: &[usize], device: &Device) -> Result<Self> {
        let mask = mask_of(lengths, device)?;
        Ok(Self { attention_mask: mask.clone(), ..Self::unpadded(mask.zeros_like()?)? })
    }

    /// The same with the task of every row.
    #[must_use]
    pub fn with_tasks(mut self, tasks: Option<Vec<usize>>) -> Self {
        self.head_inputs.tasks = tasks;
        self
    }
}

/// 1 for tokens and 0 for the padding behind them, u32 `[b, t]`, of rows of these lengths.
pub(crate) fn mask_of(lengths: &[usize], device: &Device) -> Result<Tensor> {
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let mask = lengths.iter().flat_map(|&length| (0..longest).map(move |at| u32::from(at < length)));
    Tensor::from_vec(mask.collect::<Vec<_>>(), (lengths.len(), longest), device)
}

/// Rows with `fill` behind them up to the longest, u32 `[b, t]`.
pub(crate) fn padded(rows: &[&[u32]], fill: u32, device: &Device) -> Result<Tensor> {
    let longest = rows.iter().map(|row| row.len()).max().unwrap_or(0);
    let mut flat = Vec::with_capacity(rows.len() * longest);
    for row in rows {
        flat.extend_from_slice(row);
        flat.extend(std::iter::repeat_n(fill, longest - row.len()));
    }
    Tensor::from_vec(flat, (rows.len(), longest), device)
}
