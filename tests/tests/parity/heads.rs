//! Every prediction head against the real libraries, in double precision.

use std::{fs, path::Path, sync::Arc};

use anyhow::{Context as _, Result};
use candle_core::{DType, Device};
use hub_client::{
    backbones::{Backbone, Compute},
    heads::HeadLoadError,
    model::{Mode, ModelError, Output, StitchedModel},
    predict::Predictor,
    tensors::read_batch,
};
use hub_formats::checkpoint::{AdapterFolder, AdapterToWrite, BaseFolder, convert, write_adapter};
use hub_schemas::{
    head::{EmbeddingHead, Head, Pooling},
    layout::{Format, HEAD_CONFIG},
    method::{LoraConfig, Method},
};
use hub_tests::heads::{Case, Doubles};
use tempfile::TempDir;

/// Largest difference in double precision.
const BAR: f64 = 1e-9;

/// What the library API computes from a case's inputs with a head from `adapter`, or the base's own.
fn compute(case: &Case, base: &Path, adapter: Option<&Path>) -> Result<Doubles> {
    let base = BaseFolder::open(base)?;
    let backbone = Arc::new(Backbone::load_with(&base, DType::F64, &Device::Cpu)?);
    let model = match adapter {
        None => StitchedModel::plain(backbone)?,
        Some(folder) => StitchedModel::load(backbone, &AdapterFolder::open(folder)?)?,
    };
    let batch = read_batch(&case.inputs(), base.config(), &Device::Cpu)?;
    doubles(&model.forward(&batch, Mode::Eval)?)
}

fn doubles(output: &Output) -> Result<Doubles> {
    let numbers = output.named()?.into_iter().map(|(name, tensor)| {
        let values = tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
        Ok((name.clone(), (tensor.dims().to_vec(), values)))
    });
    numbers.collect()
}

fn check(kind: &str) -> Result<()> {
    for case in Case::of_kind(kind)? {
        let found = compute(&case, &case.base(), case.adapter().as_deref());
        case.ensure_equal(found.with_context(|| case.name.clone())?, BAR)?;
    }
    Ok(())
}

#[test]
fn flexible_heads_give_what_adapters_gives() -> Result<()> {
    check("head")
}

#[test]
fn heads_in_base_checkpoints_give_what_transformers_gives() -> Result<()> {
    check("model class")
}

#[test]
fn heads_beside_peft_adapters_give_what_peft_gives() -> Result<()> {
    check("peft")
}

#[test]
fn heads_of_model_classes_that_adapters_saved_give_what_it_gives() -> Result<()> {
    check("adapters")
}

#[test]
fn our_own_heads_are_the_formulas_they_are_documented_with() -> Result<()> {
    check("own")
}

#[test]
fn every_head_is_written_as_a_flexible_head_and_read_back() -> Result<()> {
    for kind in ["head", "peft", "adapters", "own"] {
        for case in Case::of_kind(kind)? {
            let scratch = TempDir::new()?;
            let written = scratch.path().join("written");
            let folder = AdapterFolder::open(&case.adapter().context("a folder")?)?;
            let base = BaseFolder::open(&case.base())?.model(None)?;
            convert(&folder, &base, Format::Adapters, "renamed", &written)?;
            let again = AdapterFolder::open(&written)?;
            assert_eq!((&again.head, &again.labels), (&folder.head, &folder.labels), "{}", case.name);
            assert!(again.head_class.is_none(), "{}", case.name);
            case.ensure_equal(compute(&case, &case.base(), Some(&written))?, BAR)?;
        }
    }
    Ok(())
}

#[test]
fn heads_of_model_classes_survive_in_pefts_format() -> Result<()> {
    for case in Case::of_kind("peft")? {
        let scratch = TempDir::new()?;
        let written = scratch.path().join("written");
        let folder = AdapterFolder::open(&case.adapter().context("a folder")?)?;
        let base = BaseFolder::open(&case.base())?.model(None)?;
        convert(&folder, &base, Format::Peft, "renamed", &written)?;
        case.ensure_equal(compute(&case, &case.base(), Some(&written))?, BAR)?;
    }
    Ok(())
}

