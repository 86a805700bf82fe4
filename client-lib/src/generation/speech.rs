//! What the decoder of Whisper reads in front of a transcript: the language, what is asked for, and that no times are
//! written (Radford et al. 2022, section 2.3). Read of `generation_config.json` as `transformers` 4.57.6 reads it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// What is asked for when nothing is and a language is named.
const TRANSCRIBE: &str = "transcribe";
/// Keys that make a transcript in several attempts or with times, which is not done here.
const NOT_IMPLEMENTED: [&str; 4] =
    ["return_timestamps", "logprob_threshold", "compression_ratio_threshold", "no_speech_threshold"];

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpeechOptions {
    /// The language, as `de`; recognised where nothing states it.
    pub language: Option<String>,
    /// `transcribe`, or `translate` into English.
    pub task: Option<String>,
}

/// Why nothing can be written down as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpeechError {
    /// One language, which is not chosen.
    #[error("the base model writes one language only: it has no choice of a language or a task")]
    OneLanguage,
    /// Not a language of this model.
    #[error("`{given}` is no language of the base model; it has: {known}")]
    Language {
        /// What was asked for.
        given: String,
        /// What there is.
        known: String,
    },
    /// Not a task of this model.
    #[error("`{given}` is no task of the base model; it has: {known}")]
    Task {
        /// What was asked for.
        given: String,
        /// What there is.
        known: String,
    },
}

/// What stands in front of a transcript.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpeechPrompt {
    /// The first token of all.
    start: u32,
    /// Tokens behind it in old configurations; `None` where a language stands that has to be recognised.
    forced: Vec<Option<u32>>,
    /// Token of every language, by its code.
    languages: BTreeMap<String, u32>,
    /// Token of every task.
    tasks: BTreeMap<String, u32>,
    /// Says that no times are written.
    without_times: Option<u32>,
    /// Whether it is stated that the model writes one language only.
    has_one_language: bool,
    /// What is asked for when nobody asks otherwise.
    stated: SpeechOptions,
}

impl SpeechPrompt {
    /// Reads the keys of `json`; `forced_decoder_ids` also of `config`, where the first is silent. The error is what
    /// is wrong with which key.
    pub(super) fn from_json(
        json: &Map<String, Value>,
        config: &Map<String, Value>,
        start: u32,
    ) -> Result<Self, String> {
        for key in NOT_IMPLEMENTED {
            if let Some(value) = json.get(key).filter(|v| !matches!(v, Value::Null | Value::Bool(false))) {
                return Err(format!("`{key}` is {value}; this version does not write that way"));
            }
        }
        let forced = json.get("forced_decoder_ids").filter(|value| !value.is_null());
        let text = |key: &str| json.get(key).and_then(Value::as_str).map(ToOwned::to_owned);
        Ok(Self {
            start,
            forced: forced_tokens(forced.or_else(|| config.get("forced_decoder_ids")))?,
            languages: tokens(json.get("lang_to_id")),
            tasks: tokens(json.get("task_to_id")),
            without_times: json.get("no_timestamps_token_id").and_then(token),
            has_one_language: json.get("is_multilingual") == Some(&Value::Bool(false)),
            stated: SpeechOptions { language: text("language"), task: text("task") },
        })
    }

    /// The tokens in front of a transcript; `None` stands where the language has to be recognised.
    pub fn tokens(&self, asked: &SpeechOptions) -> Result<Vec<Option<u32>>, SpeechError> {
        if self.has_one_language && (asked.language.is_some() || asked.task.is_some()) {
            return Err(SpeechError::OneLanguage);
        }
        let language = asked.language.as_ref().or(self.stated.language.as_ref());
        let task = asked.task.as_ref().or(self.stated.task.as_ref());
        let mut all = vec![Some(self.start)];
        if language.is_none() && task.is_none() {
            all.extend(&self.forced);
        }
        let mut put = |token: Option<u32>| match all.get_mut(1) {
            Some(place) => *place = token,
            None => all.push(token),
        };
        let mut recognises = false;
        match language {
            Some(language) => put(Some(self.language(language)?)),
            None if !self.languages.is_empty() => {
                recognises = all.get(1).is_none_or(Option::is_none);
                if recognises && all.len() == 1 {
                    all.push(None);
                }
            }
            None => {}
        }
        match task {
            Some(task) => all.push(Some(self.task(task)?)),
            None if language.is_some() => all.extend(self.tasks.get(TRANSCRIBE).map(|&token| Some(token))),
            None => {}
        }
        if self.without_times.is_some() && all.last() != Some(&self.without_times) {
            all.push(self.without_times);
        }
        // What an old configuration leaves open and no table of languages fills is left out.
        let is_kept = |(at, token): &(usize, Option<u32>)| token.is_some() || (recognises && *at == 1);
        Ok(all.into_iter().enumerate().filter(is_kept).map(|(_, token)| token).collect())
    }

