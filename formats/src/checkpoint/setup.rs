//! A setup that `adapters` saved: `adapter_setup.json` with the composition, and a folder for each member and fusion.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

use hub_schemas::layout::FUSION_CONFIG;
use serde::Deserialize;

use super::{CheckpointError, folder::read_bounded};

/// The file that says how the folders beside it work together.
const SETUP: &str = "adapter_setup.json";
/// Far more than the names of a composition take.
const MAX_BYTES: u64 = 1 << 20;

/// Where the parts of a setup lie, and how they work together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupFolder {
    /// As `--compose` reads it: `Stack(a, b)`.
    pub expression: String,
    /// The adapters by their names, in order.
    pub members: Vec<(String, PathBuf)>,
    /// The fusions' folders.
    pub fusions: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct File {
    adapter_setup: Block,
}

#[derive(Deserialize)]
struct Block {
    #[serde(rename = "type")]
    kind: String,
    children: Vec<Child>,
    #[serde(default)]
    kwargs: Arguments,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Child {
    Name(String),
    Block(Block),
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    splits: Option<Vec<usize>>,
    batch_sizes: Option<Vec<usize>>,
    weights: Option<Vec<f64>>,
}

impl SetupFolder {
    /// Reads the folder of a setup; `None` where it is none.
    pub fn open(dir: &Path) -> Result<Option<Self>, CheckpointError> {
        let path = dir.join(SETUP);
        if !path.is_file() {
            return Ok(None);
        }
        let wrong = |reason: String| CheckpointError::Json { path: path.clone(), reason };
        let file: File =
            serde_json::from_slice(&read_bounded(&path, MAX_BYTES)?).map_err(|e| wrong(e.to_string()))?;
        let mut names = Vec::new();
        let expression = file.adapter_setup.expression(&mut names);
        if let Some(name) = names.iter().find(|name| !is_folder_name(name)) {
            return Err(wrong(format!("names the adapter `{name}`, which is no folder beside it")));
        }
        let members = names.into_iter().map(|name| (name.clone(), dir.join(name))).collect();
        let mut fusions: Vec<PathBuf> = fs::read_dir(dir)
            .map_err(CheckpointError::read(dir))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|folder| folder.join(FUSION_CONFIG).is_file())
            .collect();
        fusions.sort();
        Ok(Some(Self { expression, members, fusions }))
    }
}

impl Block {
    /// As the library's users write it. `names` takes every adapter once.
    fn expression(&self, names: &mut Vec<String>) -> String {
        let mut parts: Vec<String> = Vec::new();
        for child in &self.children {
            parts.push(match child {
                Child::Name(name) => {
                    if !names.contains(name) {
                        names.push(name.clone());
                    }
                    name.clone()
                }
                Child::Block(block) => block.expression(names),
            });
        }
        if self.kind == "single" {
            return parts.join(", ");
        }
        let Arguments { splits, batch_sizes, weights } = &self.kwargs;
        parts.extend(splits.as_ref().map(|splits| format!("splits={splits:?}")));
        parts.extend(batch_sizes.as_ref().map(|sizes| format!("batch_sizes={sizes:?}")));
        parts.extend(weights.as_ref().map(|weights| format!("weights={weights:?}")));
        format!("{}({})", self.kind, parts.join(", "))
    }
}

fn is_folder_name(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(setup: &str) -> Result<Option<SetupFolder>, CheckpointError> {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(SETUP), setup).expect("writes");
        SetupFolder::open(folder.path())
    }

    #[test]
    fn a_composition_is_written_as_its_users_write_it() {
        let leaf = |name: &str| format!(r#"{{"type": "single", "children": ["{name}"]}}"#);
        let split = format!(
            r#"{{"type": "Split", "children": [{}, {}], "kwargs": {{"splits": [4, 7]}}}}"#,
            leaf("a"),
            leaf("b")
        );
        let setup = format!(
            r#"{{"adapter_setup": {{"type": "Stack", "children": [{}, {split}]}}, "head_setup": null, "version": "adapters.1.3.0"}}"#,
            leaf("a")
        );
        let found = opened(&setup).expect("reads").expect("is one");
        assert_eq!(found.expression, "Stack(a, Split(a, b, splits=[4, 7]))");
        assert_eq!(found.members.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn what_lies_elsewhere_is_refused() {
        for name in ["../x", "/etc", "a/b", "..", ""] {
            let setup = format!(r#"{{"adapter_setup": {{"type": "single", "children": ["{name}"]}}}}"#);
            assert!(opened(&setup).is_err(), "{name}");
        }
        assert!(SetupFolder::open(Path::new("nothing")).expect("reads").is_none());
    }
}
