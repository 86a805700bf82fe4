//! Why a reference leads nowhere.

use std::path::PathBuf;

use hub_formats::checkpoint::CheckpointError;
use hub_schemas::{
    AdapterId, Digest, Reference, Version, VersionReq,
    manifest::{ArtifactKind, BaseModel, ManifestError},
};

use crate::{cache::CacheError, registry::RegistryError};

/// Why no version could be chosen.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The registry has no such adapter, or none the caller may see.
    #[error("there is no adapter `{id}` at {registry}")]
    NotFound {
        /// Which.
        id: AdapterId,
        /// Where.
        registry: String,
        /// What was probably meant.
        meant: Option<String>,
        /// Whether the request carried a token.
        logged_in: bool,
    },
    /// The registry has no version with this digest, or none the caller may see.
    #[error("there is no adapter with the digest `{digest}` at {registry}")]
    NoDigest {
        /// Which.
        digest: Digest,
        /// Where.
        registry: String,
    },
    /// None of the adapter's versions will do.
    #[error("`{id}` has no version that fits `{requirement}`; it has {}", listed(versions))]
    NoVersion {
        /// Which adapter.
        id: AdapterId,
        /// What was asked for.
        requirement: VersionReq,
        /// What there is, newest first.
        versions: Vec<Version>,
    },
    /// Every version that would do was yanked.
    #[error("every version of `{id}` that would do was yanked: {version} because \"{reason}\"")]
    Yanked {
        /// Which adapter.
        id: AdapterId,
        /// The newest of them.
        version: Version,
        /// Why that one was.
        reason: String,
    },
    /// No adapter matches a bare word.
    #[error("no adapter at {registry} is called `{word}` or made for a task `{word}`{}", for_base(*base))]
    NothingFits {
        /// The word.
        word: String,
        /// Where.
        registry: String,
        /// Digest of the backbone in use.
        base: Option<Digest>,
        /// How many adapters match the word but another backbone.
        other_bases: u64,
        /// What was probably meant.
        meant: Option<String>,
    },
    /// Not in the local store, and no request may be made.
    #[error("`{reference}` is not in the cache at `{cache}`, and no request is made offline")]
    Offline {
        /// What was asked for.
        reference: Reference,
        /// Where it was looked for.
        cache: PathBuf,
    },
    /// The registry could not be asked.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The local store could not be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

fn listed(versions: &[Version]) -> String {
    const SHOWN: usize = 5;
    if versions.is_empty() {
        return "none".to_owned();
    }
    let mut texts: Vec<_> = versions.iter().take(SHOWN).map(ToString::to_string).collect();
    if versions.len() > SHOWN {
        texts.push(format!("{} older ones", versions.len() - SHOWN));
    }
    texts.join(", ")
}

fn for_base(base: Option<Digest>) -> String {
    base.map_or_else(String::new, |digest| format!(" on the backbone in use ({})", digest.short()))
}

impl ResolveError {
    /// What to do next.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::NotFound { meant, logged_in, .. } => {
                let mut hints: Vec<_> = meant.iter().map(|m| format!("did you mean `{m}`?")).collect();
                if !logged_in {
                    hints.push("if it is private, log in first with `hub login`".into());
                }
                hints
            }
            Self::NothingFits { word, other_bases, meant, .. } => {
                let mut hints: Vec<_> = meant.iter().map(|m| format!("did you mean `{m}`?")).collect();
                if *other_bases > 0 {
                    let (count, verb) = (other_bases, if *other_bases == 1 { "belongs" } else { "belong" });
                    hints
                        .push(format!("{count} {verb} to another backbone: `hub search {word}` shows which"));
                } else {
                    hints.push("`hub search` lists what there is".into());
                }
                hints
            }
            Self::NoVersion { id, .. } => vec![format!("`hub info {id}` lists the versions")],
            Self::Yanked { id, version, .. } => {
                vec![format!("whoever needs it all the same names it exactly: `{id}@{version}`")]
            }
            Self::Offline { .. } => {
                vec!["`hub list` shows what is there; without `--offline` it would be fetched".into()]
            }
            Self::NoDigest { .. } => Vec::new(),
            Self::Registry(error) => error.hints(),
            Self::Cache(error) => error.hint().into_iter().collect(),
        }
    }
}

