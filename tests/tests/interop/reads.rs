//! Folders that the real libraries saved, through the real `hub forward`.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use hub_tests::interop::{ensure_same, fixture, hub_forward, read};
use serde_json::Value;

/// `hub forward` on a case of `fixtures/cases.json` equals what the library computed.
fn is_read_right(case: &str) -> Result<()> {
    let adapter = fixture(case).join("adapter");
    let base = listing()?["cases"][case]["base"].as_str().context("the case has a base")?.to_owned();
    let ours = hub_forward(&fixture(&base), adapter.is_dir().then_some(adapter.as_path()))?;
    ensure_same(&ours, &read(&fixture(case).join("expected.safetensors"))?)
}

fn listing() -> Result<Value> {
    Ok(serde_json::from_slice(&std::fs::read(fixture("cases.json"))?)?)
}

/// One test per case, and one that no case is without a test.
macro_rules! cases {
    ($($test:ident: $case:literal,)*) => {
        $(
            #[test]
            fn $test() -> Result<()> {
                is_read_right($case)
            }
        )*

        #[test]
        fn every_fixture_is_read_by_a_test() -> Result<()> {
            let listing = listing()?;
            let made: BTreeSet<&str> =
                listing["cases"].as_object().context("`cases` is an object")?.keys().map(String::as_str).collect();
            assert_eq!(made, BTreeSet::from([$($case),*]));
            Ok(())
        }
    };
}

cases! {
    a_bare_bert_model: "base",
    a_sequence_classifier_with_the_checkpoints_own_head: "base-with-head",
    a_peft_lora_with_its_classifier: "peft-lora-classifier",
    a_rank_stabilised_peft_lora_on_one_layer: "peft-rslora-one-layer",
    a_peft_lora_on_every_linear_chosen_by_a_pattern: "peft-lora-every-linear",
    a_pfeiffer_bottleneck_with_a_two_layer_head: "adapters-pfeiffer",
    a_houlsby_bottleneck_with_a_head_on_the_pooler: "adapters-houlsby",
    a_bottleneck_with_a_norm_a_factor_and_a_layer_left_out: "adapters-bottleneck-variant",
    an_adapters_lora_with_other_names_for_the_same_linears: "adapters-lora",
    a_bottleneck_saved_from_a_model_without_heads: "adapters-pfeiffer-without-head",
}
