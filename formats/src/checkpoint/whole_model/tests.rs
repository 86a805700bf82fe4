use hub_schemas::layout::Dtype;

use super::{SlotData, is_of_adapter};

fn halves(dtype: Dtype, bits: &[u16]) -> SlotData {
    SlotData { dtype, shape: vec![bits.len()], bytes: bits.iter().flat_map(|b| b.to_le_bytes()).collect() }
}

#[test]
fn numbers_are_the_same_in_every_precision_that_holds_them() {
    let single = SlotData::from_f32(vec![2], &[1.5, -2.0]);
    // 1.5 and -2 in f16, and in bf16.
    assert!(single.has_numbers_of(&halves(Dtype::F16, &[0x3e00, 0xc000])));
    assert!(halves(Dtype::BF16, &[0x3fc0, 0xc000]).has_numbers_of(&single));
    // The next number of f16.
    assert!(!single.has_numbers_of(&halves(Dtype::F16, &[0x3e01, 0xc000])));
}

#[test]
fn numbers_in_another_shape_or_of_another_kind_are_not_the_same() {
    let single = SlotData::from_f32(vec![2], &[1.0, 2.0]);
    assert!(!single.has_numbers_of(&SlotData::from_f32(vec![1, 2], &[1.0, 2.0])));
    assert!(!single.has_numbers_of(&SlotData::of_positions(vec![2], &[1, 2])));
    let nothing = SlotData::from_f32(vec![1], &[f32::NAN]);
    assert!(!nothing.has_numbers_of(&halves(Dtype::F16, &[0x7e00])));
}

#[test]
fn parts_of_adapters_are_known_by_the_modules_that_hold_them() {
    assert!(is_of_adapter("encoder.layers.0.self_attn.q_proj.loras.other.lora_A"));
    assert!(is_of_adapter("encoder.layers.0.output_adapters.adapter_fusion_layer.a,b.value.weight"));
    assert!(!is_of_adapter("encoder.layers.2.fc1.weight"));
}
