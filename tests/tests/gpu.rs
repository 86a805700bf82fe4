//! The same numbers on a GPU: every method of the Python libraries, every operation, every step.
//!
//! `HUB_TEST_DEVICE=cuda cargo test --release --package hub-tests --features cuda --test gpu`
#![allow(clippy::expect_used, reason = "a test that can't set itself up must fail")]

#[expect(dead_code, reason = "rows alone are compared on the CPU")]
#[path = "parity/cases.rs"]
mod cases;
#[path = "gpu/halves.rs"]
mod halves;
#[path = "parity/methods.rs"]
mod methods;
#[path = "gpu/ops.rs"]
mod ops;
#[path = "gpu/steps.rs"]
mod steps;

/// The GPU that `HUB_TEST_DEVICE` names: without one these tests would compare the CPU with itself.
fn device() -> candle_core::Device {
    let device = hub_tests::device();
    assert!(device.is_cuda(), "name a GPU, as in `HUB_TEST_DEVICE=cuda`");
    device
}
