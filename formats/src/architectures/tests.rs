//! What a `config.json` can say and nothing here computes is refused by the name of its key, for every architecture.

use std::{fs, path::Path};

use hub_schemas::backbone::Architecture;
use serde_json::{Map, Value, json};

use super::{Positions, Rope, RopeScaling, TransformerConfig, View};

type Json = Map<String, Value>;

/// The `config.json` of a backbone of the fixtures.
fn base(name: &str) -> Json {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/methods/bases");
    let bytes = fs::read(path.join(name).join("config.json")).expect("a configuration");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// The folder of the fixtures that has an architecture in its plainest form.
fn folder(architecture: Architecture) -> &'static str {
    match architecture.model_type() {
        "deberta-v2" => "deberta",
        other => other,
    }
}

/// With other values; a null takes the key out.
fn with(mut json: Json, changes: &Value) -> Json {
    for (key, value) in changes.as_object().expect("an object") {
        match value {
            Value::Null => json.remove(key),
            value => json.insert(key.clone(), value.clone()),
        };
    }
    json
}

/// Fails unless these changes are refused and the error names the key.
fn refuses(architecture: Architecture, changes: &Value, key: &str) {
    let json = with(base(folder(architecture)), changes);
    // What says nothing of a decoder is refused with one, if not without.
    let read = [View::Encoder, View::Whole].map(|view| TransformerConfig::of(&json, view));
    let error = read.into_iter().find_map(Result::err);
    let message = error.unwrap_or_else(|| panic!("{architecture}: {changes} is taken")).to_string();
    assert!(message.contains(&format!("`{key}`")), "{architecture}: {changes} is refused by: {message}");
}

/// A case: keys with values of which one is refused, and the key that the error names where it is not the only one.
type Case = (Value, Option<&'static str>);

fn one(changes: Value) -> Case {
    (changes, None)
}

/// What each architecture refuses.
fn refused(architecture: Architecture) -> Vec<Case> {
    use Architecture as A;
    let mut all = vec![
        one(json!({"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": true}})),
        one(json!({"quantization_config": {}})),
        one(json!({"compression_config": {"format": "pack-quantized"}})),
        one(json!({"layer_types": "full_attention"})),
        one(json!({"layer_types": ["chunked_attention", "full_attention"]})),
        one(json!({"layer_types": ["sliding_attention"]})),
    ];
    if !architecture.reads_images() {
        all.extend([one(json!({"pad_token_id": 1_u64 << 32})), one(json!({"pad_token_id": "none"}))]);
    }
    all.extend(of_encoders(architecture));
    all.extend(behind_or_ahead(architecture));
    if [A::Llama, A::Mistral, A::Qwen2, A::Qwen3, A::Gemma, A::Gemma2].contains(&architecture) {
        all.extend(of_turned_decoders());
    }
    all.extend(match architecture {
        A::Gemma | A::Gemma2 => vec![one(json!({"use_bidirectional_attention": true}))],
        A::Llama | A::Qwen2 | A::Qwen3 => {
            let mut all = vec![one(json!({"layer_types": ["full_attention", "sliding_attention"]}))];
            if architecture != A::Llama {
                let layers = json!({"use_sliding_window": true, "max_window_layers": "all"});
                all.push(one(layers).named("max_window_layers"));
            }
            all
        }
        A::Mistral => {
            vec![
                one(json!({"layer_types": ["full_attention", "full_attention"], "sliding_window": 4}))
                    .named("layer_types"),
            ]
        }
        _ => vec![],
    });
    all
}

