//! Compiles `cuda/*.cu` to PTX where the feature `cuda` asks for it.

fn main() {
    #[cfg(feature = "cuda")]
    kernels();
}

#[cfg(feature = "cuda")]
#[expect(clippy::expect_used, reason = "a build without its compiler can only stop")]
fn kernels() {
    let out = std::env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    println!("cargo::rerun-if-changed=cuda");
    cudaforge::KernelBuilder::new()
        .source_dir("cuda")
        .arg("-std=c++17")
        .arg("-O3")
        .build_ptx()
        .and_then(|ptx| ptx.write(std::path::Path::new(&out).join("ptx.rs")))
        .expect("nvcc compiles the kernels: `scripts/cuda-env` gets it");
}
