//! Recordings written down by a model of speech, piece by piece (Radford et al. 2022).

use std::path::Path;

use super::{Cache, GenerateError, GenerationOptions, Generator, SpeechOptions, SpeechPrompt};
use crate::{audio::AudioProcessorError, backbones::Batch, generation::Generated, model::StitchedModel};

/// What was said.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Transcript {
    /// The text, without white space around it.
    pub text: String,
    /// Its tokens, those that ended pieces included.
    pub tokens: Vec<u32>,
    /// The language of the first piece, where the model recognised it.
    pub language: Option<String>,
    /// In how many pieces the recording was read.
    pub pieces: usize,
    /// `stop` where the model ended every piece, `length` where a limit ended one.
    pub finish_reason: &'static str,
}

impl Generator {
    /// Whether it writes recordings down, and reads no texts.
    pub fn listens(&self) -> bool {
        self.listener.is_some()
    }

    /// Writes down a file of a recording; one that is longer than what the backbone reads in pieces, each by itself.
    /// `show` gets the text as it grows.
    pub fn transcribe(
        &self,
        path: &Path,
        asked: &SpeechOptions,
        options: &GenerationOptions,
        show: &mut dyn FnMut(&str),
    ) -> Result<Transcript, GenerateError> {
        let (Some(processor), Some(prompt)) = (&self.listener, self.dialogue().speech()) else {
            let architecture = self.model().backbone().config().architecture;
            return Err(AudioProcessorError::NoAudio(architecture.to_string()).into());
        };
        // What the adapter was trained to write, unless somebody asks for another language.
        let spoken = || self.dialogue().spoken().map(str::to_owned);
        let asked = SpeechOptions { language: asked.language.clone().or_else(spoken), ..asked.clone() };
        let pieces = processor.pieces(path, self.model().backbone().device())?;
        let mut transcript = Transcript {
            text: String::new(),
            tokens: Vec::new(),
            language: None,
            pieces: pieces.len(),
            finish_reason: "stop",
        };
        for piece in &pieces {
            let mut shown = |text: &str| {
                // A transcript begins with a space.
                let text = if transcript.text.is_empty() { text.trim_start() } else { text };
                transcript.text += text;
                if !text.is_empty() {
                    show(text);
                }
            };
            let (generated, language) = self.hear(prompt, piece, (&asked, options), &mut shown)?;
            transcript.tokens.extend(generated.tokens);
            transcript.language = transcript.language.or(language);
            if generated.finish_reason != "stop" {
                transcript.finish_reason = generated.finish_reason;
            }
        }
        transcript.text.truncate(transcript.text.trim_end().len());
        Ok(transcript)
    }

    /// One piece, and its language where it was recognised.
    fn hear(
        &self,
        prompt: &SpeechPrompt,
        piece: &Batch,
        (asked, options): (&SpeechOptions, &GenerationOptions),
        show: &mut dyn FnMut(&str),
    ) -> Result<(Generated, Option<String>), GenerateError> {
        let heard = self.model().read(piece)?;
        let (tokens, language) = front(prompt, asked, self.model(), &heard)?;
        Ok((self.write(&tokens, heard, options, show)?, language))
    }
}

/// The tokens in front of a transcript, the language among them where it has to be recognised: its code too.
fn front(
    prompt: &SpeechPrompt,
    asked: &SpeechOptions,
    model: &StitchedModel,
    heard: &Cache,
) -> Result<(Vec<u32>, Option<String>), GenerateError> {
    let tokens = prompt.tokens(asked)?;
    if tokens.iter().all(Option::is_some) {
        return Ok((tokens.into_iter().flatten().collect(), None));
    }
    let scores = match heard.encoded() {
        Some(encoded) => model.next_token_scores(&[prompt.start()], &Cache::behind(encoded.clone()))?,
        None => Vec::new(),
    };
    let (code, language) = prompt.recognise(&scores).unzip();
    let tokens = tokens.into_iter().filter_map(|token| token.or(language));
    Ok((tokens.collect(), code.map(ToOwned::to_owned)))
}
