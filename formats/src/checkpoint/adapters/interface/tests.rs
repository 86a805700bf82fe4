//! Interfaces that mean something, and interfaces that mean nothing here.

use std::path::PathBuf;

use hub_schemas::{
    backbone::{Architecture, Variant},
    method::{Hooked, HookedAt, HookedNorm, HookedResidual},
};
use serde_json::{Value, json};

use super::{Plugged, render};

fn read(architecture: Architecture, json: &Value) -> Result<Plugged, String> {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join(super::INTERFACE), json.to_string()).expect("a file");
    Plugged::open(dir.path(), architecture, Variant::default()).map_err(|e| {
        let path: PathBuf = dir.path().into();
        e.to_string().replace(&path.display().to_string(), "DIR")
    })
}

/// What the library notes for a model type, with some names changed.
fn with(architecture: Architecture, changes: &Value) -> Value {
    let plain = HookedAt::plain(HookedResidual::Carried);
    let mut json = render(architecture, Variant::default(), Hooked { attention: plain, ffn: plain });
    for (field, value) in changes.as_object().expect("an object") {
        json["interface"][field] = value.clone();
    }
    json
}

fn hooked(architecture: Architecture, json: &Value) -> Result<Option<Hooked>, String> {
    read(architecture, json)?.hooked(architecture).map_err(|e| e.to_string())
}

#[test]
fn what_is_written_is_read_again() {
    use Architecture::{
        Bert, DebertaV2, Dinov2, DistilBert, Gemma, Gemma2, Gpt2, Llama, ModernBert, Qwen3, Roberta, Vit,
    };
    let norms = [None, Some(HookedNorm::Ffn), Some(HookedNorm::Attention)];
    for architecture in
        [Bert, DebertaV2, Dinov2, DistilBert, Gemma, Gemma2, Gpt2, Llama, ModernBert, Qwen3, Roberta, Vit]
    {
        for (residual, norm) in [HookedResidual::Carried, HookedResidual::Nothing].into_iter().zip(norms) {
            let hooked_at = HookedAt { residual, norm };
            let plain = HookedAt::plain(HookedResidual::Nothing);
            let expected = Hooked { attention: hooked_at, ffn: plain };
            let json = render(architecture, Variant::default(), expected);
            assert_eq!(hooked(architecture, &json), Ok(Some(expected)), "{architecture}: {json:#}");
        }
    }
    for architecture in [Gemma2, ModernBert] {
        let own = Hooked::of_library(architecture).expect("the library has one");
        let json = render(architecture, Variant::default(), own);
        assert_eq!(hooked(architecture, &json), Ok(Some(own)), "{architecture}: {json:#}");
    }
}

#[test]
fn an_interface_like_the_sub_layers_is_none() {
    for architecture in [Architecture::Llama, Architecture::Qwen2, Architecture::Gemma] {
        assert_eq!(hooked(architecture, &with(architecture, &json!({}))), Ok(None));
    }
    // There the library's own classes stand behind the norm.
    assert!(hooked(Architecture::Bert, &with(Architecture::Bert, &json!({}))).expect("read").is_some());
}

#[test]
fn names_that_lead_elsewhere_are_refused_by_field() {
    let refused = |architecture, field: &str, value: Value| {
        let json = with(architecture, &json!({ field: value }));
        let found = read(architecture, &json).and_then(|plugged| {
            let all = || {
                plugged.hooked(architecture)?;
                plugged.ffn_sites(architecture)?;
                plugged.check_attention()?;
                plugged.check_embeddings()
            };
            all().map_err(|e: crate::checkpoint::CheckpointError| e.to_string())
        });
        let error = found.err().unwrap_or_else(|| panic!("`{field}` = {value} passes on {architecture}"));
        assert!(error.contains(field), "{error}");
    };
    refused(Architecture::Llama, "model_layers", json!("blocks"));
    refused(Architecture::Llama, "layer_cross_attn", json!("cross"));
    refused(Architecture::Llama, "attn_o_proj", json!("q_proj"));
    refused(Architecture::Llama, "attn_q_proj", json!("k_proj"));
    refused(Architecture::Llama, "layer_output_proj", json!("mlp.up_proj"));
    refused(Architecture::Llama, "layer_intermediate_proj", json!("self_attn.q_proj"));
    refused(Architecture::Llama, "layer_pre_ffn", json!("mlp.down_proj"));
    refused(Architecture::Llama, "layer_pre_self_attn", json!("post_attention_layernorm"));
    refused(Architecture::Llama, "layer_ln_1", json!("norm"));
    refused(Architecture::Bert, "model_embeddings", json!("embeddings.word_embeddings"));
    refused(Architecture::Gpt2, "model_embeddings", json!("wte"));
    refused(Architecture::Llama, "something_new", json!("self_attn"));
}

#[test]
fn what_a_sub_layer_reads_is_told_from_what_goes_around_it() {
    use HookedResidual::{Carried, Input, Nothing};
    let residual = |architecture, changes: Value| {
        let found = hooked(architecture, &with(architecture, &changes)).expect("read").expect("hooked");
        (found.attention.residual, found.ffn.residual)
    };
    let modern = json!({ "layer_pre_self_attn": "attn", "layer_pre_ffn": "mlp" });
    assert_eq!(residual(Architecture::ModernBert, modern), (Input, Input));
    let bert = json!({ "layer_pre_self_attn": "attention", "layer_pre_ffn": "intermediate" });
    assert_eq!(residual(Architecture::Bert, bert), (Carried, Carried));
    let none = json!({ "layer_pre_self_attn": null, "layer_pre_ffn": "mlp.up_proj" });
    assert_eq!(residual(Architecture::Llama, none), (Nothing, Input));
}
