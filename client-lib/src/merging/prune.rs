//! Keeping the largest elements of a tensor.
//!
//! The trimming of TIES (Yadav et al. 2023), and a rule of its own in PEFT
//! (`magnitude_prune`): the `⌊density · n⌋` elements largest in magnitude stay, the
//! others become zero. Nothing is rescaled. Of equal magnitudes the earlier stay,
//! so the result does not depend on a sorting algorithm.

/// Zeroes all but the largest share `density` of the elements.
pub(super) fn keep_largest(values: &mut [f64], density: f64) {
    if density >= 1.0 {
        return;
    }
    let kept = (density * values.len() as f64) as usize;
    let mut order: Vec<usize> = (0..values.len()).collect();
    if kept > 0 {
        let larger_first =
            |&i: &usize, &j: &usize| values[j].abs().total_cmp(&values[i].abs()).then_with(|| i.cmp(&j));
        order.select_nth_unstable_by(kept - 1, larger_first);
    }
    for &index in &order[kept..] {
        values[index] = 0.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_share_stays_and_of_equals_the_earlier() {
        let pruned = |density| {
            let mut values = vec![1.0, -3.0, 2.0, -2.0, 0.5];
            keep_largest(&mut values, density);
            values
        };
        assert_eq!(pruned(1.0), [1.0, -3.0, 2.0, -2.0, 0.5]);
        assert_eq!(pruned(0.6), [0.0, -3.0, 2.0, -2.0, 0.0]);
        assert_eq!(pruned(0.4), [0.0, -3.0, 2.0, 0.0, 0.0]);
        assert_eq!(pruned(0.19), vec![0.0; 5]);
    }
}
