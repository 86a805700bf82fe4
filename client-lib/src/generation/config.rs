//! What a backbone's folder states about its answers: `generation_config.json`, or where there is none the
//! same keys of `config.json`, as `transformers` 4.57.6 reads them.
//!
//! How tokens are drawn is not taken from there: an answer is the same every time unless somebody asks.

use hub_formats::checkpoint::BaseFolder;
use serde_json::{Map, Value};

use super::{BeamOptions, Constraints, EarlyStopping, GenerateError, settings};

/// Where answers are described.
pub(super) const FILE: &str = "generation_config.json";
/// Keys that change what is written and that nobody computes here, each with the number that changes
/// nothing.
const NOT_IMPLEMENTED: [(&str, f64); 15] = [
    ("bad_words_ids", 0.0),
    ("constraints", 0.0),
    ("diversity_penalty", 0.0),
    ("dola_layers", 0.0),
    ("encoder_no_repeat_ngram_size", 0.0),
    ("encoder_repetition_penalty", 1.0),
    ("exponential_decay_length_penalty", 0.0),
    ("force_words_ids", 0.0),
    ("guidance_scale", 1.0),
    ("num_beam_groups", 1.0),
    ("penalty_alpha", 0.0),
    ("renormalize_logits", 0.0),
    ("sequence_bias", 0.0),
    ("token_healing", 0.0),
    ("watermarking_config", 0.0),
];

/// What is stated.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GenerationConfig {
    /// The token that a decoder behind an encoder reads first.
    pub start_token: Option<u32>,
    /// What may stand where.
    pub constraints: Constraints,
    /// How beams are searched.
    pub beams: BeamOptions,
    /// Tokens of an answer at most.
    pub max_new_tokens: Option<usize>,
    /// Tokens at most, with those in front of the answer.
    pub max_length: Option<usize>,
    /// Texts that end an answer.
    pub stops: Vec<String>,
}

impl GenerationConfig {
    /// Reads what the folder of a backbone states.
    pub(crate) fn of(base: &BaseFolder) -> Result<Self, GenerateError> {
        let path = settings::folder(base).join(FILE);
        let own = settings::object(&path)?;
        let json = own.as_ref().unwrap_or_else(|| base.json());
        let config = Self::from_json(json).map_err(|reason| settings::wrong(&path, reason))?;
        let stated = |key: &str| base.json().get(key).and_then(id);
        let ends = match json.get("eos_token_id") {
            None | Some(Value::Null) => ids(base.json().get("eos_token_id")),
            own => ids(own),
        };
        let start_token = config.start_token.or(base.config().seq2seq.start_token);
        let start_token = start_token.or_else(|| json.get("bos_token_id").and_then(id));
        Ok(Self {
            start_token: start_token.or_else(|| stated("bos_token_id")),
            constraints: Constraints { ends: ends.into_iter().collect(), ..config.constraints },
            ..config
        })
    }

    /// Reads the keys; what is missing or null has the value of `transformers`.
    fn from_json(json: &Map<String, Value>) -> Result<Self, String> {
        for (key, nothing) in NOT_IMPLEMENTED {
            if let Some(value) = json.get(key).filter(|value| !changes_nothing(value, nothing)) {
                return Err(format!("`{key}` is {}; this version does not write that way", shown(value)));
            }
        }
        let fields = Fields(json);
        let forced_first = fields.0.get("forced_bos_token_id");
        let constraints = Constraints {
            ends: ids(json.get("eos_token_id")).into_iter().collect(),
            repetition_penalty: fields.number("repetition_penalty", 1.0, |n| n > 0.0)?,
            no_repeat_ngram: fields.count("no_repeat_ngram_size")?.unwrap_or(0),
            min_length: fields.count("min_length")?.unwrap_or(0),
            min_new_tokens: fields.count("min_new_tokens")?.unwrap_or(0),
            forced_first: forced_first.and_then(id),
            forced_last: ids(json.get("forced_eos_token_id")),
            suppressed: ids(json.get("suppress_tokens")),
            suppressed_first: ids(json.get("begin_suppress_tokens")),
        };
        let early_stopping = match json.get("early_stopping") {
            None | Some(Value::Null | Value::Bool(false)) => EarlyStopping::Unlikely,
            Some(Value::Bool(true)) => EarlyStopping::Full,
            Some(Value::String(never)) if never == "never" => EarlyStopping::Never,
            Some(other) => {
                return Err(format!("`early_stopping` is {}; true, false or \"never\"", shown(other)));
            }
        };
        Ok(Self {
            start_token: json.get("decoder_start_token_id").and_then(id),
            constraints,
            beams: BeamOptions {
                beams: fields.count("num_beams")?.unwrap_or(1).max(1),
                length_penalty: fields.number("length_penalty", 1.0, |_| true)?,
                early_stopping,
            },
            max_new_tokens: fields.count("max_new_tokens")?,
            max_length: fields.count("max_length")?,
            stops: texts(json.get("stop_strings")),
        })
    }
}

