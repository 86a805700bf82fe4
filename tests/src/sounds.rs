//! Recordings of tones, and what a tiny Whisper of the fixtures says of what it hears.

use std::{f32::consts::TAU, path::Path};

use hound::{SampleFormat, WavSpec, WavWriter};

/// `preprocessor_config.json` of the fixtures' Whispers.
pub const SETTINGS: &str = r#"{"feature_extractor_type": "WhisperFeatureExtractor", "feature_size": 6,
    "chunk_length": 1, "n_fft": 400, "hop_length": 1142}"#;

/// A tone in 16 bits of stereo at 8 kHz.
pub fn record(path: &Path, hertz: f32, seconds: f32) {
    let spec =
        WavSpec { channels: 2, sample_rate: 8000, bits_per_sample: 16, sample_format: SampleFormat::Int };
    let mut writer = WavWriter::create(path, spec).expect("a file");
    for at in 0..(8000.0 * seconds) as u32 {
        let value = ((TAU * hertz * at as f32 / 8000.0).sin() * 12_000.0) as i16;
        for _ in 0..2 {
            writer.write_sample(value).expect("written");
        }
    }
    writer.finalize().expect("written");
}
