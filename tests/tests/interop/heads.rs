//! Every prediction head through the real `hub forward`, and ours through the real libraries.

use anyhow::{Context as _, Result};
use hub_client::checkpoint::{AdapterFolder, BaseFolder, convert};
use hub_schemas::layout::Format;
use hub_tests::{
    heads::{Case, Doubles},
    interop::{TOLERANCE, Tensors, hub_forward_on, python_forward_on},
};

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