fn of_encoders(architecture: Architecture) -> Vec<Case> {
    use Architecture as A;
    let mut all = Vec::new();
    let bert = [A::Bert, A::Roberta, A::XlmRoberta, A::Electra, A::Albert, A::DebertaV2];
    if bert.contains(&architecture) {
        all.extend([
            one(json!({"position_embedding_type": "relative_key_query"})),
            one(json!({"is_decoder": true})),
            one(json!({"layer_norm_eps": 2})),
            one(json!({"hidden_act": "snake"})),
            one(json!({"max_position_embeddings": 0})),
        ]);
    }
    all.extend(match architecture {
        A::Roberta | A::XlmRoberta => vec![one(json!({"pad_token_id": 1 << 20}))],
        A::Albert => vec![one(json!({"inner_group_num": 2})), one(json!({"num_hidden_groups": 9}))],
        A::DistilBert => vec![one(json!({"activation": "snake"})), one(json!({"attention_dropout": 2}))],
        A::DebertaV2 => vec![
            one(json!({"embedding_size": 7})),
            one(json!({"pooler_hidden_size": 7})),
            one(json!({"attention_head_size": 7})),
            one(json!({"pos_att_type": ["p2p"]})),
            one(json!({"pooler_hidden_act": "snake"})),
            one(json!({"conv_kernel_size": 2})),
            one(json!({"conv_kernel_size": 3, "conv_groups": 7})).named("conv_groups"),
            one(json!({"conv_kernel_size": 3, "conv_act": "snake"})).named("conv_act"),
        ],
        A::Vit | A::Dinov2 => vec![
            one(json!({"hidden_act": "snake"})),
            one(json!({"qkv_bias": "yes"})),
            one(json!({"image_size": 1})),
            one(json!({"patch_size": [1, 2, 3]})),
            one(json!({"layer_norm_eps": 2})),
        ],
        A::ModernBert => vec![
            one(json!({"rope_scaling": {"rope_type": "linear", "factor": 2.0}})),
            one(json!({"global_attn_every_n_layers": 0})),
            one(json!({"classifier_pooling": "max"})),
            one(json!({"hidden_activation": "snake"})),
            one(json!({"classifier_activation": "snake"})),
            one(json!({"global_rope_theta": -1.0})),
            one(json!({"local_rope_theta": "far"})),
            one(json!({"rope_parameters": {"rope_type": "default", "rope_theta": 1e4}})),
            one(json!({"rope_parameters": {"full_attention": {"rope_type": "yarn", "factor": 2.0}}})),
            one(json!({"rope_parameters": {"full_attention": 1e4}})),
            one(json!({"rope_parameters": {"full_attention": {"rope_theta": 1e4}}})),
            one(json!({"rope_parameters": {"sliding_attention": {"partial_rotary_factor": 0.5}}}))
                .named("partial_rotary_factor"),
            one(json!({"layer_types": ["full_attention", "full_attention", "full_attention"]})),
        ],
        _ => vec![],
    });
    all
}

/// Decoders with learned positions, and those behind an encoder.
fn behind_or_ahead(architecture: Architecture) -> Vec<Case> {
    use Architecture as A;
    match architecture {
        A::Whisper => vec![
            one(json!({"activation_function": "snake"})),
            one(json!({"num_mel_bins": 1 << 20})),
            one(json!({"use_weighted_layer_sum": "yes"})),
            one(json!({"is_causal": false})),
            one(json!({"decoder_start_token_id": 1 << 20})),
        ],
        A::Gpt2 => vec![
            one(json!({"scale_attn_weights": false})),
            one(json!({"scale_attn_by_inverse_layer_idx": true})),
            one(json!({"add_cross_attention": true})),
            one(json!({"activation_function": "snake"})),
            one(json!({"is_causal": false})),
        ],
        A::Bart | A::MBart => vec![
            one(json!({"normalize_before": architecture == A::Bart})),
            one(json!({"add_final_layer_norm": architecture == A::Bart})),
            one(json!({"normalize_embedding": false})),
            one(json!({"static_position_embeddings": true})),
            one(json!({"extra_pos_embeddings": 1})),
            one(json!({"is_encoder_decoder": false})),
            one(json!({"tie_word_embeddings": false})),
            one(json!({"activation_function": "snake"})),
            one(json!({"decoder_start_token_id": 1 << 20})),
            one(json!({"is_causal": false})),
        ],
        A::T5 | A::Mt5 => vec![
            one(json!({"scale_decoder_outputs": architecture == A::Mt5})),
            one(json!({"dense_act_fn": "snake"})),
            one(json!({"feed_forward_proj": "snake", "dense_act_fn": null})).named("feed_forward_proj"),
            one(json!({"feed_forward_proj": "very-gated-gelu"})),
            one(json!({"is_gated_act": "yes"})),
            one(json!({"relative_attention_num_buckets": 6})),
            one(json!({"relative_attention_max_distance": 1})),
            one(json!({"decoder_start_token_id": 1 << 20})),
            one(json!({"is_causal": false})),
        ],
        _ => vec![],
    }
}

