//! One vector per sequence.
//!
//! `max`, `mean_sqrt_len`, `weighted_mean` and `last` are modes of the same or a similar name of `sentence-transformers`
//! (`max`, `mean_sqrt_len_tokens`, `weightedmean`, `lasttoken` of its `Pooling`); its `cls` is `first`.

use candle_core::{DType, Result, Tensor};
use hub_schemas::head::Pooling;

use super::Features;
use crate::backbones::mean_of_tokens;

/// What padding counts as where the greatest number is looked for.
const LEAST: f64 = -1e9;
/// What a sum is divided by where there is no token at all.
const FEWEST: f64 = 1e-9;

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
        Pooling::Max => greatest_of_tokens(state, features.attention_mask),
        Pooling::MeanSqrtLen => mean_by_root(state, features.attention_mask),
        Pooling::WeightedMean => mean_by_position(state, features.attention_mask),
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

/// `max_i x_i` in every place of the vector, `x_i = −10⁹` where `m_i = 0`.
fn greatest_of_tokens(state: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let is_token = mask.ne(0.0)?.unsqueeze(2)?.broadcast_as(state.shape())?;
    let least = Tensor::full(LEAST, state.shape(), state.device())?.to_dtype(state.dtype())?;
    is_token.where_cond(state, &least)?.max(1)
}

/// `Σ m_i x_i / √max(Σ m_i, 10⁻⁹)`.
fn mean_by_root(state: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let mask = mask.to_dtype(state.dtype())?.unsqueeze(2)?;
    let sum = state.broadcast_mul(&mask)?.sum(1)?;
    sum.broadcast_div(&mask.sum(1)?.maximum(FEWEST)?.sqrt()?)
}

/// `Σ i m_i x_i / max(Σ i m_i, 10⁻⁹)`, positions `i` counted from 1, padding included.
fn mean_by_position(state: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let mask = mask.to_dtype(state.dtype())?;
    let positions =
        Tensor::arange(1_u32, 1 + state.dim(1)? as u32, state.device())?.to_dtype(state.dtype())?;
    let weights = mask.broadcast_mul(&positions)?.unsqueeze(2)?;
    let sum = state.broadcast_mul(&weights)?.sum(1)?;
    sum.broadcast_div(&weights.sum(1)?.maximum(FEWEST)?)
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

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    /// Two rows of three tokens, the second of which ends in padding.
    const STATE: [[[f64; 2]; 3]; 2] =
        [[[1.0, -2.0], [3.0, 0.5], [-1.0, 4.0]], [[-5.0, 2.0], [-3.0, 1.0], [9.0, 9.0]]];
    const MASK: [[f64; 3]; 2] = [[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]];

    type Pool = fn(&Tensor, &Tensor) -> Result<Tensor>;

    fn pooled(pool: Pool) -> Vec<Vec<f64>> {
        let tensor = |values: Result<Tensor>| values.expect("a tensor");
        let state = tensor(Tensor::new(&STATE, &Device::Cpu));
        let mask = tensor(Tensor::new(&MASK, &Device::Cpu));
        pool(&state, &mask).and_then(|x| x.to_vec2()).expect("numbers")
    }

    #[test]
    fn padding_has_no_part_in_any_mode() {
        let third = 3.0_f64.sqrt();
        let half = 2.0_f64.sqrt();
        assert_eq!(pooled(greatest_of_tokens), [[3.0, 4.0], [-3.0, 2.0]]);
        assert_eq!(pooled(mean_by_root), [[3.0 / third, 2.5 / third], [-8.0 / half, 3.0 / half]]);
        let weighted = [[(1.0 + 6.0 - 3.0) / 6.0, (-2.0 + 1.0 + 12.0) / 6.0], [-11.0 / 3.0, 4.0 / 3.0]];
        assert_eq!(pooled(mean_by_position), weighted);
        assert_eq!(pooled(last_of_tokens), [[-1.0, 4.0], [-3.0, 1.0]]);
    }

    #[test]
    fn gradients_equal_finite_differences() {
        let mask = Tensor::new(&MASK, &Device::Cpu).expect("a mask");
        let weights = Tensor::new(&[[0.7_f64, -1.3], [2.1, 0.4]], &Device::Cpu).expect("weights");
        let flat: Vec<f64> = STATE.iter().flatten().flatten().copied().collect();
        for pool in [greatest_of_tokens as Pool, mean_by_root, mean_by_position, last_of_tokens] {
            let value = |state: &Tensor| (pool(state, &mask)? * &weights)?.sum_all();
            let of = |numbers: Vec<f64>| {
                let state = Tensor::from_vec(numbers, (2, 3, 2), &Device::Cpu).expect("a state");
                value(&state).and_then(|x| x.to_scalar::<f64>()).expect("a number")
            };
            let state = Var::new(&STATE, &Device::Cpu).expect("a state");
            let gradients = value(&state).and_then(|x| x.backward()).expect("gradients");
            let gradient = gradients.get(&state).expect("a gradient").flatten_all().expect("flat");
            for (place, found) in gradient.to_vec1::<f64>().expect("numbers").into_iter().enumerate() {
                let moved = |by: f64| {
                    let mut numbers = flat.clone();
                    numbers[place] += by;
                    of(numbers)
                };
                let expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                assert!((found - expected).abs() < 1e-8, "{place}: {found} is not {expected}");
            }
        }
    }
}
