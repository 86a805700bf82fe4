//! Adapters that the Python libraries pickled mean what their safetensors mean.

use std::{
    fs,
    path::{Path, PathBuf},
};

use hub_schemas::{
    layout::Format,
    manifest::BaseModel,
    {AdapterId, Version},
};
use tempfile::TempDir;

use super::fixture;
use crate::checkpoint::{
    AdapterFolder, BaseFolder, CheckpointError, ManifestFacts, TensorFile, assemble_manifest, convert,
    weights::stored_name,
};

/// The same adapter as the library saves it with safetensors.
fn plain(case: &str) -> PathBuf {
    fixture("..").join(case).join("adapter")
}

/// A folder with the configuration of `case` and its weights pickled.
fn pickled(case: &str) -> TempDir {
    let dir = TempDir::new().expect("a folder");
    let configurations = fs::read_dir(plain(case)).expect("lists").map(|e| e.expect("an entry").path());
    let weights = fs::read_dir(fixture(case)).expect("lists").map(|e| e.expect("an entry").path());
    for path in configurations.filter(|p| p.extension().is_some_and(|e| e == "json")).chain(weights) {
        fs::copy(&path, dir.path().join(path.file_name().expect("a name"))).expect("copies");
    }
    dir
}

fn base() -> BaseModel {
    BaseFolder::open(&fixture("../tiny-bert")).and_then(|b| b.model(Some("tiny"))).expect("the base opens")
}

#[test]
fn adapters_and_heads_are_read_like_their_safetensors() {
    let base = base();
    for case in ["adapters-pfeiffer", "peft-lora-classifier"] {
        let dir = pickled(case);
        let [plain, pickled] = [plain(case).as_path(), dir.path()].map(|dir| {
            let folder = AdapterFolder::open(dir).expect("opens");
            folder.check_fit(&base.shape).expect("fits");
            (folder.method.clone(), folder.head.clone(), folder.read_slots(&base.shape).expect("reads"))
        });
        assert_eq!(plain, pickled, "{case}");
    }
}

#[test]
fn a_pickled_adapter_converts_to_the_same_bytes_as_its_safetensors() {
    for (case, format, name, file) in [
        ("adapters-pfeiffer", Format::Adapters, "probe", "adapter.safetensors"),
        ("peft-lora-classifier", Format::Peft, "default", "adapter_model.safetensors"),
    ] {
        let (dir, out) = (pickled(case), TempDir::new().expect("a folder"));
        let [plain, pickled] =
            [(plain(case).as_path(), "plain"), (dir.path(), "pickled")].map(|(dir, to)| {
                let (folder, to) = (AdapterFolder::open(dir).expect("opens"), out.path().join(to));
                convert(&folder, &base(), format, name, &to).expect("converts");
                fs::read(to.join(file)).expect("reads")
            });
        assert!(plain == pickled, "{case}");
    }
}

#[test]
fn safetensors_win_over_the_pickle_beside_them() {
    let dir = pickled("adapters-pfeiffer");
    fs::write(dir.path().join("pytorch_adapter.bin"), b"cos\nsystem\n").expect("writes");
    fs::copy(plain("adapters-pfeiffer").join("adapter.safetensors"), dir.path().join("adapter.safetensors"))
        .expect("copies");
    let folder = AdapterFolder::open(dir.path()).expect("opens");
    folder.read_slots(&base().shape).expect("reads");
    assert_eq!(stored_name(dir.path(), "adapter.safetensors"), "adapter.safetensors");
    assert_eq!(stored_name(dir.path(), "model_head.safetensors"), "pytorch_model_head.bin");
    assert_eq!(
        stored_name(dir.path(), "model_adapter_fusion.safetensors"),
        "model_adapter_fusion.safetensors",
        "neither is there"
    );
}

#[test]
fn an_error_about_a_pickled_tensor_names_the_pickled_file() {
    let dir = pickled("adapters-pfeiffer");
    fs::copy(fixture("module.bin"), dir.path().join("pytorch_model_head.bin")).expect("copies");
    let folder = AdapterFolder::open(dir.path()).expect("opens");
    let error = folder.read_slots(&base().shape).expect_err("refused").to_string();
    assert!(error.contains("`pytorch_model_head.bin` lacks the tensor"), "{error}");
}

fn facts() -> ManifestFacts {
    ManifestFacts {
        name: "ada/x".parse::<AdapterId>().expect("a name"),
        version: "1.0.0".parse::<Version>().expect("a version"),
        task: "sentiment".parse().expect("a task"),
        subtask: None,
        labels: vec!["low".into(), "middle".into(), "high".into()],
        languages: Vec::new(),
        license: "mit".parse().expect("a licence"),
        description: String::new(),
        metrics: Vec::new(),
        training: None,
        origin: None,
        dependencies: Vec::new(),
    }
}

#[test]
fn a_pickled_adapter_is_not_published() {
    let dir = pickled("adapters-pfeiffer");
    let refused = |dir: &Path| {
        let folder = AdapterFolder::open(dir).expect("opens");
        match assemble_manifest(&folder, &base(), facts()).expect_err("refused") {
            error @ CheckpointError::PublishesPickle { .. } => error.to_string(),
            other => panic!("{other}"),
        }
    };
    let message = refused(dir.path());
    assert!(message.contains("pytorch_adapter.bin` is a pickle"), "{message}");
    fs::remove_file(dir.path().join("pytorch_adapter.bin")).expect("removes");
    fs::copy(plain("adapters-pfeiffer").join("adapter.safetensors"), dir.path().join("adapter.safetensors"))
        .expect("copies");
    let message = refused(dir.path());
    assert!(message.contains("pytorch_model_head.bin` is a pickle"), "{message}");
}

#[test]
fn an_index_of_safetensors_names_no_pickle() {
    let dir = TempDir::new().expect("a folder");
    let at = |name: &str| dir.path().join(name);
    fs::copy(fixture("../tiny-bert/config.json"), at("config.json")).expect("copies");
    fs::copy(fixture("module.bin"), at("pytorch_model.bin")).expect("copies");
    let refused = |part: &str| {
        let message = BaseFolder::open(dir.path()).expect_err("refused").to_string();
        assert!(message.contains(part), "{message}");
    };
    refused("it lacks the tensor `embeddings.word_embeddings.weight`");
    let index = r#"{"weight_map": {"embeddings.word_embeddings.weight": "pytorch_model.bin"}}"#;
    fs::write(at("model.safetensors.index.json"), index).expect("writes");
    refused("names `pytorch_model.bin`, which is no safetensors file");
}

#[test]
fn a_backbone_that_would_run_code_is_refused() {
    let dir = TempDir::new().expect("a folder");
    fs::copy(fixture("../tiny-bert/config.json"), dir.path().join("config.json")).expect("copies");
    fs::copy(fixture("malicious.bin"), dir.path().join("pytorch_model.bin")).expect("copies");
    let message = BaseFolder::open(dir.path()).expect_err("refused").to_string();
    assert!(message.contains("asks for `posix.system`"), "{message}");
}

#[test]
fn a_file_that_would_run_code_says_so_and_what_to_do() {
    let error = TensorFile::open(&fixture("malicious.bin")).expect_err("refused");
    assert!(error.to_string().contains("asks for `posix.system`"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("only if you trust")));
}
