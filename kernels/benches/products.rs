//! GFLOP/s of `x Wᵀ` by `gemm`, which packs at every product, and by the kernels of this crate:
//! `cargo bench -p hub-kernels`. Interleaved, the best of several rounds.
#![expect(clippy::print_stdout, reason = "a table for whoever runs it")]

use std::time::Instant;

use hub_kernels::{Side, bf16, single};

/// Rows, inputs, outputs: linear layers of MiniLM-L6 and of bert-base.
const SHAPES: [(usize, usize, usize); 8] = [
    (1, 384, 1536),
    (16, 384, 1536),
    (64, 384, 384),
    (128, 768, 3072),
    (2048, 384, 1536),
    (4096, 384, 384),
    (4096, 1536, 384),
    (2048, 768, 3072),
];

fn main() {
    println!("{} threads, bf16 instructions: {}", rayon::current_num_threads(), bf16::is_fast());
    println!("{:>20} {:>8} {:>8} {:>8}", "rows x in x out", "gemm", "single", "bf16");
    for (rows, inputs, outputs) in SHAPES {
        let x = values(rows * inputs);
        let w = values(inputs * outputs);
        let mut y = vec![0.0; rows * outputs];
        let one = single::Packed::new(&w, (outputs, inputs), Side::Forward);
        let half = bf16::Packed::new(&w, (outputs, inputs), Side::Forward);
        let operations = 2.0 * (rows * inputs * outputs) as f64;
        let repeat = (2e9 / operations).clamp(3.0, 2000.0) as usize;
        let mut best = [f64::INFINITY; 3];
        for _ in 0..7 {
            let times = [
                time(repeat, || with_gemm(&x, &w, &mut y, (rows, inputs, outputs))),
                time(repeat, || drop(one.product(&x, None))),
                time(repeat, || drop(half.product(&x, None))),
            ];
            best.iter_mut().zip(times).for_each(|(best, time)| *best = best.min(time));
        }
        let [a, b, c] = best.map(|seconds| operations / seconds / 1e9);
        println!("{:>20} {a:>8.0} {b:>8.0} {c:>8.0}", format!("{rows} x {inputs} x {outputs}"));
    }
}

fn values(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i * 7919 % 1013) as f32 / 1013.0 - 0.5).collect()
}

/// Seconds of one of `repeat` calls.
fn time(repeat: usize, mut work: impl FnMut()) -> f64 {
    let start = Instant::now();
    (0..repeat).for_each(|_| work());
    start.elapsed().as_secs_f64() / repeat as f64
}

fn with_gemm(x: &[f32], w: &[f32], y: &mut [f32], (m, k, n): (usize, usize, usize)) {
    assert!(x.len() == m * k && w.len() == n * k && y.len() == m * n, "sizes");
    #[expect(unsafe_code, reason = "`gemm` takes raw pointers")]
    // SAFETY: the matrices have the sizes that were asserted just now, and `y` is borrowed exclusively.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            y.as_mut_ptr(),
            1,
            n as isize,
            false,
            x.as_ptr(),
            1,
            k as isize,
            w.as_ptr(),
            k as isize,
            1,
            0.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::Rayon(0),
        );
    }
}
