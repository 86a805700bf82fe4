//! The best tree over the words of a sentence.
//!
//! The maximum spanning arborescence of Chu & Liu (1965) and Edmonds (1967), with exactly one word under the root,
//! as Universal Dependencies and the evaluation of CoNLL 2018 demand. That is the best tree of all where every arc
//! from the root costs more than any tree could gain (Stanojević & Cohen, "A Root of the Problem", 2021).

/// The head of every word in the best tree: `scores[i][j]` is how well word `i + 1` fits under `j`, 0 being the root.
/// Scores that are not finite count as 0.
pub(super) fn best_tree(scores: &[Vec<f64>]) -> Vec<usize> {
    let count = scores.len();
    let score = |word: usize, head: usize| {
        let score = scores[word - 1].get(head).copied().unwrap_or(0.0);
        if score.is_finite() { score } else { 0.0 }
    };
    let all = || (1..=count).flat_map(|word| (0..=count).map(move |head| score(word, head)));
    let (least, most) = all().fold((0.0_f64, 0.0_f64), |(least, most), s| (least.min(s), most.max(s)));
    let toll = 1.0 + (most - least) * count as f64;
    let weight = |word: usize, head: usize| score(word, head) - if head == 0 { toll } else { 0.0 };
    let nodes: Vec<Arcs> = (0..=count).map(|node| arcs_into(node, count, &weight)).collect();
    let heads = arborescence(&nodes);
    heads.into_iter().skip(1).collect()
}

/// What a node could hang under: the weight of the best arc from every other node; `None` from itself, and into the
/// root.
type Arcs = Vec<Option<f64>>;

fn arcs_into(node: usize, count: usize, weight: &dyn Fn(usize, usize) -> f64) -> Arcs {
    (0..=count).map(|head| (node != 0 && head != node).then(|| weight(node, head))).collect()
}

/// The best; the first of equals, so that the result is one and the same everywhere.
fn best(arcs: impl Iterator<Item = (usize, f64)>) -> Option<(usize, f64)> {
    arcs.fold(None, |best: Option<(usize, f64)>, arc| match best {
        Some(best) if best.1 >= arc.1 => Some(best),
        _ => Some(arc),
    })
}

/// The head of every node under node 0; a node's own number where it has none.
fn arborescence(nodes: &[Arcs]) -> Vec<usize> {
    let best_head = |(node, arcs): (usize, &Arcs)| {
        let arcs = arcs.iter().enumerate().filter_map(|(head, weight)| Some((head, (*weight)?)));
        best(arcs).map_or(node, |(head, _)| head)
    };
    let heads: Vec<usize> = nodes.iter().enumerate().map(best_head).collect();
    let Some(cycle) = find_cycle(&heads) else { return heads };
    // The cycle becomes one node, the last of a smaller graph.
    let outside: Vec<usize> = (0..nodes.len()).filter(|node| !cycle.contains(node)).collect();
    let own = |node: usize| nodes[node][heads[node]].unwrap_or(f64::NEG_INFINITY);
    // Through which node an arc enters the cycle: it replaces the arc that this node has in it.
    let entry = |head: usize| {
        let gains = cycle.iter().filter_map(|&node| Some((node, nodes[node][head]? - own(node))));
        best(gains)
    };
    // From which node of the cycle an arc leaves it.
    let exit = |node: usize| {
        let arcs = cycle.iter().filter_map(|&head| Some((head, nodes[node][head]?)));
        best(arcs)
    };
    let mut smaller: Vec<Arcs> = outside
        .iter()
        .map(|&node| {
            let arcs = outside.iter().map(|&head| nodes[node][head]);
            arcs.chain([exit(node).map(|(_, weight)| weight)]).collect()
        })
        .collect();
    let into = outside.iter().map(|&head| entry(head).map(|(_, gain)| gain));
    smaller.push(into.chain([None]).collect());
    let contracted = arborescence(&smaller);
    let mut found = heads.clone();
    for (place, &node) in outside.iter().enumerate() {
        found[node] = match outside.get(contracted[place]) {
            Some(&head) => head,
            None => exit(node).map_or(node, |(head, _)| head),
        };
    }
    let above = outside.get(contracted[outside.len()]).copied().unwrap_or(0);
    if let Some((node, _)) = entry(above) {
        found[node] = above;
    }
    found
}

/// The nodes of a cycle; node 0 is its own head and in none.
fn find_cycle(heads: &[usize]) -> Option<Vec<usize>> {
    // In which walk a node was seen first.
    let mut walk = vec![0; heads.len()];
    for start in 1..heads.len() {
        let mut node = start;
        while node != 0 && walk[node] == 0 {
            walk[node] = start;
            node = heads[node];
        }
        if node != 0 && walk[node] == start {
            let mut cycle = vec![node];
            let mut next = heads[node];
            while next != node {
                cycle.push(next);
                next = heads[next];
            }
            return Some(cycle);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{below, generator};

    /// All trees with one word under the root, by trying every choice of heads.
    fn exhaustive(scores: &[Vec<f64>]) -> f64 {
        let count = scores.len();
        let mut best = f64::NEG_INFINITY;
        for code in 0..(count + 1).pow(count as u32) {
            let heads: Vec<usize> =
                (0..count).map(|word| code / (count + 1).pow(word as u32) % (count + 1)).collect();
            if is_tree(&heads) {
                best = best.max(total(scores, &heads));
            }
        }
        best
    }

    fn total(scores: &[Vec<f64>], heads: &[usize]) -> f64 {
        heads.iter().enumerate().map(|(word, &head)| scores[word][head]).sum()
    }

    fn is_tree(heads: &[usize]) -> bool {
        let reaches_root = |mut node: usize| {
            for _ in 0..=heads.len() {
                if node == 0 {
                    return true;
                }
                node = heads[node - 1];
            }
            false
        };
        heads.iter().filter(|&&head| head == 0).count() == 1 && (1..=heads.len()).all(reaches_root)
    }

    #[test]
    fn it_is_the_best_of_all_trees() {
        for count in 1..=5 {
            for seed in 0..60 {
                let mut numbers = generator(seed, count as u64);
                let mut score = |_| below(&mut numbers, 2000) as f64 / 100.0 - 10.0;
                let scores: Vec<Vec<f64>> =
                    (0..count).map(|_| (0..=count).map(&mut score).collect()).collect();
                let heads = best_tree(&scores);
                assert!(is_tree(&heads), "{heads:?}");
                let (found, best) = (total(&scores, &heads), exhaustive(&scores));
                assert!((found - best).abs() < 1e-9, "{count} words: {found} is not {best}");
            }
        }
    }

    #[test]
    fn hostile_scores_give_a_tree_too() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, 1e300] {
            assert!(is_tree(&best_tree(&vec![vec![value; 5]; 4])), "{value}");
        }
        assert_eq!(best_tree(&[]), [0_usize; 0]);
    }
}
