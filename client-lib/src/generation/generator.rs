//! Backbone, adapter, tokenizer and chat template behind one door.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use candle_core::Device;
use hub_schemas::{backbone::Architecture, head::Head, method::Method};

use super::{Cache, ChatError, ChatTemplate, Message, Sampling, settings, stop};
use crate::{
    backbones::Backbone,
    checkpoint::{AdapterFolder, BaseFolder, CheckpointError},
    model::{ModelError, StitchedModel},
    predict::Assembly,
    text::{TextEncoder, TextError},
};

/// Why no text can be generated.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// A folder can't be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Adapter and backbone don't go together.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The prompt can't be encoded.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The chat template can't be used.
    #[error(transparent)]
    Chat(#[from] ChatError),
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// What the backbone's folder says about generating can't be read.
    #[error("`{}` can't be read: {reason}", path.display())]
    Settings {
        /// The file.
        path: std::path::PathBuf,
        /// Why not.
        reason: String,
    },
    /// There is no language model.
    #[error(
        "neither the adapter nor the base model has a language model's head: there is nothing that writes"
    )]
    NoLanguageModel,
    /// A decoder that reads what an encoder gives.
    #[error("this version does not write texts with `{0}` models; `hub forward` gives their scores")]
    EncoderDecoder(Architecture),
    /// A method that looks at the whole sequence.
    #[error(
        "`{name}` can't generate: {reason}, so that what was read would have to be computed again for every token"
    )]
    WholeSequence {
        /// The adapter's name.
        name: String,
        /// What it does.
        reason: &'static str,
    },
    /// The prompt leaves no room.
    #[error("the prompt has {tokens} tokens; this backbone reads {most} in all")]
    TooLong {
        /// Tokens of the prompt.
        tokens: usize,
        /// What the backbone reads.
        most: usize,
    },
    /// The scores are not numbers.
    #[error("the model's scores are not numbers: the weights are damaged")]
    NotFinite,
}

/// How a text is generated.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerationOptions {
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Tokens at most.
    pub max_new_tokens: usize,
    /// Texts that end the answer; they are not part of it.
    pub stops: Vec<String>,
}

/// A generated text.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Generated {
    /// The text.
    pub text: String,
    /// Its tokens, that which ended it included.
    pub tokens: Vec<u32>,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// `stop` where the model or a stop text ended it, `length` where the limit did.
    pub finish_reason: &'static str,
}

/// A model that continues texts.
#[derive(Debug)]
pub struct Generator {
    model: StitchedModel,
    encoder: TextEncoder,
    ends: BTreeSet<u32>,
    template: Option<ChatTemplate>,
    most: usize,
}

impl Generator {
    /// Stitches an adapter or a composition into the backbone in a folder; without one, the plain
    /// backbone.
    pub fn assemble(
        base: &Path,
        assembly: Option<&Assembly<'_>>,
        device: &Device,
    ) -> Result<Self, GenerateError> {
        let base = BaseFolder::open(base)?;
        let config = base.config();
        let most = config.longest_input().min(config.shape.max_positions.max(1));
        let encoder = TextEncoder::open(base.path(), config.shape.vocab_size, usize::MAX)?;
        let backbone = Arc::new(Backbone::load(&base, device)?);
        let model = match assembly {
            None => StitchedModel::plain(backbone)?,
            Some(assembly) => {
                let all = assembly.members.iter().map(|(_, folder)| folder).chain([assembly.folder]);
                all.into_iter().try_for_each(check_token_wise)?;
                let members: Vec<_> = assembly.members.iter().map(|(name, f)| (name.clone(), f)).collect();
                StitchedModel::load_composition(backbone, assembly.folder, &members)?
                    .skipping(assembly.skip_layers.clone())?
            }
        };
        if config.shape.decoder_layers.is_some() {
            return Err(GenerateError::EncoderDecoder(config.architecture));
        }
        if !matches!(model.head(), Some(Head::CausalLm(_))) {
            return Err(GenerateError::NoLanguageModel);
        }
        let template = settings::chat_template(&base, &encoder)?;
        Ok(Self { model, encoder, ends: settings::end_tokens(&base)?, template, most })
    }

