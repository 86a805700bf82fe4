//! Tensors as doubles and back.

use half::{bf16, f16};
use hub_formats::checkpoint::SlotData;
use hub_schemas::layout::Dtype;

use super::MergeError;

/// The elements as doubles, exactly. `name` is for the error.
pub(super) fn to_doubles(tensor: &SlotData, name: &str) -> Result<Vec<f64>, MergeError> {
    let bytes = tensor.bytes.as_slice();
    let values = match tensor.dtype {
        Dtype::F64 => bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
        Dtype::F32 => bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b).into()).collect(),
        Dtype::F16 => bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f64()).collect(),
        Dtype::BF16 => bytes.as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b).to_f64()).collect(),
        dtype => return Err(MergeError::Dtype { name: name.to_owned(), dtype }),
    };
    let values: Vec<f64> = values;
    let elements: usize = tensor.shape.iter().product();
    if values.len() == elements {
        Ok(values)
    } else {
        let expected = tensor.shape.clone();
        Err(MergeError::Shape { what: format!("the bytes of `{name}`"), expected, found: vec![values.len()] })
    }
}

/// The elements in this type, rounded to nearest.
pub(super) fn from_doubles(
    shape: Vec<usize>,
    values: &[f64],
    dtype: Dtype,
    name: &str,
) -> Result<SlotData, MergeError> {
    let bytes = match dtype {
        Dtype::F64 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Dtype::F32 => values.iter().flat_map(|v| (*v as f32).to_le_bytes()).collect(),
        Dtype::F16 => values.iter().flat_map(|v| f16::from_f64(*v).to_le_bytes()).collect(),
        Dtype::BF16 => values.iter().flat_map(|v| bf16::from_f64(*v).to_le_bytes()).collect(),
        dtype => return Err(MergeError::Dtype { name: name.to_owned(), dtype }),
    };
    Ok(SlotData { dtype, shape, bytes })
}
