//! What the verbs that run an adapter have in common.

use std::{path::PathBuf, str::FromStr};

use clap::Args;

use super::{compute::ComputeArgs, forward::NamedFolder};

/// Most layers that a range may name: more than any backbone has.
const MAX_LAYERS: usize = 1_000;

/// How an adapter is stitched in.
#[derive(Debug, Args)]
pub(crate) struct StitchArgs {
    /// A member of a composition, a folder or a reference; by default where it was composed from,
    /// else fetched; may be repeated
    #[arg(long = "member", value_name = "[NAME=]REF|DIR")]
    pub(crate) members: Vec<NamedFolder>,
    /// Layers that run without the adapter, as in `0-4` or `0,2` (AdapterDrop)
    #[arg(long, value_name = "LAYERS", default_value_t)]
    pub(crate) skip_layers: Layers,
    /// Longest text in tokens, as in training; the rest is cut off, but long passages are read in windows of this
    /// length [default: all that the backbone reads]
    #[arg(long, value_name = "TOKENS")]
    pub(crate) max_length: Option<usize>,
    /// Tokens by which windows of a long passage overlap, as in training (question answering) [default: 128]
    #[arg(long, value_name = "TOKENS")]
    pub(crate) doc_stride: Option<usize>,
    /// Folder of the backbone that looks at pictures for an adapter that describes them; by default the one with the
    /// right weights
    #[arg(long, value_name = "DIR")]
    pub(crate) vision: Option<PathBuf>,
    /// In what it is computed
    #[command(flatten)]
    pub(crate) compute: ComputeArgs,
}

/// Numbers of layers, as in `0-4,7`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Layers(pub(crate) Vec<usize>);

impl FromStr for Layers {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` names no layers; they look like `0-4` or `0,2`");
        let number = |text: &str| text.trim().parse::<usize>().ok().filter(|n| *n < MAX_LAYERS);
        let mut layers = Vec::new();
        for part in text.split(',').filter(|_| !text.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            match (number(first), number(last)) {
                (Some(first), Some(last)) if first <= last => layers.extend(first..=last),
                _ => return Err(wrong()),
            }
        }
        layers.sort_unstable();
        layers.dedup();
        Ok(Self(layers))
    }
}

impl std::fmt::Display for Layers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let numbers: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&numbers.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_numbers_and_ranges() {
        let parse = |text: &str| text.parse::<Layers>().map(|layers| layers.0);
        assert_eq!(parse("0-2,5, 1"), Ok(vec![0, 1, 2, 5]));
        assert_eq!(parse(""), Ok(Vec::new()));
        for wrong in ["a", "3-1", "-2", "0-99999999999", "1,,2"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
