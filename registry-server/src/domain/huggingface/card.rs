//! What a model card and a PEFT configuration say of an adapter, in this registry's words.

use hub_schemas::label::{LabelError, Language, License, TaskId};
use serde_json::{Map, Value};

/// A card's metadata: the YAML in front of `README.md`, as a hub gives it.
pub type Card = Map<String, Value>;

/// Where nothing says what the licence is: SPDX's word for that.
const NO_LICENSE: &str = "NOASSERTION";
/// Where nothing says what an adapter is for.
const NO_TASK: &str = "unspecified";
/// More languages than a listing shows.
const MAX_LANGUAGES: usize = 32;
/// Longest name of a licence of somebody's own.
const MAX_LICENSE: usize = 80;

/// Licences that cards name and SPDX lists, in SPDX's spelling. Cards write them in lower case.
const SPDX: [&str; 44] = [
    "AFL-3.0",
    "AGPL-3.0",
    "Apache-2.0",
    "Artistic-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSD-3-Clause-Clear",
    "BSL-1.0",
    "C-UDA-1.0",
    "CC-BY-2.0",
    "CC-BY-2.5",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "CC-BY-NC-2.0",
    "CC-BY-NC-3.0",
    "CC-BY-NC-4.0",
    "CC-BY-NC-ND-3.0",
    "CC-BY-NC-ND-4.0",
    "CC-BY-NC-SA-2.0",
    "CC-BY-NC-SA-3.0",
    "CC-BY-NC-SA-4.0",
    "CC-BY-ND-4.0",
    "CC-BY-SA-3.0",
    "CC-BY-SA-4.0",
    "CC0-1.0",
    "CDLA-Permissive-1.0",
    "CDLA-Permissive-2.0",
    "CDLA-Sharing-1.0",
    "ECL-2.0",
    "EPL-2.0",
    "EUPL-1.2",
    "GPL-2.0",
    "GPL-3.0",
    "ISC",
    "LGPL-2.1",
    "LGPL-3.0",
    "MIT",
    "MPL-2.0",
    "MS-PL",
    "NCSA",
    "OSL-3.0",
    "Unlicense",
    "WTFPL",
    "Zlib",
];

/// The licence that the card states; of several all hold.
pub fn license(card: &Card) -> Result<License, LabelError> {
    let named = card.get("license_name").and_then(Value::as_str);
    let stated: Vec<String> = texts(card.get("license")).map(|id| spdx(id, named)).collect();
    if stated.is_empty() { NO_LICENSE.parse() } else { stated.join(" AND ").parse() }
}

/// `id` in SPDX's spelling; `named` is what a card calls a licence that is in no list.
fn spdx(id: &str, named: Option<&str>) -> String {
    let id = id.trim();
    if id.is_empty() || id.eq_ignore_ascii_case("unknown") {
        return NO_LICENSE.to_owned();
    }
    if let Some(known) = SPDX.iter().find(|known| known.eq_ignore_ascii_case(id)) {
        return (*known).to_owned();
    }
    let own = if id.eq_ignore_ascii_case("other") { named.unwrap_or(id) } else { id };
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '-' };
    format!("LicenseRef-{}", own.trim().chars().take(MAX_LICENSE).map(plain).collect::<String>())
}

/// The base model that the card names, where it names one.
pub fn base_model(card: &Card) -> Option<&str> {
    let mut named = texts(card.get("base_model"));
    let first = named.next();
    first.filter(|_| named.next().is_none())
}

/// The languages of its data, those that are none left out (`multilingual`, `code`).
pub fn languages(card: &Card) -> Vec<Language> {
    let mut found: Vec<Language> = Vec::new();
    for language in texts(card.get("language")).filter_map(|text| text.parse().ok()).take(MAX_LANGUAGES) {
        if !found.contains(&language) {
            found.push(language);
        }
    }
    found
}

