//! Setting examples aside for validation.
//!
//! The choice depends on the seed and the texts alone, not on their order in the
//! file: a text goes by the digest of seed and text. Equal texts therefore always
//! stand on the same side, and appending rows moves few of the others. Examples that name
//! their source, such as questions about one article, go by that.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashSet},
};

use hub_schemas::Digest;

use super::{DataError, DataFile, Example};

/// Sets the share `share` of every label's examples aside.
///
/// Returns the examples to train on and those set aside, both in file order.
/// Every label keeps at least one text to train on.
pub fn split(file: &DataFile, share: f64, seed: u64) -> Result<(Vec<Example>, Vec<Example>), DataError> {
    if !(share > 0.0 && share < 1.0) {
        return Err(DataError::Share(share));
    }
    let aside = choose(&file.examples, share, seed);
    let (validation, training): (Vec<_>, Vec<_>) =
        file.examples.iter().cloned().partition(|example| aside.contains(example.group().as_ref()));
    let strata = |examples: &[Example]| -> HashSet<String> {
        examples.iter().map(|example| example.stratum().to_owned()).collect()
    };
    if validation.is_empty() || strata(&training) != strata(&file.examples) {
        return Err(DataError::TooFew { file: file.name.clone() });
    }
    Ok((training, validation))
}

/// The texts to set aside: per label, in the order of their digests, until the share is reached.
fn choose(examples: &[Example], share: f64, seed: u64) -> HashSet<String> {
    // A text with several labels counts with the first.
    let mut rows: BTreeMap<Cow<'_, str>, (&str, usize)> = BTreeMap::new();
    for example in examples {
        rows.entry(example.group()).or_insert((example.stratum(), 0)).1 += 1;
    }
    let mut by_label: BTreeMap<&str, Vec<(Digest, String, usize)>> = BTreeMap::new();
    for (text, (label, count)) in rows {
        let (key, text) = (Digest::of(format!("{seed}\n{text}").as_bytes()), text.into_owned());
        by_label.entry(label).or_default().push((key, text, count));
    }
    let mut aside = HashSet::new();
    let mut fullest: Option<(usize, String)> = None;
    for texts in by_label.values_mut() {
        texts.sort_unstable();
        let total: usize = texts.iter().map(|(_, _, count)| count).sum();
        let wanted = (share * total as f64).round() as usize;
        let mut taken = 0;
        for (_, text, count) in &texts[..texts.len() - 1] {
            if taken + count <= wanted {
                taken += count;
                aside.insert(text.clone());
            }
        }
        if texts.len() > 1 && fullest.as_ref().is_none_or(|(most, _)| texts.len() > *most) {
            fullest = Some((texts.len(), texts[0].1.clone()));
        }
    }
    // A small file would round every share to nothing.
    if aside.is_empty() {
        aside.extend(fullest.map(|(_, text)| text));
    }
    aside
}
