//! One vector per sequence.

use candle_core::{DType, Result, Tensor};
use hub_schemas::head::Pooling;

use super::Features;
use crate::backbones::mean_of_tokens;

/// The vector that `pooling` names, `[b, h]`, of a last hidden state `[b, t, h]`.
pub(crate) fn pool(pooling: Pooling, features: &Features<'_>) -> Result<Tensor> {
    let state = features.state;
    match pooling {
        Pooling::First => state.narrow(1, 0, 1)?.squeeze(1)?.contiguous(),
        Pooling::Last => last_of_tokens(state, features.attention_mask),
        Pooling::LastPosition => {
            state.narrow(1, state.dim(1)?.saturating_sub(1), 1)?.squeeze(1)?.contiguous()
        }
        Pooling::LastCounted => at_places(state, &last_counted(features)?),
        Pooling::EndOfText => at_places(state, &ends_of_texts(features)?),
        Pooling::Mean => mean_of_tokens(state, features.attention_mask),
        Pooling::FirstAndMean => {
            let (first, others) = (state.narrow(1, 0, 1)?, state.dim(1)?.saturating_sub(1));
            let mean = state.narrow(1, 1, others)?.mean(1)?;
            Tensor::cat(&[&first.squeeze(1)?, &mean], 1)
        }
        Pooling::LayerMean => match features.layer_sum {
            Some(sum) => mean_of_tokens(sum, features.attention_mask),
            None => {
                candle_core::bail!(
                    "the head reads a weighted sum of all layers, which this backbone does not have"
                )
            }
        },
        Pooling::Pooler => {
            match features.backbone.pool(state, (features.attention_mask, features.read), features.hooks)? {
                Some(pooled) => Ok(pooled),
                None => {
                    candle_core::bail!("the head reads the pooled output, but this backbone has no pooler")
                }
            }
        }
    }
}

/// The last position where the mask is 1; the last of all where there is none.
fn last_of_tokens(state: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let t = state.dim(1)?;
    let last = |row: &Vec<f32>| row.iter().rposition(|&m| m != 0.0).unwrap_or(t.saturating_sub(1));
    let rows = mask.to_dtype(DType::F32)?.to_vec2::<f32>()?;
    at_places(state, &rows.iter().map(last).collect::<Vec<_>>())
}

/// One position of each row of `state [b, t, h]`. The rows may be whole repetitions of those that have places.
fn at_places(state: &Tensor, places: &[usize]) -> Result<Tensor> {
    let (rows, t, _) = state.dims3()?;
    if places.is_empty() || !rows.is_multiple_of(places.len()) || places.iter().any(|&place| place >= t) {
        candle_core::bail!("the head reads places {places:?} of {rows} rows of {t} tokens");
    }
    let at = |row: usize| (row * t + places[row % places.len()]) as u32;
    let at = Tensor::new((0..rows).map(at).collect::<Vec<_>>(), state.device())?;
    state.flatten(0, 1)?.index_select(&at, 0)
}

fn ids_of(features: &Features<'_>) -> Result<Vec<Vec<u32>>> {
    match features.ids {
        Some(ids) => ids.to_vec2::<u32>(),
        None => candle_core::bail!("the head reads where tokens stand, and there are none"),
    }
}

/// Where `adapters` 1.3.0 takes a decoder's last token to be, of each row.
fn last_counted(features: &Features<'_>) -> Result<Vec<usize>> {
    let (config, last) = (features.backbone.config(), features.state.dim(1)?.saturating_sub(1));
    let place = |row: &Vec<u32>| match row.iter().filter(|&&id| id != config.padding_id).count() {
        _ if !config.names_padding => last,
        // Counted from the end.
        0 => last,
        count => count - 1,
    };
    Ok(ids_of(features)?.iter().map(place).collect())
}

/// Where an encoder's input ends, of each row: what `adapters` 1.3.0 reads of a decoder that stands behind it. It refuses
/// rows with different numbers of ends.
fn ends_of_texts(features: &Features<'_>) -> Result<Vec<usize>> {
    let (config, ids) = (features.backbone.config(), ids_of(features)?);
    let Some(end) = config.seq2seq.end_token.filter(|_| config.shape.decoder_layers.is_some()) else {
        candle_core::bail!(
            "the head reads what a decoder gives, and there is none: give it `decoder_input_ids`"
        )
    };
    let counts: Vec<usize> = ids.iter().map(|row| row.iter().filter(|&&id| id == end).count()).collect();
    if counts.iter().any(|&count| count == 0 || count != counts[0]) {
        candle_core::bail!(
            "the head reads where texts end: every row needs as many tokens {end} as the others, not {counts:?}"
        );
    }
    let (read, given) = (ids.first().map_or(0, Vec::len), features.state.dim(1)?);
    if read != given {
        candle_core::bail!(
            "the head reads the decoder where the text ends: it needs {read} tokens as the encoder has, not {given}"
        );
    }
    Ok(ids.iter().filter_map(|row| row.iter().rposition(|&id| id == end)).collect())
}
