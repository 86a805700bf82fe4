//! Products in single precision by the units for half precision: each number is two halves, of which three products are
//! computed and the fourth, that of both lower ones, is below what single precision keeps.
//!
//! After Ootomo and Yokota, "Recovering single precision accuracy from Tensor Cores while surpassing the FP32
//! theoretical peak performance" (2022). Here all numbers of an operand share one power of two, so that none of the
//! halves overflows; a frozen matrix is split once and takes the bytes that it took before.

use candle_core::cuda_backend::cudarc::driver::{DevicePtr as _, DevicePtrMut as _};

use super::{
    product::library::{self, Call, Scalars, Side},
    *,
};

/// Blocks that look for the largest number.
const LOOKING: usize = 512;
/// Exponents that a matrix can have, from zero: as many factors lie beside every split operand.
const FACTORS: usize = 41;
/// What widths are multiples of, as halves are read eight at once.
const TOGETHER: usize = 8;
/// Rows up to which a product restores the matrix instead of multiplying halves, and of how many at a time.
const FEW: usize = 32;
const AT_A_TIME: usize = 8;

/// A frozen matrix in halves, as it lies on the GPU.
#[derive(Debug, Clone, Copy)]
pub struct SplitMatrix<'a> {
    /// `[rows, 2 · columns]`: the upper halves of a row, then the lower ones; or `[rows, columns]` where the upper ones are
    /// all there is.
    pub numbers: &'a CudaView<'a, f16>,
    /// Rows and columns.
    pub dims: (usize, usize),
    /// By which power of two they are larger than what they stand for.
    pub exponent: u8,
}

/// What products with the rows of a matrix read.
#[derive(Debug)]
pub struct SplitRows {
    /// `[rows, 2 · width]`: the lower halves of a row, then the upper ones.
    numbers: CudaSlice<f16>,
    factors: CudaSlice<f32>,
    width: usize,
}

/// What products with the columns of a matrix of both halves read.
struct SplitPairs {
    /// `[rows, 2 · width]`: of each number the lower and the upper half.
    pairs: CudaSlice<f16>,
    /// `[rows, width]`: the upper halves alone.
    high: CudaSlice<f16>,
    factors: CudaSlice<f32>,
}

fn source(device: &CudaDevice, name: &str) -> Result<CudaFunction> {
    kernel(device, "split", ptx::SPLIT, name)
}

/// The largest magnitudes of some of the numbers each.
fn largest(device: &CudaDevice, x: &CudaView<'_, f32>) -> Result<CudaSlice<f32>> {
    let blocks = x.len().div_ceil(4 * THREADS as usize).clamp(1, LOOKING);
    let mut parts = room(device, blocks)?;
    let n = x.len() as i64;
    launch!(device, source(device, "largest")?, config((grid(blocks)?, 1), THREADS), x, &mut parts, &n);
    Ok(parts)
}

/// A matrix of `rows × columns` in halves and its exponent, or nothing where halves can't have its numbers or products
/// of them would not be faster. Waits for the GPU.
pub fn split_matrix(
    device: &CudaDevice,
    x: &CudaView<'_, f32>,
    (rows, columns): (usize, usize),
) -> Result<Option<(CudaSlice<f16>, u8)>> {
    check("split", &[x.len()], rows * columns)?;
    if x.is_empty() || !rows.is_multiple_of(TOGETHER) || !columns.is_multiple_of(TOGETHER) {
        return Ok(None);
    }
    let parts = device.clone_dtoh(&largest(device, x)?)?;
    let most = parts.iter().copied().fold(0.0, f32::max);
    let Some(exponent) = exponent(most) else { return Ok(None) };
    let mut halves = room(device, 2 * x.len())?;
    let (width, e) = (int(columns)?, i32::from(exponent));
    launch!(device, source(device, "split_matrix")?, blocks(rows, columns)?, x, &mut halves, &width, &e);
    Ok(Some((halves, exponent)))
}

/// By which power of two numbers up to `most` are to be multiplied: the largest lies in `[2^14, 2^15)` then, as far as there
/// is a factor for it.
fn exponent(most: f32) -> Option<u8> {
    if !most.is_normal() || most >= (1 << 15) as f32 {
        return None;
    }
    let lies_in = i32::from((most.to_bits() >> 23) as u8) - 127;
    u8::try_from((14 - lies_in).clamp(0, FACTORS as i32 - 1)).ok()
}

