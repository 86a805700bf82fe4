//! Seeing for a language model: a frozen backbone of images gives one vector for each of them, which an adapter
//! projects onto its prompts (Zhang et al., "LLaMA-Adapter", 2023, section 3.4).

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use candle_core::DType;
use hub_formats::checkpoint::{BaseFolder, CheckpointError};
use hub_schemas::{backbone::Architecture, head::Pooling, manifest::BaseModel, method::ImagePrompt};

use crate::{
    backbones::{Backbone, Compute, Mode, NoHooks},
    heads::{Features, pool},
    images::{ImageProcessor, ImageProcessorError},
};

/// Images that are looked at together.
const BATCH: usize = 16;

/// A frozen backbone that looks at images.
#[derive(Debug)]
pub struct Vision {
    backbone: Backbone,
    processor: ImageProcessor,
    base: BaseModel,
}

/// Why nothing is seen.
#[derive(Debug, thiserror::Error)]
pub enum VisionError {
    /// The folder can't be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// An image can't be read.
    #[error(transparent)]
    Image(#[from] ImageProcessorError),
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// A backbone of something else.
    #[error("`{0}` models read no images: what looks at pictures must be a backbone such as ViT or DINOv2")]
    Blind(Architecture),
    /// Other weights than the adapter was trained with.
    #[error("the adapter was trained to see with {wanted}; this backbone has {found}")]
    OtherEyes {
        /// Name and digest of the weights that it was trained with.
        wanted: String,
        /// Digest of those in use.
        found: String,
    },
}

impl Vision {
    /// The backbone in a folder.
    pub fn open(folder: &Path, compute: &Compute) -> Result<Self, VisionError> {
        let folder = BaseFolder::open(folder)?;
        let architecture = folder.config().architecture;
        if !architecture.reads_images() {
            return Err(VisionError::Blind(architecture));
        }
        let processor = ImageProcessor::open(folder.path(), folder.config())?;
        let backbone = Backbone::load_for(&folder, compute)?;
        Ok(Self { backbone, processor, base: folder.model(None)? })
    }

    /// The backbone in a folder, for an adapter that was trained with it.
    pub fn for_prompt(folder: &Path, prompt: &ImagePrompt, compute: &Compute) -> Result<Self, VisionError> {
        let vision = Self::open(folder, compute)?;
        if vision.base.weights_digest == prompt.base.weights_digest {
            return Ok(vision);
        }
        Err(VisionError::OtherEyes {
            wanted: format!("`{}`, weights {}", prompt.base.id, prompt.base.weights_digest),
            found: vision.base.weights_digest.to_string(),
        })
    }

    /// What an adapter states about it.
    pub fn prompt(&self) -> ImagePrompt {
        ImagePrompt { base: self.base.clone() }
    }

    /// What is seen of each image: the class token's last state beside the mean of the patches', `[2h]`.
    pub fn features(&self, images: &[PathBuf]) -> Result<Vec<Vec<f32>>, VisionError> {
        let mut seen = vec![Vec::new(); images.len()];
        // Images of one batch are equally large.
        let mut waiting: BTreeMap<[usize; 2], Waiting> = BTreeMap::new();
        for (number, image) in images.iter().enumerate() {
            let (size, values) = self.processor.read(image)?;
            self.processor.cut(image, size)?;
            let group = waiting.entry(size).or_default();
            group.numbers.push(number);
            group.values.extend(values);
            if group.numbers.len() == BATCH {
                self.look(size, std::mem::take(group), &mut seen)?;
            }
        }
        for (size, group) in waiting.into_iter().filter(|(_, group)| !group.numbers.is_empty()) {
            self.look(size, group, &mut seen)?;
        }
        Ok(seen)
    }

    /// Looks at images of one size.
    fn look(&self, size: [usize; 2], group: Waiting, seen: &mut [Vec<f32>]) -> Result<(), VisionError> {
        let batch = self.processor.batch_of(size, group.values, self.backbone.device())?;
        let hidden = self.backbone.forward(&batch, &NoHooks, Mode::Eval)?;
        let features = Features {
            backbone: &self.backbone,
            hooks: &NoHooks,
            state: &hidden.state,
            layer_sum: None,
            attention_mask: &hidden.attention_mask,
            read: batch.input_ids.dim(0)?,
            ids: None,
        };
        let rows = pool(Pooling::FirstAndMean, &features)?.to_dtype(DType::F32)?.to_vec2::<f32>()?;
        for (number, row) in group.numbers.into_iter().zip(rows) {
            seen[number] = row;
        }
        Ok(())
    }
}

/// Images that were read, by their numbers, until there are enough to look at.
#[derive(Default)]
struct Waiting {
    numbers: Vec<usize>,
    values: Vec<f32>,
}
