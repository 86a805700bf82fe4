//! What PyTorch saved comes out as PyTorch would load it.

use hub_schemas::layout::Dtype;

use super::{
    build::{archive_with, numbers},
    fixture, open, open_bytes, read,
};

fn f32s(file: &crate::checkpoint::TensorFile, name: &str) -> (Vec<usize>, Vec<f32>) {
    let data = read(file, name);
    assert_eq!(data.dtype, Dtype::F32, "{name}");
    (data.shape, data.bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
}

/// 0, 1, 2 … as `torch.arange` counts.
fn counted(n: usize) -> impl Iterator<Item = f32> {
    (0..n).map(|i| i as f32)
}

#[test]
fn every_element_type_keeps_its_bits() {
    for container in ["dtypes.bin", "legacy-dtypes.bin"] {
        let file = open(&fixture(container));
        let bytes = |name: &str, dtype: Dtype| {
            let data = read(&file, name);
            assert_eq!((data.dtype, data.shape), (dtype, vec![2, 3]), "{container} {name}");
            data.bytes
        };
        let bits = |values: [u16; 6]| values.map(u16::to_le_bytes).concat();
        assert_eq!(file.header.tensors.len(), 10);
        assert_eq!(
            bytes("float64", Dtype::F64),
            [0.0, 1.0, 2.0, 3.0, 4.0, 5_f64].map(f64::to_le_bytes).concat()
        );
        assert_eq!(
            bytes("float32", Dtype::F32),
            [0.0, 1.0, 2.0, 3.0, 4.0, 5_f32].map(f32::to_le_bytes).concat()
        );
        assert_eq!(bytes("float16", Dtype::F16), bits([0, 0x3c00, 0x4000, 0x4200, 0x4400, 0x4500]));
        assert_eq!(bytes("bfloat16", Dtype::BF16), bits([0, 0x3f80, 0x4000, 0x4040, 0x4080, 0x40a0]));
        assert_eq!(bytes("int64", Dtype::I64), [0, 1, 2, 3, 4, 5_i64].map(i64::to_le_bytes).concat());
        assert_eq!(bytes("int32", Dtype::I32), [0, 1, 2, 3, 4, 5_i32].map(i32::to_le_bytes).concat());
        assert_eq!(bytes("int16", Dtype::I16), bits([0, 1, 2, 3, 4, 5]));
        assert_eq!(bytes("int8", Dtype::I8), [0, 1, 2, 3, 4, 5]);
        assert_eq!(bytes("uint8", Dtype::U8), [0, 1, 2, 3, 4, 5]);
        assert_eq!(bytes("bool", Dtype::BOOL), [0, 1, 1, 1, 1, 1]);
    }
}

#[test]
fn scalars_empty_tensors_and_dimensions_of_one_are_read() {
    let file = open(&fixture("shapes.bin"));
    assert_eq!(f32s(&file, "scalar"), (vec![], vec![7.0]));
    assert_eq!(f32s(&file, "empty"), (vec![0, 3], vec![]));
    assert_eq!(f32s(&file, "ones"), (vec![1, 2, 1, 2], counted(4).collect()));
}

#[test]
fn views_of_one_storage_are_read_in_the_order_of_their_indices() {
    for container in ["views.bin", "legacy.bin"] {
        let file = open(&fixture(container));
        let whole: Vec<f32> = counted(24).collect();
        let at = |indices: &mut dyn Iterator<Item = usize>| indices.map(|i| whole[i]).collect::<Vec<f32>>();
        assert_eq!(f32s(&file, "whole"), (vec![4, 6], whole.clone()));
        assert_eq!(f32s(&file, "alias"), (vec![4, 6], whole.clone()));
        assert_eq!(file.header.tensors["whole"], file.header.tensors["alias"], "the same place");
        let transposed = at(&mut (0..6).flat_map(|c| (0..4).map(move |r| r * 6 + c)));
        assert_eq!(f32s(&file, "transposed"), (vec![6, 4], transposed));
        assert_eq!(f32s(&file, "rows"), (vec![2, 6], whole[6..18].to_vec()));
        let columns = at(&mut (0..4).flat_map(|r| [r * 6 + 2, r * 6 + 3]));
        assert_eq!(f32s(&file, "columns"), (vec![4, 2], columns));
        // permuted[i][j][k] is element [j][k][i] of a [2, 3, 4].
        let permuted = (0..4).flat_map(|i| (0..2).flat_map(move |j| (0..3).map(move |k| j * 12 + k * 4 + i)));
        assert_eq!(f32s(&file, "permuted"), (vec![4, 2, 3], at(&mut permuted.into_iter())));
        assert_eq!(f32s(&file, "element"), (vec![], vec![23.0]));
        let lone = [0, 2, 4, 1, 3, 5_i64].map(i64::to_le_bytes).concat();
        assert_eq!(read(&file, "lone").bytes, lone);
    }
}

#[test]
fn a_modules_state_dict_is_read_and_its_metadata_ignored() {
    for protocol in ["module.bin", "protocol-5.bin"] {
        let file = open(&fixture(protocol));
        assert_eq!(f32s(&file, "weight"), (vec![3, 2], counted(6).collect()), "{protocol}");
        assert_eq!(f32s(&file, "bias"), (vec![3], counted(3).collect()));
        assert_eq!(file.header.tensors.len(), 2);
    }
}

#[test]
fn a_parameter_is_its_tensor() {
    assert_eq!(f32s(&open(&fixture("parameter.bin")), "scale"), (vec![3], counted(3).collect()));
}

#[test]
fn prefixes_saved_under_the_name_of_every_layer_are_one_tensor_with_three_names() {
    let file = open(&fixture("prefix-tuning/pytorch_adapter.bin"));
    let places: Vec<_> = file.header.tensors.values().collect();
    assert_eq!(places.len(), 3);
    assert!(places.iter().all(|place| *place == places[0]));
    for name in file.header.tensors.keys() {
        assert!(
            name.ends_with("prefix_tuning.prefix_tunings.p.self_prefix.control_trans")
                || name.contains(".pool.")
        );
        assert_eq!(f32s(&file, name), (vec![64], counted(64).collect()));
    }
}

#[test]
fn an_archive_with_64_bit_sizes_is_read() {
    let bytes = archive_with(&numbers(4), |zip| zip.is_wide = true);
    assert_eq!(f32s(&open_bytes_kept(&bytes).1, "w"), (vec![4], counted(4).collect()));
}

/// Keeps the folder while the tensors are read.
fn open_bytes_kept(bytes: &[u8]) -> (tempfile::TempDir, crate::checkpoint::TensorFile) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("x.bin");
    std::fs::write(&path, bytes).expect("writes");
    let file = open(&path);
    (dir, file)
}

#[test]
fn the_name_decides_the_format_not_the_content() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("adapter.safetensors");
    std::fs::copy(fixture("module.bin"), &path).expect("copies");
    let error = crate::checkpoint::TensorFile::open(&path).expect_err("refused");
    assert!(error.to_string().contains("is not a usable safetensors file"), "{error}");
    let plain = crate::checkpoint::SlotData::from_f32(vec![1], &[1.0]);
    let view = safetensors::tensor::TensorView::new(plain.dtype, plain.shape, &plain.bytes).expect("a view");
    let bytes = safetensors::serialize([("w", view)], None).expect("serialises");
    let error = open_bytes(&bytes).expect_err("refused");
    assert!(error.to_string().contains("begins neither as the zip archive nor as the pickle"), "{error}");
}