    /// As many tokens as stand in front of a transcript when nobody asks for anything.
    pub(super) fn usual(&self) -> Vec<u32> {
        let tokens = self.tokens(&SpeechOptions::default()).unwrap_or_default();
        tokens.into_iter().map(Option::unwrap_or_default).collect()
    }

    /// Whether it can be told to write this language.
    pub fn knows(&self, language: &str) -> bool {
        !self.has_one_language && self.language(language).is_ok()
    }

    /// The codes of its languages, for messages.
    pub fn languages(&self) -> String {
        names(&self.languages)
    }

    /// The most probable language by the scores of every token behind the first one: its code and its token.
    pub fn recognise(&self, scores: &[f32]) -> Option<(&str, u32)> {
        let score = |token: u32| scores.get(token as usize).copied().unwrap_or(f32::NEG_INFINITY);
        let all = self.languages.iter().map(|(code, &token)| (code.as_str(), token));
        // The first of equals by its token.
        all.max_by(|(_, a), (_, b)| score(*a).total_cmp(&score(*b)).then(b.cmp(a)))
    }

    /// The first token of all.
    pub const fn start(&self) -> u32 {
        self.start
    }

    /// From which token on tokens are times, which are no text.
    pub fn times_from(&self) -> Option<u32> {
        self.without_times.map(|token| token + 1)
    }

    fn language(&self, given: &str) -> Result<u32, SpeechError> {
        let code = code(&given.to_lowercase());
        self.languages
            .get(&code)
            .copied()
            .ok_or_else(|| SpeechError::Language { given: given.to_owned(), known: names(&self.languages) })
    }

    fn task(&self, given: &str) -> Result<u32, SpeechError> {
        let missing = || SpeechError::Task { given: given.to_owned(), known: names(&self.tasks) };
        self.tasks.get(given).copied().ok_or_else(missing)
    }
}

/// `de` of `<|de|>`.
fn code(token: &str) -> String {
    token.trim_start_matches("<|").trim_end_matches("|>").to_owned()
}

fn names(tokens: &BTreeMap<String, u32>) -> String {
    if tokens.is_empty() {
        return "none".to_owned();
    }
    tokens.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn token(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|id| u32::try_from(id).ok())
}

fn tokens(value: Option<&Value>) -> BTreeMap<String, u32> {
    let all = value.and_then(Value::as_object).into_iter().flatten();
    all.filter_map(|(name, id)| Some((code(name), token(id)?))).collect()
}

