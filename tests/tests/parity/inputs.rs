//! Files of inputs: what a backbone has no place for is refused, or left out as its library leaves it out.

use std::{collections::HashMap, path::Path};

use candle_core::{Device, Tensor};
use hub_client::tensors::{read_batch, view_of};
use hub_formats::checkpoint::BaseFolder;

/// Whether the segments of an input reach the batch, or why the file is refused.
fn segments(base: &str, types: [u32; 3]) -> Result<bool, String> {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("inputs.safetensors");
    let row = |values: [u32; 3]| Tensor::new(&[values.map(i64::from)], &Device::Cpu).expect("a tensor");
    let tensors = HashMap::from([("input_ids", row([5, 6, 7])), ("token_type_ids", row(types))]);
    candle_core::safetensors::save(&tensors, &path).expect("writes");
    let bases = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/methods/bases");
    let base = BaseFolder::open_as(&bases.join(base), view_of(&path).expect("a view")).expect("opens");
    let batch = read_batch(&path, base.config(), &Device::Cpu);
    batch.map(|batch| batch.token_type_ids.is_some()).map_err(|e| e.to_string())
}

#[test]
fn segments_are_read_where_there_are_some() {
    assert_eq!(segments("bert", [0, 0, 1]), Ok(true));
    assert_eq!(segments("roberta", [0, 0, 0]), Ok(true));
    // Its tokenizer makes them, its model has no table of them.
    assert_eq!(segments("deberta", [0, 1, 1]), Ok(false));
    for base in ["distilbert", "modernbert", "llama"] {
        assert_eq!(segments(base, [0, 0, 0]), Ok(false), "{base}");
    }
    for (base, types) in
        [("bert", [0, 0, 2]), ("roberta", [0, 0, 1]), ("distilbert", [0, 1, 0]), ("gpt2", [0, 0, 0])]
    {
        let error = segments(base, types).expect_err(base);
        assert!(error.contains("`token_type_ids`"), "{error}");
        assert!(!error.contains("18446744073709551615"), "{error}");
    }
}
