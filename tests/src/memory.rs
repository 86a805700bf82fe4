//! How much memory a process has held: the system's word for it.

use std::process::{Command, ExitStatus, Stdio};

/// The most memory that a process has held so far, in KiB; `None` where it is gone.
#[cfg(target_os = "linux")]
pub fn peak_kib(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Runs a command to its end, and says the most memory that it held, in bytes: what the last look at it a hundredth of
/// a second before its end saw.
#[cfg(target_os = "linux")]
pub fn peak_of(command: &mut Command) -> (ExitStatus, u64) {
    let mut child = command.stdout(Stdio::null()).spawn().expect("it starts");
    let mut peak = 0;
    loop {
        peak = peak_kib(child.id()).unwrap_or(0).max(peak);
        if let Some(status) = child.try_wait().expect("it can be waited for") {
            return (status, peak << 10);
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
