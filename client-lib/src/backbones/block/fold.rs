//! What adapters in parallel make of the rows of pictures.

use candle_core::{Result, Tensor};

/// Queries, keys and values as ViT of `adapters` 1.3.0 shapes them (`ViTSelfAttentionWithAdapters.forward`): by the number
/// of `rows` that went in. Where adapters in parallel begin at keys and values, the rows of all of them, one after the
/// other, so become more keys of each row: `[m·b, t, h]` to `[b, m·t, h]`.
///
/// Refuses keys or values alone: there the library attends to more of the ones than there are of the others, and what it
/// computes depends on what lies behind them in memory.
pub(super) fn folded([queries, keys, values]: [Tensor; 3], rows: usize) -> Result<[Tensor; 3]> {
    let (own, others) = (queries.dim(0)?, [keys.dim(0)?, values.dim(0)?]);
    if own != rows || others == [rows, rows] {
        return Ok([queries, keys, values]);
    }
    if others[0] != others[1] {
        candle_core::bail!(
            "on ViT adapters in parallel can't begin at keys alone or at values alone: `adapters` reads beyond its tensors there"
        );
    }
    let fold = |x: &Tensor| x.reshape((rows, (), x.dim(2)?));
    Ok([queries, fold(&keys)?, fold(&values)?])
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn rows_of_adapters_that_begin_at_keys_and_values_become_more_keys() {
        let rows = |n: usize| Tensor::arange(0f64, (n * 6) as f64, &Device::Cpu)?.reshape((n, 3, 2));
        let folded_dims = |own: usize, keys: usize, values: usize| {
            let [q, k, v] = folded([rows(own)?, rows(keys)?, rows(values)?], 2)?;
            Ok::<_, candle_core::Error>([q, k, v].map(|x| x.dims().to_vec()))
        };
        assert_eq!(folded_dims(2, 4, 4).expect("folds"), [vec![2, 3, 2], vec![2, 6, 2], vec![2, 6, 2]]);
        // Nothing begins here, or queries were forked too.
        assert_eq!(folded_dims(2, 2, 2).expect("stays"), [vec![2, 3, 2], vec![2, 3, 2], vec![2, 3, 2]]);
        assert_eq!(folded_dims(4, 4, 4).expect("stays")[0], [4, 3, 2]);
        assert!(folded_dims(2, 4, 2).is_err(), "more keys than values");
        assert!(folded_dims(2, 2, 4).is_err(), "more values than keys");
    }
}
