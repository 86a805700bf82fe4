//! The machine: processor, threads, free space.

use std::path::Path;

use super::Check;

pub(super) fn check() -> Check {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (name, vectors) = ("processor", vector_units());
    let found = format!("{}, {threads} threads, {}", std::env::consts::ARCH, vectors.join(" "));
    if cfg!(target_arch = "x86_64") && !vectors.contains(&"avx2") {
        return Check::warn(name, found, "without AVX2 training and inference are several times slower");
    }
    Check::ok(name, found)
}

#[cfg(target_arch = "x86_64")]
fn vector_units() -> Vec<&'static str> {
    let mut units = vec!["sse2"];
    if std::is_x86_feature_detected!("avx2") {
        units.push("avx2");
    }
    if std::is_x86_feature_detected!("fma") {
        units.push("fma");
    }
    if std::is_x86_feature_detected!("avx512f") {
        units.push("avx512");
    }
    units
}

#[cfg(not(target_arch = "x86_64"))]
fn vector_units() -> Vec<&'static str> {
    vec!["vector units not looked at"]
}

/// Free bytes where `path` lies, from the system's own tool: asking the kernel directly takes unsafe code.
pub(super) fn free_space(path: &Path) -> Option<u64> {
    if !cfg!(unix) {
        return None;
    }
    let output = std::process::Command::new("df").arg("-Pk").arg(path).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let kibibytes: u64 = text.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    Some(kibibytes * 1024)
}
