//! Recordings become the numbers that the feature extractor of `transformers` makes of them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use candle_core::{Device, Tensor};
use hub_client::audio::{AudioSettings, Spectrogram, Waveform};
use serde_json::Value;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/audio")
}

#[test]
fn every_extractor_gives_the_numbers_of_the_library() -> Result<()> {
    for (name, every) in [("short", 1), ("large", 1), ("narrow", 1), ("whisper", 25)] {
        let folder = fixtures().join(name);
        let json: Value = serde_json::from_slice(&std::fs::read(folder.join("preprocessor_config.json"))?)?;
        let settings = AudioSettings::from_json(json.as_object().context("an object")?)?;
        let spectrogram = Spectrogram::new(settings);
        let expected = candle_core::safetensors::load(folder.join("expected.safetensors"), &Device::Cpu)?;
        assert_eq!(expected.len(), 3);
        for (file, expected) in expected {
            let values =
                spectrogram.of(&Waveform::open(&fixtures().join(&file))?).map_err(anyhow::Error::msg)?;
            let values = Tensor::from_vec(values, (settings.mels, settings.frames()), &Device::Cpu)?;
            let kept: Vec<u32> = (0..settings.frames() as u32).step_by(every).collect();
            let values = values.index_select(&Tensor::new(kept, &Device::Cpu)?, 1)?;
            assert_eq!(expected.dims(), values.dims(), "{name}: {file}");
            let apart = (values - expected)?.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>()?;
            assert!(apart <= 1e-5, "{name}: {file} is {apart} apart");
        }
    }
    Ok(())
}