#[test]
fn labels_are_those_of_the_configuration() -> Result<()> {
    let labels = |case: &str| -> Result<Vec<String>> {
        let folder = Case::named(case)?.adapter().context("a folder")?;
        Ok(AdapterFolder::open(&folder)?.labels)
    };
    assert_eq!(labels("tagging")?, ["low", "middle", "high"]);
    assert_eq!(labels("tagging-layers")?, ["LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3", "LABEL_4"]);
    assert_eq!(labels("regression")?, ["LABEL_0"]);
    for unnamed in ["question-answering", "multiple-choice", "masked-lm", "embedding-mean"] {
        assert_eq!(labels(unnamed)?, [""; 0], "{unnamed}");
    }
    let base = BaseFolder::open(&Case::named("BertForTokenClassification")?.base())?;
    let model = StitchedModel::plain(Arc::new(Backbone::load(&base, &Device::Cpu)?))?;
    assert_eq!(model.labels(), ["low", "middle", "high"]);
    Ok(())
}

/// A copy of a case's base with changes to its `config.json`.
fn altered(case: &str, changes: &[(&str, serde_json::Value)]) -> Result<TempDir> {
    let (from, to) = (Case::named(case)?.base(), TempDir::new()?);
    fs::copy(from.join("model.safetensors"), to.path().join("model.safetensors"))?;
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(from.join("config.json"))?)?;
    for (key, value) in changes {
        config[*key] = value.clone();
    }
    fs::write(to.path().join("config.json"), config.to_string())?;
    Ok(to)
}

#[test]
fn the_problem_type_of_a_checkpoint_says_what_its_outputs_mean() -> Result<()> {
    for (problem, kind) in [
        ("single_label_classification", "classification"),
        ("multi_label_classification", "multi-label-classification"),
        ("regression", "regression"),
    ] {
        let dir = altered("BertForSequenceClassification", &[("problem_type", problem.into())])?;
        let base = BaseFolder::open(dir.path())?;
        let model = StitchedModel::plain(Arc::new(Backbone::load(&base, &Device::Cpu)?))?;
        assert_eq!(model.head().map(Head::kind), Some(kind));
    }
    Ok(())
}

#[test]
fn a_checkpoint_of_another_class_has_no_head() -> Result<()> {
    for class in ["BertModel", "BertForQuestionAnswering"] {
        let dir = altered("BertForSequenceClassification", &[("architectures", vec![class].into())])?;
        let base = BaseFolder::open(dir.path())?;
        let model = StitchedModel::plain(Arc::new(Backbone::load(&base, &Device::Cpu)?))?;
        assert!(model.head().is_none(), "{class}");
    }
    Ok(())
}

/// Why a case's head can't stand on another case's base.
fn refusal(head: &str, base: &str) -> Result<ModelError> {
    let folder = AdapterFolder::open(&Case::named(head)?.adapter().context("a folder")?)?;
    let base = BaseFolder::open(&Case::named(base)?.base())?;
    let backbone = Arc::new(Backbone::load(&base, &Device::Cpu)?);
    StitchedModel::load(backbone, &folder).err().context("it is refused")
}

#[test]
fn a_language_models_table_must_be_the_word_embedding_it_is_tied_to() -> Result<()> {
    let error = refusal("masked-lm", "BertForMaskedLM")?;
    assert!(matches!(error, ModelError::Head(HeadLoadError::Untied(_))), "{error}");
    let error = refusal("classification-pooled", "BertForQuestionAnswering")?;
    assert!(matches!(error, ModelError::Head(HeadLoadError::NoPooler)), "{error}");
    Ok(())
}

#[test]
fn a_lora_keeps_its_embedding_head_beside_pefts_own_files() -> Result<()> {
    let base_folder = BaseFolder::open(&Case::named("embedding-mean")?.base())?;
    let backbone = Arc::new(Backbone::load_with(&base_folder, DType::F64, &Device::Cpu)?);
    let method = Method::Lora(LoraConfig::query_value(2, 4.0, 1));
    let head = Head::Embedding(EmbeddingHead::of(Pooling::Mean));
    let model = StitchedModel::fresh(backbone, &method, Some(&head), 1)?;
    let (scratch, base) = (TempDir::new()?, base_folder.model(None)?);
    let adapter = AdapterToWrite {
        format: Format::Peft,
        method: &method,
        head: Some(&head),
        class: None,
        labels: &[],
        name: "x",
        base: &base,
        slots: &model.parameters().to_slots()?,
    };
    write_adapter(scratch.path(), &adapter)?;
    assert!(scratch.path().join(HEAD_CONFIG).is_file());
    assert_eq!(AdapterFolder::open(scratch.path())?.head, Some(head));
    // A fresh LoRA changes nothing: the numbers are those of the embedding alone.
    let case = Case::named("embedding-mean")?;
    case.ensure_equal(compute(&case, &case.base(), Some(scratch.path()))?, BAR)
}

