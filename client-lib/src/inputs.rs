//! What people have, texts or files of images or recordings, as the batches that a backbone reads.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use candle_core::{Device, Tensor};
use hub_formats::architectures::TransformerConfig;

use crate::{
    audio::{AudioProcessor, AudioProcessorError},
    backbones::Batch,
    images::{ImageProcessor, ImageProcessorError},
    text::{TextEncoder, TextError, Tokens},
    vision::Vision,
};

/// Makes batches for one backbone.
#[derive(Debug, Clone)]
pub enum InputEncoder {
    /// Of texts.
    Text(Box<TextEncoder>),
    /// Of texts about images, which another backbone looks at.
    Seen(Box<TextEncoder>, Arc<Vision>),
    /// Of files of images.
    Images(ImageProcessor),
    /// Of files of recordings.
    Audio(Box<AudioProcessor>),
}

/// One input, ready to stand in a batch.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// An encoded text.
    Text(Tokens),
    /// A sentence with the tokens of each of its words.
    Sentence {
        /// All tokens.
        tokens: Tokens,
        /// Those of each word.
        words: Vec<Range<usize>>,
    },
    /// A text about an image.
    Seen {
        /// The text.
        tokens: Tokens,
        /// What another backbone saw of the image.
        image: Arc<Vec<f32>>,
    },
    /// Texts of which one is to be chosen, or that are compared: as many rows of a batch, which belong together.
    Several(Vec<Tokens>),
    /// A file that was decoded once: its pixels are made again for every batch.
    Image {
        /// The file.
        path: PathBuf,
        /// Patches and the class token.
        tokens: usize,
    },
    /// A file that was decoded once: its spectrogram is made again for every batch.
    Recording {
        /// The file.
        path: PathBuf,
        /// What the backbone makes of any recording.
        tokens: usize,
        /// Whether it is longer than what is read of it.
        is_cut: bool,
    },
}

