//! A tiny LLaMA in a GGUF file, of any kind of blocks and written by candle, and a folder of the numbers it stands for.

use std::{collections::HashMap, fs, path::Path};

use candle_core::{
    Device, Tensor,
    quantized::{
        GgmlDType, QTensor,
        gguf_file::{self, Value},
    },
};

/// Wide enough for one block of 256.
const HIDDEN: usize = 256;
const FFN: usize = 512;
const VOCABULARY: usize = 40;
const HEADS: usize = 4;
const KV_HEADS: usize = 2;
/// Blocks of the transformer.
pub const LAYERS: usize = 2;

/// Name in a GGUF file, name in `transformers`, rows, columns, heads whose rows are interleaved.
type Spec = (String, String, usize, usize, Option<usize>);

fn specs() -> Vec<Spec> {
    let keys = HIDDEN / HEADS * KV_HEADS;
    let mut specs = vec![(
        "token_embd.weight".to_owned(),
        "model.embed_tokens.weight".to_owned(),
        VOCABULARY,
        HIDDEN,
        None,
    )];
    for layer in 0..LAYERS {
        for (ours, theirs, rows, columns, heads) in [
            ("attn_q", "self_attn.q_proj", HIDDEN, HIDDEN, Some(HEADS)),
            ("attn_k", "self_attn.k_proj", keys, HIDDEN, Some(KV_HEADS)),
            ("attn_v", "self_attn.v_proj", keys, HIDDEN, None),
            ("attn_output", "self_attn.o_proj", HIDDEN, HIDDEN, None),
            ("ffn_gate", "mlp.gate_proj", FFN, HIDDEN, None),
            ("ffn_up", "mlp.up_proj", FFN, HIDDEN, None),
            ("ffn_down", "mlp.down_proj", HIDDEN, FFN, None),
        ] {
            let name = format!("model.layers.{layer}.{theirs}.weight");
            specs.push((format!("blk.{layer}.{ours}.weight"), name, rows, columns, heads));
        }
    }
    specs
}

/// Names and places of norms.
fn norms() -> Vec<(String, String)> {
    let mut norms = vec![("output_norm.weight".to_owned(), "model.norm.weight".to_owned())];
    for layer in 0..LAYERS {
        for (ours, theirs) in [("attn_norm", "input_layernorm"), ("ffn_norm", "post_attention_layernorm")] {
            norms.push((
                format!("blk.{layer}.{ours}.weight"),
                format!("model.layers.{layer}.{theirs}.weight"),
            ));
        }
    }
    norms
}

/// Numbers of either sign, other ones for every seed.
pub fn values(count: usize, seed: usize, scale: f32) -> Vec<f32> {
    (0..count)
        .map(|i| scale * (0.37 * i as f32 + 1.3 * seed as f32).sin() * (0.011 * i as f32).cos())
        .collect()
}

/// Halves of every head's rows from interleaved pairs.
fn halves(interleaved: &Tensor, heads: usize) -> Tensor {
    let (rows, columns) = interleaved.dims2().expect("a matrix");
    let apart = interleaved.reshape((heads, rows / heads / 2, 2, columns)).expect("pairs");
    apart.transpose(1, 2).and_then(|t| t.contiguous()?.reshape((rows, columns))).expect("halves")
}

/// Writes `model.gguf` and the folder `dense` of the numbers it stands for.
pub fn write_gguf(dir: &Path, kind: GgmlDType) {
    let device = Device::Cpu;
    let mut quantised: Vec<(String, QTensor)> = Vec::new();
    let mut dense: HashMap<String, Tensor> = HashMap::new();
    for (seed, (ours, theirs, rows, columns, heads)) in specs().into_iter().enumerate() {
        let tensor =
            Tensor::from_vec(values(rows * columns, seed, 0.2), (rows, columns), &device).expect("a tensor");
        let stored = QTensor::quantize(&tensor, kind).expect("quantises");
        let restored = stored.dequantize(&device).expect("restores");
        dense.insert(theirs, heads.map_or_else(|| restored.clone(), |heads| halves(&restored, heads)));
        quantised.push((ours, stored));
    }
    for (seed, (ours, theirs)) in norms().into_iter().enumerate() {
        let weight: Vec<f32> = values(HIDDEN, seed, 0.1).into_iter().map(|v| 1.0 + v).collect();
        let tensor = Tensor::from_vec(weight, HIDDEN, &device).expect("a tensor");
        quantised.push((ours, QTensor::quantize(&tensor, GgmlDType::F32).expect("stores")));
        dense.insert(theirs, tensor);
    }
    let number = |value: usize| Value::U32(value as u32);
    let metadata = [
        ("general.architecture", Value::String("llama".into())),
        ("llama.block_count", number(LAYERS)),
        ("llama.context_length", number(64)),
        ("llama.embedding_length", number(HIDDEN)),
        ("llama.feed_forward_length", number(FFN)),
        ("llama.attention.head_count", number(HEADS)),
        ("llama.attention.head_count_kv", number(KV_HEADS)),
        ("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5)),
        ("llama.rope.freq_base", Value::F32(10_000.0)),
    ];
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(key, value)| (*key, value)).collect();
    let tensors: Vec<(&str, &QTensor)> =
        quantised.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let mut file = fs::File::create(dir.join("model.gguf")).expect("creates");
    gguf_file::write(&mut file, &metadata, &tensors).expect("writes");
    let folder = dir.join("dense");
    fs::create_dir(&folder).expect("creates");
    let config = serde_json::json!({
        "model_type": "llama", "hidden_size": HIDDEN, "num_hidden_layers": LAYERS, "intermediate_size": FFN,
        "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "vocab_size": VOCABULARY,
        "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
        "tie_word_embeddings": true,
    });
    fs::write(folder.join("config.json"), config.to_string()).expect("writes");
    candle_core::safetensors::save(&dense, folder.join("model.safetensors")).expect("writes");
}
