//! How a spectrogram is read.

/// Frames of a spectrogram, two of which make a token (Radford et al. 2022).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameGrid {
    /// Filters of the spectrogram.
    pub mels: usize,
    /// Tokens, each with a position of its own: no other number is read.
    pub positions: usize,
}

/// A spectrogram that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the spectrogram has {mels} filters and {frames} frames; this backbone reads {} and {}", .expected.mels, .expected.frames())]
pub struct FrameError {
    /// Of the spectrogram.
    pub mels: usize,
    /// Of the spectrogram.
    pub frames: usize,
    /// What is read.
    pub expected: FrameGrid,
}

impl FrameGrid {
    /// Frames that are read.
    pub const fn frames(&self) -> usize {
        self.positions.saturating_mul(2)
    }

    /// Refuses a spectrogram of another size: the model's own code does not cut or fill it up.
    pub const fn check(self, mels: usize, frames: usize) -> Result<(), FrameError> {
        if mels == self.mels && frames == self.frames() {
            return Ok(());
        }
        Err(FrameError { mels, frames, expected: self })
    }
}
