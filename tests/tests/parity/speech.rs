//! Recordings written down as `generate` of `transformers` writes them: with every prompt, with adapters, by beams.

use anyhow::{Context as _, Result};
use hub_client::generation::{GenerationOptions, SpeechOptions};
use serde_json::Value;

use crate::generation::{fixtures, generator, numbers};

fn golden() -> Result<Value> {
    Ok(serde_json::from_slice(&std::fs::read(fixtures("generation/speech.json"))?)?)
}

#[test]
fn transcripts_are_those_of_transformers_token_for_token() -> Result<()> {
    let golden = golden()?;
    let recording = fixtures("generation").join(golden["recording"].as_str().context("a recording")?);
    let new_tokens = golden["new_tokens"].as_u64().context("a number")? as usize;
    for (name, case) in golden["cases"].as_object().context("cases")? {
        let base = tempfile::tempdir()?;
        hub_tests::words::write_base_of_words(base.path(), "whisper", &case["settings"]);
        let mut extractor = golden["extractor"].clone();
        extractor["feature_extractor_type"] = "WhisperFeatureExtractor".into();
        std::fs::write(base.path().join("preprocessor_config.json"), extractor.to_string())?;
        let generator = generator(base.path(), case)?;
        let options = GenerationOptions { max_new_tokens: new_tokens, ..generator.defaults().clone() };
        let found = generator.transcribe(&recording, &SpeechOptions::default(), &options, &mut |_| {})?;
        assert_eq!(found.tokens, numbers(&case["tokens"]), "{name}");
        assert_eq!(found.pieces, 1);
        let front = numbers(&case["front"]);
        let codes = ["en", "de", "tr"].map(str::to_owned);
        let recognised = found.language.map(|code| codes.iter().position(|known| *known == code));
        assert!(recognised.is_none_or(|at| at.map(|at| at as u32 + 25) == front.get(1).copied()), "{name}");
    }
    Ok(())
}
