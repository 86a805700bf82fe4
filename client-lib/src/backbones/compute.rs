//! Where a backbone lies, and in what it is computed.

use std::{fmt, str::FromStr};

use candle_core::Device;

use crate::ops::Arithmetic;

/// A device, and the arithmetic of products with frozen weights there.
#[derive(Debug, Clone)]
pub struct Compute {
    /// Where the weights lie.
    pub device: Device,
    /// What products with frozen weights are computed in; the rest is in single precision.
    pub arithmetic: Arithmetic,
}

/// A device by its name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first GPU where there is one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU with this number.
    Cuda(usize),
}

/// A device that can't be had.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// It is no name of a device.
    #[error("`{0}` is no device; there are: auto, cpu, cuda, cuda:1 and so on")]
    Unknown(String),
    /// This program was built without CUDA.
    #[error("`{0}` needs a build with CUDA, and this is one for CPUs")]
    NotBuilt(DeviceChoice),
    /// There is none, or it does not answer.
    #[error("`{choice}` can't be used: {reason}")]
    Failed {
        /// Which.
        choice: DeviceChoice,
        /// What the driver says.
        reason: String,
    },
}

impl DeviceError {
    /// The next step.
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unknown(_) => None,
            Self::NotBuilt(_) => Some(
                "docs/gpu.md says how to build one with CUDA; without `--device` this one computes on the CPU",
            ),
            Self::Failed { .. } => Some("`nvidia-smi` lists the GPUs; `--device cpu` computes on the CPU"),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        let unknown = || DeviceError::Unknown(text.to_owned());
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => {
                let number = text.strip_prefix("cuda:").ok_or_else(unknown)?;
                // No machine has a thousand.
                let number = number.parse().ok().filter(|number| *number < 1000).ok_or_else(unknown)?;
                Ok(Self::Cuda(number))
            }
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

impl Compute {
    /// On the CPU in single precision.
    pub const EXACT: Self = Self { device: Device::Cpu, arithmetic: Arithmetic::Exact };

    /// On the device that is chosen, for the thread that runs models.
    pub fn open(choice: DeviceChoice, arithmetic: Arithmetic) -> Result<Self, DeviceError> {
        let device = match choice {
            DeviceChoice::Cpu => None,
            DeviceChoice::Cuda(number) => Some(gpu(number)?),
            DeviceChoice::Auto => gpu(0).ok(),
        };
        Ok(match device {
            Some(device) => Self { device, arithmetic },
            None => Self::on_this_thread(arithmetic),
        })
    }

    /// What the device is called.
    pub fn title(&self) -> String {
        #[cfg(feature = "cuda")]
        if let Ok(name) = self.device.as_cuda_device().and_then(hub_kernels::cuda::name) {
            return name;
        }
        "CPU".to_owned()
    }

    /// Bytes that are taken of a GPU's memory, by this process and others; `None` on the CPU.
    pub fn memory_taken(&self) -> Option<usize> {
        #[cfg(feature = "cuda")]
        if let Ok(memory) = self.device.as_cuda_device().and_then(hub_kernels::cuda::memory) {
            return Some(memory.total - memory.free);
        }
        None
    }

    /// On the CPU, for the thread that runs models: from now on it computes its own part of a product instead of
    /// sleeping until others have computed all, which costs more than a product of a few rows. Where products were
    /// shared out before, who shares them stays as it is.
    fn on_this_thread(arithmetic: Arithmetic) -> Self {
        drop(rayon::ThreadPoolBuilder::new().use_current_thread().build_global());
        Self { device: Device::Cpu, arithmetic }
    }
}

/// Whether an error says that a GPU had no room left. What candle passes on has no type of its own for that.
pub fn is_out_of_memory(error: &str) -> bool {
    error.contains("CUDA_ERROR_OUT_OF_MEMORY") || error.contains("CUBLAS_STATUS_ALLOC_FAILED")
}

#[cfg(feature = "cuda")]
fn gpu(number: usize) -> Result<Device, DeviceError> {
    let failed = |error: &dyn fmt::Display| DeviceError::Failed {
        choice: DeviceChoice::Cuda(number),
        // candle adds where it was called from.
        reason: error.to_string().lines().next().unwrap_or_default().to_owned(),
    };
    hub_kernels::cuda::open(number).map_err(|error| failed(&error))
}

#[cfg(not(feature = "cuda"))]
fn gpu(number: usize) -> Result<Device, DeviceError> {
    Err(DeviceError::NotBuilt(DeviceChoice::Cuda(number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_names() {
        for (name, choice) in [
            ("auto", DeviceChoice::Auto),
            ("cpu", DeviceChoice::Cpu),
            ("cuda:0", DeviceChoice::Cuda(0)),
            ("cuda:3", DeviceChoice::Cuda(3)),
        ] {
            assert_eq!(name.parse::<DeviceChoice>().expect("a device"), choice);
            assert_eq!(choice.to_string(), name);
        }
        assert_eq!("cuda".parse::<DeviceChoice>().expect("a device"), DeviceChoice::Cuda(0));
        for name in ["", "gpu", "cuda:", "cuda:x", "cuda:1000", "CPU"] {
            let error = name.parse::<DeviceChoice>().expect_err("no device").to_string();
            assert_eq!(error, format!("`{name}` is no device; there are: auto, cpu, cuda, cuda:1 and so on"));
        }
    }
}
