//! Disentangled attention (He et al. 2021): what a query and a key contain, and where they stand
//! to each other, are compared apart.
//!
//! `score(i, j) = (q_i·k_j + q_i·k'_{δ(i,j)} + k_j·q'_{δ(j,i)}) / √(d·n)` with `n` terms, where `k'`
//! and `q'` are projections of a table of relative positions and `δ` is the distance in buckets
//! that grow with it. In candle's operations, whose backward is candle's.

use candle_core::{D, Device, Result, Tensor};

use super::KeyMask;

/// Rows of the table of relative positions by query and key.
#[derive(Debug, Clone)]
pub struct RelativePositions {
    /// Rows of the table.
    rows: usize,
    /// `δ(i, j)` as a row of the table, u32 `[t, t]`.
    forward: Tensor,
    /// `δ(j, i)` for key `i` and query `j`, turned: u32 `[t, t]`.
    backward: Tensor,
}

/// What the positions contribute, for one attention.
#[derive(Debug, Clone, Copy)]
pub struct PositionScores<'a> {
    /// The rows that go with each pair.
    pub positions: &'a RelativePositions,
    /// Keys of relative positions, `[1, rows, h]`.
    pub keys: Option<&'a Tensor>,
    /// Queries of relative positions, `[1, rows, h]`.
    pub queries: Option<&'a Tensor>,
    /// The keys of the input alone, `[b, t, h]`.
    pub own_keys: &'a Tensor,
}

/// The distance in buckets: exact up to half of them, then growing with the logarithm.
fn bucket(distance: i64, buckets: usize, farthest: usize) -> i64 {
    let middle = (buckets / 2) as i64;
    let size = distance.abs();
    if size <= middle {
        return distance;
    }
    // In single precision, as the checkpoints were trained.
    let middle_f = middle as f32;
    let span = ((farthest as f64 - 1.0) / f64::from(middle_f)) as f32;
    let log = ((size as f32 / middle_f).ln() / span.ln() * (middle_f - 1.0)).ceil() + middle_f;
    log as i64 * distance.signum()
}

impl RelativePositions {
    /// The rows for `tokens` tokens. Without buckets every distance up to `farthest` has its own.
    pub fn new(tokens: usize, buckets: Option<usize>, farthest: usize, device: &Device) -> Result<Self> {
        let span = buckets.unwrap_or(farthest) as i64;
        let distance = |from: usize, to: usize| {
            let plain = from as i64 - to as i64;
            buckets.map_or(plain, |buckets| bucket(plain, buckets, farthest))
        };
        let row = |distance: i64| (distance + span).clamp(0, 2 * span - 1) as u32;
        let table = |of: &dyn Fn(usize, usize) -> i64| {
            let all: Vec<u32> = (0..tokens)
                .flat_map(|i| (0..tokens).map(move |j| (i, j)))
                .map(|(i, j)| row(of(i, j)))
                .collect();
            Tensor::from_vec(all, (tokens, tokens), device)
        };
        let forward = table(&|query, key| distance(query, key))?;
        let backward = table(&|key, query| -distance(key, query))?;
        Ok(Self { rows: 2 * span as usize, forward, backward })
    }

    /// Rows of the table of relative positions.
    pub fn rows(&self) -> usize {
        self.rows
    }
}

/// `q [b, t, h·d]`, `k` and `v` `[b, s, h·d]`, to `[b, t, h·d]`. `own` tells which of the `t` tokens
/// are padding: those see none of the input's keys. `terms` divides the scores.
pub fn disentangled(
    heads: usize,
    [q, k, v]: [&Tensor; 3],
    (terms, scores_of): (usize, Option<PositionScores<'_>>),
    mask: &KeyMask,
    own: &KeyMask,
) -> Result<Tensor> {
    let split = |x: &Tensor| {
        let (b, t, width) = x.dims3()?;
        x.reshape((b, t, heads, width / heads))?.transpose(1, 2)?.contiguous()
    };
    let (b, t, width) = q.dims3()?;
    let scale = 1.0 / ((width / heads * terms) as f64).sqrt();
    let queries = split(q)?;
    let mut scores = queries.matmul(&split(k)?.t()?)?;
    if let Some(at) = scores_of {
        let all = |x: &Tensor| -> Result<Tensor> {
            let x = split(x)?;
            let (_, h, rows, d) = x.dims4()?;
            x.broadcast_as((b, h, rows, d))?.contiguous()
        };
        let pick = |x: &Tensor, rows: &Tensor| {
            let rows = rows.broadcast_as((b, heads, rows.dim(0)?, rows.dim(1)?))?.contiguous()?;
            x.contiguous()?.gather(&rows, D::Minus1)
        };
        let mut positions: Option<Tensor> = None;
        if let Some(keys) = at.keys {
            positions = Some(pick(&queries.matmul(&all(keys)?.t()?)?, &at.positions.forward)?);
        }
        if let Some(queries) = at.queries {
            let turned = pick(&split(at.own_keys)?.matmul(&all(queries)?.t()?)?, &at.positions.backward)?;
            let turned = turned.transpose(2, 3)?.contiguous()?;
            positions = Some(match positions {
                Some(first) => (first + turned)?,
                None => turned,
            });
        }
        if let Some(positions) = positions {
            // Keys that were put in front stand nowhere.
            let front = scores.dim(3)? - positions.dim(3)?;
            let positions = if front > 0 { positions.pad_with_zeros(3, front, 0)? } else { positions };
            scores = (scores + positions)?;
        }
    }
    let scores = (scores * scale)?.broadcast_add(&mask.pairwise(own, t, q)?)?;
    let exps = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?.detach())?.exp()?;
    let p = exps.broadcast_div(&exps.sum_keepdim(D::Minus1)?)?;
    p.matmul(&split(v)?)?.transpose(1, 2)?.reshape((b, t, width))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_distances_have_buckets_of_their_own_and_far_ones_share() {
        let buckets = |distance| bucket(distance, 8, 64);
        assert_eq!([0, 1, -3, 4].map(buckets), [0, 1, -3, 4]);
        assert_eq!(buckets(5), buckets(6));
        assert_eq!(buckets(-63), -buckets(63));
        assert!(buckets(63) < 8);
    }
}
