//! Which tensors a weights file must hold, by which names and of which shapes.
//!
//! Inside the project a tensor has a *slot*: a name free of frameworks and of the
//! adapter's own name, such as `layers.3.ffn.down.weight`. A file format is a pure
//! function from a method, a head and a backbone to the names those slots have on
//! disk. The registry uses it to refuse files that can't be loaded, the client to
//! load and save them.

mod adapters;
mod header;
mod heads;
mod hub;
mod in_class;
mod peft;
mod slots;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use adapters::{PREFIXED as ADAPTERS_PREFIXED, fusion_file};
pub use header::{Dtype, HeaderError, MAX_HEADER_BYTES, TensorHeader, TensorInfo, header_len};
pub use heads::{
    DECODER, DECODER_BIAS, HeadSizes, HeadTask, ModelClass, UnknownModelClass, head_slots, is_buffer,
};
pub use hub::{HUB_CONFIG, HUB_FORMAT_VERSION, HUB_WEIGHTS, HubConfig, HubConfigError};
pub use in_class::weights_files_in_class;
pub use peft::join as prompt_join;
pub use slots::{Place, Slot, method_slots};

use crate::{
    backbone::{Architecture, BackboneShape, SubLayer, Variant},
    head::Head,
    method::{Hooked, Method, PromptGate, PromptPlace, VeraScaling},
};

/// Whose file layout the weights have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Hugging Face PEFT: `adapter_config.json`, `adapter_model.safetensors`.
    Peft,
    /// AdapterHub's `adapters`: `adapter_config.json`, `adapter.safetensors`, and
    /// `head_config.json`, `model_head.safetensors`.
    Adapters,
    /// Our own, for methods that neither library has: `hub_adapter.json`,
    /// `hub_adapter.safetensors`.
    Hub,
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Peft => "peft",
            Self::Adapters => "adapters",
            Self::Hub => "hub",
        })
    }
}

/// File name of the adapter's configuration, in both formats.
pub const ADAPTER_CONFIG: &str = "adapter_config.json";
/// PEFT's weights.
pub const PEFT_WEIGHTS: &str = "adapter_model.safetensors";
/// The weights of an adapter as `adapters` saves them.
pub const ADAPTERS_WEIGHTS: &str = "adapter.safetensors";
/// The configuration of a fusion as `adapters` saves it.
pub const FUSION_CONFIG: &str = "adapter_fusion_config.json";
/// The weights of a fusion as `adapters` saves them.
pub const FUSION_WEIGHTS: &str = "model_adapter_fusion.safetensors";
/// The configuration of a head as `adapters` saves it.
pub const HEAD_CONFIG: &str = "head_config.json";
/// The weights of a head as `adapters` saves them.
pub const HEAD_WEIGHTS: &str = "model_head.safetensors";
/// What `sentence-transformers` makes vectors with.
pub const SENTENCE_MODULES: &str = "modules.json";

/// One tensor of a weights file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name in the file.
    pub disk: String,
    /// Its shape in the file.
    pub shape: Vec<usize>,
    /// The slot it fills.
    pub slot: String,
    /// The slot's shape: the same number of elements.
    pub slot_shape: Vec<usize>,
    /// Names under which the file may hold the same content again.
    pub aliases: Vec<String>,
    /// Whether rows and columns are exchanged in the file; both have two dimensions then.
    pub transposed: bool,
    /// Whether a file may lack it.
    pub optional: bool,
    /// Whether its elements are positions, which files keep as whole numbers of any width.
    pub positions: bool,
}

impl TensorSpec {
    /// A tensor that is stored as its slot is shaped.
    pub(crate) fn new(disk: String, slot: &Slot) -> Self {
        Self {
            disk,
            shape: slot.shape.clone(),
            slot: slot.name.clone(),
            slot_shape: slot.shape.clone(),
            aliases: Vec::new(),
            transposed: false,
            optional: false,
            positions: slot.positions,
        }
    }

    /// The same, stored in another shape.
    fn shaped(self, shape: &[usize]) -> Self {
        Self { shape: shape.to_vec(), ..self }
    }

    /// The same, stored with rows and columns exchanged.
    fn transposed(self) -> Self {
        let shape = self.shape.iter().rev().copied().collect();
        Self { shape, transposed: true, ..self }
    }

    /// The same, under more names.
    fn also(mut self, aliases: impl IntoIterator<Item = String>) -> Self {
        self.aliases.extend(aliases);
        self
    }
}