#[test]
fn a_head_that_writes_word_by_word_gives_no_answers_at_once() -> Result<()> {
    let case = Case::named("causal-lm")?;
    let folder = case.adapter().context("a folder")?;
    let error = Predictor::open(&case.base(), &folder, &Compute::EXACT).expect_err("refused").to_string();
    let error = error.replace(&folder.display().to_string(), "DIR");
    insta::assert_snapshot!(error, @"the adapter in `DIR` has a `causal-lm` head; answers are read of heads for: classification, multi-label-classification, regression, embedding, multiple-choice, tagging, dependency-parsing, question-answering, masked-lm");
    Ok(())
}

/// The message about a `head_config.json` with changes to its `config`.
fn message(case: &str, changes: &[(&str, serde_json::Value)]) -> Result<String> {
    let (from, to) = (Case::named(case)?.adapter().context("a folder")?, TempDir::new()?);
    for file in ["model_head.safetensors", HEAD_CONFIG] {
        fs::copy(from.join(file), to.path().join(file))?;
    }
    let path = to.path().join(HEAD_CONFIG);
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&path)?)?;
    for (key, value) in changes {
        json["config"][*key] = value.clone();
    }
    fs::write(&path, json.to_string())?;
    let base = BaseFolder::open(&Case::named(case)?.base())?;
    let opened = AdapterFolder::open(to.path()).and_then(|folder| folder.read_slots(&base.config().shape));
    let error = opened.err().context("it is refused")?.to_string();
    Ok(error
        .replace(&format!("{}/", to.path().display()), "")
        .replace(&to.path().display().to_string(), "DIR"))
}

#[test]
fn what_a_head_says_of_itself_and_can_not_be_is_refused() -> Result<()> {
    let messages = [
        message("tagging", &[("head_type", "summarization".into())])?,
        message("tagging", &[("layers", 0.into())])?,
        message("tagging", &[("layers", 1_000_000_000_000_u64.into())])?,
        message("tagging", &[("num_labels", 4.into())])?,
        message("tagging", &[("activation_function", "maxout".into())])?,
        message("tagging", &[("bias", false.into())])?,
        message("question-answering", &[("num_labels", 3.into())])?,
        message("masked-lm", &[("vocab_size", serde_json::Value::Null)])?,
        message("masked-lm", &[("layer_norm", false.into())])?,
        message("classification", &[("surprise", 1.into())])?,
    ];
    insta::assert_snapshot!(messages.join("\n"), @r"
    `head_config.json`: `head_type` is `summarization`; this version reads classification, multilabel_classification, tagging, multiple_choice, question_answering, dependency_parsing, masked_lm, causal_lm, seq2seq_lm, embedding, image_classification
    `head_config.json`: `config` can't be used: the head has 0 layers; 1 to 8 are possible
    `head_config.json`: `config` can't be used: the head has 1000000000000 layers; 1 to 8 are possible
    `DIR` can't be loaded: the tensor `heads.probe.1.weight` in `model_head.safetensors` has shape [3, 24]; the base model and the configuration make it [4, 24]
    `head_config.json`: `activation_function` can't be used: the non-linearity `maxout` is not supported; these are: relu, gelu, gelu_new, swish, tanh, sigmoid, leakyrelu, mish, quick_gelu, relu6, relu2, gelu_10, laplace, linear
    `head_config.json`: `bias` is false; only true is supported in this version
    `head_config.json`: `num_labels` is 3; only 2 is supported in this version
    `head_config.json`: `vocab_size` is missing
    `DIR` can't be loaded: the tensor `heads.probe.2.weight` in `model_head.safetensors` has shape [24]; the base model and the configuration make it [26, 24]
    `head_config.json`: `surprise` is 1, which this version does not know
    ");
    Ok(())
}
