//! `AdaptionPromptConfig`: LLaMA-Adapter with one gate per layer.

use hub_schemas::{
    backbone::{Architecture, Variant},
    layout::prompt_join,
    method::{LlamaAdapterConfig, Method, PromptGate},
};
use serde_json::{Value, json};

use super::{super::fields::Fields, File};
use crate::checkpoint::CheckpointError;

pub(super) fn parse(fields: &mut Fields, file: &File<'_>) -> Result<Method, CheckpointError> {
    let expected = own_module(file.architecture);
    fields.only("target_modules", &json!(expected))?;
    let mut count = |field| fields.count(field)?.ok_or_else(|| fields.wrong(field, "is missing"));
    let (adapter_len, adapter_layers) = (count("adapter_len")?, count("adapter_layers")?);
    let gate = PromptGate::Scalar;
    let join = prompt_join(gate, file.architecture);
    Ok(Method::LlamaAdapter(LlamaAdapterConfig { adapter_len, adapter_layers, gate, join, image: None }))
}

pub(super) fn render(architecture: Architecture, config: &LlamaAdapterConfig) -> Value {
    json!({
        "adapter_layers": config.adapter_layers,
        "adapter_len": config.adapter_len,
        "peft_type": "ADAPTION_PROMPT",
        "target_modules": own_module(architecture),
    })
}

/// The last part of the attention's path: `self_attn`.
fn own_module(architecture: Architecture) -> String {
    let path = architecture.attention_path(0, Variant::default());
    path.rsplit('.').next().unwrap_or_default().to_owned()
}