/// What it is for, and a narrower word: AdapterHub's tag (`adapterhub:sentiment/imdb`) goes before the hub's own word
/// (`pipeline_tag`), and that before PEFT's (`task_type` of its configuration).
pub fn task(
    tags: &[String],
    pipeline: Option<&str>,
    config: &Card,
) -> Result<(TaskId, Option<TaskId>), LabelError> {
    let tagged = tags.iter().find_map(|tag| {
        let (task, subtask) = tag.strip_prefix("adapterhub:")?.split_once('/')?;
        Some((task.parse().ok()?, subtask.parse().ok()))
    });
    if let Some(tagged) = tagged {
        return Ok(tagged);
    }
    if let Some(task) = pipeline.and_then(|word| word.parse().ok()) {
        return Ok((task, None));
    }
    let of_peft = match config.get("task_type").and_then(Value::as_str) {
        Some("SEQ_CLS") => "text-classification",
        Some("SEQ_2_SEQ_LM") => "text2text-generation",
        Some("CAUSAL_LM") => "text-generation",
        Some("TOKEN_CLS") => "token-classification",
        Some("QUESTION_ANS") => "question-answering",
        Some("FEATURE_EXTRACTION") => "feature-extraction",
        _ => NO_TASK,
    };
    Ok((of_peft.parse()?, None))
}

/// A text, or several.
fn texts(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let one = value.and_then(Value::as_str);
    let several = value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    one.into_iter().chain(several)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn card(value: &Value) -> Card {
        value.as_object().cloned().expect("an object")
    }

    #[test]
    fn licences_have_the_spelling_of_spdx_and_what_it_does_not_list_says_so() {
        let stated = [
            json!({"license": "apache-2.0"}),
            json!({"license": ["mit", "cc-by-nc-4.0"]}),
            json!({"license": "llama3.1"}),
            json!({"license": "openrail++"}),
            json!({"license": "other", "license_name": "our own, v2"}),
            json!({"license": "other"}),
            json!({"license": "unknown"}),
            json!({}),
        ];
        let licenses = stated.map(|value| license(&card(&value)).expect("a licence").to_string());
        insta::assert_snapshot!(licenses.join("\n"), @r"
        Apache-2.0
        MIT AND CC-BY-NC-4.0
        LicenseRef-llama3.1
        LicenseRef-openrail--
        LicenseRef-our-own--v2
        LicenseRef-other
        NOASSERTION
        NOASSERTION
        ");
    }

    #[test]
    fn the_word_that_tells_most_says_what_it_is_for() {
        let none = Card::new();
        let peft = card(&json!({"task_type": "SEQ_CLS"}));
        let tags = ["adapters".to_owned(), "adapterhub:nli/multinli".to_owned()];
        let task = |tags: &[String], pipeline: Option<&str>, config: &Card| {
            let (task, subtask) = task(tags, pipeline, config).expect("a task");
            (task.to_string(), subtask.map(|subtask| subtask.to_string()))
        };
        assert_eq!(task(&tags, Some("fill-mask"), &peft), ("nli".to_owned(), Some("multinli".to_owned())));
        assert_eq!(task(&tags[..1], Some("text-generation"), &peft), ("text-generation".to_owned(), None));
        assert_eq!(task(&[], Some("Not a task!"), &peft), ("text-classification".to_owned(), None));
        assert_eq!(task(&[], None, &none), ("unspecified".to_owned(), None));
    }

    #[test]
    fn of_several_base_models_none_is_meant_and_languages_are_tags() {
        let two =
            card(&json!({"base_model": ["a/b", "c/d"], "language": ["en", "multilingual", "en", "de"]}));
        assert_eq!(base_model(&two), None);
        assert_eq!(languages(&two).iter().map(ToString::to_string).collect::<Vec<_>>(), ["en", "de"]);
        assert_eq!(base_model(&card(&json!({"base_model": ["a/b"]}))), Some("a/b"));
        assert_eq!(base_model(&card(&json!({"base_model": "a/b"}))), Some("a/b"));
    }
}
