//! From `llama.cpp`'s tensor names to those of `transformers`.

use super::{
    GgufError,
    metadata::{Meta, Metadata},
    required,
};

/// Architectures that are read.
const KNOWN: &str = "llama (LLaMA, SmolLM, Mistral)";

/// Tensors of a layer.
const LAYER: [(&str, &str); 9] = [
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

/// A tensor's name, and the heads by which its rows are to be put in order.
pub(super) struct Named {
    pub(super) name: String,
    pub(super) turned_heads: Option<usize>,
}

/// What decides names.
pub(super) struct Naming {
    heads: usize,
    kv_heads: usize,
}

impl Naming {
    pub(super) fn of(metadata: &Metadata) -> Result<Self, GgufError> {
        let found = required(metadata, "general.architecture")?.text().unwrap_or_default();
        if found != "llama" {
            return Err(GgufError::Architecture { found: found.to_owned(), known: KNOWN });
        }
        let heads = |key: &str| metadata.get(key).and_then(Meta::count).map(|n| n as usize);
        let all = heads("llama.attention.head_count")
            .ok_or_else(|| GgufError::Missing("llama.attention.head_count".to_owned()))?;
        Ok(Self { heads: all, kv_heads: heads("llama.attention.head_count_kv").unwrap_or(all) })
    }

    /// `llama.cpp` turns pairs of neighbours where `transformers` turns halves, so that its
    /// converter interleaves the rows of queries and keys.
    pub(super) fn name(&self, name: &str) -> Result<Named, GgufError> {
        let plain = |name: &str| Ok(Named { name: name.to_owned(), turned_heads: None });
        match name {
            "token_embd.weight" => return plain("model.embed_tokens.weight"),
            "output_norm.weight" => return plain("model.norm.weight"),
            "output.weight" => return plain("lm_head.weight"),
            _ => {}
        }
        let unknown = || GgufError::Tensor(name.to_owned());
        let (layer, part) =
            name.strip_prefix("blk.").and_then(|rest| rest.split_once('.')).ok_or_else(unknown)?;
        let layer: usize = layer.parse().map_err(|_| unknown())?;
        let part = part.strip_suffix(".weight").ok_or_else(unknown)?;
        let (_, module) = LAYER.iter().find(|(own, _)| *own == part).ok_or_else(unknown)?;
        let turned_heads = match part {
            "attn_q" => Some(self.heads),
            "attn_k" => Some(self.kv_heads),
            _ => None,
        };
        Ok(Named { name: format!("model.layers.{layer}.{module}.weight"), turned_heads })
    }
}