/// Why an adapter could not be put into the local store.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The manifest is malformed.
    #[error("`{title}` is refused: {source}")]
    Manifest {
        /// Which adapter.
        title: String,
        /// Why.
        source: ManifestError,
    },
    /// The manifest is that of another version.
    #[error("`{title}` is refused: its manifest says it is `{found}`")]
    OtherVersion {
        /// What was asked for.
        title: String,
        /// What came.
        found: String,
    },
    /// An adapter was asked for, or a base model, and it is the other.
    #[error("`{title}` is {}, not {}", found.described(), wanted.described())]
    OtherKind {
        /// What was asked for.
        title: String,
        /// What it is.
        found: ArtifactKind,
        /// What it should be.
        wanted: ArtifactKind,
    },
    /// The files do not hold what the manifest says.
    #[error("`{title}` is refused, its files don't fit its manifest: {source}")]
    Misfit {
        /// Which adapter.
        title: String,
        /// Why.
        source: Box<CheckpointError>,
    },
    /// The registry could not be asked.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The local store could not be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl PullError {
    /// Whether the registry sent something else than what was asked for.
    pub(super) fn is_wrong_bytes(&self) -> bool {
        matches!(self, Self::Registry(RegistryError::Corrupt { .. }))
    }

    /// What to do next.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Manifest { .. } | Self::OtherVersion { .. } | Self::Misfit { .. } => {
                vec!["nothing was kept; tell whoever published it, or runs the registry".into()]
            }
            Self::OtherKind { title, .. } => {
                vec![format!("use it as a backbone: `--base {title}`")]
            }
            Self::Registry(error) => error.hints(),
            Self::Cache(error) => error.hint().into_iter().collect(),
        }
    }
}

/// Why no backbone could be used.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// Nobody said which, and nothing else tells.
    #[error("no backbone is named")]
    NotNamed,
    /// The one that was named is neither a folder nor known by that name.
    #[error("there is no backbone `{name}`: neither a folder nor a known name")]
    Unknown {
        /// As it was given.
        name: String,
    },
    /// None of the known folders has the right weights.
    #[error(
        "no backbone here has the weights the adapter was trained on: `{}`, {} ({} looked at)",
        wanted.id, wanted.weights_digest, folders(*looked_at)
    )]
    NotFound {
        /// What the adapter states.
        wanted: Box<BaseModel>,
        /// How many folders were looked at.
        looked_at: usize,
    },
    /// The one that was named has other weights.
    #[error(
        "the backbone in `{folder}` is not the one the adapter was trained on: it has the weights {found}, \
         the adapter states {} (`{}`)",
        wanted.weights_digest, wanted.id
    )]
    Mismatch {
        /// The folder.
        folder: PathBuf,
        /// Digest of its weights.
        found: Digest,
        /// What the adapter states.
        wanted: Box<BaseModel>,
    },
    /// The folder can't be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

fn folders(count: usize) -> String {
    format!("{count} folder{}", if count == 1 { "" } else { "s" })
}

impl BaseError {
    /// What to do next.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::NotNamed => vec![
                "name its folder with `--base DIR`, or once and for all with `hub config set base DIR`"
                    .into(),
            ],
            Self::Unknown { .. } => vec![
                "`--base` takes a folder with config.json and model.safetensors, or the name of a model in \
                 Hugging Face's cache or in a folder of `hub config get backbones`"
                    .into(),
            ],
            Self::NotFound { wanted, .. } => vec![format!(
                "fetch `{}` from its home, then name its folder with `--base DIR` or `hub config set base DIR`",
                wanted.id
            )],
            Self::Mismatch { .. } => vec![
                "name the right backbone with `--base DIR`, or use this one all the same with `--force`: \
                 predictions may be meaningless"
                    .into(),
            ],
            Self::Checkpoint(error) => error.hint().into_iter().collect(),
        }
    }
}
