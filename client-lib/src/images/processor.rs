//! From files to the batch that a backbone reads.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use hub_formats::architectures::{GridError, PatchGrid, Positions, TransformerConfig};

use super::{ImageError, ImageSettings, Pixels, SettingsError, resample, transform};
use crate::model::Batch;

/// Where a backbone says how its images are made.
const FILE: &str = "preprocessor_config.json";
/// No settings are larger than this, in bytes.
const MAX_SETTINGS: u64 = 1 << 20;

/// Reads images for one backbone.
#[derive(Debug, Clone)]
pub struct ImageProcessor {
    settings: ImageSettings,
    grid: PatchGrid,
}

/// Why images can't be read for a backbone.
#[derive(Debug, thiserror::Error)]
pub enum ImageProcessorError {
    /// The backbone reads text.
    #[error("{0} backbones read no images")]
    NoImages(String),
    /// The settings are not there.
    #[error("`{}` can't be read: {source}; it says how images are resized and normalised", path.display())]
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
        source: SettingsError,
    },
    /// A file is no image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// An image has the wrong size for the backbone.
    #[error("`{}`, as `{FILE}` has it made: {source}", path.display())]
    Grid {
        /// The image.
        path: PathBuf,
        /// What is wrong.
        source: GridError,
    },
    /// Images of one batch have different sizes.
    #[error("`{}` comes out {}, those before it {}: `{FILE}` must bring all images to one size", path.display(), shown(*.found), shown(*.first))]
    Sizes {
        /// The image.
        path: PathBuf,
        /// Its height and width.
        found: [usize; 2],
        /// Those of the first one.
        first: [usize; 2],
    },
    /// The tensors can't be made.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

fn shown([height, width]: [usize; 2]) -> String {
    format!("{height} × {width} pixels")
}

impl ImageProcessor {
    /// The settings in a backbone's folder.
    pub fn open(folder: &Path, config: &TransformerConfig) -> Result<Self, ImageProcessorError> {
        let Positions::Grid(grid) = config.positions else {
            return Err(ImageProcessorError::NoImages(config.architecture.to_string()));
        };
        let path = folder.join(FILE);
        let missing = |source| ImageProcessorError::Missing { path: path.clone(), source };
        let json = |reason: String| ImageProcessorError::Json { path: path.clone(), reason };
        let bytes = std::fs::metadata(&path).map_err(missing)?.len();
        if bytes > MAX_SETTINGS {
            return Err(json(format!("it has {bytes} bytes")));
        }
        let text = std::fs::read(&path).map_err(missing)?;
        let object = serde_json::from_slice(&text).map_err(|e| json(e.to_string()))?;
        let settings = ImageSettings::from_json(&object);
        let settings = settings.map_err(|source| ImageProcessorError::Settings { path, source })?;
        Ok(Self { settings, grid })
    }

    /// What happens to an image.
    pub fn settings(&self) -> &ImageSettings {
        &self.settings
    }

    /// The values of one image, `[3, height, width]`, with its height and width.
    pub fn read(&self, path: &Path) -> Result<([usize; 2], Vec<f32>), ImageProcessorError> {
        let mut image = Pixels::open(path)?;
        if let Some((size, filter)) = self.settings.resize {
            image = resample::resize(&image, transform::target(&image, size), filter);
        }
        if let Some(sides) = self.settings.crop {
            image = transform::crop(&image, sides);
        }
        let values = transform::normalise(&image, self.settings.rescale, self.settings.normalise);
        Ok(([image.height, image.width], values))
    }

    /// How many tokens a backbone makes of an image: its patches and the class token.
    pub fn tokens(&self, path: &Path) -> Result<usize, ImageProcessorError> {
        let ([height, width], _) = self.read(path)?;
        let [rows, columns] = self.cut(path, [height, width])?;
        Ok(1 + rows * columns)
    }

    /// Rows and columns of patches of an image of this size.
    pub(crate) fn cut(
        &self,
        path: &Path,
        [height, width]: [usize; 2],
    ) -> Result<[usize; 2], ImageProcessorError> {
        let cut = self.grid.cut(height, width);
        cut.map_err(|source| ImageProcessorError::Grid { path: path.to_owned(), source })
    }

    /// A batch of images, each `[3, height, width]` of the same size.
    pub fn batch<P: AsRef<Path>>(&self, paths: &[P], device: &Device) -> Result<Batch, ImageProcessorError> {
        let mut all = Vec::new();
        let mut first = None;
        for path in paths {
            let path = path.as_ref();
            let (found, values) = self.read(path)?;
            let first = *first.get_or_insert(found);
            if found != first {
                return Err(ImageProcessorError::Sizes { path: path.to_owned(), found, first });
            }
            self.cut(path, found)?;
            all.extend(values);
        }
        self.batch_of(first.unwrap_or_default(), all, device)
    }

    /// A batch of images of one size that were read before, one after the other.
    pub(crate) fn batch_of(
        &self,
        [height, width]: [usize; 2],
        values: Vec<f32>,
        device: &Device,
    ) -> Result<Batch, ImageProcessorError> {
        let count = values.len() / (3 * height * width).max(1);
        let pixels = Tensor::from_vec(values, (count, 3, height, width), device)?;
        let [rows, columns] = self.grid.cut(height, width).map_err(candle_core::Error::wrap)?;
        Ok(Batch::of_images(pixels, 1 + rows * columns)?)
    }
}
