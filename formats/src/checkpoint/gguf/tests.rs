//! Blocks against candle's reading of the same bytes, and files that nobody should believe.

use std::io::Cursor as Bytes;

use candle_core::{
    Device, Tensor,
    quantized::{GgmlDType, QTensor},
};

use super::{BlockKind, GgufError, blocks::Stored, header::Header};

fn values(count: usize) -> Vec<f32> {
    (0..count).map(|i| (0.7 * i as f32).sin() * (1.0 + (0.013 * i as f32).cos())).collect()
}

#[test]
fn blocks_stand_for_the_numbers_that_candle_reads_from_them() {
    let kinds = [
        (GgmlDType::Q4_0, BlockKind::Q4_0),
        (GgmlDType::Q4_1, BlockKind::Q4_1),
        (GgmlDType::Q5_0, BlockKind::Q5_0),
        (GgmlDType::Q5_1, BlockKind::Q5_1),
        (GgmlDType::Q8_0, BlockKind::Q8_0),
        (GgmlDType::Q4K, BlockKind::Q4K),
        (GgmlDType::Q5K, BlockKind::Q5K),
        (GgmlDType::Q6K, BlockKind::Q6K),
        (GgmlDType::F16, BlockKind::F16),
        (GgmlDType::F32, BlockKind::F32),
        (GgmlDType::BF16, BlockKind::Bf16),
    ];
    let device = Device::Cpu;
    let dense = Tensor::from_vec(values(3 * 512), (3, 512), &device).expect("a tensor");
    for (theirs, ours) in kinds {
        let quantised = QTensor::quantize(&dense, theirs).expect("quantises");
        let expected = quantised.dequantize(&device).and_then(|t| t.flatten_all()?.to_vec1::<f32>());
        let expected = expected.expect("candle's numbers");
        let bytes = quantised.data().expect("bytes");
        assert_eq!(ours.bytes(&[512, 3]), Some(bytes.len() as u64), "{ours:?}");
        let mut found = vec![0.0; 3 * 512];
        ours.dequantise(&bytes, &mut found);
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() <= 1e-6, "{ours:?}: {found} is not {expected}");
        }
    }
}

#[test]
fn rows_of_rotated_heads_are_put_in_halves() {
    // Two heads of four rows of one number each, interleaved as llama.cpp stores them.
    let stored = Stored::new(BlockKind::F32, &[8, 1], Some(2), "q").expect("divides");
    let bytes: Vec<u8> = (0..8_u8).flat_map(|row| f32::from(row).to_le_bytes()).collect();
    assert_eq!(stored.blocks(bytes).to_vec(), [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
    assert!(Stored::new(BlockKind::F32, &[6, 1], Some(2), "q").is_err());
}

#[test]
fn more_heads_than_rows_are_refused_however_many_they_are() {
    let wrapping = usize::MAX / 2 + 2;
    for (rows, heads) in [(8, 0), (8, 5), (8, usize::MAX), (8, wrapping), (0, 1), (0, wrapping)] {
        assert!(
            Stored::new(BlockKind::F32, &[rows, 1], Some(heads), "q").is_err(),
            "{rows} rows, {heads} heads"
        );
    }
}

/// A file of one key and one tensor.
struct File {
    bytes: Vec<u8>,
}

impl File {
    fn new(version: u32, tensors: u64, keys: u64) -> Self {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(version.to_le_bytes());
        bytes.extend(tensors.to_le_bytes());
        bytes.extend(keys.to_le_bytes());
        Self { bytes }
    }

    fn text(mut self, text: &str) -> Self {
        self.bytes.extend((text.len() as u64).to_le_bytes());
        self.bytes.extend(text.as_bytes());
        self
    }

    fn u32(mut self, value: u32) -> Self {
        self.bytes.extend(value.to_le_bytes());
        self
    }

    fn u64(mut self, value: u64) -> Self {
        self.bytes.extend(value.to_le_bytes());
        self
    }

    fn tensor(self, name: &str, dims: &[u64], kind: u32, offset: u64) -> Self {
        let file = self.text(name).u32(dims.len() as u32);
        dims.iter().fold(file, |file, &n| file.u64(n)).u32(kind).u64(offset)
    }

    fn read(&self) -> Result<Header, GgufError> {
        Header::read(Bytes::new(&self.bytes), self.bytes.len() as u64)
    }

    fn refused(&self) -> String {
        self.read().expect_err("refused").to_string()
    }
}

#[test]
fn a_table_of_contents_is_read() {
    let mut file = File::new(3, 1, 1).text("a.key").u32(8).text("a value").tensor("w", &[2, 3], 0, 0);
    file.bytes.resize(file.bytes.len().next_multiple_of(32) + 24, 0);
    let header = file.read().expect("reads");
    assert_eq!(header.metadata["a.key"].text(), Some("a value"));
    let entry = &header.tensors[0];
    assert_eq!((entry.shape.as_slice(), entry.end - entry.start), (&[3, 2][..], 24));
    assert_eq!(entry.end, file.bytes.len() as u64);
}

#[test]
fn lies_about_sizes_are_refused_before_anything_is_allocated() {
    let huge = u64::MAX;
    let padded = |mut file: File| {
        file.bytes.resize(file.bytes.len() + 64, 0);
        file
    };
    let messages = [
        File { bytes: b"GGML and more".to_vec() }.refused(),
        File::new(1, 0, 0).refused(),
        File::new(3, huge, 0).refused(),
        File::new(3, 0, huge).refused(),
        padded(File::new(3, 0, 1).u64(huge)).refused(),
        padded(File::new(3, 0, 1).text("k").u32(9).u32(4).u64(huge)).refused(),
        padded(File::new(3, 0, 1).text("k").u32(9).u32(9).u64(1)).refused(),
        padded(File::new(3, 0, 1).text("k").u32(77)).refused(),
        padded(File::new(3, 1, 0).tensor("w", &[huge, huge], 0, 0)).refused(),
        padded(File::new(3, 1, 0).tensor("w", &[33], 3, 0)).refused(),
        padded(File::new(3, 1, 0).tensor("w", &[32], 16, 0)).refused(),
        padded(File::new(3, 1, 0).tensor("w", &[32], 0, huge)).refused(),
        padded(File::new(3, 2, 0).tensor("w", &[4], 0, 0).tensor("w", &[4], 0, 16)).refused(),
        padded(File::new(3, 2, 0).tensor("v", &[4], 0, 0).tensor("w", &[4], 0, 8)).refused(),
        padded(File::new(3, 0, 1).text("general.alignment").u32(4).u32(0)).refused(),
    ];
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn a_file_that_ends_anywhere_is_refused() {
    let file = File::new(3, 1, 1).text("a.key").u32(8).text("a value").tensor("w", &[2, 3], 0, 0);
    for length in 0..file.bytes.len() {
        let cut = File { bytes: file.bytes[..length].to_vec() };
        assert!(cut.read().is_err(), "{length} bytes");
    }
}
