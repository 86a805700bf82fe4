//! Products that are a few columns wide on one side: those of updates of low rank.

use super::*;

/// A factor of `rank` rows that are as wide as what it is multiplied with.
#[derive(Debug, Clone, Copy)]
pub struct Thin<'a> {
    /// `[rank, width]`, or `[width, rank]` where it lies on its side.
    pub data: &'a CudaView<'a, f32>,
    /// How many.
    pub rank: usize,
    /// Whether it lies on its side.
    pub on_its_side: bool,
}

/// Threads of a block.
const BLOCK: u32 = 128;
/// Rows that a block of the three kernels reads.
const NARROWED: usize = 16;
const WIDENED: usize = 16;
const SUMMED: usize = 64;

/// Whether there are kernels for this rank; products of the others are cuBLAS's.
const fn has_kernels(rank: usize) -> bool {
    matches!(rank, 4 | 8 | 16)
}

impl<'a> Thin<'a> {
    fn width(&self) -> usize {
        self.data.len() / self.rank.max(1)
    }

    /// `[rank, width]`
    fn upright(&self) -> Factor<'a, f32> {
        Factor { data: self.data, transposed: self.on_its_side }
    }

    /// `[width, rank]`
    fn flat(&self) -> Factor<'a, f32> {
        Factor { data: self.data, transposed: !self.on_its_side }
    }

    fn source(&self, device: &CudaDevice, what: &str) -> Result<CudaFunction> {
        let side = if self.on_its_side { "_side" } else { "" };
        source(device, &format!("{what}{side}_{}", self.rank))
    }
}

fn source(device: &CudaDevice, name: &str) -> Result<CudaFunction> {
    kernel(device, "low_rank", ptx::LOW_RANK, name)
}

/// A launch of a thread for every column of every chunk of rows.
fn columns(width: usize, chunks: usize) -> Result<LaunchConfig> {
    Ok(config((grid(width.div_ceil(BLOCK as usize))?, layers(chunks)?), BLOCK))
}

/// `scale · x wᵀ`: `[rows, width]` to `[rows, rank]`.
pub fn narrow(device: &CudaDevice, x: &CudaView<'_, f32>, w: Thin<'_>, scale: f32) -> Result<CudaSlice<f32>> {
    let width = w.width();
    let rows = x.len() / width.max(1);
    check("low-rank", &[x.len()], rows * width)?;
    check("low-rank", &[w.data.len()], w.rank * width)?;
    if !has_kernels(w.rank) {
        let of = Product { scale, ..Product::one(rows, w.rank, width) };
        return multiply(device, of, &Factor::new(x), &w.flat());
    }
    let mut n = room(device, rows * w.rank)?;
    let (count, wide) = (int(rows)?, int(width)?);
    let tiles = config((grid(rows.div_ceil(NARROWED))?, 1), BLOCK);
    launch!(device, w.source(device, "narrow")?, tiles, x, w.data, &mut n, &count, &wide, &scale);
    Ok(n)
}

/// Adds `scale · n w` to `y`: `[rows, rank]` to `[rows, width]`.
pub fn widen_add(
    device: &CudaDevice,
    n: &CudaView<'_, f32>,
    w: Thin<'_>,
    scale: f32,
    y: &mut CudaSlice<f32>,
) -> Result<()> {
    let width = w.width();
    let rows = n.len() / w.rank.max(1);
    check("low-rank", &[y.len()], rows * width)?;
    check("low-rank", &[n.len()], rows * w.rank)?;
    check("low-rank", &[w.data.len()], w.rank * width)?;
    if !has_kernels(w.rank) {
        let of = Product { scale, ..Product::one(rows, width, w.rank) };
        return multiply_add(device, of, &Factor::new(n), &w.upright(), y);
    }
    let (count, wide) = (int(rows)?, int(width)?);
    let tiles = columns(width, rows.div_ceil(WIDENED))?;
    launch!(device, w.source(device, "widen")?, tiles, n, w.data, y, &count, &wide, &scale);
    Ok(())
}

/// `scale · nᵀ x` of `n [rows, rank]` and `x [rows, width]`: `[rank, width]`, or `[width, rank]` on its side.
pub fn outer(
    device: &CudaDevice,
    (n, rank): (&CudaView<'_, f32>, usize),
    x: &CudaView<'_, f32>,
    scale: f32,
    on_its_side: bool,
) -> Result<CudaSlice<f32>> {
    let rows = n.len() / rank.max(1);
    let width = x.len() / rows.max(1);
    check("low-rank", &[n.len()], rows * rank)?;
    check("low-rank", &[x.len()], rows * width)?;
    if !has_kernels(rank) {
        let of = |m, n| Product { scale, ..Product::one(m, n, rows) };
        return if on_its_side {
            multiply(device, of(width, rank), &Factor::transposed(x), &Factor::new(n))
        } else {
            multiply(device, of(rank, width), &Factor::transposed(n), &Factor::new(x))
        };
    }
    let chunks = rows.div_ceil(SUMMED);
    let mut parts = room::<f32>(device, chunks * rank * width)?;
    let mut y = room(device, rank * width)?;
    let (count, wide) = (int(rows)?, int(width)?);
    let tiles = columns(width, chunks)?;
    launch!(device, source(device, &format!("outer_{rank}"))?, tiles, n, x, &mut parts, &count, &wide);
    let (chunks, ranks, side) = (int(chunks)?, int(rank)?, i32::from(on_its_side));
    int(rank * width)?;
    let each = config((grid((rank * width).div_ceil(THREADS as usize))?, 1), THREADS);
    launch!(
        device,
        source(device, "sum_parts")?,
        each,
        &parts,
        &mut y,
        &chunks,
        &ranks,
        &wide,
        &scale,
        &side
    );
    Ok(y)
}
