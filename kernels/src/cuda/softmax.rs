//! Scores of an attention as probabilities, and the gradient of the scores.

use super::*;

/// Which keys a query sees.
#[derive(Debug)]
pub struct Mask<'a> {
    /// `[b, s]`: what is added to the scores of a row of the batch; −∞ hides a key.
    pub bias: &'a CudaView<'a, f32>,
    /// Whether that is anything but zero.
    pub hides: bool,
    /// Queries at the start that see everything.
    pub free_queries: usize,
    /// Whether later keys are hidden; the last key is the last query's.
    pub causal: bool,
    /// How far a query sees to both sides, where not everywhere.
    pub reach: Option<usize>,
    /// Keys at the start that are seen from everywhere.
    pub in_front: usize,
}

/// The sizes of scores `[b, h, t, s]`.
#[derive(Debug, Clone, Copy)]
pub struct Scores {
    /// Rows of the batch.
    pub batch: usize,
    /// Heads of queries.
    pub heads: usize,
    /// Queries.
    pub queries: usize,
    /// Keys.
    pub keys: usize,
}

impl Scores {
    fn rows(self) -> usize {
        self.batch * self.heads * self.queries
    }
}

fn source(device: &CudaDevice, name: &str) -> Result<CudaFunction> {
    kernel(device, "softmax", ptx::SOFTMAX, name)
}

/// The softmax over the keys of `scores [b, h, t, s]`, to which `distances [h, t, s]` are added where they are given. A
/// query that sees nothing sees everything alike; where later keys are hidden it gets zeros.
pub fn softmax<T: Number>(
    device: &CudaDevice,
    sizes: Scores,
    scores: &CudaView<'_, f32>,
    distances: Option<&CudaView<'_, f32>>,
    mask: &Mask<'_>,
) -> Result<CudaSlice<T>> {
    let rows = sizes.rows();
    check("softmax", &[scores.len()], rows * sizes.keys)?;
    check("softmax", &[mask.bias.len()], sizes.batch * sizes.keys)?;
    let of_distances = sizes.heads * sizes.queries * sizes.keys;
    check("softmax", &[distances.map_or(of_distances, CudaView::len)], of_distances)?;
    let mut p = room::<T>(device, scores.len())?;
    let has_distances = i32::from(distances.is_some());
    let (free, causal) = (int(mask.free_queries)?, i32::from(mask.causal));
    let (reach, in_front) = (mask.reach.map_or(Ok(-1), int)?, int(mask.in_front)?);
    let n = rows as i64;
    let (t, h, s) = (int(sizes.queries)?, int(sizes.heads)?, int(sizes.keys)?);
    launch!(
        device,
        source(device, &format!("softmax_{}", T::NAME))?,
        warps(rows)?,
        scores,
        distances.unwrap_or(scores),
        &has_distances,
        &mut p,
        mask.bias,
        &free,
        &causal,
        &reach,
        &in_front,
        &n,
        &t,
        &h,
        &s,
    );
    Ok(p)
}

/// `p ⊙ (∂p − rowsum(∂p ⊙ p))`
pub fn softmax_gradient<T: Number>(
    device: &CudaDevice,
    sizes: Scores,
    p: &CudaView<'_, T>,
    dp: &CudaView<'_, f32>,
) -> Result<CudaSlice<T>> {
    let rows = sizes.rows();
    check("softmax", &[p.len(), dp.len()], rows * sizes.keys)?;
    let mut ds = room::<T>(device, p.len())?;
    let (n, s) = (rows as i64, int(sizes.keys)?);
    launch!(device, source(device, &format!("gradient_{}", T::NAME))?, warps(rows)?, p, dp, &mut ds, &n, &s);
    Ok(ds)
}