fn of_turned_decoders() -> Vec<Case> {
    let kinds = json!({"full_attention": {"rope_type": "default", "rope_theta": 1e4}});
    let llama3 = json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16});
    vec![
        one(json!({"is_causal": false})),
        one(json!({"partial_rotary_factor": 0.5})),
        one(json!({"head_dim": 3})),
        one(json!({"attention_bias": "yes"})),
        one(json!({"rope_theta": 0})),
        one(json!({"rope_scaling": "linear"})),
        one(json!({"rope_scaling": {"factor": 2.0}})),
        one(json!({"rope_scaling": {"rope_type": "longrope", "factor": 2.0}})),
        one(json!({"rope_scaling": {"rope_type": "linear"}})).named("factor"),
        one(json!({"rope_scaling": {"rope_type": "linear", "type": "dynamic", "factor": 2.0}}))
            .named("rope_type"),
        one(json!({"rope_scaling": {"rope_type": "default", "mrope_section": [1, 1, 1]}}))
            .named("mrope_section"),
        one(json!({"rope_parameters": [1e4]})),
        one(json!({"rope_parameters": {"rope_type": "proportional", "rope_theta": 1e4}})),
        one(json!({"rope_parameters": kinds})),
        one(json!({"rope_parameters": {"rope_theta": 5e5}})),
        one(json!({"rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.25}}))
            .named("partial_rotary_factor"),
        one(json!({"rope_parameters": {"rope_type": "linear", "factor": 2.0},
            "rope_scaling": {"rope_type": "linear", "factor": 4.0}}))
        .named("rope_parameters"),
        one(json!({"rope_parameters": llama3, "original_max_position_embeddings": 32}))
            .named("original_max_position_embeddings"),
    ]
}

/// The key that an error names, where a case changes more than that.
trait Named {
    fn named(self, key: &'static str) -> Self;
}

impl Named for Case {
    fn named(self, key: &'static str) -> Self {
        (self.0, Some(key))
    }
}

#[test]
fn what_is_not_computed_is_refused_by_the_name_of_its_key() {
    for architecture in Architecture::ALL {
        let plain = base(folder(architecture));
        for view in [View::Encoder, View::Whole] {
            TransformerConfig::of(&plain, view).unwrap_or_else(|error| panic!("{architecture}: {error}"));
        }
        for (changes, named) in refused(architecture) {
            let own = changes.as_object().and_then(|changes| changes.keys().next()).expect("a key");
            refuses(architecture, &changes, named.unwrap_or(own));
        }
    }
}

#[test]
fn an_unknown_architecture_is_refused_by_its_name() {
    for (model_type, named) in [(json!("mamba"), "mamba"), (json!(7), "(none)"), (Value::Null, "(none)")] {
        let json = with(base("bert"), &json!({"model_type": model_type}));
        let message = TransformerConfig::from_json(&json).expect_err("refused").to_string();
        assert!(message.contains(named), "{message}");
    }
}

#[test]
fn a_missing_dimension_is_refused_by_the_name_of_its_key() {
    for architecture in Architecture::ALL {
        let has = |key: &str| base(folder(architecture)).contains_key(key);
        let keys =
            ["hidden_size", "d_model", "n_embd", "dim", "num_attention_heads", "n_heads", "n_head", "d_ff"];
        // Attributes that the library writes beside the keys it reads.
        let is_read = |key: &str| !(key == "hidden_size" && (has("d_model") || has("n_embd")));
        for key in keys.into_iter().filter(|key| has(key) && is_read(key)) {
            refuses(architecture, &json!({key: null}), key);
            refuses(architecture, &json!({key: 0}), key);
        }
    }
}

#[test]
fn no_number_is_too_large_to_be_answered() {
    for architecture in Architecture::ALL {
        let plain = base(folder(architecture));
        for key in plain.iter().filter(|(_, value)| value.is_number()).map(|(key, _)| key) {
            for number in [1 << 16, u64::from(u32::MAX), 1 << 62, 1 << 63, u64::MAX] {
                let json = with(plain.clone(), &json!({ key: number }));
                for view in [View::Encoder, View::Whole] {
                    // Taken or refused, but neither by a sum that overflows.
                    drop(TransformerConfig::of(&json, view).map(|config| config.tensors()));
                }
            }
        }
    }
}

/// The positions of a decoder with these changes.
fn positions(changes: &Value) -> Positions {
    let json = with(base("llama"), changes);
    TransformerConfig::from_json(&json).expect("a decoder").positions
}

#[test]
fn either_form_of_rotary_positions_says_the_same() {
    let plain = Positions::Rotary(Rope { theta: 5e5, scaling: RopeScaling::None });
    let newer = json!({"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}, "rope_theta": null});
    assert_eq!(positions(&newer), plain);
    assert_eq!(positions(&json!({"rope_theta": 5e5})), plain);
    let both = json!({"rope_theta": 5e5, "partial_rotary_factor": 1, "is_causal": true,
        "rope_parameters": {"rope_theta": 500_000, "partial_rotary_factor": 1.0},
        "layer_types": ["full_attention", "full_attention"]});
    assert_eq!(positions(&both), plain);
    let yarn = json!({"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 16});
    let with_theta = with(yarn.as_object().expect("an object").clone(), &json!({"rope_theta": 5e5}));
    let older = positions(&json!({"rope_theta": 5e5, "rope_scaling": yarn}));
    assert_eq!(positions(&json!({"rope_parameters": with_theta, "rope_theta": null})), older);
}

#[test]
fn modernbert_of_version_5_of_the_library_is_that_of_version_4() {
    let older = base("modernbert");
    // Without the key that the library keeps beside `layer_types`.
    let newer = with(
        older.clone(),
        &json!({"global_rope_theta": null, "local_rope_theta": null, "global_attn_every_n_layers": null,
            "layer_types": ["full_attention", "sliding_attention", "full_attention"],
            "rope_parameters": {"full_attention": {"rope_theta": 160_000.0, "rope_type": "default"},
                "sliding_attention": {"rope_theta": 10_000.0, "rope_type": "default"}}}),
    );
    let read = |json| TransformerConfig::from_json(json).expect("an encoder");
    assert_eq!(read(&newer), read(&older));
    let other = json!({"rope_parameters": {"sliding_attention": {"rope_theta": 777.0}}});
    let local = read(&with(newer.clone(), &other)).encoder.local.expect("local layers");
    assert_eq!((local.rope.theta.to_bits(), local.every), (777.0_f64.to_bits(), 2));
}

/// `tests/fixtures/configurations/make.py` made them.
#[test]
fn what_version_5_of_the_library_writes_is_the_same_backbone_or_refused_by_name() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/configurations");
    let bytes = fs::read(path.join("transformers-5.json")).expect("configurations");
    let all: Json = serde_json::from_slice(&bytes).expect("JSON");
    let mut refused = Vec::new();
    for (name, newer) in all {
        let older = base(&name);
        for view in [View::Encoder, View::Whole] {
            match TransformerConfig::of(newer.as_object().expect("an object"), view) {
                Ok(found) => assert_eq!(Ok(found), TransformerConfig::of(&older, view), "{name}"),
                Err(error) => refused.push(format!("{name}: {error}")),
            }
        }
    }
    refused.dedup();
    let expected = [
        "mt5: `tie_word_embeddings` is true; what `transformers` 5 writes does not say whether mT5's output is scaled",
        "t5-flan: `scale_decoder_outputs` is false; only the usual value is supported in this version",
    ];
    assert_eq!(refused, expected);
}

#[test]
fn an_output_of_mt5_that_version_5_of_the_library_wrote_is_refused() {
    let tied = |version: &str| {
        let changes = json!({"tie_word_embeddings": true, "transformers_version": version});
        TransformerConfig::from_json(&with(base("mt5"), &changes))
    };
    assert!(tied("4.57.6").is_ok());
    assert!(tied("5.24.0").expect_err("refused").to_string().contains("`tie_word_embeddings`"));
}
