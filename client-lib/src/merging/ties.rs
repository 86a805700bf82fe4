//! TIES: trim, elect signs, merge what agrees.
//!
//! Yadav et al., "TIES-Merging: Resolving Interference When Merging Models" (2023).
//! Each task vector is [trimmed](super::prune) to its largest elements. Per element
//! a sign is elected: that of `Σ τᵢ` (`total`, the paper's) or that of `Σ sign τᵢ`
//! (`frequency`); a sum of zero counts as positive. The result is the mean of
//! `wᵢ τᵢ` over the adapters whose element has that sign, zero where none has.
//!
//! As in PEFT, signs are elected before weights apply: a negative weight turns an
//! adapter around but not its vote. To subtract an adapter, [`cat`](super::cat) and
//! `svd` mean what they say.

use super::MajoritySign;

/// Elects signs among `tensors` and averages `wᵢ τᵢ` over those that agree. All tensors have one length.
pub(super) fn merge_agreeing(tensors: &[Vec<f64>], weights: &[f64], majority: MajoritySign) -> Vec<f64> {
    let vote = |value: f64| match majority {
        MajoritySign::Total => value,
        MajoritySign::Frequency => f64::from(sign(value)),
    };
    let length = tensors.first().map_or(0, Vec::len);
    let merged = (0..length).map(|index| {
        let sum: f64 = tensors.iter().map(|tensor| vote(tensor[index])).sum();
        let elected = if sum >= 0.0 { 1 } else { -1 };
        let mut total = 0.0;
        let mut voters = 0_usize;
        for (tensor, weight) in tensors.iter().zip(weights) {
            if sign(tensor[index]) == elected {
                total += weight * tensor[index];
                voters += 1;
            }
        }
        total / voters.max(1) as f64
    });
    merged.collect()
}

/// -1, 0 or 1; unlike [`f64::signum`], zero has no sign.
fn sign(value: f64) -> i8 {
    i8::from(value > 0.0) - i8::from(value < 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_elected_sign_is_that_of_the_sum_or_of_the_most() {
        let tensors = [vec![-5.0, 1.0, 0.0], vec![1.0, -1.0, 0.0], vec![2.0, 3.0, 0.0]];
        let merged = |majority| merge_agreeing(&tensors, &[1.0, 1.0, 1.0], majority);
        assert_eq!(merged(MajoritySign::Total), [-5.0, 2.0, 0.0]);
        assert_eq!(merged(MajoritySign::Frequency), [1.5, 2.0, 0.0]);
    }

    #[test]
    fn where_all_agree_the_result_is_the_mean() {
        let tensors = [vec![1.0, -2.0], vec![3.0, -6.0]];
        assert_eq!(merge_agreeing(&tensors, &[1.0, 1.0], MajoritySign::Total), [2.0, -4.0]);
    }
}
