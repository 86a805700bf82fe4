//! Which files of a repository an adapter is made of.

use hub_formats::checkpoint::pickled_name;
use hub_schemas::{
    digest::Digest,
    layout::{
        ADAPTER_CONFIG, ADAPTERS_WEIGHTS, HEAD_CONFIG, HEAD_WEIGHTS, HUB_CONFIG, HUB_WEIGHTS, PEFT_WEIGHTS,
    },
    path::FilePath,
};
use ring::digest;

/// One of them says what the adapter is.
const CONFIGS: [&str; 3] = [ADAPTER_CONFIG, HEAD_CONFIG, HUB_CONFIG];
const WEIGHTS: [&str; 4] = [PEFT_WEIGHTS, ADAPTERS_WEIGHTS, HEAD_WEIGHTS, HUB_WEIGHTS];
/// What people read.
const TEXTS: [&str; 6] = ["README.md", "LICENSE", "LICENSE.md", "LICENSE.txt", "NOTICE.md", "NOTICE.txt"];

/// What a base model's folder says of itself.
const BASE_CONFIG: &str = "config.json";
/// Its weights in one file.
const BASE_WEIGHTS: &str = "model.safetensors";
/// Which of several files holds which tensor.
const BASE_INDEX: &str = "model.safetensors.index.json";
const BASE_PICKLED: [&str; 2] = ["pytorch_model.bin", "pytorch_model.bin.index.json"];

/// A file at the top of a repository, as its tree lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryFile {
    /// Its name.
    pub path: FilePath,
    /// How many bytes it has.
    pub size: u64,
    /// What names its content.
    pub content: Content,
}

/// What names the content of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A large file, by the SHA-256 of its bytes.
    Large(Digest),
    /// A file in git itself, by the SHA-1 of `blob LENGTH NUL` and its bytes, in hexadecimal digits.
    Blob(String),
}

impl RepositoryFile {
    /// Whether these are its bytes.
    pub fn is(&self, bytes: &[u8]) -> bool {
        if bytes.len() as u64 != self.size {
            return false;
        }
        match &self.content {
            Content::Large(digest) => Digest::of(bytes) == *digest,
            Content::Blob(oid) => {
                let mut git = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
                git.update(format!("blob {}\0", bytes.len()).as_bytes());
                git.update(bytes);
                hex::encode(git.finish()) == *oid
            }
        }
    }
}

/// Why a repository can't be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It holds something else.
    #[error("it holds no adapter: there is none of `{}` at its top", CONFIGS.join("`, `"))]
    NoAdapter,
    /// Python would run what its weights ask for.
    #[error(
        "its weights are there as `{0}` only, a pickle, which can run code when it is loaded; only safetensors are \
         taken"
    )]
    Pickled(&'static str),
    /// A base model with no safetensors.
    #[error(
        "the weights of this base model are there as `{0}` only, a pickle; their digest is computed of safetensors \
         alone"
    )]
    PickledBase(&'static str),
    /// No base model.
    #[error("it holds no base model: there is no `{0}` at its top")]
    NoBase(&'static str),
    /// Configuration alone.
    #[error("it has no weights: there is none of `{}` at its top", WEIGHTS.join("`, `"))]
    NoWeights,
}

impl Unfit {
    /// What to do about it, where that is known.
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Pickled(_) => Some(
                "download it, let `hub convert` write the same adapter as safetensors, and publish that with `hub \
                 push`",
            ),
            _ => None,
        }
    }
}

/// The files to take, in the tree's order.
pub fn choose(files: &[RepositoryFile]) -> Result<Vec<&RepositoryFile>, Unfit> {
    let has = |name: &str| files.iter().any(|file| file.path.as_str() == name);
    if !CONFIGS.iter().any(|name| has(name)) {
        return Err(Unfit::NoAdapter);
    }
    let pickled = |name: &&str| pickled_name(name).filter(|pickled| !has(name) && has(pickled));
    if let Some(pickled) = WEIGHTS.iter().find_map(pickled) {
        return Err(Unfit::Pickled(pickled));
    }
    if !WEIGHTS.iter().any(|name| has(name)) {
        return Err(Unfit::NoWeights);
    }
    let is_taken = |name: &str| [&CONFIGS[..], &WEIGHTS, &TEXTS].iter().any(|names| names.contains(&name));
    Ok(named(files, is_taken))
}

