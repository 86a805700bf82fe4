//! Files of PEFT that can't be read, each refused with its reason, and what a file may say without meaning anything.

use std::{fs, path::Path, sync::Arc};

use candle_core::DType;
use hub_client::{backbones::Backbone, model::StitchedModel};
use hub_formats::{
    architectures::View,
    checkpoint::{AdapterFolder, BaseFolder},
};
use hub_tests::golden::fixtures;
use serde_json::{Value, json};
use tempfile::TempDir;

/// What opening a case says, with these fields of its configuration changed.
fn opened(case: &str, changes: Value) -> Result<AdapterFolder, String> {
    let dir = TempDir::new().expect("a folder");
    let from = fixtures().join("methods/cases").join(case).join("adapter");
    for item in fs::read_dir(from).expect("reads") {
        let item = item.expect("an entry");
        fs::copy(item.path(), dir.path().join(item.file_name())).expect("copies");
    }
    change(&dir.path().join("adapter_config.json"), changes);
    AdapterFolder::open(dir.path())
        .map_err(|error| error.to_string().replace(&dir.path().display().to_string(), "[DIR]"))
}

fn change(path: &Path, changes: Value) {
    let mut json: Value = serde_json::from_slice(&fs::read(path).expect("reads")).expect("JSON");
    let (Value::Object(fields), Value::Object(changes)) = (&mut json, changes) else { panic!("no objects") };
    fields.extend(changes);
    fs::write(path, json.to_string()).expect("writes");
}

#[test]
fn a_type_that_is_not_read_is_refused_with_its_reason() {
    let said = |changes: Value| opened("peft-lora-qv", changes).expect_err("refused");
    let messages = [
        said(json!({"peft_type": "FOURIERFT", "random_loc_seed": 777})),
        said(json!({"peft_type": "WAVEFT", "random_loc_seed": 777})),
        said(json!({"peft_type": "UNILORA", "proj_seed": 42})),
        said(json!({"peft_type": "UNILORA", "save_indices": true})),
        said(json!({"peft_type": "PVERA", "save_projection": false})),
        said(json!({"peft_type": "PVERA"})),
        said(json!({"peft_type": "TINYLORA", "save_projection": false})),
        said(json!({"peft_type": "FROD", "save_projection": false})),
        said(json!({"peft_type": "PSOFT"})),
        said(json!({"peft_type": "POLY"})),
    ];
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn what_configured_an_initialisation_says_nothing_where_weights_are_plain() {
    let configs = json!({
        "corda_config": {"corda_method": "kpm", "cache_file": null},
        "lora_ga_config": {"direction": "ArB2r", "scale": "stable", "stable_gamma": 16},
        "eva_config": {"rho": 2.0},
    });
    let plain = opened("peft-lora-qv", json!({})).expect("opens");
    let configured = opened("peft-lora-qv", configs).expect("opens");
    assert_eq!(plain.method, configured.method);
    // What was never converted means something on other base weights; PEFT takes `OLoRA` in any case.
    for name in ["corda", "lora_ga", "pissa_niter_4", "loftq", "OLoRA"] {
        let changes = json!({"init_lora_weights": name, "corda_config": {"corda_method": "kpm"}});
        let error = opened("peft-lora-qv", changes).expect_err("refused");
        assert!(error.contains("it changed the base weights"), "{name}: {error}");
    }
}

#[test]
fn prompts_on_recordings_and_images_are_refused_as_peft_itself_can_not_run_them() {
    let methods = fixtures().join("methods");
    for (base, view) in
        [("whisper", View::Whole), ("whisper-classifier", View::Encoder), ("vit", View::Encoder)]
    {
        let base = BaseFolder::open_as(&methods.join("bases").join(base), view).expect("opens");
        let backbone = Backbone::load_with(&base, DType::F32, &hub_tests::device()).expect("loads");
        let backbone = Arc::new(backbone);
        for case in ["peft-prompt", "peft-p-tuning", "peft-prefix"] {
            let folder =
                AdapterFolder::open(&methods.join("cases").join(case).join("adapter")).expect("opens");
            let error = StitchedModel::load(backbone.clone(), &folder).expect_err("refused").to_string();
            assert!(error.contains("PEFT can't run it") && error.contains("input_ids"), "{case}: {error}");
        }
    }
}
