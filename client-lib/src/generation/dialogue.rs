//! What stands in front of an answer and what ends it, as the model was taught: the same tokens whether an answer
//! is learned or written.
//!
//! With a chat template a prompt is a turn of the user and the answer the turn behind it; without one they are one
//! text with a space between them. An answer ends with the token that ends texts. Behind an encoder the prompt is
//! the encoder's, and the decoder reads the answer one token further back, behind the token it begins with; in front of
//! a transcript stands what `speech.rs` says.

use std::{borrow::Cow, collections::BTreeSet};

use hub_formats::checkpoint::BaseFolder;
use hub_schemas::label::Language;

use super::{
    ChatError, ChatTemplate, GenerateError, GenerationConfig, Message, SpeechError, SpeechOptions,
    SpeechPrompt, config::FILE, settings,
};
use crate::text::{TextEncoder, TextError};

/// Why a text can't be written down for a model.
#[derive(Debug, thiserror::Error)]
pub enum DialogueError {
    /// A text can't be encoded.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The chat template can't be used.
    #[error(transparent)]
    Chat(#[from] ChatError),
    /// Nothing says what a decoder reads first.
    #[error(
        "the base model does not say which token its decoder reads first: `decoder_start_token_id` is missing from `generation_config.json` and `config.json`"
    )]
    NoStart,
    /// Nothing can be written down as asked.
    #[error(transparent)]
    Speech(#[from] SpeechError),
    /// A model of many languages, and nothing says in which one the transcripts are.
    #[error(
        "the base model writes many languages, and one has to be named that the transcripts are in; it has: {0}"
    )]
    NoLanguage(String),
}

/// How a base model's texts are written down for it.
#[derive(Debug, Clone)]
pub struct Dialogue {
    encoder: TextEncoder,
    template: Option<ChatTemplate>,
    stated: GenerationConfig,
    /// What stands in front of transcripts, where the backbone hears recordings.
    speech: Option<SpeechPrompt>,
    /// The language of the transcripts.
    spoken: Option<String>,
    /// Tokens that are written at most behind an encoder, with those in front of them.
    longest: usize,
}

/// A prompt with its answer, or what a decoder begins with and the answer behind it, as tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// All of them.
    pub tokens: Vec<u32>,
    /// Where the answer begins.
    pub answer: usize,
    /// Whether something was too long and cut off.
    pub truncated: bool,
}

impl Turn {
    /// What is read, the first of it that is asked for what comes next, and what is right there and behind each that
    /// follows. An answer without anything in front loses its first token; the last one asks for nothing.
    pub(crate) fn asked(self) -> (Vec<u32>, usize, Vec<u32>) {
        let mut read = self.tokens;
        let truth = read.split_off(self.answer.max(1).min(read.len()));
        let first = read.len().saturating_sub(1);
        read.extend(truth.iter().take(truth.len().saturating_sub(1)));
        (read, first, truth)
    }
}

impl Dialogue {
    /// What the folder of a backbone says.
    pub fn open(base: &BaseFolder) -> Result<Self, GenerateError> {
        let encoder = TextEncoder::open(base.path(), base.config().shape.vocab_size, usize::MAX)?;
        let template = settings::chat_template(base, &encoder)?;
        let stated = GenerationConfig::of(base)?;
        let speech = stated.start_token.map(|start| speech_prompt(base, start)).transpose()?.flatten();
        let longest = base.config().longest_input();
        Ok(Self { encoder, template, stated, speech, spoken: None, longest })
    }

    /// The same with at most so many tokens of an answer behind an encoder.
    #[must_use]
    pub fn within(self, longest: usize) -> Self {
        Self { longest: self.longest.min(longest), ..self }
    }

