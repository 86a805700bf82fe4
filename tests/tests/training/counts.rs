//! How many weights `hub train --dry-run` counts, beside the numbers that the reference libraries have: bert-base and
//! MiniLM-L6, their dimensions without their weights.

use std::{
    fs::{self, File},
    io::Write as _,
};

use hub_formats::{
    architectures::TransformerConfig,
    checkpoint::{AdapterToWrite, BaseFolder, SlotData, write_adapter},
};
use hub_schemas::{
    Digest,
    layout::{Format, Slot, method_slots},
    method::{BottleneckConfig, Method},
};
use serde_json::{Map, Value, json};

use super::world::World;

/// Method and flags, then bert-base and MiniLM-L6: counted by running `adapters` 1.3.0, or by the formula of the paper where
/// neither library has the method.
const TABLE: &[(&[&str], usize, usize)] = &[
    (&["pfeiffer"], 894_528, 113_040),
    (&["pfeiffer", "--reduction-factor", "2"], 7_091_712, 888_192),
    (&["pfeiffer", "--reduction-factor", "12"], 1_189_632, 149_952),
    (&["pfeiffer", "--reduction-factor", "64"], 230_544, 29_988),
    (&["houlsby"], 1_789_056, 226_080),
    (&["houlsby", "--reduction-factor", "12"], 2_379_264, 299_904),
    (&["parallel"], 7_091_712, 888_192),
    (&["scaled-parallel"], 7_091_724, 888_198),
    (&["pfeiffer-inv"], 1_190_592, 187_344),
    (&["adapter-plus"], 165_984, 23_064),
    (&["compacter"], 57_088, 14_320),
    (&["compacter++"], 28_576, 7_192),
    (&["lora"], 294_912, 73_728),
    (&["lora", "--rank", "16"], 589_824, 147_456),
    (&["lora", "--targets", "query,key,value,ffn_up,ffn_down"], 1_179_648, 294_912),
    (&["ia3"], 55_296, 13_824),
    (&["dora"], 313_344, 78_336),
    (&["vera"], 18_624, 4_704),
    (&["prefix"], 9_872_384, 2_572_544),
    (&["prefix-flat"], 552_960, 138_240),
    (&["prompt"], 7_680, 3_840),
    (&["mam"], 22_493_984, 4_898_720),
    (&["unipelt"], 11_083_376, 2_760_872),
    (&["hadamard"], 36_864, 9_216),
];

/// The same of configurations in a file.
const FILES: &[(&str, usize, usize)] = &[
    // `LoReftConfig()`: half of the weights belong to positions that there are none of.
    (
        r#"{"architecture": "reft", "layers": "all", "prefix_positions": 3, "suffix_positions": 0, "r": 1,
            "orthogonality": true, "tied_weights": false, "subtract_projection": true, "dropout": 0.05,
            "non_linearity": null, "output_reft": true}"#,
        36_888,
        9_228,
    ),
    (
        r#"{"type": "llama-adapter", "adapter_len": 10, "adapter_layers": LAYERS, "gate": "head-tanh", "join": "heads"}"#,
        92_304,
        23_112,
    ),
    (r#"{"type": "hadamard", "position": "attention-output", "norms": []}"#, 18_432, 4_608),
    // `DoubleSeqBnInvConfig()`.
    (
        r#"{"mh_adapter": true, "output_adapter": true, "original_ln_before": false, "reduction_factor": 16,
            "non_linearity": "swish", "inv_adapter": "nice", "inv_adapter_reduction_factor": 2}"#,
        2_085_120,
        300_384,
    ),
    // `MTLLoRAConfig()`.
    (
        r#"{"architecture": "mtl_lora", "r": 8, "alpha": 8, "attn_matrices": ["q", "v"], "composition_mode": "add",
            "n_up_projection": 1, "task_specific_matrix_type": "singular_values", "weights_sharpness": 0.05}"#,
        295_128,
        73_836,
    ),
    // `VeraConfig()`: that library trains whole matrices where the paper has diagonals.
    (
        r#"{"architecture": "lora", "r": 8, "alpha": 8, "attn_matrices": ["q", "v"], "composition_mode": "add",
            "init_weights": "vera", "vera_d": 0.1, "vera_b": 0.0}"#,
        14_157_312,
        1_770_240,
    ),
];

/// `--fusion`, and what one attention over adapters behind every feed-forward network has.
const FUSIONS: &[(&str, usize, usize)] =
    &[("dynamic", 21_252_096, 2_658_816), ("static", 14_174_208, 1_774_080)];

