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

/// JPEG at its best quality keeps what is smooth to a few of 255 steps: rounding to whole coefficients moves a colour by one
/// or two, and back from brightness and two colours at half the resolution by as many again.
#[test]
fn a_jpeg_is_read_as_the_png_of_the_same_picture() -> Result<()> {
    let folder = tempfile::tempdir()?;
    // Blue waves across, red grows to the right, green downwards: what is mixed up would be far off.
    let picture = image::RgbImage::from_fn(28, 28, |x, y| {
        image::Rgb([
            40 + 6 * x as u8,
            60 + 5 * y as u8,
            (128.0 + 60.0 * (0.3 * f64::from(x + y)).sin()) as u8,
        ])
    });
    let [png, jpeg] = ["picture.png", "picture.jpg"].map(|name| folder.path().join(name));
    picture.save(&png)?;
    let file = std::io::BufWriter::new(std::fs::File::create(&jpeg)?);
    image::codecs::jpeg::JpegEncoder::new_with_quality(file, 100).encode_image(&picture)?;
    // The content decides, not the name.
    let disguised = folder.path().join("disguised.png");
    std::fs::copy(&jpeg, &disguised)?;
    let processor = ImageProcessor::open(&fixtures().join("vit-nearest"), &config()?)?;
    let ([height, width], exact) = processor.read(&png)?;
    for path in [jpeg, disguised] {
        let (size, values) = processor.read(&path)?;
        assert_eq!(size, [height, width]);
        let apart = values.iter().zip(&exact).map(|(a, b)| (a - b).abs());
        let (worst, mean) = (apart.clone().fold(0.0, f32::max), apart.sum::<f32>() / exact.len() as f32);
        // It is lossy, so something differs; numbers of this processor are not divided by 255.
        assert!(worst > 0.0 && worst <= 8.0 && mean <= 1.5, "{}: {worst}, {mean}", path.display());
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