    /// Whether the backbone says how turns of a conversation are written.
    pub fn has_template(&self) -> bool {
        self.template.is_some()
    }

    /// The text that stands for a conversation.
    pub fn conversation(&self, messages: &[Message]) -> Result<String, GenerateError> {
        match &self.template {
            Some(template) => Ok(template.render(messages)?),
            None => {
                Ok(messages.iter().map(|message| message.content.as_str()).collect::<Vec<_>>().join("\n"))
            }
        }
    }

    /// The tokens of a text; a rendered conversation has its special tokens already.
    pub fn encode(&self, text: &str, is_rendered: bool) -> Result<Vec<u32>, GenerateError> {
        let tokens = self.encoder.encode_prompt(text, !is_rendered)?;
        if tokens.is_empty() || tokens.len() >= self.most {
            return Err(GenerateError::TooLong { tokens: tokens.len(), most: self.most });
        }
        Ok(tokens)
    }

    /// Continues `prompt`. `show` gets the text as it grows, in whole characters.
    pub fn generate(
        &self,
        prompt: &[u32],
        options: &GenerationOptions,
        show: &mut dyn FnMut(&str),
    ) -> Result<Generated, GenerateError> {
        let cache = Cache::default();
        let mut random = options.sampling.generator();
        let mut seen = prompt.to_vec();
        let mut stream = self.encoder.decode_stream();
        let (mut text, mut shown, mut next) = (String::new(), 0, prompt.len());
        let limit = options.max_new_tokens.min(self.most.saturating_sub(prompt.len()));
        let mut finish_reason = "length";
        for _ in 0..limit {
            let scores = self.model.next_token_scores(&seen[seen.len() - next..], &cache)?;
            next = 1;
            if scores.iter().any(|score| score.is_nan()) {
                return Err(GenerateError::NotFinite);
            }
            let token = options.sampling.choose(&scores, &seen, &mut random);
            seen.push(token);
            if self.ends.contains(&token) {
                finish_reason = "stop";
                break;
            }
            text += &stream.next(token)?;
            let may = stop::shown(&text, &options.stops);
            if may.len > shown {
                show(&text[shown..may.len]);
                shown = may.len;
            }
            if may.is_over {
                text.truncate(may.len);
                finish_reason = "stop";
                break;
            }
        }
        if shown < text.len() {
            show(&text[shown..]);
        }
        let tokens = seen.split_off(prompt.len());
        Ok(Generated { text, tokens, prompt_tokens: prompt.len(), finish_reason })
    }

    /// The model inside.
    pub fn model(&self) -> &StitchedModel {
        &self.model
    }
}

/// Refuses methods for which a token's state depends on tokens behind it, or on how many there are.
fn check_token_wise(folder: &AdapterFolder) -> Result<(), GenerateError> {
    let reason = |part: &Method| match part {
        Method::Reft(_) => Some("ReFT changes the first and the last tokens of a sequence"),
        Method::Bottleneck(config) if config.use_gating => Some("its gates average over the sequence"),
        Method::Lora(config) if config.use_gating => Some("its gates average over the sequence"),
        Method::Ia3(config) if config.use_gating => Some("its gates average over the sequence"),
        Method::Vera(config) if config.use_gating => Some("its gates average over the sequence"),
        Method::Prefix(config) if config.use_gating => Some("its gates average over the sequence"),
        Method::Composition(config) if config.expression.contains("Split") => Some("it divides the sequence"),
        _ => None,
    };
    match folder.method.parts().iter().find_map(reason) {
        None => Ok(()),
        Some(reason) => Err(GenerateError::WholeSequence { name: folder.name.clone(), reason }),
    }
}