/// `[[1, token], [2, token], …]`, counted from 1 without a gap; a list that does not begin there says nothing.
fn forced_tokens(value: Option<&Value>) -> Result<Vec<Option<u32>>, String> {
    let wrong = |value: &Value| {
        let shown: String = value.to_string().chars().take(60).collect();
        format!("`forced_decoder_ids` is {shown}; places from 1 on must have a token each")
    };
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(Vec::new()) };
    let pair = |pair: &Value| match pair.as_array().map(Vec::as_slice) {
        Some([place, Value::Null]) => Some((place.as_u64()?, None)),
        Some([place, id]) => Some((place.as_u64()?, Some(token(id)?))),
        _ => None,
    };
    let pairs: Option<Vec<(u64, Option<u32>)>> =
        value.as_array().and_then(|all| all.iter().map(pair).collect());
    let pairs = pairs.ok_or_else(|| wrong(value))?;
    if pairs.first().is_none_or(|(place, _)| *place != 1) {
        return Ok(Vec::new());
    }
    if pairs.iter().zip(1..).any(|((place, _), expected)| *place != expected) {
        return Err(wrong(value));
    }
    Ok(pairs.into_iter().map(|(_, token)| token).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(json: &Value) -> Result<SpeechPrompt, String> {
        SpeechPrompt::from_json(json.as_object().expect("an object"), &Map::new(), 10)
    }

    fn asked(language: Option<&str>, task: Option<&str>) -> SpeechOptions {
        SpeechOptions { language: language.map(str::to_owned), task: task.map(str::to_owned) }
    }

    /// What multilingual checkpoints state, with small numbers.
    fn multilingual() -> Value {
        json!({"forced_decoder_ids": [[1, null], [2, 30]], "is_multilingual": true, "no_timestamps_token_id": 40,
            "lang_to_id": {"<|en|>": 20, "<|de|>": 21}, "task_to_id": {"transcribe": 30, "translate": 31}})
    }

    #[test]
    fn what_is_in_front_says_language_task_and_no_times() {
        let prompt = read(&multilingual()).expect("a prompt");
        let of = |language, task| prompt.tokens(&asked(language, task)).expect("tokens");
        assert_eq!(of(None, None), [Some(10), None, Some(30), Some(40)], "the language is recognised");
        assert_eq!(of(Some("de"), None), [Some(10), Some(21), Some(30), Some(40)]);
        assert_eq!(of(Some("<|EN|>"), Some("translate")), [Some(10), Some(20), Some(31), Some(40)]);
        assert_eq!(of(None, Some("translate")), [Some(10), None, Some(31), Some(40)]);
        assert_eq!(prompt.times_from(), Some(41));
        let mut scores = vec![9.0_f32; 50];
        (scores[20], scores[21]) = (1.0, 2.0);
        assert_eq!(prompt.recognise(&scores), Some(("de", 21)));
    }

    #[test]
    fn a_model_of_one_language_has_no_choice() {
        let json =
            json!({"forced_decoder_ids": [[1, 40]], "is_multilingual": false, "no_timestamps_token_id": 40});
        let prompt = read(&json).expect("a prompt");
        assert_eq!(prompt.tokens(&SpeechOptions::default()), Ok(vec![Some(10), Some(40)]));
        assert_eq!(prompt.tokens(&asked(Some("en"), None)), Err(SpeechError::OneLanguage));
    }

    #[test]
    fn nothing_stated_is_nothing_but_the_start() {
        let prompt = read(&json!({})).expect("a prompt");
        assert_eq!(prompt.tokens(&SpeechOptions::default()), Ok(vec![Some(10)]));
        let open = read(&json!({"forced_decoder_ids": [[1, null], [2, 30]]})).expect("a prompt");
        assert_eq!(open.tokens(&SpeechOptions::default()), Ok(vec![Some(10), Some(30)]));
        let known = read(&json!({"lang_to_id": {"<|en|>": 20}})).expect("a prompt");
        assert_eq!(known.tokens(&SpeechOptions::default()), Ok(vec![Some(10), None]));
    }

    #[test]
    fn what_there_is_not_is_refused_by_name() {
        let prompt = read(&multilingual()).expect("a prompt");
        let error = |language, task| prompt.tokens(&asked(language, task)).expect_err("refused").to_string();
        assert_eq!(error(Some("xx"), None), "`xx` is no language of the base model; it has: `de`, `en`");
        assert!(error(None, Some("sing")).contains("it has: `transcribe`, `translate`"));
        let wrong = |json| read(&json).expect_err("refused");
        assert!(wrong(json!({"return_timestamps": true})).contains("return_timestamps"));
        assert!(wrong(json!({"logprob_threshold": -1.0})).contains("logprob_threshold"));
        assert!(wrong(json!({"forced_decoder_ids": [[1, 3], [3, 4]]})).contains("forced_decoder_ids"));
    }
}
