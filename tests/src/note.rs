//! What a test measured, for whoever runs it by itself.

use std::io::Write as _;

/// Says it on standard error, where `scripts/faults` reads it.
pub fn note(text: &str) {
    drop(writeln!(std::io::stderr().lock(), "note: {text}"));
}