impl SplitRows {
    /// Rows of `width` numbers, a multiple of eight.
    pub fn new(device: &CudaDevice, x: &CudaView<'_, f32>, width: usize) -> Result<Self> {
        let rows = rows_of(x, width)?;
        let parts = largest(device, x)?;
        let (mut numbers, mut factors) = (room(device, 2 * x.len())?, room(device, FACTORS)?);
        let (count, wide) = (int(parts.len())?, int(width)?);
        let (kernel, each) = (source(device, "split_rows")?, blocks(rows, width)?);
        launch!(device, kernel, each, x, &parts, &count, &mut numbers, &mut factors, &wide);
        Ok(Self { numbers, factors, width })
    }

    /// Where the lower halves begin, and the upper ones.
    fn sides(&self, device: &CudaDevice) -> [Side; 2] {
        let low = self.numbers.device_ptr(&device.cuda_stream()).0;
        [low, low + (self.width * size_of::<f16>()) as u64].map(|at| Side::of(at, 2 * self.width))
    }
}

impl SplitPairs {
    fn new(device: &CudaDevice, x: &CudaView<'_, f32>) -> Result<Self> {
        let parts = largest(device, x)?;
        let (mut pairs, mut high) = (room(device, 2 * x.len())?, room(device, x.len())?);
        let mut factors = room(device, FACTORS)?;
        let (count, n) = (int(parts.len())?, x.len() as i64);
        let (kernel, each) = (source(device, "split_pairs")?, elements(x.len().div_ceil(4)));
        launch!(device, kernel, each, x, &parts, &count, &mut pairs, &mut high, &mut factors, &n);
        Ok(Self { pairs, high, factors })
    }
}

/// A product of halves: what is summed over, and both sides.
type Part = (usize, [Side; 2]);