/// The files that tell which weights a base model has, in the tree's order.
pub fn choose_base(files: &[RepositoryFile]) -> Result<Vec<&RepositoryFile>, Unfit> {
    let has = |name: &str| files.iter().any(|file| file.path.as_str() == name);
    if !has(BASE_CONFIG) {
        return Err(Unfit::NoBase(BASE_CONFIG));
    }
    if has(BASE_WEIGHTS) {
        return Ok(named(files, |name| [BASE_CONFIG, BASE_WEIGHTS].contains(&name)));
    }
    if has(BASE_INDEX) {
        let is_shard = |name: &str| name.starts_with("model-") && name.ends_with(".safetensors");
        return Ok(named(files, |name| [BASE_CONFIG, BASE_INDEX].contains(&name) || is_shard(name)));
    }
    match BASE_PICKLED.into_iter().find(|name| has(name)) {
        Some(pickled) => Err(Unfit::PickledBase(pickled)),
        None => Err(Unfit::NoBase(BASE_WEIGHTS)),
    }
}

fn named(files: &[RepositoryFile], is_taken: impl Fn(&str) -> bool) -> Vec<&RepositoryFile> {
    files.iter().filter(|file| is_taken(file.path.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(names: &[&str]) -> Vec<RepositoryFile> {
        let content = Content::Blob("0".repeat(40));
        let file = |name: &&str| RepositoryFile {
            path: name.parse().expect(name),
            size: 1,
            content: content.clone(),
        };
        names.iter().map(file).collect()
    }

    fn chosen(names: &[&str]) -> Result<Vec<String>, String> {
        let files = listed(names);
        let chosen = choose(&files).map_err(|e| e.to_string())?;
        Ok(chosen.into_iter().map(|file| file.path.to_string()).collect())
    }

    #[test]
    fn bytes_are_compared_with_what_git_calls_them() {
        // What `git hash-object` says of these bytes.
        let oid = "8ab686eafeb1f44702738c8b0f24f2567c36da6d".to_owned();
        let file =
            RepositoryFile { size: 14, content: Content::Blob(oid), ..listed(&["README.md"]).remove(0) };
        assert!(file.is(b"Hello, World!\n") && !file.is(b"Hello, World?\n") && !file.is(b"Hello"));
        let file = RepositoryFile { content: Content::Large(Digest::of(b"Hello, World!\n")), ..file };
        assert!(file.is(b"Hello, World!\n") && !file.is(b"Hello, World?\n"));
    }

    #[test]
    fn what_an_adapter_is_made_of_is_taken_and_nothing_else() {
        let names = [
            "README.md",
            "adapter_config.json",
            "adapter_model.bin",
            "adapter_model.safetensors",
            "optimizer.pt",
            "other.safetensors",
            "tokenizer.json",
            "training_args.bin",
        ];
        assert_eq!(chosen(&names).expect("chosen"), ["README.md", names[1], names[3]]);
        let names = [
            "LICENSE",
            "adapter.safetensors",
            "adapter_config.json",
            "head_config.json",
            "model_head.safetensors",
        ];
        assert_eq!(chosen(&names).expect("chosen"), names);
    }

    #[test]
    fn of_a_base_model_the_weights_are_taken_that_its_index_may_name() {
        let chosen = |names: &[&str]| {
            let files = listed(names);
            let chosen = choose_base(&files).map_err(|e| e.to_string())?;
            Ok::<Vec<String>, String>(chosen.into_iter().map(|file| file.path.to_string()).collect())
        };
        let whole = ["config.json", "model.safetensors", "onnx.safetensors", "pytorch_model.bin"];
        assert_eq!(chosen(&whole).expect("chosen"), whole[..2]);
        let parts = [
            "config.json",
            "model-1-of-2.safetensors",
            "model-2-of-2.safetensors",
            "model.safetensors.index.json",
        ];
        assert_eq!(chosen(&parts).expect("chosen"), parts);
        let pickled = chosen(&["config.json", "pytorch_model.bin"]).expect_err("refused");
        assert!(pickled.contains("`pytorch_model.bin` only"), "{pickled}");
        assert!(chosen(&["model.safetensors"]).expect_err("refused").contains("no `config.json`"));
        assert!(chosen(&["config.json"]).expect_err("refused").contains("no `model.safetensors`"));
    }

    #[test]
    fn what_can_not_be_taken_says_why() {
        let refusals = [
            &["README.md", "config.json", "model.safetensors"][..],
            &["adapter_config.json", "adapter_model.bin"],
            &["adapter_config.json", "adapter.safetensors", "head_config.json", "pytorch_model_head.bin"],
            &["adapter_config.json"],
        ]
        .map(|names| chosen(names).expect_err("refused"));
        insta::assert_snapshot!(refusals.join("\n"), @r"
        it holds no adapter: there is none of `adapter_config.json`, `head_config.json`, `hub_adapter.json` at its top
        its weights are there as `adapter_model.bin` only, a pickle, which can run code when it is loaded; only safetensors are taken
        its weights are there as `pytorch_model_head.bin` only, a pickle, which can run code when it is loaded; only safetensors are taken
        it has no weights: there is none of `adapter_model.safetensors`, `adapter.safetensors`, `model_head.safetensors`, `hub_adapter.safetensors` at its top
        ");
    }
}
