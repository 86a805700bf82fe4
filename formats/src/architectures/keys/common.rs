//! Keys that any architecture's `config.json` may have.

use super::{
    Keys,
    Keys::{Idle, Only, Read},
    Usual::{Empty, No},
};

pub(in crate::architectures) const KEYS: &[Keys] = &[
    Read(&[
        "_name_or_path",
        "architectures",
        "bos_token_id",
        "compression_config",
        "decoder_start_token_id",
        "eos_token_id",
        "id2label",
        "is_causal",
        "layer_types",
        "model_type",
        "pad_token_id",
        "problem_type",
        "quantization_config",
        "tie_word_embeddings",
    ]),
    // Weights are those of `config.json`'s own shapes, and of one stack each.
    Only("pruned_heads", Empty),
    Only("tie_encoder_decoder", No),
    // Without a decoder behind an encoder that the architecture has itself.
    Only("add_cross_attention", No),
    Idle(ANSWERS),
    Idle(ORIGIN),
    Idle(RUNNING),
    Idle(TRAINING),
    Idle(LABELS_AND_WORDS),
    Idle(UNREAD_HEADS),
];

/// How answers are written, not what the backbone computes. Where there is no `generation_config.json`, whoever writes
/// reads them, and refuses those that are not implemented.
const ANSWERS: &[&str] = &[
    "bad_words_ids",
    "begin_suppress_tokens",
    "cache_implementation",
    "constraints",
    "diversity_penalty",
    "do_sample",
    "dola_layers",
    "early_stopping",
    "encoder_no_repeat_ngram_size",
    "encoder_repetition_penalty",
    "epsilon_cutoff",
    "eta_cutoff",
    "exponential_decay_length_penalty",
    "force_words_ids",
    "forced_bos_token_id",
    "forced_decoder_ids",
    "forced_eos_token_id",
    "guidance_scale",
    "length_penalty",
    "low_memory",
    "max_length",
    "max_new_tokens",
    "max_time",
    "min_length",
    "min_new_tokens",
    "min_p",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_return_sequences",
    "penalty_alpha",
    "remove_invalid_values",
    "renormalize_logits",
    "repetition_penalty",
    "sequence_bias",
    "stop_strings",
    "suppress_tokens",
    "temperature",
    "token_healing",
    "top_k",
    "top_p",
    "typical_p",
    "watermarking_config",
];

/// Who made the checkpoint, of what, and with which program. `auto_map` names code that the library runs only for whoever
/// trusts it: without, it computes what is computed here.
const ORIGIN: &[&str] = &[
    "_commit_hash",
    "auto_map",
    "base_model_name_or_path",
    "custom_pipelines",
    "finetuning_task",
    "is_llama_config",
    "language",
    "license",
    "model_id",
    "model_name",
    "name_or_path",
    "save_step",
    "sentence_transformers",
    "tags",
    "task_specific_params",
    "transformers.js_config",
    "transformers_version",
    "transformers_weights",
    "unsloth_fixed",
    "unsloth_version",
    // What `adapters` keeps of adapters and heads that stand beside the model.
    "adapters",
    "custom_heads",
    "prediction_heads",
];

/// How the library runs it: the same numbers in another precision, in pieces, or with more of what was computed given back.
const RUNNING: &[&str] = &[
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_attn_implementation_internal",
    "_experts_implementation",
    "_flash_attn_2_enabled",
    "_flash_attn_implementation",
    "attn_implementation",
    "chunk_size_feed_forward",
    "cross_attention_hidden_size",
    "dtype",
    "keys_to_ignore_at_inference",
    "output_attentions",
    "output_hidden_states",
    "output_past",
    "output_scores",
    "pretraining_tp",
    "return_dict",
    "return_dict_in_generate",
    "tf_legacy_loss",
    "torch_dtype",
    "torchscript",
    "use_bfloat16",
    "use_cache",
    "use_return_dict",
    "xla_device",
];

/// How weights are drawn and what is dropped in training: trained weights say the same without them.
const TRAINING: &[&str] = &[
    "classifier_dropout",
    "gradient_checkpointing",
    "initializer_range",
    "loss_type",
    "use_gradient_checkpointing",
];

/// Names of classes, and tokens that the tokenizer has of its own.
const LABELS_AND_WORDS: &[&str] = &[
    "_num_labels",
    "cls_token_id",
    "label2id",
    "mask_token_id",
    "max_sequence_length",
    "num_labels",
    "prefix",
    "sep_token_id",
    "tokenizer_class",
    "unk_token_id",
];

/// Of heads that are not read from a checkpoint: GPT-2's second one, and ELECTRA's that chooses.
const UNREAD_HEADS: &[&str] = &[
    "summary_activation",
    "summary_first_dropout",
    "summary_hidden_size",
    "summary_last_dropout",
    "summary_proj_to_labels",
    "summary_type",
    "summary_use_proj",
];
