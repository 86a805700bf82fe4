//! One weight with its update.

use hub_formats::checkpoint::SlotData;

use super::Delta;
use crate::merging::{
    MergeError,
    numbers::{from_doubles, to_doubles},
};

/// `W + ΔW` in the type of `W`: added in double precision and rounded once.
///
/// Refuses shapes that differ, and sums that the type can't hold where `W` was finite.
pub(super) fn applied(original: &SlotData, delta: &Delta, name: &str) -> Result<SlotData, MergeError> {
    let delta = delta.matrix()?;
    if original.shape != delta.shape() {
        let (expected, found) = (original.shape.clone(), delta.shape());
        return Err(MergeError::Shape { what: format!("the update of `{name}`"), expected, found });
    }
    let before = to_doubles(original, name)?;
    let sum: Vec<f64> = before.iter().zip(delta.data()).map(|(w, d)| w + d).collect();
    let baked = from_doubles(original.shape.clone(), &sum, original.dtype, name)?;
    let rounded = to_doubles(&baked, name)?;
    let lost = |(before, after): (&f64, &f64)| before.is_finite() && !after.is_finite();
    match before.iter().zip(&rounded).position(lost) {
        None => Ok(baked),
        Some(index) => {
            let what = format!("`{name}` with its update in {:?}", original.dtype);
            Err(MergeError::NotFinite { what, index, value: sum[index] })
        }
    }
}
