//! Copies of rows: into another precision or another order.

use super::*;

fn source(device: &CudaDevice, name: &str) -> Result<CudaFunction> {
    kernel(device, "rows", ptx::ROWS, name)
}

/// Every number rounded to bf16.
pub fn to_bf16(device: &CudaDevice, x: &CudaView<'_, f32>) -> Result<CudaSlice<bf16>> {
    let mut y = room(device, x.len())?;
    let n = x.len() as i64;
    launch!(device, source(device, "to_bf16")?, elements(x.len().div_ceil(4)), x, &mut y, &n);
    Ok(y)
}

/// Rows that a block adds.
const SUMMED: usize = 64;

/// The sum of all rows of `width` elements, always added in the same order.
pub fn column_sums(device: &CudaDevice, x: &CudaView<'_, f32>, width: usize) -> Result<CudaSlice<f32>> {
    let rows = x.len() / width.max(1);
    check("column sums", &[x.len()], rows * width)?;
    let chunks = rows.div_ceil(SUMMED);
    let (mut parts, mut y) = (room::<f32>(device, chunks * width)?, room(device, width)?);
    let (count, wide, chunk_count) = (int(rows)?, int(width)?, int(chunks)?);
    let columns = grid(width.div_ceil(THREADS as usize))?;
    let tiles = config((columns, layers(chunks)?), THREADS);
    launch!(device, source(device, "column_parts")?, tiles, x, &mut parts, &count, &wide);
    let (one, scale, side) = (1, 1.0_f32, 0);
    let each = config((columns, 1), THREADS);
    let sum = kernel(device, "low_rank", ptx::LOW_RANK, "sum_parts")?;
    launch!(device, sum, each, &parts, &mut y, &chunk_count, &one, &wide, &scale, &side);
    Ok(y)
}

/// Rows of `x [rows, width]` by number; zeros for one that is not there.
pub fn select_rows(
    device: &CudaDevice,
    x: &CudaView<'_, f32>,
    (rows, width): (usize, usize),
    numbers: &CudaView<'_, u32>,
) -> Result<CudaSlice<f32>> {
    check("select-rows", &[x.len()], rows * width)?;
    let mut y = room(device, numbers.len() * width)?;
    let (kernel, each) = (source(device, "select_rows")?, blocks(numbers.len(), width)?);
    let (rows, width) = (int(rows)?, int(width)?);
    launch!(device, kernel, each, x, numbers, &mut y, &rows, &width);
    Ok(y)
}

/// Adds each row of `gradient` to the one of `[rows, width]` with its number; zeros where none does. A row that more than
/// two have is summed in any order.
pub fn add_rows(
    device: &CudaDevice,
    gradient: &CudaView<'_, f32>,
    (rows, width): (usize, usize),
    numbers: &CudaView<'_, u32>,
) -> Result<CudaSlice<f32>> {
    check("add-rows", &[gradient.len()], numbers.len() * width)?;
    let mut all = device.alloc_zeros::<f32>(rows * width)?;
    let (kernel, each) = (source(device, "add_rows")?, blocks(numbers.len(), width)?);
    let (rows, width) = (int(rows)?, int(width)?);
    launch!(device, kernel, each, gradient, numbers, &mut all, &rows, &width);
    Ok(all)
}

/// `rows` times `bias`, one after the other.
pub(super) fn fill_rows(
    device: &CudaDevice,
    bias: &CudaView<'_, f32>,
    rows: usize,
) -> Result<CudaSlice<f32>> {
    let mut y = room(device, rows * bias.len())?;
    let width = int(bias.len())?;
    launch!(device, source(device, "fill_rows")?, blocks(rows, bias.len())?, bias, &mut y, &width);
    Ok(y)
}

/// Everything one after the other.
pub fn concatenate(device: &CudaDevice, parts: &[CudaSlice<f32>]) -> Result<CudaSlice<f32>> {
    let mut all = room(device, parts.iter().map(CudaSlice::len).sum())?;
    let mut at = 0;
    for part in parts {
        device.memcpy_dtod(part, &mut all.slice_mut(at..at + part.len()))?;
        at += part.len();
    }
    Ok(all)
}

/// `[b, t, h·d]` to `[b, h, t, d]`.
pub fn split_heads<T: Number>(
    device: &CudaDevice,
    x: &CudaView<'_, f32>,
    (t, h, d): (usize, usize, usize),
) -> Result<CudaSlice<T>> {
    let mut y = room::<T>(device, x.len())?;
    let (tokens, [t, h, d]) = heads(x, (t, h, d))?;
    let name = format!("split_{}", T::NAME);
    let launch = blocks(tokens, x.len() / tokens)?;
    launch!(device, source(device, &name)?, launch, x, &mut y, &t, &h, &d);
    Ok(y)
}

/// `[b, h, t, d]` to `[b, t, h·d]`.
pub fn join_heads(
    device: &CudaDevice,
    x: &CudaView<'_, f32>,
    (t, h, d): (usize, usize, usize),
) -> Result<CudaSlice<f32>> {
    let mut y = room(device, x.len())?;
    let (tokens, [t, h, d]) = heads(x, (t, h, d))?;
    let launch = blocks(tokens, x.len() / tokens)?;
    launch!(device, source(device, "join")?, launch, x, &mut y, &t, &h, &d);
    Ok(y)
}

/// How many tokens there are in all rows, and the sizes as kernels take them.
fn heads(x: &CudaView<'_, f32>, (t, h, d): (usize, usize, usize)) -> Result<(usize, [i32; 3])> {
    let row = t * h * d;
    check("heads", &[x.len()], x.len() / row.max(1) * row)?;
    int(h * d)?;
    Ok((x.len() / (h * d).max(1), [int(t)?, int(h)?, int(d)?]))
}
