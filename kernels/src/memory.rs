//! The allocator of programs that compute: what one step frees, the next one takes.
//!
//! Left to itself it gives memory back to the system that was free for a while, and the system clears it before it is
//! touched again. A training step frees and takes the same activations over and over: that cost a twentieth of it.

use std::ffi::c_int;

pub use mimalloc::MiMalloc as Allocator;

/// `mi_option_purge_delay`: milliseconds after which free memory goes back, or -1 for never.
const PURGE_DELAY: c_int = 15;

/// Keeps what is freed until the process ends: it never holds more than it once needed.
pub fn keep() {
    #[expect(unsafe_code, reason = "an option of a C library")]
    // SAFETY: the function stores a number in an option whose index is one of the library's (a test reads it).
    unsafe {
        libmimalloc_sys::mi_option_set(PURGE_DELAY, -1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_the_one_that_is_meant() {
        #[expect(unsafe_code, reason = "an option of a C library")]
        // SAFETY: the function reads a number.
        let get = || unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        assert_eq!(get(), 1000, "its default, which no other option has");
        keep();
        assert_eq!(get(), -1);
    }
}
