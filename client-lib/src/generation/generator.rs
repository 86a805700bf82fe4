//! Backbone, adapter, tokenizer and chat template behind one door.

use std::{path::Path, sync::Arc};

use candle_core::Tensor;
use hub_formats::checkpoint::{AdapterFolder, BaseFolder};
use hub_schemas::{
    head::Head,
    method::{ImagePrompt, Method},
};

use super::{
    BeamOptions, Cache, Constraints, Dialogue, DialogueError, GenerateError, GenerationConfig, Message,
    Sampling, SpeechPrompt, writer::Writer,
};
use crate::{
    audio::AudioProcessor,
    backbones::{Backbone, Batch, Compute},
    data::DESCRIBE,
    inputs::InputEncoder,
    methods::whole_sequence,
    model::StitchedModel,
    predict::Assembly,
    tasks::Task,
    text::TextError,
    vision::Vision,
};

/// Tokens of an answer at most, where nobody states anything.
const MAX_NEW_TOKENS: usize = 256;

/// How a text is generated.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerationOptions {
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Which tokens may stand where.
    pub constraints: Constraints,
    /// How beams are searched.
    pub beams: BeamOptions,
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

/// What a model answers.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// What an encoder reads, where one stands in front of the decoder.
    source: Option<Batch>,
    /// What the decoder has in front of the answer.
    tokens: Vec<u32>,
    /// Tokens of the text.
    len: usize,
    /// What was seen of the image that it is about, `[1, f]`.
    image: Option<Tensor>,
}

/// A model that continues texts, or writes behind an encoder that reads them.
#[derive(Debug)]
pub struct Generator {
    model: StitchedModel,
    dialogue: Dialogue,
    defaults: GenerationOptions,
    /// What a decoder behind an encoder has in front of every answer.
    start: Option<Vec<u32>>,
    /// What reads recordings, where the backbone reads those.
    pub(super) listener: Option<AudioProcessor>,
    /// What looks at pictures, where they are described.
    vision: Option<Arc<Vision>>,
    /// Tokens that are read at most.
    longest_input: usize,
    /// Tokens that the decoder reads at most.
    longest_answer: usize,
}

impl Generator {
    /// Stitches an adapter or a composition into the backbone in a folder; without one, the plain
    /// backbone.
    pub fn assemble(
        base: &Path,
        assembly: Option<&Assembly<'_>>,
        compute: &Compute,
    ) -> Result<Self, GenerateError> {
        let base = BaseFolder::open_whole(base)?;
        let config = base.config();
        let vision = assembly.map(|assembly| open_vision(assembly, compute)).transpose()?.flatten();
        let backbone = Arc::new(Backbone::load_for(&base, compute)?);
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
        let is_behind = config.shape.decoder_layers.is_some();
        match model.head() {
            Some(Head::CausalLm(_)) if !is_behind => {}
            Some(Head::Seq2SeqLm(_)) if is_behind => {}
            _ => return Err(GenerateError::NoLanguageModel),
        }
        let manifest = assembly.and_then(|assembly| assembly.folder.manifest.as_ref());
        let languages = manifest.map_or(&[][..], |manifest| &manifest.languages);
        let dialogue = Dialogue::open(&base)?.spoken_in(languages);
        let start = is_behind.then(|| dialogue.start().map(|token| vec![token])).transpose()?;
        let listens = dialogue.speech().is_some();
        let listener = listens.then(|| AudioProcessor::open(base.path(), config)).transpose()?;
        let longest = config.longest_input();
        // Rotary positions have no end of their own: what the model was trained on is one.
        let longest = if is_behind { longest } else { longest.min(config.shape.max_positions.max(1)) };
        let longest = longest.saturating_sub(assembly.map_or(0, Assembly::positions_in_front));
        Ok(Self {
            model,
            defaults: defaults(
                dialogue.stated().clone(),
                dialogue.speech().map(SpeechPrompt::usual).as_deref().or(start.as_deref()),
            ),
            dialogue,
            start,
            listener,
            vision,
            longest_input: longest,
            longest_answer: longest,
        })
    }

    /// What it writes, as a task to be measured.
    pub fn task(&self) -> Option<Task> {
        let task = Task::of_head(self.model.head()?, &[]);
        Some(task.with_dialogue(self.dialogue.clone()))
    }

    /// What makes batches of texts, each cut at what the model reads.
    pub fn encoder(&self) -> Result<InputEncoder, TextError> {
        let encoder = self.dialogue.encoder().clone().within(self.longest_input)?;
        Ok(InputEncoder::Text(Box::new(encoder)).seeing(self.vision.clone()))
    }

    /// How prompts and answers are written down.
    pub fn dialogue(&self) -> &Dialogue {
        &self.dialogue
    }

    /// Tokens that are read at most.
    pub fn longest_input(&self) -> usize {
        self.longest_input
    }

    /// How this backbone answers unless somebody asks otherwise.
    pub fn defaults(&self) -> &GenerationOptions {
        &self.defaults
    }

    /// Whether the backbone says how turns of a conversation are written.
    pub fn has_template(&self) -> bool {
        self.dialogue.template().is_some()
    }

    /// The text that stands for a conversation.
    pub fn conversation(&self, messages: &[Message]) -> Result<String, GenerateError> {
        match self.dialogue.template() {
            Some(template) => Ok(template.render(messages).map_err(DialogueError::from)?),
            None => {
                Ok(messages.iter().map(|message| message.content.as_str()).collect::<Vec<_>>().join("\n"))
            }
        }
    }

