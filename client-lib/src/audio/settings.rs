//! `preprocessor_config.json` of feature extractors of speech.

use serde_json::{Map, Value};

/// What happens to a recording before a backbone reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioSettings {
    /// Samples in a second.
    pub rate: u32,
    /// Filters of the spectrogram.
    pub mels: usize,
    /// Samples that are transformed together.
    pub width: usize,
    /// Samples from one transformation to the next.
    pub hop: usize,
    /// What a recording is cut or filled up with silence to, in seconds.
    pub seconds: usize,
}

/// Why a `preprocessor_config.json` can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` is {found}; {expected}")]
pub struct AudioSettingsError {
    /// The key.
    pub key: String,
    /// What stands there.
    pub found: String,
    /// What must stand there.
    pub expected: &'static str,
}

/// The only extractor whose steps are these.
const EXTRACTOR: &str = "WhisperFeatureExtractor";
/// Keys that change nothing of one recording's spectrogram: `transformers` computes the filters again
/// whatever a file has, and Whisper looks at no mask.
const WITHOUT_EFFECT: [&str; 6] = [
    "mel_filters",
    "processor_class",
    "_processor_class",
    "return_attention_mask",
    "padding_side",
    "feature_extractor_type",
];

impl AudioSettings {
    /// Reads the keys of a `preprocessor_config.json`. Those that are missing have the values that
    /// `WhisperFeatureExtractor` gives them; one that is unknown is refused.
    pub fn from_json(json: &Map<String, Value>) -> Result<Self, AudioSettingsError> {
        let reader = Reader { json };
        match json.get("feature_extractor_type").and_then(Value::as_str) {
            Some(EXTRACTOR) => {}
            _ => return Err(reader.wrong("feature_extractor_type", "`WhisperFeatureExtractor` is supported")),
        }
        let settings = Self {
            rate: reader.count("sampling_rate", 16_000, 16_000..=192_000)? as u32,
            mels: reader.count("feature_size", 80, 1..=512)?,
            width: reader.count("n_fft", 400, 2..=1 << 13)?,
            hop: reader.count("hop_length", 160, 1..=1 << 13)?,
            seconds: reader.count("chunk_length", 30, 1..=60)?,
        };
        if !settings.width.is_multiple_of(2) {
            return Err(reader.wrong("n_fft", "it must be even"));
        }
        for (key, value) in json {
            let usual = match key.as_str() {
                "sampling_rate" | "feature_size" | "n_fft" | "hop_length" | "chunk_length" => continue,
                key if WITHOUT_EFFECT.contains(&key) => continue,
                "n_samples" => Value::from(settings.samples()),
                "nb_max_frames" => Value::from(settings.frames()),
                "padding_value" | "dither" => Value::from(0.0),
                "do_normalize" => Value::from(false),
                _ => return Err(reader.wrong(key, "this version does not know the key")),
            };
            let same = match (value.as_f64(), usual.as_f64()) {
                (Some(value), Some(usual)) => (value - usual).abs() <= 0.0,
                _ => value.is_null() || *value == usual,
            };
            if !same {
                return Err(reader.wrong(key, "only the usual value is supported"));
            }
        }
        if json.get("padding_side").is_some_and(|side| side != "right") {
            return Err(reader.wrong("padding_side", "only the usual value is supported"));
        }
        Ok(settings)
    }

    /// Samples that a spectrogram is made of.
    pub const fn samples(&self) -> usize {
        self.seconds * self.rate as usize
    }

    /// Transformations in a spectrogram.
    pub const fn frames(&self) -> usize {
        self.samples() / self.hop
    }
}

struct Reader<'a> {
    json: &'a Map<String, Value>,
}

impl Reader<'_> {
    fn wrong(&self, key: &str, expected: &'static str) -> AudioSettingsError {
        let found = self.json.get(key).map_or_else(|| "missing".to_owned(), ToString::to_string);
        AudioSettingsError { key: key.to_owned(), found: found.chars().take(80).collect(), expected }
    }

    fn count(
        &self,
        key: &str,
        usual: usize,
        range: std::ops::RangeInclusive<usize>,
    ) -> Result<usize, AudioSettingsError> {
        let Some(value) = self.json.get(key) else { return Ok(usual) };
        let count = value.as_u64().and_then(|count| usize::try_from(count).ok());
        count.filter(|count| range.contains(count)).ok_or_else(|| self.wrong(key, "it is out of range"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(mut json: Value) -> Result<AudioSettings, AudioSettingsError> {
        json["feature_extractor_type"] = json!(EXTRACTOR);
        AudioSettings::from_json(json.as_object().expect("an object"))
    }

    #[test]
    fn what_is_missing_has_the_values_of_whisper() {
        let settings = read(json!({})).expect("settings");
        assert_eq!((settings.samples(), settings.frames()), (480_000, 3000));
        let stated = json!({"n_samples": 480_000, "nb_max_frames": 3000, "padding_value": 0.0, "dither": 0,
            "return_attention_mask": false, "mel_filters": [[0.0]], "feature_size": 128});
        assert_eq!(read(stated).expect("settings").mels, 128);
    }

    #[test]
    fn what_can_not_be_is_refused_by_key() {
        let key = |json| read(json).expect_err("refused").key;
        assert_eq!(key(json!({"n_samples": 16_000})), "n_samples");
        assert_eq!(key(json!({"dither": 0.1})), "dither");
        assert_eq!(key(json!({"do_normalize": true})), "do_normalize");
        assert_eq!(key(json!({"hop_length": 0})), "hop_length");
        assert_eq!(key(json!({"n_fft": 401})), "n_fft");
        assert_eq!(key(json!({"preemphasis": 0.97})), "preemphasis");
        let other = json!({"feature_extractor_type": "Wav2Vec2FeatureExtractor"});
        let other = AudioSettings::from_json(other.as_object().expect("an object")).expect_err("refused");
        assert_eq!(other.key, "feature_extractor_type");
    }
}
