//! Recordings as a backbone reads them: decoded, resampled and turned into a log-mel spectrogram as
//! `preprocessor_config.json` says, with the numbers of the feature extractor of `transformers`.

mod decode;
mod mel;
mod pieces;
mod processor;
mod resample;
mod settings;
mod spectrogram;

pub use decode::{AudioError, Waveform};
pub use processor::{AudioProcessor, AudioProcessorError};
pub use settings::{AudioSettings, AudioSettingsError};
pub use spectrogram::Spectrogram;
