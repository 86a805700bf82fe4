//! What a forward pass gives, and what its tensors are called.

use candle_core::Tensor;

use crate::heads::Prediction;

/// What a forward pass gives.
#[derive(Debug, Clone)]
pub struct Output {
    /// `[b, t, h]`; of the decoder, where there is one behind an encoder.
    pub last_hidden_state: Tensor,
    /// `[b, s, h]`, of an encoder in front of a decoder.
    pub encoder_last_hidden_state: Option<Tensor>,
    /// What the head gives, when there is one.
    pub prediction: Option<Prediction>,
    /// What each head gives, where groups of rows have heads of their own.
    pub by_group: Vec<Option<Prediction>>,
}

impl Output {
    /// The head's scores, where it gives a single tensor; their shape depends on the head.
    pub fn logits(&self) -> Option<&Tensor> {
        self.prediction.as_ref()?.logits()
    }

    /// Every tensor by the name that it has among the outputs of Hugging Face models.
    /// Those of the head of group N end with `.N`; where all have one shape but for the
    /// rows, `logits` holds them one below the other.
    pub fn named(&self) -> candle_core::Result<Vec<(String, Tensor)>> {
        let mut named = vec![("last_hidden_state".to_owned(), self.last_hidden_state.clone())];
        let encoder = self.encoder_last_hidden_state.iter().cloned();
        named.extend(encoder.map(|state| ("encoder_last_hidden_state".to_owned(), state)));
        let predictions =
            self.prediction.iter().map(Prediction::named).collect::<candle_core::Result<Vec<_>>>()?;
        named.extend(predictions.into_iter().flatten().map(|(name, tensor)| (name.to_owned(), tensor)));
        for (group, prediction) in self.by_group.iter().enumerate() {
            let Some(prediction) = prediction else { continue };
            let own = prediction.named()?.into_iter();
            named.extend(own.map(|(name, tensor)| (format!("{name}.{group}"), tensor)));
        }
        named.extend(self.joined()?);
        Ok(named)
    }

    /// What the heads of all groups give under the same name and in the same shape, one below the other.
    fn joined(&self) -> candle_core::Result<Vec<(String, Tensor)>> {
        let groups: Option<Vec<&Prediction>> = self.by_group.iter().map(Option::as_ref).collect();
        let groups = groups.unwrap_or_default().into_iter().map(Prediction::named);
        let groups = groups.collect::<candle_core::Result<Vec<_>>>()?;
        let Some((first, others)) = groups.split_first() else { return Ok(Vec::new()) };
        let mut joined = Vec::new();
        for (name, own) in first {
            let alike = |(other, tensor): &&(&'static str, Tensor)| {
                other == name && tensor.dims().get(1..) == own.dims().get(1..)
            };
            let same: Option<Vec<&Tensor>> =
                others.iter().map(|group| group.iter().find(alike).map(|(_, tensor)| tensor)).collect();
            if let Some(same) = same {
                let all: Vec<&Tensor> = std::iter::once(own).chain(same).collect();
                joined.push(((*name).to_owned(), Tensor::cat(&all, 0)?));
            }
        }
        Ok(joined)
    }
}
