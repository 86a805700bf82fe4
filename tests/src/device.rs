//! Where the numeric tests compute: on the CPU, or where `HUB_TEST_DEVICE` says.

use candle_core::Device;
use hub_client::{
    backbones::{Compute, DeviceChoice},
    ops::Arithmetic,
};

/// The device of this process.
pub fn device() -> Device {
    let Ok(name) = std::env::var("HUB_TEST_DEVICE") else { return Device::Cpu };
    let choice: DeviceChoice = name.parse().expect("`HUB_TEST_DEVICE` names a device");
    Compute::open(choice, Arithmetic::Exact).expect("the device opens").device
}