/// One weights file and what it must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightsFile {
    /// Its name in the adapter's folder.
    pub path: &'static str,
    /// Its tensors.
    pub tensors: Vec<TensorSpec>,
}

/// What decides a layout.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The backbone's architecture.
    pub architecture: Architecture,
    /// The backbone's dimensions.
    pub shape: &'a BackboneShape,
    /// The adapter method.
    pub method: &'a Method,
    /// The head, when there is one.
    pub head: Option<&'a Head>,
    /// The adapter's name inside tensor names (`adapters` only).
    pub name: &'a str,
    /// Whether names start at a model with a head (`bert.encoder…`) or at the
    /// bare backbone (`encoder…`).
    pub prefixed: bool,
}

/// A method or head that a format has no words for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {format} format can't hold {what}")]
pub struct Inexpressible {
    /// The format.
    pub format: Format,
    /// What it has no words for.
    pub what: String,
}

/// The weights files of `subject` in `format`.
pub fn weights_files(format: Format, subject: &Subject<'_>) -> Result<Vec<WeightsFile>, Inexpressible> {
    match format {
        Format::Peft => peft::weights_files(subject),
        Format::Adapters => adapters::weights_files(subject),
        Format::Hub => Ok(hub::weights_files(subject)),
    }
}

/// The format in which `hub train` writes a method on a backbone: PEFT where PEFT has it, our own where
/// neither library computes what is trained here.
pub fn native_format(method: &Method, architecture: Architecture, shape: &BackboneShape) -> Format {
    let library_has = |part: &Method| library_computes(part, architecture, shape);
    match method {
        _ if !method.parts().iter().all(library_has) => Format::Hub,
        Method::Lora(config) if !config.use_gating && config.multi_task.is_none() => Format::Peft,
        Method::Ia3(config) if !config.use_gating => Format::Peft,
        Method::Vera(config) if config.scaling == VeraScaling::Diagonal => Format::Peft,
        Method::AdaLora(_)
        | Method::Loha(_)
        | Method::Lokr(_)
        | Method::Oft(_)
        | Method::Boft(_)
        | Method::Beft(_)
        | Method::C3a(_)
        | Method::Delora(_)
        | Method::Gralora(_)
        | Method::Hira(_)
        | Method::Hra(_)
        | Method::Miss(_)
        | Method::RandLora(_)
        | Method::Road(_)
        | Method::Shira(_)
        | Method::VbLora(_)
        | Method::Glora(_)
        | Method::Deft(_)
        | Method::Tokens(_) => Format::Peft,
        Method::LlamaAdapter(config)
            if config.gate == PromptGate::Scalar
                && config.image.is_none()
                && peft::has_adaption_prompts(architecture) =>
        {
            Format::Peft
        }
        Method::Prompt(config) if config.place == PromptPlace::Words => Format::Peft,
        Method::Prefix(config) if peft::has_prefix(config) && peft::stands_at_decoder(config, shape) => {
            Format::Peft
        }
        Method::Prefix(config) if config.shifts_positions => Format::Hub,
        Method::Replace(config) if config.is_norms_only() => Format::Peft,
        Method::Replace(_) | Method::Hadamard(_) | Method::LlamaAdapter(_) => Format::Hub,
        _ => Format::Adapters,
    }
}

/// Whether `adapters`, in whose words this is, computes the same on a backbone. It may have no such parts for it, hang
/// them elsewhere, or hide them: a decoder's mask has no room for prefixes there.
fn library_computes(part: &Method, architecture: Architecture, shape: &BackboneShape) -> bool {
    match part {
        Method::Prefix(config) if !config.shifts_positions => {
            architecture.has_library_class() && !architecture.masks_prefixes_of(shape)
        }
        Method::Prompt(config) if config.place != PromptPlace::Words => architecture.has_library_prompts(),
        _ => !stands_elsewhere(part, architecture),
    }
}

/// Whether it is a bottleneck behind the sub-layers of a model where `adapters` hangs them on the projections.
fn stands_elsewhere(method: &Method, architecture: Architecture) -> bool {
    matches!(method, Method::Bottleneck(config) if config.hooked.is_none())
        && Hooked::of_library(architecture).is_some()
}

