//! The file that `adapters` needs beside bottlenecks that hang on projections.

use hub_schemas::{
    backbone::{Architecture, LinearSite, Module, SubLayer, Table, Variant},
    method::{Hooked, HookedAt, HookedResidual},
};
use serde_json::{Value, json};

use super::normalises_in_front;
use crate::checkpoint::adapters_config::WRITTEN_AS;

/// The block whose modules are named: in ModernBERT the first one lacks a norm.
const PROBE: usize = 1;

/// `path` without what stands in front.
fn below(path: &str, front: &str) -> String {
    path.strip_prefix(front).unwrap_or(path).to_owned()
}

/// The file for bottlenecks that hang so: what `init` of the library needs, for them alone.
pub(in crate::checkpoint) fn render(architecture: Architecture, variant: Variant, hooked: Hooked) -> Value {
    let block = format!("{}.", architecture.block_path(PROBE, variant));
    let path = |module: Module| {
        let path = architecture.has(module).then(|| architecture.module_path(module, variant));
        path.map(|path| below(&path, &block))
    };
    let linear = |site| path(Module::Linear { layer: PROBE, site });
    let attention = below(&architecture.attention_path(PROBE, variant), &block);
    // Where the last projection stands beside the module that projects, both stand in one.
    let holds_output =
        |at: &str| linear(LinearSite::AttentionOutput).is_some_and(|o| o.starts_with(&format!("{at}.")));
    let attention = match attention.rsplit_once('.') {
        Some((outer, _)) if !holds_output(&attention) => outer.to_owned(),
        _ => attention,
    };
    let in_attention = |site| linear(site).map(|path| below(&path, &format!("{attention}.")));
    let pre = |sublayer, at: HookedAt, input: Option<String>| match at.residual {
        HookedResidual::Nothing => None,
        HookedResidual::Carried if normalises_in_front(architecture) => {
            path(Module::Norm { layer: PROBE, sublayer })
        }
        HookedResidual::Carried | HookedResidual::Input => input,
    };
    let up = linear(LinearSite::FfnUp).or_else(|| linear(LinearSite::FfnGateUp));
    // The whole network where a module holds it, the layer that reads its input otherwise.
    let network = match (&up, linear(LinearSite::FfnDown)) {
        (Some(up), Some(down)) => match up.rsplit_once('.') {
            Some((outer, _)) if down.starts_with(&format!("{outer}.")) => Some(outer.to_owned()),
            _ => Some(up.clone()),
        },
        _ => None,
    };
    let norm = |at: HookedAt| at.norm.and_then(|norm| path(norm.module(PROBE)));
    let table = Module::Embedding(Table::Word);
    let embeddings = match path(table) {
        Some(table) if !architecture.has(Module::EmbeddingNorm) && !table.contains('.') => table,
        _ => "embeddings".to_owned(),
    };
    json!({
        "model_type": architecture.model_type(),
        "version": WRITTEN_AS,
        "interface": {
            "adapter_methods": ["bottleneck", "invertible"],
            "model_embeddings": embeddings,
            "model_layers": architecture.blocks(variant).concat().trim_end_matches('.'),
            "layer_self_attn": attention,
            "layer_cross_attn": Value::Null,
            "attn_o_proj": in_attention(LinearSite::AttentionOutput),
            "attn_q_proj": in_attention(LinearSite::Query),
            "attn_k_proj": in_attention(LinearSite::Key),
            "attn_v_proj": in_attention(LinearSite::Value),
            "attn_qkv_proj": in_attention(LinearSite::QueryKeyValue),
            "layer_intermediate_proj": up,
            "layer_output_proj": linear(LinearSite::FfnDown),
            "layer_pre_self_attn": pre(SubLayer::Attention, hooked.attention, Some(attention.clone())),
            "layer_pre_cross_attn": Value::Null,
            "layer_pre_ffn": pre(SubLayer::Ffn, hooked.ffn, network),
            "layer_ln_1": norm(hooked.attention),
            "layer_ln_2": norm(hooked.ffn),
            "base_model": Value::Null,
        },
    })
}