    /// A text to answer; a rendered conversation has its special tokens already.
    pub fn encode(&self, text: &str, is_rendered: bool) -> Result<Prompt, GenerateError> {
        self.prompt_of(self.dialogue.encoder().encode_prompt(text, !is_rendered)?)
    }

    /// A text to answer, in tokens.
    pub(super) fn prompt_of(&self, tokens: Vec<u32>) -> Result<Prompt, GenerateError> {
        let len = tokens.len();
        // A decoder needs room for the answer, an encoder none.
        let is_too_long =
            if self.start.is_some() { len > self.longest_input } else { len >= self.longest_input };
        if tokens.is_empty() || is_too_long {
            return Err(GenerateError::TooLong { tokens: len, most: self.longest_input });
        }
        Ok(match &self.start {
            Some(start) => {
                Prompt { source: Some(self.batch(&tokens)?), tokens: start.clone(), len, image: None }
            }
            None => Prompt { source: None, tokens, len, image: None },
        })
    }

    /// Whether pictures are described.
    pub fn sees(&self) -> bool {
        self.vision.is_some()
    }

    /// A picture to describe; `tokens` are what is asked about it.
    pub(super) fn look(&self, picture: &Path, tokens: Vec<u32>) -> Result<Prompt, GenerateError> {
        let prompt = self.prompt_of(tokens)?;
        let Some(vision) = &self.vision else { return Ok(prompt) };
        let seen = vision.features(&[picture.to_owned()])?.concat();
        let width = seen.len();
        let image = Some(Tensor::from_vec(seen, (1, width), self.model.backbone().device())?);
        Ok(Prompt { image, ..prompt })
    }

    /// A picture to describe, as training asked about it.
    pub fn picture(&self, picture: &Path) -> Result<Prompt, GenerateError> {
        let tokens = self.dialogue.prompt(DESCRIBE, self.longest_input.saturating_sub(1))?.tokens;
        self.look(picture, tokens)
    }

    fn batch(&self, tokens: &[u32]) -> candle_core::Result<Batch> {
        let device = self.model.backbone().device();
        Batch::unpadded(Tensor::from_slice(tokens, (1, tokens.len()), device)?)
    }

    /// Answers `prompt`. `show` gets the text as it grows, in whole characters; that of several beams when
    /// it is found.
    pub fn generate(
        &self,
        prompt: &Prompt,
        options: &GenerationOptions,
        show: &mut dyn FnMut(&str),
    ) -> Result<Generated, GenerateError> {
        let cache = match &prompt.source {
            Some(source) => self.model.read(source)?,
            None => Cache::about(prompt.image.clone()),
        };
        let generated = self.write(&prompt.tokens, cache, options, show)?;
        Ok(Generated { prompt_tokens: prompt.len, ..generated })
    }

    /// Goes on behind `prompt` and what `cache` holds.
    pub(super) fn write(
        &self,
        prompt: &[u32],
        cache: Cache,
        options: &GenerationOptions,
        show: &mut dyn FnMut(&str),
    ) -> Result<Generated, GenerateError> {
        let limit = options.max_new_tokens.min(self.longest_answer.saturating_sub(prompt.len()));
        let silent_from = self.dialogue.speech().and_then(SpeechPrompt::times_from);
        let (model, encoder) = (&self.model, self.dialogue.encoder());
        Writer { model, encoder, options, cache, prompt, limit, silent_from }.write(show)
    }

    /// The model inside.
    pub fn model(&self) -> &StitchedModel {
        &self.model
    }
}

/// The backbone that looks at pictures for an adapter that describes them.
fn open_vision(assembly: &Assembly<'_>, compute: &Compute) -> Result<Option<Arc<Vision>>, GenerateError> {
    let mut all = assembly.members.iter().map(|(_, folder)| folder).chain([assembly.folder]);
    let seeing = all.find_map(|folder| Some((folder, image_prompt(&folder.method)?)));
    let Some((folder, prompt)) = seeing else { return Ok(None) };
    let Some(vision) = &assembly.vision else {
        return Err(GenerateError::NoVision { name: folder.name.clone(), base: prompt.base.id.clone() });
    };
    Ok(Some(Arc::new(Vision::for_prompt(vision, prompt, compute)?)))
}

/// How a method sees, where it does.
pub fn image_prompt(method: &Method) -> Option<&ImagePrompt> {
    method.parts().iter().find_map(|part| match part {
        Method::LlamaAdapter(config) => config.image.as_ref(),
        _ => None,
    })
}

/// What the folder states; its greatest length where what is read and what is written are apart, since
/// decoders state how much they can read at all.
fn defaults(stated: GenerationConfig, start: Option<&[u32]>) -> GenerationOptions {
    let whole = || start.and_then(|start| stated.max_length.map(|most| most.saturating_sub(start.len())));
    let own = stated.max_new_tokens.or_else(whole);
    GenerationOptions {
        sampling: Sampling::default(),
        constraints: stated.constraints,
        beams: stated.beams,
        max_new_tokens: own.unwrap_or(MAX_NEW_TOKENS),
        stops: stated.stops,
    }
}

/// Refuses methods for which a token's state depends on tokens behind it, or on how many there are.
fn check_token_wise(folder: &AdapterFolder) -> Result<(), GenerateError> {
    match whole_sequence(&folder.method) {
        None => Ok(()),
        Some(reason) => Err(GenerateError::WholeSequence { name: folder.name.clone(), reason }),
    }
}
