//! Every prediction head through the real `hub forward`, and ours through the real libraries.

use anyhow::{Context as _, Result};
use hub_formats::checkpoint::{AdapterFolder, BaseFolder, convert};
use hub_schemas::layout::{Format, HEAD_CONFIG, HEAD_WEIGHTS};
use hub_tests::{
    heads::{Case, Doubles},
    interop::{TOLERANCE, Tensors, hub_forward_on, python_forward_on},
};
use safetensors::SafeTensors;

fn doubles(tensors: Tensors) -> Doubles {
    let wide = |values: Vec<f32>| values.into_iter().map(f64::from).collect();
    tensors.into_iter().map(|(name, (shape, values))| (name, (shape, wide(values)))).collect()
}

#[test]
fn hub_forward_gives_what_the_libraries_give_for_every_head() -> Result<()> {
    for kind in ["head", "model class", "peft", "adapters", "own"] {
        for case in Case::of_kind(kind)? {
            let found = hub_forward_on(&case.inputs(), &case.base(), case.adapter().as_deref())?;
            case.ensure_equal(doubles(found), TOLERANCE.into())?;
        }
    }
    Ok(())
}

#[test]
fn a_table_that_is_the_base_models_own_need_not_be_saved() -> Result<()> {
    let (case, scratch) = (Case::named("masked-lm")?, tempfile::tempdir()?);
    let from = case.adapter().context("a folder")?;
    std::fs::copy(from.join(HEAD_CONFIG), scratch.path().join(HEAD_CONFIG))?;
    let bytes = std::fs::read(from.join(HEAD_WEIGHTS))?;
    let mut tensors = SafeTensors::deserialize(&bytes)?.tensors();
    let all = tensors.len();
    tensors.retain(|(name, _)| name != "heads.probe.3.weight");
    assert_eq!(tensors.len(), all - 1);
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    std::fs::write(scratch.path().join(HEAD_WEIGHTS), safetensors::serialize(tensors, Some(metadata))?)?;
    let adapter = Some(scratch.path());
    case.ensure_equal(doubles(hub_forward_on(&case.inputs(), &case.base(), adapter)?), TOLERANCE.into())?;
    let theirs = python_forward_on(&case.inputs(), "adapters", &case.base(), adapter)?;
    case.ensure_equal(doubles(theirs), TOLERANCE.into())
}

/// A head, written again in a format, gives the fixture's numbers in that format's library.
fn survives(case: &str, format: Format) -> Result<()> {
    let (case, scratch) = (Case::named(case)?, tempfile::tempdir()?);
    let written = scratch.path().join("written");
    let base = BaseFolder::open(&case.base())?.model(None)?;
    let folder = AdapterFolder::open(&case.adapter().context("a folder")?)?;
    convert(&folder, &base, format, "renamed", &written)?;
    let theirs = python_forward_on(&case.inputs(), &format.to_string(), &case.base(), Some(&written))?;
    case.ensure_equal(doubles(theirs), TOLERANCE.into())
}

/// One test for each head that goes back to a library.
macro_rules! survive {
    ($($test:ident: $case:literal in $format:ident,)*) => {
        $(
            #[test]
            fn $test() -> Result<()> {
                survives($case, Format::$format)
            }
        )*
    };
}

survive! {
    adapters_takes_back_a_classifier_without_activation: "classification-linear" in Adapters,
    adapters_takes_back_a_classifier_without_bias: "classification-pooled" in Adapters,
    adapters_takes_back_a_regression: "regression" in Adapters,
    adapters_takes_back_a_multi_label_classifier: "multilabel" in Adapters,
    adapters_takes_back_a_tagger: "tagging-layers" in Adapters,
    adapters_takes_back_a_multiple_choice_head: "multiple-choice" in Adapters,
    adapters_takes_back_a_question_answering_head: "question-answering-layers" in Adapters,
    adapters_takes_back_a_dependency_parser: "dependency-parsing" in Adapters,
    adapters_takes_back_a_masked_language_model: "masked-lm" in Adapters,
    adapters_takes_back_a_causal_language_model: "causal-lm-table" in Adapters,
    adapters_takes_the_head_of_a_model_class_as_a_flexible_one: "adapters-questions" in Adapters,
    adapters_takes_a_peft_tagger: "peft-tokens" in Adapters,
    peft_takes_back_a_tagger: "peft-tokens" in Peft,
    peft_takes_back_a_regression: "peft-regression" in Peft,
    peft_takes_back_a_question_answering_head: "peft-questions" in Peft,
}