/// A head of two linear layers for two labels.
const HEAD: (usize, usize) = (592_130, 148_610);

/// A backbone of these dimensions, its weights a hole in a file.
fn write_hollow(world: &World, name: &str, [hidden, layers, inner]: [usize; 3]) {
    let folder = world.path(name);
    fs::create_dir(&folder).expect("creates");
    let config = json!({
        "model_type": "bert", "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": 12,
        "intermediate_size": inner, "vocab_size": 24, "max_position_embeddings": 512, "type_vocab_size": 2,
    });
    fs::write(folder.join("config.json"), config.to_string()).expect("writes");
    fs::copy(world.base().join("tokenizer.json"), folder.join("tokenizer.json")).expect("copies");
    let config = TransformerConfig::from_json(config.as_object().expect("an object")).expect("a backbone");
    let (mut header, mut end) = (Map::new(), 0_usize);
    for tensor in config.tensors() {
        let start = end;
        end += 4 * tensor.shape.iter().product::<usize>();
        let name = tensor.names.into_iter().next().expect("a name");
        header.insert(name, json!({"dtype": "F32", "shape": tensor.shape, "data_offsets": [start, end]}));
    }
    let header = Value::Object(header).to_string();
    let mut file = File::create(folder.join("model.safetensors")).expect("creates");
    file.write_all(&(header.len() as u64).to_le_bytes()).expect("writes");
    file.write_all(header.as_bytes()).expect("writes");
    file.set_len((8 + header.len() + end) as u64).expect("grows");
}

/// A bottleneck for that backbone, all zeros.
fn write_member(world: &World, base: &str, name: &str) {
    let base = BaseFolder::open(&world.path(base)).expect("opens");
    let base = base.model_with_digest(Some(name), Digest::of(b""));
    let method = Method::Bottleneck(BottleneckConfig::pfeiffer(16.0));
    let zeros = |slot: &Slot| SlotData::from_f32(slot.shape.clone(), &vec![0.0; slot.len()]);
    let slots = method_slots(&method, &base.shape);
    let slots = slots.iter().map(|slot| (slot.name.clone(), zeros(slot))).collect();
    let (format, method, base, slots) = (Format::Adapters, &method, &base, &slots);
    let member = AdapterToWrite { format, method, head: None, class: None, labels: &[], name, base, slots };
    write_adapter(&world.path(name), &member).expect("writes");
}

fn counts(world: &World, base: &str, flags: &[&str]) -> Value {
    let start = ["train", "--base", base, "--data", "reviews.csv", "--dry-run"];
    world.json(&[&start[..], flags].concat())["trainable"].clone()
}

fn count(world: &World, base: &str, flags: &[&str]) -> Value {
    counts(world, base, flags)["method"].clone()
}

fn check(world: &World, base: &str, layers: usize, expected: impl Fn(usize, usize) -> usize) {
    for &(flags, bert, minilm) in TABLE {
        let flags = [&["--method"], flags].concat();
        assert_eq!(count(world, base, &flags), expected(bert, minilm), "{flags:?} on {base}");
    }
    for &(config, bert, minilm) in FILES {
        fs::write(world.path("method.json"), config.replace("LAYERS", &layers.to_string())).expect("writes");
        let found = count(world, base, &["--method-file", "method.json"]);
        assert_eq!(found, expected(bert, minilm), "{config} on {base}");
    }
    for name in ["a", "b"] {
        write_member(world, base, name);
    }
    for &(fusion, bert, minilm) in FUSIONS {
        let found = count(world, base, &["--fuse", "./a", "--fuse", "./b", "--fusion", fusion]);
        assert_eq!(found, expected(bert, minilm), "{fusion} fusion on {base}");
    }
    let head = ["--method", "pfeiffer", "--pooling", "first", "--head-layers", "2"];
    assert_eq!(counts(world, base, &head)["head"], expected(HEAD.0, HEAD.1), "a head on {base}");
}

#[test]
fn a_dry_run_on_bert_base_counts_what_the_libraries_count() {
    let world = World::new();
    write_hollow(&world, "bert-base", [768, 12, 3072]);
    check(&world, "bert-base", 12, |bert, _| bert);
}

#[test]
fn a_dry_run_on_minilm_counts_what_the_libraries_count() {
    let world = World::new();
    write_hollow(&world, "minilm", [384, 6, 1536]);
    check(&world, "minilm", 6, |_, minilm| minilm);
}
