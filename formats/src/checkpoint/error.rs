//! Why a folder can't be used.

use std::{io, path::PathBuf};

use hub_schemas::{
    Digest,
    backbone::ShapeError,
    layout::{HeaderError, HubConfigError, Inexpressible, MisfitError},
    manifest::ManifestError,
    method::MethodError,
    path::PathError,
};

use super::{PickleError, gguf::GgufError};
use crate::architectures::ConfigError;

/// Why a backbone or adapter folder can't be used. Every variant names the file.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Reading or writing failed.
    #[error("can't {action} `{path}`: {source}")]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The folder does not exist.
    #[error("there is no folder `{0}`")]
    NoFolder(PathBuf),
    /// The folder holds no adapter.
    #[error(
        "`{0}` is not an adapter folder: it has none of `adapter_config.json`, `head_config.json` and `hub_adapter.json`"
    )]
    NotAnAdapter(PathBuf),
    /// Pickled weights of a backbone can be read, but not published.
    #[error(
        "`{path}` is a pickle, which can run code when it is loaded; base models are published as safetensors only"
    )]
    Pickle {
        /// The pickled file.
        path: PathBuf,
    },
    /// Pickled weights can be read and converted, but not published.
    #[error("`{path}` is a pickle, which can run code when it is loaded; only safetensors are published")]
    PublishesPickle {
        /// The pickled file.
        path: PathBuf,
    },
    /// A `.bin` file is not a state dict of PyTorch's, or is more than that.
    #[error("`{path}` is not a usable file of PyTorch weights: {source}")]
    Pickled {
        /// The file.
        path: PathBuf,
        /// Why.
        source: PickleError,
    },
    /// The folder holds no backbone.
    #[error("`{folder}` is not a backbone folder: it lacks `{missing}`")]
    NotABackbone {
        /// The folder.
        folder: PathBuf,
        /// What is missing.
        missing: &'static str,
    },
    /// A file is larger than its kind ever is.
    #[error("`{path}` has {bytes} bytes; at most {max} are read")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The most that is read.
        max: u64,
    },
    /// A JSON file is not JSON.
    #[error("`{path}` is not valid JSON: {reason}")]
    Json {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        reason: String,
    },
    /// A backbone's `config.json` can't be used.
    #[error("`{path}` can't be used: {source}")]
    Config {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ConfigError,
    },
    /// The configuration of an adapter in our own format can't be read.
    #[error("`{path}` can't be used: {source}")]
    Hub {
        /// The file.
        path: PathBuf,
        /// Why.
        source: HubConfigError,
    },
    /// A field of an adapter's configuration is missing, malformed or has no meaning here.
    #[error("`{path}`: `{field}` {reason}")]
    Field {
        /// The file.
        path: PathBuf,
        /// The field.
        field: String,
        /// What is wrong, as the end of a sentence about the field.
        reason: String,
    },
    /// A module of `sentence-transformers` that is not computed here.
    #[error(
        "`{path}` names the module `{module}`, which this version does not compute: vectors without it would be others"
    )]
    Module {
        /// The file.
        path: PathBuf,
        /// The module's class.
        module: String,
    },
    /// A tensor of positions holds something else.
    #[error("the tensor `{tensor}` in `{path}` holds positions; one of them is no whole number from 0 on")]
    NoPositions {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// A weights file is not well-formed.
    #[error("`{path}` is not a usable safetensors file: {source}")]
    Header {
        /// The file.
        path: PathBuf,
        /// Why.
        source: HeaderError,
    },
    /// A GGUF file can't be used.
    #[error("`{path}` can't be used: {source}")]
    Gguf {
        /// The file.
        path: PathBuf,
        /// Why.
        source: GgufError,
    },
    /// A weights file does not fit the configuration.
    #[error("`{folder}` can't be loaded: {source}")]
    Misfit {
        /// The folder.
        folder: PathBuf,
        /// Which tensor, and how.
        source: MisfitError,
    },
    /// A backbone's weights lack a tensor or have one of another shape.
    #[error("`{path}` does not hold the backbone its config.json describes: {reason}")]
    Backbone {
        /// The file.
        path: PathBuf,
        /// Which tensor, and how.
        reason: String,
    },
    /// A head's file has the whole model, where there is no base model to compare it with.
    #[error("`{path}` holds the whole model and not only the head: `{tensor}` is no part of the head")]
    WholeModel {
        /// The file.
        path: PathBuf,
        /// The first tensor beside the head.
        tensor: String,
    },
    /// A head's file has the whole model, and not as it is here.
    #[error(
        "`{path}` holds the whole model, and brings a changed one: its `{tensor}` is not that of `{owner}`"
    )]
    ChangedModel {
        /// The file.
        path: PathBuf,
        /// The first tensor with other numbers.
        tensor: String,
        /// The base model's or adapter's file that has the tensor too.
        owner: PathBuf,
    },
    /// A head's file has the whole model, and that is not the base model.
    #[error("`{path}` holds the whole model, and that is another one: `{base}` has no `{tensor}`")]
    OtherModel {
        /// The file.
        path: PathBuf,
        /// The first tensor that is nowhere else.
        tensor: String,
        /// The base model's folder.
        base: PathBuf,
    },
    /// The manifest is malformed.
    #[error("`{path}`: {source}")]
    Manifest {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ManifestError,
    },
    /// The manifest and the files beside it say different things.
    #[error("`{folder}`: manifest.json and {file} disagree on the {what}: {manifest} against {found}")]
    Disagreement {
        /// The folder.
        folder: PathBuf,
        /// The other file.
        file: &'static str,
        /// On what.
        what: &'static str,
        /// What the manifest says.
        manifest: String,
        /// What the other file says.
        found: String,
    },
    /// A file is not the one the manifest lists.
    #[error(
        "`{path}` is damaged or was changed: manifest.json lists it with the digest {expected}, it has {found}"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the manifest lists.
        expected: Digest,
        /// What the file has.
        found: Digest,
    },
    /// The manifest says that the weights mean something this version does not compute.
    #[error("`{folder}`: the manifest's `semantics.{flag}` is {value}, which this version does not compute")]
    Semantics {
        /// The folder.
        folder: PathBuf,
        /// Which flag.
        flag: String,
        /// Its value.
        value: String,
    },
    /// A configuration contradicts itself or the backbone.
    #[error("the adapter does not fit the base model: {0}")]
    Method(#[from] MethodError),
    /// The backbone's dimensions can't be.
    #[error("the base model's dimensions are wrong: {0}")]
    Shape(#[from] ShapeError),
    /// The format has no words for the method or head.
    #[error(transparent)]
    Inexpressible(#[from] Inexpressible),
    /// A composition that nothing was trained for has no file to write.
    #[error("`{folder}` is the composition `{expression}`, which has no weights of its own to convert")]
    Weightless {
        /// The folder.
        folder: PathBuf,
        /// How its members work together.
        expression: String,
        /// Their names.
        members: Vec<String>,
    },
    /// A slot that must be written has no tensor.
    #[error("the tensor for `{slot}` is missing or has another shape than {expected:?}")]
    Slot {
        /// The slot.
        slot: String,
        /// Its shape.
        expected: Vec<usize>,
    },
    /// A file name that can't be published.
    #[error("`{folder}` can't be published: {source}")]
    Path {
        /// The folder.
        folder: PathBuf,
        /// Which name, and why.
        source: PathError,
    },
}

impl CheckpointError {
    pub(crate) fn read(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action: "read", path: path.into(), source }
    }

    pub(crate) fn write(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action: "write", path: path.into(), source }
    }

    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Pickle { .. } => Some("convert it where you trust it: load the model in Python and save it with `save_pretrained(…, safe_serialization=True)`".into()),
            Self::PublishesPickle { .. } => Some("`hub convert` writes the same adapter as safetensors".into()),
            Self::Pickled { source: PickleError::Global(_) | PickleError::Opcode { .. }, .. } => Some("PyTorch would run what such a file asks for: load it only if you trust whoever made it; `save_adapter(…, use_safetensors=True)` (adapters) or `save_pretrained(…)` (PEFT) saves weights alone".into()),
            Self::Pickled { .. } => Some("the file may be truncated or damaged; otherwise save it again as safetensors".into()),
            Self::Damaged { .. } => Some("pull it again after `hub remove`, or train it again; if the change is meant, remove manifest.json".into()),
            Self::Config { source: ConfigError::Unknown { .. }, .. } => Some("a key that only a trainer left there, and that no class of `transformers` reads, can be removed from `config.json` (of a copy, where the folder is a cache's): the digest of the weights stays the same. Otherwise a later version of `hub` may know it".into()),
            Self::NotABackbone { .. } => {
                Some("a backbone folder holds config.json and model.safetensors, as Hugging Face models do".into())
            }
            Self::WholeModel { .. } => Some("`hub convert --base DIR` compares the rest with the base model and writes adapter and head alone, as safetensors".into()),
            Self::ChangedModel { .. } | Self::OtherModel { .. } => Some("use the base model that the head was trained on; where its weights were trained too, no adapter holds them".into()),
            Self::Weightless { members, .. } => {
                let members: Vec<String> = members.iter().map(|name| format!("`{name}`")).collect();
                Some(format!("convert the folders of its members, one by one: {}", members.join(", ")))
            }
            Self::Module { .. } => {
                Some("`hub train --pooling` learns vectors of the base model's tokens, without these modules".into())
            }
            Self::Header { .. } => Some("the file may be truncated or damaged: download or train it again".into()),
            _ => None,
        }
    }
}
