//! Images as a backbone reads them: decoded, resized and normalised as `preprocessor_config.json`
//! says, with the numbers of the image processors of `transformers`.

mod decode;
mod processor;
mod resample;
mod settings;
mod transform;

pub use decode::{ImageError, Pixels};
pub use processor::{ImageProcessor, ImageProcessorError};
pub use settings::{Filter, ImageSettings, SettingsError, Size};
