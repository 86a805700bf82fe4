//! Which of several words a slip probably meant.

/// The candidate that `text` is probably a slip of.
pub fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = candidates.into_iter().map(|c| (distance(text, c), c));
    let (best, candidate) = scored.min_by_key(|(d, _)| *d)?;
    (best <= 1 + candidate.len() / 4).then_some(candidate)
}

/// Edits (insertions, deletions, replacements, swaps of neighbours) between two
/// words: the restricted Damerau–Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(80).collect(), b.chars().take(80).collect());
    let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in table.iter_mut().enumerate() {
        row[0] = i;
    }
    table[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replaced = table[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(table[i - 1][j] + 1).min(table[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(table[i - 2][j - 2] + 1);
            }
            table[i][j] = best;
        }
    }
    table[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        let names = ["registry", "base", "backbones", "cache"];
        assert_eq!(nearest("regsitry", names), Some("registry"));
        assert_eq!(nearest("backbone", names), Some("backbones"));
        assert_eq!(nearest("timeout", names), None);
    }
}