    /// The same with transcripts in the language of the data, where it is one and the backbone can be told it.
    #[must_use]
    pub fn spoken_in(self, languages: &[Language]) -> Self {
        let only = if let [only] = languages { Some(only.as_str()) } else { None };
        // `de` of `de-AT`.
        let primary = only.and_then(|language| language.split('-').next());
        let is_known = |language: &&str| self.speech.as_ref().is_some_and(|speech| speech.knows(language));
        let spoken = primary.filter(is_known).map(str::to_owned);
        Self { spoken, ..self }
    }

    /// What stands in front of transcripts, where the backbone hears recordings.
    pub fn speech(&self) -> Option<&SpeechPrompt> {
        self.speech.as_ref()
    }

    /// The language of the transcripts, where somebody has said so.
    pub fn spoken(&self) -> Option<&str> {
        self.spoken.as_deref()
    }

    /// What encodes texts, none cut off.
    pub fn encoder(&self) -> &TextEncoder {
        &self.encoder
    }

    /// How turns of a conversation are written, where the backbone says so.
    pub fn template(&self) -> Option<&ChatTemplate> {
        self.template.as_ref()
    }

    /// What the backbone states about its answers.
    pub fn stated(&self) -> &GenerationConfig {
        &self.stated
    }

    /// The token that a decoder behind an encoder reads first.
    pub fn start(&self) -> Result<u32, DialogueError> {
        self.stated.start_token.ok_or(DialogueError::NoStart)
    }

    /// A prompt of at most so many tokens: the end of a longer one is left out, but nothing of the template.
    pub fn prompt(&self, prompt: &str, most: usize) -> Result<Turn, DialogueError> {
        self.fitting(prompt, most, |text| {
            let (front, has_special) = self.front(text)?;
            let tokens = self.encoder.encode_prompt(&front, !has_special)?;
            Ok((tokens.len(), tokens))
        })
    }

    /// A prompt with its answer, together at most so many tokens: the end of a longer prompt is left out, then
    /// that of the answer.
    pub fn turn(&self, prompt: &str, answer: &str, most: usize) -> Result<Turn, DialogueError> {
        self.fitting(prompt, most, |text| self.whole(text, answer))
    }

    /// A text that is learned whole, with its end.
    pub fn text(&self, text: &str) -> Result<Vec<u32>, DialogueError> {
        let mut tokens = self.encoder.encode_prompt(text, true)?;
        self.end(&mut tokens);
        Ok(tokens)
    }

    /// What the decoder behind an encoder begins with, and the answer that it has to write.
    pub fn target(&self, answer: &str) -> Result<Turn, DialogueError> {
        Ok(self.behind(vec![self.start()?], self.encoder.encode_prompt(answer, true)?))
    }

    /// What the decoder behind an encoder of recordings begins with, and the transcript that it has to write, which
    /// begins with a space as all that such models were taught.
    pub fn transcript(&self, text: &str) -> Result<Turn, DialogueError> {
        let speech = self.speech.as_ref().ok_or(DialogueError::NoStart)?;
        let asked = SpeechOptions { language: self.spoken.clone(), task: None };
        let front: Option<Vec<u32>> = speech.tokens(&asked)?.into_iter().collect();
        let front = front.ok_or_else(|| DialogueError::NoLanguage(speech.languages()))?;
        Ok(self.behind(front, self.encoder.encode_prompt(&format!(" {}", text.trim()), false)?))
    }

    /// At most as many tokens as fit; a cut answer ends too, as cut inputs do.
    fn behind(&self, front: Vec<u32>, mut tokens: Vec<u32>) -> Turn {
        self.end(&mut tokens);
        // The last one is written and not read.
        let most = self.longest.saturating_add(1).saturating_sub(front.len());
        let truncated = tokens.len() > most;
        if truncated {
            let end = tokens.last().copied().filter(|end| self.ends().contains(end));
            tokens.truncate(most);
            if let (Some(end), Some(last)) = (end, tokens.last_mut()) {
                *last = end;
            }
        }
        let answer = front.len();
        Turn { tokens: [front, tokens].concat(), answer, truncated }
    }

