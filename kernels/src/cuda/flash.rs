//! Attention in bf16 whose scores never leave the chip, and its backward.

use super::*;

/// The sizes of an attention.
#[derive(Debug, Clone, Copy)]
pub struct FlashSizes {
    /// Rows of the batch.
    pub batch: usize,
    /// Queries.
    pub queries: usize,
    /// Keys.
    pub keys: usize,
    /// Heads of queries.
    pub heads: usize,
    /// Heads of keys, each for as many consecutive heads of queries.
    pub kv_heads: usize,
    /// Components of a head.
    pub head: usize,
    /// What scores are multiplied with.
    pub scale: f32,
}

/// What is attended with: `[b, heads, tokens, d]` each.
#[derive(Debug, Clone, Copy)]
pub struct FlashInputs<'a> {
    /// Queries.
    pub q: &'a CudaView<'a, bf16>,
    /// Keys.
    pub k: &'a CudaView<'a, bf16>,
    /// Values.
    pub v: &'a CudaView<'a, bf16>,
    /// Which keys a query sees; how far does not count here.
    pub mask: &'a Mask<'a>,
}

/// What an attention gives.
#[derive(Debug)]
pub struct Attended {
    /// `[b, t, heads · d]`
    pub output: CudaSlice<f32>,
    /// The logarithms of the sums of exponentials `[b, heads, t]`, which the backward reads.
    pub logs: CudaSlice<f32>,
}

/// Rows that a block holds.
const ROWS: usize = 64;
/// Threads of a block.
const BLOCK: u32 = 128;

impl FlashSizes {
    /// Whether there are kernels for heads of this width, and a launch has room for so many of them.
    pub const fn has_kernels(self) -> bool {
        matches!(self.head, 32 | 64 | 128) && self.batch * self.heads <= MOST_LAYERS
    }

    const fn of_queries(self) -> usize {
        self.batch * self.heads * self.queries * self.head
    }

    const fn of_keys(self) -> usize {
        self.batch * self.kv_heads * self.keys * self.head
    }

    fn check(self, inputs: &FlashInputs<'_>) -> Result<()> {
        if !self.has_kernels() || self.kv_heads == 0 || !self.heads.is_multiple_of(self.kv_heads) {
            candle_core::bail!("attention: no kernels for {self:?}");
        }
        check("attention", &[inputs.q.len()], self.of_queries())?;
        check("attention", &[inputs.k.len(), inputs.v.len()], self.of_keys())?;
        check("attention", &[inputs.mask.bias.len()], self.batch * self.keys)
    }

    /// A launch of a block for every tile of `tokens` of every head.
    fn tiles(self, tokens: usize, heads: usize) -> Result<LaunchConfig> {
        Ok(config((grid(tokens.div_ceil(ROWS))?, layers(self.batch * heads)?), BLOCK))
    }

    fn source(self, device: &CudaDevice, what: &str) -> Result<CudaFunction> {
        kernel(device, "flash", ptx::FLASH, &format!("flash_{what}_{}", self.head))
    }
}

/// `softmax(scale q kᵀ + mask) v`; zeros for a query that sees nothing.
pub fn flash(device: &CudaDevice, sizes: FlashSizes, inputs: FlashInputs<'_>) -> Result<Attended> {
    sizes.check(&inputs)?;
    let mut output = room(device, sizes.of_queries())?;
    let mut logs = room(device, sizes.batch * sizes.heads * sizes.queries)?;
    let FlashInputs { q, k, v, mask } = inputs;
    let (hides, free, causal) = (i32::from(mask.hides), int(mask.free_queries)?, i32::from(mask.causal));
    let (t, s, h, g) = (int(sizes.queries)?, int(sizes.keys)?, int(sizes.heads)?, int(sizes.kv_heads)?);
    launch!(
        device,
        sizes.source(device, "forward")?,
        sizes.tiles(sizes.queries, sizes.heads)?,
        q,
        k,
        v,
        &mut output,
        &mut logs,
        mask.bias,
        &hides,
        &free,
        &causal,
        &t,
        &s,
        &h,
        &g,
        &sizes.scale,
    );
    Ok(Attended { output, logs })
}

/// The gradients of queries, keys and values, `[b, tokens, heads · d]` each, for what [`flash`] gave, its gradient
/// `[b, t, heads · d]`, and the same as `[b, heads, t, d]` in bf16.
pub fn flash_backward(
    device: &CudaDevice,
    sizes: FlashSizes,
    inputs: FlashInputs<'_>,
    [output, logs, gradient]: [&CudaView<'_, f32>; 3],
    halves: &CudaView<'_, bf16>,
) -> Result<[CudaSlice<f32>; 3]> {
    sizes.check(&inputs)?;
    let rows = sizes.batch * sizes.heads * sizes.queries;
    check("attention", &[output.len(), gradient.len(), halves.len()], sizes.of_queries())?;
    check("attention", &[logs.len()], rows)?;
    let mut dq = room(device, sizes.of_queries())?;
    let (mut dk, mut dv) = (room(device, sizes.of_keys())?, room(device, sizes.of_keys())?);
    let FlashInputs { q, k, v, mask } = inputs;
    let (hides, free, causal) = (i32::from(mask.hides), int(mask.free_queries)?, i32::from(mask.causal));
    let (t, s, h, g) = (int(sizes.queries)?, int(sizes.keys)?, int(sizes.heads)?, int(sizes.kv_heads)?);
    let (d, n) = (int(sizes.head)?, rows as i64);
    let mut deltas = room::<f32>(device, rows)?;
    launch!(
        device,
        kernel(device, "flash", ptx::FLASH, "flash_deltas")?,
        config((grid(rows.div_ceil(THREADS as usize / (sizes.head / 4)))?, 1), THREADS),
        output,
        gradient,
        &mut deltas,
        &n,
        &t,
        &h,
        &d
    );
    launch!(
        device,
        sizes.source(device, "queries")?,
        sizes.tiles(sizes.queries, sizes.heads)?,
        q,
        k,
        v,
        halves,
        logs,
        &deltas,
        &mut dq,
        mask.bias,
        &hides,
        &free,
        &causal,
        &t,
        &s,
        &h,
        &g,
        &sizes.scale,
    );
    launch!(
        device,
        sizes.source(device, "keys")?,
        sizes.tiles(sizes.keys, sizes.kv_heads)?,
        q,
        k,
        v,
        halves,
        logs,
        &deltas,
        &mut dk,
        &mut dv,
        mask.bias,
        &hides,
        &free,
        &causal,
        &t,
        &s,
        &h,
        &g,
        &sizes.scale,
    );
    Ok([dq, dk, dv])
}