impl SplitMatrix<'_> {
    /// Refuses sizes that do not belong together.
    fn check(&self, columns: usize) -> Result<()> {
        let (rows, own) = self.dims;
        check("split", &[own], columns)?;
        check("split", &[self.numbers.len()], rows * self.pitch())?;
        if rows == 0 || own == 0 || self.pitch() % own != 0 || self.pitch() > 2 * own {
            candle_core::bail!("split: {} halves of a matrix of {rows} × {own}", self.numbers.len());
        }
        if usize::from(self.exponent) >= FACTORS {
            candle_core::bail!("split: there is no factor for the exponent {}", self.exponent);
        }
        Ok(())
    }

    /// Elements between its rows.
    fn pitch(&self) -> usize {
        self.numbers.len() / self.dims.0.max(1)
    }

    fn has_low(&self) -> bool {
        self.pitch() > self.dims.1
    }

    fn side(&self, device: &CudaDevice, pitch: usize) -> Side {
        Side::of(self.numbers.device_ptr(&device.cuda_stream()).0, pitch)
    }

    /// `x wᵀ + bias`: `[n, columns]` to `[n, rows]`.
    pub fn product(
        &self,
        device: &CudaDevice,
        x: &SplitRows,
        bias: Option<&CudaView<'_, f32>>,
    ) -> Result<CudaSlice<f32>> {
        self.check(x.width)?;
        let ((out, width), rows) = (self.dims, x.numbers.len() / (2 * x.width));
        if let Some(bias) = bias {
            check("bias", &[bias.len()], out)?;
        }
        let mut y = room(device, rows * out)?;
        let [low, high] = x.sides(device);
        let own = self.side(device, self.pitch()).transposed();
        // A row of x, both halves, meets the upper and then the lower half of one of the matrix: the small terms first.
        let small = if self.has_low() { 2 * width } else { width };
        let parts = [(small, [low, own]), (width, [high, own])];
        self.add_up(device, [rows, out], parts, &x.factors, bias, (&mut y, false))?;
        Ok(y)
    }

    /// `g w`: `[n, rows]` to `[n, columns]`.
    pub fn gradient(&self, device: &CudaDevice, g: &CudaView<'_, f32>) -> Result<CudaSlice<f32>> {
        let mut y = room(device, rows_of(g, self.dims.0)? * self.dims.1)?;
        self.queue_gradient(device, g, (&mut y, false))?;
        Ok(y)
    }

    /// Adds it to `y`.
    pub fn add_gradient(
        &self,
        device: &CudaDevice,
        g: &CudaView<'_, f32>,
        y: &mut CudaSlice<f32>,
    ) -> Result<()> {
        self.queue_gradient(device, g, (y, true))
    }

    fn queue_gradient(
        &self,
        device: &CudaDevice,
        g: &CudaView<'_, f32>,
        (y, adds): (&mut CudaSlice<f32>, bool),
    ) -> Result<()> {
        let (out, columns) = self.dims;
        self.check(columns)?;
        let sizes = [rows_of(g, out)?, columns];
        check("split", &[y.len()], sizes[0] * columns)?;
        let own = self.side(device, self.pitch());
        if !self.has_low() {
            let g = SplitRows::new(device, g, out)?;
            let [low, high] = g.sides(device);
            let parts = [(out, [low, own]), (out, [high, own])];
            return self.add_up(device, sizes, parts, &g.factors, None, (y, adds));
        }
        let g = SplitPairs::new(device, g)?;
        let stream = device.cuda_stream();
        let (pairs, high) = (g.pairs.device_ptr(&stream).0, g.high.device_ptr(&stream).0);
        // The matrix as one of twice as many rows: the upper half of one, then its lower half.
        let both = self.side(device, columns);
        let parts = [(2 * out, [Side::of(pairs, 2 * out), both]), (out, [Side::of(high, out), own])];
        self.add_up(device, sizes, parts, &g.factors, None, (y, adds))
    }

    /// The products of halves, whose sizes were checked, one added to the other.
    fn add_up(
        &self,
        device: &CudaDevice,
        [m, n]: [usize; 2],
        parts: [Part; 2],
        factors: &CudaSlice<f32>,
        bias: Option<&CudaView<'_, f32>>,
        (y, adds): (&mut CudaSlice<f32>, bool),
    ) -> Result<()> {
        let stream = device.cuda_stream();
        let out = y.device_ptr_mut(&stream).0;
        let factors = factors.device_ptr(&stream).0;
        let scale = factors + u64::from(self.exponent) * size_of::<f32>() as u64;
        for (is_last, (k, [a, b])) in [false, true].into_iter().zip(parts) {
            let bias = bias.filter(|_| is_last).map(|bias| bias.device_ptr(&stream).0);
            let scalars = Scalars::There { scale, adds: adds || is_last };
            let call = Call { sizes: [m, n, k], a, b, bias, scalars, out };
            // SAFETY: the callers have checked the lengths against the sizes and made the sides of the slices, which they
            // hold while it is queued; what is freed then is used again behind it, on the same stream.
            if !unsafe { library::queue::<f16>(device, &call)? } {
                candle_core::bail!("split: cuBLASLt has no algorithm for {m} × {k} times {k} × {n} in f16");
            }
        }
        Ok(())
    }

    /// `x wᵀ + bias` of rows so few that nothing is gained by splitting them; nothing where there are more.
    pub fn product_of_few(
        &self,
        device: &CudaDevice,
        x: &CudaView<'_, f32>,
        bias: Option<&CudaView<'_, f32>>,
    ) -> Result<Option<CudaSlice<f32>>> {
        let (out, width) = self.dims;
        self.check(width)?;
        let rows = rows_of(x, width)?;
        if rows > FEW {
            return Ok(None);
        }
        if let Some(bias) = bias {
            check("bias", &[bias.len()], out)?;
        }
        let mut y = room(device, rows * out)?;
        let at_a_time = if rows == 1 { 1 } else { AT_A_TIME };
        let halves = if self.has_low() { "_both" } else { "" };
        let kernel = source(device, &format!("few_{at_a_time}{halves}"))?;
        let mut each = warps(out)?;
        each.grid_dim.1 = layers(rows.div_ceil(at_a_time))?;
        let (bias, factor) = (address(device, bias), (-f32::from(self.exponent)).exp2());
        let (count, outputs, wide) = (int(rows)?, int(out)?, int(width)?);
        let w = self.numbers;
        launch!(device, kernel, each, x, w, &bias, &mut y, &count, &outputs, &wide, &factor);
        Ok(Some(y))
    }
}

/// How many rows of a width there are.
fn rows_of(x: &CudaView<'_, f32>, width: usize) -> Result<usize> {
    let rows = x.len() / width.max(1);
    check("split", &[x.len()], rows * width)?;
    if rows == 0 || !width.is_multiple_of(TOGETHER) {
        candle_core::bail!("split: {} numbers in rows of {width}", x.len());
    }
    Ok(rows)
}