struct Fields<'a>(&'a Map<String, Value>);

impl Fields<'_> {
    fn count(&self, key: &str) -> Result<Option<usize>, String> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_u64().and_then(|count| usize::try_from(count).ok()) {
                Some(count) => Ok(Some(count)),
                None => Err(format!("`{key}` is {}; it must be 0 or a positive integer", shown(value))),
            },
        }
    }

    fn number(&self, key: &str, usual: f64, is_good: impl Fn(f64) -> bool) -> Result<f64, String> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(usual),
            Some(value) => match value.as_f64().filter(|&number| is_good(number)) {
                Some(number) => Ok(number),
                None => Err(format!("`{key}` is {}, which it can't be", shown(value))),
            },
        }
    }
}

fn changes_nothing(value: &Value, nothing: f64) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(is_on) => !is_on,
        Value::Number(number) => number.as_f64().is_some_and(|n| (n - nothing).abs() < f64::EPSILON),
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.is_empty(),
        Value::String(_) => false,
    }
}

fn id(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|id| u32::try_from(id).ok())
}

/// One token or several.
fn ids(value: Option<&Value>) -> Vec<u32> {
    match value {
        Some(Value::Array(all)) => all.iter().filter_map(id).collect(),
        Some(one) => id(one).into_iter().collect(),
        None => Vec::new(),
    }
}

/// One text or several.
fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect(),
        Some(Value::String(one)) => vec![one.clone()],
        _ => Vec::new(),
    }
}

fn shown(value: &Value) -> String {
    value.to_string().chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(json: &Value) -> Result<GenerationConfig, String> {
        GenerationConfig::from_json(json.as_object().expect("an object"))
    }

    #[test]
    fn what_is_missing_changes_nothing() {
        assert_eq!(read(&json!({"temperature": 0.6, "do_sample": true})), Ok(GenerationConfig::default()));
        let neutral = json!({"num_beam_groups": 1, "diversity_penalty": 0.0, "encoder_repetition_penalty": 1.0,
            "renormalize_logits": false, "bad_words_ids": null, "suppress_tokens": null});
        assert_eq!(read(&neutral), Ok(GenerationConfig::default()));
    }

    #[test]
    fn a_summarising_model_says_how_it_writes() {
        let config = read(&json!({"num_beams": 4, "length_penalty": 2.0, "early_stopping": true,
            "no_repeat_ngram_size": 3, "min_length": 56, "max_length": 142, "forced_bos_token_id": 0,
            "forced_eos_token_id": 2, "eos_token_id": [2, 3], "decoder_start_token_id": 2}));
        let config = config.expect("a configuration");
        let beams = BeamOptions { beams: 4, length_penalty: 2.0, early_stopping: EarlyStopping::Full };
        assert_eq!((config.beams, config.max_length, config.start_token), (beams, Some(142), Some(2)));
        let constraints = config.constraints;
        assert_eq!((constraints.no_repeat_ngram, constraints.min_length), (3, 56));
        assert_eq!((constraints.forced_first, constraints.forced_last), (Some(0), vec![2]));
        assert_eq!(constraints.ends, [2, 3].into());
    }

    #[test]
    fn what_is_not_implemented_is_refused_by_name() {
        for json in [
            json!({"bad_words_ids": [[7]]}),
            json!({"num_beam_groups": 2}),
            json!({"guidance_scale": 1.5}),
            json!({"num_beams": -1}),
            json!({"early_stopping": "always"}),
            json!({"repetition_penalty": 0}),
        ] {
            let key = json.as_object().and_then(|all| all.keys().next()).expect("a key").clone();
            assert!(read(&json).expect_err("refused").contains(&key), "{key}");
        }
    }
}
