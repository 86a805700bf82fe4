//! Entities from tags, by the rules of `seqeval` 1.2 in its default mode, which are those of `conlleval`.
//!
//! A tag is `O`, or a prefix (`B`, `I`, `E`, `S`) and a type: `B-person`. An entity ends where the type
//! changes, behind `E` and `S`, and in front of `B` and `S`; `I` behind `O` begins one too.

use std::collections::{BTreeMap, BTreeSet};

use super::counts::Counts;

/// An entity: its type, and its first and last word.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Entity {
    /// Its type.
    pub kind: String,
    /// Its first word.
    pub first: usize,
    /// Its last word.
    pub last: usize,
}

/// Whether tags name entities: `O`, or prefixes with types, one of which begins or goes on.
pub fn are_entities(labels: &[String]) -> bool {
    let is_tag =
        |label: &str| label == "O" || label.split_once('-').is_some_and(|(p, _)| "BIESLU".contains(p));
    labels.iter().all(|label| is_tag(label)) && labels.iter().any(|label| label != "O")
}

/// The entities of a sentence.
pub fn entities<'t>(tags: impl IntoIterator<Item = &'t str>) -> Vec<Entity> {
    let mut found = Vec::new();
    let (mut prefix, mut kind, mut first, mut count) = ("O", "", 0, 0);
    for (place, tag) in tags.into_iter().enumerate() {
        let (next_prefix, next_kind) = split(tag);
        if ends(prefix, next_prefix, kind, next_kind) {
            found.push(Entity { kind: kind.to_owned(), first, last: place - 1 });
        }
        if begins(prefix, next_prefix, kind, next_kind) {
            first = place;
        }
        (prefix, kind, count) = (next_prefix, next_kind, place + 1);
    }
    if ends(prefix, "O", kind, "") {
        found.push(Entity { kind: kind.to_owned(), first, last: count - 1 });
    }
    found
}

/// Prefix and type. A tag without a type counts as one of the type `_`.
fn split(tag: &str) -> (&str, &str) {
    let end = tag.chars().next().map_or(0, char::len_utf8);
    match tag.split_once('-') {
        Some((_, kind)) => (&tag[..end], kind),
        None if tag == "O" => ("O", ""),
        None => (&tag[..end], "_"),
    }
}

fn ends(prefix: &str, next: &str, kind: &str, next_kind: &str) -> bool {
    match (prefix, next) {
        ("E" | "S", _) | ("B" | "I", "B" | "S" | "O") => true,
        _ => prefix != "O" && prefix != "." && kind != next_kind,
    }
}

fn begins(prefix: &str, next: &str, kind: &str, next_kind: &str) -> bool {
    match (prefix, next) {
        (_, "B" | "S") | ("E" | "S" | "O", "E" | "I") => true,
        _ => next != "O" && next != "." && kind != next_kind,
    }
}

/// How often each type of entity was found: an entity is right with its type and both ends.
pub fn entity_counts<'t>(
    sentences: impl IntoIterator<Item = (&'t [String], &'t [String])>,
) -> BTreeMap<String, Counts> {
    let mut counts: BTreeMap<String, Counts> = BTreeMap::new();
    for (truth, guess) in sentences {
        let truth: BTreeSet<Entity> = entities(truth.iter().map(String::as_str)).into_iter().collect();
        let guess: BTreeSet<Entity> = entities(guess.iter().map(String::as_str)).into_iter().collect();
        for entity in &truth {
            counts.entry(entity.kind.clone()).or_default().support += 1;
        }
        for entity in &guess {
            let counts = counts.entry(entity.kind.clone()).or_default();
            counts.guessed += 1;
            counts.right += u64::from(truth.contains(entity));
        }
    }
    counts
}
