//! A forward pass that goes on from what the first blocks gave is the whole one.

use std::{collections::BTreeMap, fs, path::Path};

use candle_core::{DType, Device, Tensor};
use hub_client::{
    backbones::{Backbone, Batch, Mode, NoHooks, Passed},
    tensors::read_batch,
};
use hub_formats::checkpoint::BaseFolder;
use serde_json::Value;

/// One input of every base, but for a decoder's beside a recording: that belongs to another view of the base.
fn inputs(root: &Path) -> BTreeMap<String, String> {
    let cases = fs::read(root.join("cases.json")).expect("reads");
    let cases: Value = serde_json::from_slice(&cases).expect("JSON");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let cases = cases["cases"].as_array().expect("a list").iter();
    let cases = cases.map(|case| (text(&case["base"]), text(&case["inputs"])));
    cases.filter(|(_, inputs)| !inputs.contains("transcripts")).collect()
}

/// The states of tokens, with nothing at padding.
fn of_tokens(state: &Tensor, mask: &Tensor) -> Tensor {
    let mask = mask.to_dtype(DType::F64).and_then(|mask| mask.unsqueeze(2)).expect("a mask");
    // Not a product: what stands at padding may be no number.
    let mask = mask.broadcast_as(state.shape()).and_then(|mask| mask.gt(0.0)).expect("a mask");
    mask.where_cond(state, &state.zeros_like().expect("zeros")).expect("states")
}

#[test]
fn going_on_from_any_block_gives_what_the_whole_backbone_gives() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/methods");
    let mut checked = 0;
    for (name, file) in inputs(&root) {
        let base = BaseFolder::open(&root.join("bases").join(&name)).expect("opens");
        if base.config().shape.decoder_layers.is_some() {
            continue;
        }
        let backbone = Backbone::load_with(&base, DType::F64, &Device::Cpu).expect("loads");
        let batch = read_batch(&root.join(file), base.config(), &Device::Cpu).expect("a batch");
        let state = |batch: &Batch| {
            let hidden = backbone.forward(batch, &NoHooks, Mode::Eval).expect("runs");
            of_tokens(&hidden.state, &hidden.attention_mask)
        };
        let whole = state(&batch);
        let blocks = base.config().encoder.applied_blocks(base.config().shape.num_layers).len();
        for blocks in 1..=blocks {
            let passed = backbone.pass(&batch, &NoHooks, blocks).expect("passes");
            let passed = Passed { state: of_tokens(&passed, &batch.attention_mask), blocks };
            // Neither ids nor what is no text is read again.
            let unread = Batch {
                input_ids: batch.input_ids.zeros_like().expect("zeros"),
                signal: None,
                passed: Some(passed),
                ..batch.clone()
            };
            let apart = (&state(&unread) - &whole).and_then(|d| d.abs()?.max_all()?.to_scalar::<f64>());
            let apart = apart.expect("a number");
            assert!(apart < 1e-12, "{name} behind {blocks} blocks: {apart:e}");
            checked += 1;
        }
    }
    assert!(checked > 80, "{checked}");
}
