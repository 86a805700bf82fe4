//! Files of recordings, decoded within bounds.

use std::{
    io::Cursor,
    path::{Path, PathBuf},
};

use hound::{SampleFormat, WavReader};

/// Size of a file, in bytes: an hour in 16 bits of stereo at 16 kHz.
const MAX_FILE: u64 = 1 << 28;
/// Channels of a recording.
const MAX_CHANNELS: u16 = 64;
/// Samples in a second of a recording; lower ones hold no speech.
const RATES: std::ops::RangeInclusive<u32> = 1_000..=768_000;

/// One channel of sound.
#[derive(Debug, Clone, PartialEq)]
pub struct Waveform {
    /// Samples in a second.
    pub rate: u32,
    /// The samples, within ±1 where the file has whole numbers.
    pub samples: Vec<f32>,
}

/// Why a file is no recording.
#[derive(Debug, thiserror::Error)]
pub enum AudioError {
    /// The file can't be read.
    #[error("`{}` can't be read: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is too large.
    #[error("`{}` has {bytes} bytes; recordings of up to {MAX_FILE} bytes are read", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// The contents are no recording of a kind that is read.
    #[error("`{}` is no recording that can be read: {reason} (WAV is read, in 8 to 32 bits or as 32-bit floating point)", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl Waveform {
    /// Reads a WAV file: PCM of 8, 16, 24 or 32 bits, or floating point of 32. Several channels become
    /// their mean.
    pub fn open(path: &Path) -> Result<Self, AudioError> {
        let io = |source| AudioError::Io { path: path.to_owned(), source };
        let bytes = std::fs::metadata(path).map_err(io)?.len();
        if bytes > MAX_FILE {
            return Err(AudioError::TooLarge { path: path.to_owned(), bytes });
        }
        let file = std::fs::read(path).map_err(io)?;
        Self::decode(&file).map_err(|reason| AudioError::Format { path: path.to_owned(), reason })
    }

    /// Decodes the bytes of a file; an error is what is wrong with them.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let reader = WavReader::new(Cursor::new(bytes)).map_err(|e| e.to_string())?;
        let spec = reader.spec();
        if !(1..=MAX_CHANNELS).contains(&spec.channels) {
            return Err(format!("it has {} channels; 1 to {MAX_CHANNELS} are read", spec.channels));
        }
        if !RATES.contains(&spec.sample_rate) {
            let (least, most) = (RATES.start(), RATES.end());
            let found = spec.sample_rate;
            return Err(format!("it has {found} samples a second; {least} to {most} are read"));
        }
        let values: Vec<f32> = match (spec.sample_format, spec.bits_per_sample) {
            (SampleFormat::Float, _) => reader.into_samples::<f32>().collect::<Result<_, _>>(),
            (SampleFormat::Int, bits @ 1..=32) => {
                let scale = (2.0_f64).powi(1 - i32::from(bits));
                let value = |sample: i32| (f64::from(sample) * scale) as f32;
                reader.into_samples::<i32>().map(|sample| sample.map(value)).collect()
            }
            (SampleFormat::Int, bits) => return Err(format!("its samples have {bits} bits")),
        }
        .map_err(|e| e.to_string())?;
        if values.iter().any(|value| !value.is_finite()) {
            return Err("a sample is not a number".to_owned());
        }
        let channels = usize::from(spec.channels);
        let mean = |frame: &[f32]| frame.iter().sum::<f32>() / channels as f32;
        Ok(Self { rate: spec.sample_rate, samples: values.chunks_exact(channels).map(mean).collect() })
    }

    /// How long it is, in seconds.
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.rate)
    }

    /// The first so many seconds.
    #[must_use]
    pub fn first(mut self, seconds: usize) -> Self {
        self.samples.truncate(seconds.saturating_mul(self.rate as usize));
        self
    }
}

#[cfg(test)]
mod tests {
    use hound::{WavSpec, WavWriter};

    use super::*;

    fn written<S: hound::Sample + Copy>(bits: u16, format: SampleFormat, samples: &[S]) -> Vec<u8> {
        let spec = WavSpec { channels: 2, sample_rate: 8000, bits_per_sample: bits, sample_format: format };
        let mut bytes = Cursor::new(Vec::new());
        let mut writer = WavWriter::new(&mut bytes, spec).expect("a writer");
        for &sample in samples {
            writer.write_sample(sample).expect("a sample");
        }
        writer.finalize().expect("a file");
        bytes.into_inner()
    }

    #[test]
    fn every_format_gives_the_mean_of_the_channels_within_one() {
        let all = [
            written(8, SampleFormat::Int, &[64_i8, 0, -128, -128]),
            written(16, SampleFormat::Int, &[16_384_i16, 0, -32_768, -32_768]),
            written(24, SampleFormat::Int, &[4_194_304_i32, 0, -8_388_608, -8_388_608]),
            written(32, SampleFormat::Int, &[1_073_741_824_i32, 0, i32::MIN, i32::MIN]),
            written(32, SampleFormat::Float, &[0.5_f32, 0.0, -1.0, -1.0]),
        ];
        for bytes in all {
            let waveform = Waveform::decode(&bytes).expect("a recording");
            assert_eq!(waveform, Waveform { rate: 8000, samples: vec![0.25, -1.0] });
        }
    }

    #[test]
    fn what_is_no_recording_is_refused() {
        let whole = written(16, SampleFormat::Int, &[1_i16, 2, 3, 4]);
        assert!(Waveform::decode(b"").is_err() && Waveform::decode(b"RIFF\0\0\0\0WAVE").is_err());
        assert!(Waveform::decode(b"ID3\x04").is_err());
        for length in 0..whole.len() {
            assert!(Waveform::decode(&whole[..length]).is_err(), "cut to {length} bytes");
        }
        let nan = written(32, SampleFormat::Float, &[f32::NAN, 0.0]);
        assert_eq!(Waveform::decode(&nan).expect_err("refused"), "a sample is not a number");
        // A rate of zero, and a length of almost 4 GiB that is not there.
        let changed = |at: usize, value: u32| {
            let mut bytes = whole.clone();
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            Waveform::decode(&bytes)
        };
        assert!(changed(24, 0).is_err());
        assert!(changed(40, 0xffff_fff0).is_err());
    }
}
