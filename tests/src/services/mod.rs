//! Servers that tests start for themselves: PostgreSQL and SeaweedFS, on loopback, in
//! temporary folders.
//!
//! Nothing but the standard library and `tempfile`: the unit tests of the registry,
//! which this crate depends on, include this folder too.

pub mod postgres;
pub mod seaweedfs;

use std::{
    path::Path,
    process::{Child, Command, Stdio},
};

/// A script that starts a server, waits until its standard input ends, and cleans up.
///
/// The input ends when this value is dropped and also when the test program is
/// killed, so nothing outlives the tests.
#[derive(Debug)]
struct Guard(Child);

impl Guard {
    /// Runs `script` with `arguments` as `$1`, `$2`, …
    fn start(script: &str, arguments: &[&str], log: &Path) -> Self {
        let log = std::fs::File::create(log).expect("a log file");
        let child = Command::new("bash")
            .args(["-c", script, "bash"])
            .args(arguments)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn();
        Self(child.expect("bash starts"))
    }

    /// How the script ended, when it did.
    fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.0.try_wait().expect("the script can be asked")
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        drop(self.0.wait());
    }
}