    fn ends(&self) -> &BTreeSet<u32> {
        &self.stated.constraints.ends
    }

    /// Leaves out what stands behind the end, such as the line break of a template: nobody writes on there.
    fn end(&self, tokens: &mut Vec<u32>) {
        match tokens.iter().rposition(|token| self.ends().contains(token)) {
            Some(last) => tokens.truncate(last + 1),
            None => tokens.extend(self.ends().first()),
        }
    }

    /// The text in front of an answer, and whether it has its special tokens already.
    fn front<'t>(&self, prompt: &'t str) -> Result<(Cow<'t, str>, bool), DialogueError> {
        match &self.template {
            Some(template) => Ok((Cow::Owned(template.render(&[Message::user(prompt)])?), true)),
            None => Ok((Cow::Borrowed(prompt), false)),
        }
    }

    /// Where the answer begins, and all tokens.
    fn whole(&self, prompt: &str, answer: &str) -> Result<(usize, Vec<u32>), DialogueError> {
        let (front, has_special) = self.front(prompt)?;
        let whole = match &self.template {
            Some(template) => template.render(&[Message::user(prompt), Message::assistant(answer)])?,
            None => format!("{prompt} {answer}"),
        };
        let encode = |text: &str, special| self.encoder.encode_prompt(text, special);
        // The prompt's own tokens, as they stand there when the answer is still to be written.
        let mut tokens = encode(&front, !has_special)?;
        let begin = tokens.len();
        let read = encode(&whole, !has_special)?;
        let mut rest = match (read.strip_prefix(tokens.as_slice()), whole.strip_prefix(front.as_ref())) {
            (Some(rest), _) => rest.to_vec(),
            (None, Some(rest)) => encode(rest, false)?,
            // A template that writes a turn otherwise once it is answered.
            (None, None) => encode(answer, false)?,
        };
        self.end(&mut rest);
        tokens.extend(rest);
        Ok((begin, tokens))
    }

    /// What `write` gives of the longest beginning of `text` that fits into so many tokens.
    fn fitting(
        &self,
        text: &str,
        most: usize,
        write: impl Fn(&str) -> Result<(usize, Vec<u32>), DialogueError>,
    ) -> Result<Turn, DialogueError> {
        let mut text = Cow::Borrowed(text);
        let mut truncated = false;
        loop {
            let (answer, mut tokens) = write(&text)?;
            let surplus = tokens.len().saturating_sub(most);
            if surplus == 0 {
                return Ok(Turn { tokens, answer, truncated });
            }
            truncated = true;
            let Some(shorter) = self.shortened(&text, surplus)? else {
                tokens.truncate(most);
                return Ok(Turn { tokens, answer, truncated });
            };
            text = Cow::Owned(shorter);
        }
    }

    /// A text without its last `surplus` tokens; `None` where it has none.
    fn shortened(&self, text: &str, surplus: usize) -> Result<Option<String>, TextError> {
        let places: Vec<_> = self.encoder.encode_placed(text)?.places.into_iter().flatten().collect();
        let kept = places.len().saturating_sub(surplus);
        let Some(&(start, _)) = places.get(kept) else { return Ok(None) };
        let shorter: String = text.chars().take(start).collect();
        Ok((shorter.len() < text.len()).then_some(shorter))
    }
}

/// `None` for a backbone that reads no recordings.
fn speech_prompt(base: &BaseFolder, start: u32) -> Result<Option<SpeechPrompt>, GenerateError> {
    if !base.config().architecture.reads_audio() {
        return Ok(None);
    }
    let path = settings::folder(base).join(FILE);
    let own = settings::object(&path)?;
    let json = own.as_ref().unwrap_or_else(|| base.json());
    let prompt = SpeechPrompt::from_json(json, base.json(), start);
    Ok(Some(prompt.map_err(|reason| settings::wrong(&path, reason))?))
}
