//! Images become the numbers that the image processors of `transformers` make of them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use candle_core::Device;
use hub_client::images::ImageProcessor;
use hub_formats::architectures::TransformerConfig;
use serde_json::json;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/images")
}

/// A backbone that reads images of any size.
fn config() -> Result<TransformerConfig> {
    let json = json!({
        "model_type": "dinov2", "hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 4,
        "image_size": 28, "patch_size": 14,
    });
    Ok(TransformerConfig::from_json(json.as_object().context("an object")?)?)
}

#[test]
fn every_processor_gives_the_numbers_of_the_library() -> Result<()> {
    for name in ["vit", "vit-bicubic", "vit-lanczos", "vit-nearest", "dinov2", "padded"] {
        let folder = fixtures().join(name);
        let processor = ImageProcessor::open(&folder, &config()?)?;
        let expected = candle_core::safetensors::load(folder.join("expected.safetensors"), &Device::Cpu)?;
        // Numbers before the division by 255 are 255 times as large.
        let scale = if name == "vit-nearest" { 255.0 } else { 1.0 };
        for (file, expected) in expected {
            let ([height, width], values) = processor.read(&fixtures().join(&file))?;
            assert_eq!(expected.dims(), [3, height, width], "{name}: {file}");
            let expected = expected.flatten_all()?.to_vec1::<f32>()?;
            let apart = values.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(apart <= 1e-6 * scale, "{name}: {file} is {apart} apart");
        }
    }
    Ok(())
}

#[test]
fn what_is_no_image_and_what_does_not_fit_is_refused_by_name() -> Result<()> {
    let folder = fixtures().join("dinov2");
    let processor = ImageProcessor::open(&folder, &config()?)?;
    let message = |path: PathBuf| match processor.batch(&[path], &Device::Cpu) {
        Ok(_) => "taken".to_owned(),
        Err(error) => error.to_string().replace(&fixtures().display().to_string(), "FIXTURES"),
    };
    let messages = [message(fixtures().join("make.py")), message(fixtures().join("none.png"))];
    insta::assert_snapshot!(messages.join("\n"), @r"
    `FIXTURES/make.py` is no image that can be read: The image format could not be determined (PNG and JPEG are read)
    `FIXTURES/none.png` can't be read: No such file or directory (os error 2)
    ");
    Ok(())
}
