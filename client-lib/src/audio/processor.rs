//! From files to the batch that a backbone reads.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use hub_formats::architectures::{FrameError, FrameGrid, Positions, TransformerConfig};

use super::{AudioError, AudioSettings, AudioSettingsError, Spectrogram, Waveform};
use crate::model::Batch;

/// Where a backbone says how its recordings are read.
const FILE: &str = "preprocessor_config.json";
/// No settings are larger than this, in bytes: older ones hold all filters.
const MAX_SETTINGS: u64 = 1 << 22;

/// Reads recordings for one backbone.
#[derive(Debug, Clone)]
pub struct AudioProcessor {
    spectrogram: Spectrogram,
    grid: FrameGrid,
}

/// Why recordings can't be read for a backbone.
#[derive(Debug, thiserror::Error)]
pub enum AudioProcessorError {
    /// The backbone reads something else.
    #[error("{0} backbones read no recordings")]
    NoAudio(String),
    /// The settings are not there.
    #[error("`{}` can't be read: {source}; it says how spectrograms are made", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The settings are no JSON object.
    #[error("`{}` is no JSON object of settings: {reason}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A setting can't be used.
    #[error("`{}`: {source}", path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// Which one.
        source: AudioSettingsError,
    },
    /// The settings belong to another backbone.
    #[error("`{}` does not fit the backbone: {source}", path.display())]
    Grid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: FrameError,
    },
    /// A file is no recording.
    #[error(transparent)]
    Audio(#[from] AudioError),
    /// A spectrogram can't be made.
    #[error("no spectrogram can be made of `{}`: {reason}", path.display())]
    Spectrogram {
        /// The recording.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The tensors can't be made.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

impl AudioProcessor {
    /// The settings in a backbone's folder.
    pub fn open(folder: &Path, config: &TransformerConfig) -> Result<Self, AudioProcessorError> {
        let Positions::Frames(grid) = config.positions else {
            return Err(AudioProcessorError::NoAudio(config.architecture.to_string()));
        };
        let path = folder.join(FILE);
        let missing = |source| AudioProcessorError::Missing { path: path.clone(), source };
        let json = |reason: String| AudioProcessorError::Json { path: path.clone(), reason };
        let bytes = std::fs::metadata(&path).map_err(missing)?.len();
        if bytes > MAX_SETTINGS {
            return Err(json(format!("it has {bytes} bytes")));
        }
        let text = std::fs::read(&path).map_err(missing)?;
        let object = serde_json::from_slice(&text).map_err(|e| json(e.to_string()))?;
        let settings = AudioSettings::from_json(&object)
            .map_err(|source| AudioProcessorError::Settings { path: path.clone(), source })?;
        grid.check(settings.mels, settings.frames())
            .map_err(|source| AudioProcessorError::Grid { path, source })?;
        Ok(Self { spectrogram: Spectrogram::new(settings), grid })
    }

    /// How spectrograms are made.
    pub fn settings(&self) -> &AudioSettings {
        self.spectrogram.settings()
    }

    /// How many tokens a backbone makes of any recording.
    pub fn tokens(&self) -> usize {
        self.grid.positions
    }

    /// Reads a recording, and whether it is longer than what a backbone reads of it.
    pub fn check(&self, path: &Path) -> Result<bool, AudioProcessorError> {
        Ok(Waveform::open(path)?.seconds() > self.settings().seconds as f64)
    }

    /// The spectrogram of one recording, `[mels, frames]` row by row.
    pub fn read(&self, path: &Path) -> Result<Vec<f32>, AudioProcessorError> {
        self.spectrogram_of(path, &Waveform::open(path)?)
    }

    /// A recording of any length, in pieces that a backbone reads whole: a batch of each.
    pub fn pieces(&self, path: &Path, device: &Device) -> Result<Vec<Batch>, AudioProcessorError> {
        let pieces = Waveform::open(path)?.pieces(self.settings().seconds);
        pieces.iter().map(|piece| self.batch_of(self.spectrogram_of(path, piece)?, 1, device)).collect()
    }

    fn spectrogram_of(&self, path: &Path, waveform: &Waveform) -> Result<Vec<f32>, AudioProcessorError> {
        let spectrogram = self.spectrogram.of(waveform);
        spectrogram.map_err(|reason| AudioProcessorError::Spectrogram { path: path.to_owned(), reason })
    }

    fn batch_of(&self, values: Vec<f32>, rows: usize, device: &Device) -> Result<Batch, AudioProcessorError> {
        let shape = (rows, self.grid.mels, self.grid.frames());
        Ok(Batch::of_recordings(Tensor::from_vec(values, shape, device)?, self.grid.positions)?)
    }

    /// A batch of recordings.
    pub fn batch<P: AsRef<Path>>(&self, paths: &[P], device: &Device) -> Result<Batch, AudioProcessorError> {
        let mut all = Vec::new();
        for path in paths {
            all.extend(self.read(path.as_ref())?);
        }
        self.batch_of(all, paths.len(), device)
    }
}