/// Why an input can't be read.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// A text can't be encoded.
    #[error(transparent)]
    Text(#[from] TextError),
    /// An image can't be read.
    #[error(transparent)]
    Image(#[from] ImageProcessorError),
    /// A recording can't be read.
    #[error(transparent)]
    Audio(#[from] AudioProcessorError),
    /// Several texts where the backbone reads a file.
    #[error("the base model reads {inputs}, one at a time; an example here has {found} inputs")]
    Several {
        /// What the backbone reads.
        inputs: &'static str,
        /// How many an example has.
        found: usize,
    },
    /// More texts than a pair.
    #[error("an example has {0} texts; a model reads one, or two that belong together")]
    NoPair(usize),
}

impl Input {
    /// How many tokens the backbone reads.
    pub fn len(&self) -> usize {
        match self {
            Self::Text(tokens) | Self::Sentence { tokens, .. } | Self::Seen { tokens, .. } => tokens.len(),
            Self::Several(texts) => texts.iter().map(Tokens::len).sum(),
            Self::Image { tokens, .. } | Self::Recording { tokens, .. } => *tokens,
        }
    }

    /// Whether there is no token.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a text or a recording was longer than allowed and its end was cut off.
    pub fn is_truncated(&self) -> bool {
        match self {
            Self::Text(tokens) | Self::Sentence { tokens, .. } | Self::Seen { tokens, .. } => {
                tokens.truncated
            }
            Self::Several(texts) => texts.iter().any(|tokens| tokens.truncated),
            Self::Image { .. } => false,
            Self::Recording { is_cut, .. } => *is_cut,
        }
    }
}

/// The texts of inputs as a batch, with what heads on words and on choices read.
fn text_batch(encoder: &TextEncoder, rows: &[&Input], device: &Device) -> Result<Batch, TextError> {
    let (mut texts, mut words, mut choices, mut images) = (Vec::new(), Vec::new(), None, Vec::new());
    for row in rows {
        match row {
            Input::Text(tokens) => texts.push(tokens),
            Input::Sentence { tokens, words: own } => {
                texts.push(tokens);
                words.push(own.clone());
            }
            Input::Seen { tokens, image } => {
                texts.push(tokens);
                images.push(image.as_slice());
            }
            Input::Several(several) => {
                texts.extend(several);
                choices = Some(several.len());
            }
            Input::Image { .. } | Input::Recording { .. } => {}
        }
    }
    let mut batch = encoder.batch(&texts, device)?;
    batch.head_inputs.words = (!words.is_empty()).then_some(words);
    batch.head_inputs.choices = choices;
    if let Some(width) = images.first().map(|image| image.len()) {
        batch.image = Some(Tensor::from_vec(images.concat(), (images.len(), width), device)?);
    }
    Ok(batch)
}

impl InputEncoder {
    /// Reads what the backbone's folder says of its inputs; texts are cut at `max_length` tokens.
    pub fn open(folder: &Path, config: &TransformerConfig, max_length: usize) -> Result<Self, InputError> {
        if config.architecture.reads_images() {
            return Ok(Self::Images(ImageProcessor::open(folder, config)?));
        }
        if config.architecture.reads_audio() {
            return Ok(Self::Audio(Box::new(AudioProcessor::open(folder, config)?)));
        }
        let encoder = TextEncoder::open(folder, config.shape.vocab_size, max_length)?;
        Ok(Self::Text(Box::new(encoder)))
    }

    /// What encodes texts; `None` where the backbone reads files.
    pub fn text(&self) -> Option<&TextEncoder> {
        match self {
            Self::Text(encoder) | Self::Seen(encoder, _) => Some(encoder),
            Self::Images(_) | Self::Audio(_) => None,
        }
    }

    /// Whether it reads recordings.
    pub const fn reads_audio(&self) -> bool {
        matches!(self, Self::Audio(_))
    }

    /// What looks at the images that texts are about, where there are any.
    pub fn vision(&self) -> Option<&Vision> {
        match self {
            Self::Seen(_, vision) => Some(vision),
            Self::Text(_) | Self::Images(_) | Self::Audio(_) => None,
        }
    }

    /// The same with something that looks at images; as it is where no texts are read.
    #[must_use]
    pub fn seeing(self, vision: Option<Arc<Vision>>) -> Self {
        match (self, vision) {
            (Self::Text(encoder), Some(vision)) => Self::Seen(encoder, vision),
            (other, _) => other,
        }
    }

    /// Encodes texts and pairs of texts, or checks files of images or recordings, on all cores. Relative
    /// names of files count from `root`.
    pub fn encode_all<'t>(
        &self,
        examples: impl IntoIterator<Item = &'t [String]>,
        root: &Path,
    ) -> Result<Vec<Input>, InputError> {
        use rayon::prelude::*;
        let examples: Vec<&[String]> = examples.into_iter().collect();
        examples.into_par_iter().map(|texts| self.encode(texts, root)).collect()
    }

    fn encode(&self, texts: &[String], root: &Path) -> Result<Input, InputError> {
        let only = |inputs| match texts {
            [name] => Ok(root.join(name)),
            _ => Err(InputError::Several { inputs, found: texts.len() }),
        };
        match self {
            Self::Text(encoder) | Self::Seen(encoder, _) => match texts {
                [text] => Ok(Input::Text(encoder.encode(text)?)),
                [first, second] => Ok(Input::Text(encoder.encode_pair(first, second)?)),
                _ => Err(InputError::NoPair(texts.len())),
            },
            Self::Images(processor) => {
                let path = only("images")?;
                let tokens = processor.tokens(&path)?;
                Ok(Input::Image { path, tokens })
            }
            Self::Audio(processor) => {
                let path = only("recordings")?;
                let is_cut = processor.check(&path)?;
                Ok(Input::Recording { path, tokens: processor.tokens(), is_cut })
            }
        }
    }

    /// Encodes texts that are read one by one, on all cores: one alone as [`encode_all`](Self::encode_all) does, several
    /// as rows that belong together.
    pub fn encode_apart<'t>(
        &self,
        examples: impl IntoIterator<Item = &'t [String]>,
        root: &Path,
    ) -> Result<Vec<Input>, InputError> {
        use rayon::prelude::*;
        let apart = |texts: &[String]| match (self.text(), texts) {
            (Some(encoder), [_, _, ..]) => {
                let tokens = texts.iter().map(|text| encoder.encode(text));
                Ok(Input::Several(tokens.collect::<Result<_, _>>()?))
            }
            _ => self.encode(texts, root),
        };
        let examples: Vec<&[String]> = examples.into_iter().collect();
        examples.into_par_iter().map(apart).collect()
    }

    /// Puts `rows` into one batch whose first blocks were passed before: files are not read again.
    pub fn passed(&self, rows: &[&Input], device: &Device) -> Result<Batch, InputError> {
        match self {
            Self::Text(_) | Self::Seen(..) => self.batch(rows, device),
            Self::Images(_) | Self::Audio(_) => {
                let lengths: Vec<usize> = rows.iter().map(|row| row.len()).collect();
                Ok(Batch::of_lengths(&lengths, device).map_err(TextError::from)?)
            }
        }
    }

    /// Puts `rows` into one batch.
    pub fn batch(&self, rows: &[&Input], device: &Device) -> Result<Batch, InputError> {
        match self {
            Self::Text(encoder) | Self::Seen(encoder, _) => Ok(text_batch(encoder, rows, device)?),
            Self::Images(processor) => {
                let paths = rows.iter().filter_map(|row| match row {
                    Input::Image { path, .. } => Some(path),
                    _ => None,
                });
                Ok(processor.batch(&paths.collect::<Vec<_>>(), device)?)
            }
            Self::Audio(processor) => {
                let paths = rows.iter().filter_map(|row| match row {
                    Input::Recording { path, .. } => Some(path),
                    _ => None,
                });
                Ok(processor.batch(&paths.collect::<Vec<_>>(), device)?)
            }
        }
    }
}