/// The files without which a folder in `format` is not an adapter.
pub fn required_files(format: Format, method: &Method, head: Option<&Head>) -> Vec<&'static str> {
    let mut files = Vec::new();
    match (format, method) {
        (Format::Hub, _) => return vec![HUB_CONFIG, HUB_WEIGHTS],
        (Format::Peft, _) => files.extend([ADAPTER_CONFIG, PEFT_WEIGHTS]),
        // Alone, trained copies are of what the head's file holds.
        (Format::Adapters, Method::LastLayer | Method::Replace(_)) => {}
        (Format::Adapters, Method::Composition(config)) => {
            if config.fusion.is_some() {
                files.extend([FUSION_CONFIG, FUSION_WEIGHTS]);
            }
        }
        (Format::Adapters, _) => files.extend([ADAPTER_CONFIG, ADAPTERS_WEIGHTS]),
    }
    match (format, head) {
        // It has no tensors, and neither library has another place to note it.
        (_, Some(Head::Embedding(_))) => files.push(HEAD_CONFIG),
        (Format::Adapters, Some(_)) => files.extend([HEAD_CONFIG, HEAD_WEIGHTS]),
        _ => {}
    }
    files
}

/// How a weights file differs from what its layout demands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MisfitError {
    /// A tensor that must be there is not.
    #[error("`{file}` lacks the tensor `{tensor}` of shape {expected:?}")]
    Missing {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
        /// Its expected shape.
        expected: Vec<usize>,
    },
    /// A tensor that nothing would read.
    #[error(
        "`{file}` has the tensor `{tensor}` of shape {found:?}, which the adapter's configuration has no place for"
    )]
    Unexpected {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
        /// Its shape.
        found: Vec<usize>,
    },
    /// A tensor of another shape.
    #[error(
        "the tensor `{tensor}` in `{file}` has shape {found:?}; the base model and the configuration make it {expected:?}"
    )]
    Shape {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape it must have.
        expected: Vec<usize>,
    },
    /// A tensor that does not hold floating-point numbers.
    #[error("the tensor `{tensor}` in `{file}` holds {found}; weights are F64, F32, F16 or BF16")]
    Dtype {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
        /// Its element type.
        found: String,
    },
}

impl WeightsFile {
    /// The same under the names of PEFT around a class that calls its backbone otherwise.
    #[must_use]
    pub fn around(mut self, class: ModelClass) -> Self {
        if let Some(name) = class.backbone_name() {
            let usual = class.architecture().model_prefix(Variant::default());
            let (usual, own) = (format!("{}{usual}.", peft::ROOT), format!("{}{name}.", peft::ROOT));
            for spec in &mut self.tensors {
                for disk in std::iter::once(&mut spec.disk).chain(&mut spec.aliases) {
                    if let Some(rest) = disk.strip_prefix(&usual) {
                        *disk = format!("{own}{rest}");
                    }
                }
            }
        }
        self
    }

    /// Compares with the header of a real file: nothing missing, nothing unexpected, every shape right.
    pub fn check(&self, header: &TensorHeader) -> Result<(), MisfitError> {
        let file = || self.path.to_owned();
        for spec in &self.tensors {
            for (index, name) in std::iter::once(&spec.disk).chain(&spec.aliases).enumerate() {
                let Some(info) = header.tensors.get(name) else {
                    if index > 0 || spec.optional {
                        continue;
                    }
                    return Err(MisfitError::Missing {
                        file: file(),
                        tensor: name.clone(),
                        expected: spec.shape.clone(),
                    });
                };
                if info.shape != spec.shape {
                    return Err(MisfitError::Shape {
                        file: file(),
                        tensor: name.clone(),
                        found: info.shape.clone(),
                        expected: spec.shape.clone(),
                    });
                }
                if !(info.is_float() || spec.positions && info.is_whole()) {
                    return Err(MisfitError::Dtype {
                        file: file(),
                        tensor: name.clone(),
                        found: format!("{:?}", info.dtype),
                    });
                }
            }
        }
        let known: std::collections::HashSet<&str> = (self.tensors.iter())
            .flat_map(|spec| std::iter::once(&spec.disk).chain(&spec.aliases))
            .map(String::as_str)
            .collect();
        match header.tensors.iter().find(|(name, _)| !known.contains(name.as_str())) {
            None => Ok(()),
            Some((name, info)) => {
                Err(MisfitError::Unexpected { file: file(), tensor: name.clone(), found: info.shape.clone() })
            }
        }
    }
}

#[cfg(test)]
mod tests;
