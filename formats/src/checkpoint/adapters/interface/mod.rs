//! `adapter_interface.json`: through which modules `adapters` reached into a model that it has no classes for.
//!
//! The names are resolved against the modules of the architecture. What they mean for an adapter is decided
//! here; an interface that means something this version does not compute is refused by the field at fault.

mod meaning;
mod render;
#[cfg(test)]
mod tests;

use std::path::Path;

use hub_schemas::{
    backbone::{Architecture, LinearSite, Variant},
    method::Hooked,
};

use serde_json::Map;

use crate::checkpoint::{CheckpointError, fields::Fields, folder::read_json};

pub(in crate::checkpoint) use render::render;

/// The file beside an adapter's configuration.
pub(in crate::checkpoint) const INTERFACE: &str = "adapter_interface.json";

/// Whose names for a model's modules an adapter was made with.
pub(in crate::checkpoint) enum Plugged {
    /// Those that the library has itself for the model type.
    Library,
    /// Those of a file.
    File(Box<Interface>),
    /// Nobody's: a configuration without an adapter, for training here.
    Nobody,
}

impl Plugged {
    /// Reads the file in an adapter's folder, if there is one.
    pub(in crate::checkpoint) fn open(
        dir: &Path,
        architecture: Architecture,
        variant: Variant,
    ) -> Result<Self, CheckpointError> {
        let path = dir.join(INTERFACE);
        if !path.is_file() {
            return Ok(Self::Library);
        }
        Interface::read(&path, architecture, variant).map(|interface| Self::File(Box::new(interface)))
    }

    /// Where bottlenecks hang; `None` where that is behind the sub-layers.
    pub(super) fn hooked(&self, architecture: Architecture) -> Result<Option<Hooked>, CheckpointError> {
        match self {
            Self::Library => Ok(Hooked::of_library(architecture)),
            Self::File(interface) => interface.hooked(),
            Self::Nobody => Ok(None),
        }
    }

    /// What `intermediate_lora` and `output_lora` mean.
    pub(super) fn ffn_sites(&self, architecture: Architecture) -> Result<[LinearSite; 2], CheckpointError> {
        match self {
            Self::Library | Self::Nobody => Ok(architecture.adapters_ffn_sites()),
            Self::File(interface) => interface.ffn_sites(),
        }
    }

    /// Refuses a file whose projections of queries, keys and values are others than the model's.
    pub(super) fn check_attention(&self) -> Result<(), CheckpointError> {
        if let Self::File(interface) = self { interface.check_attention() } else { Ok(()) }
    }

    /// Refuses a file whose embeddings are not what the first block reads.
    pub(super) fn check_embeddings(&self) -> Result<(), CheckpointError> {
        if let Self::File(interface) = self { interface.check_embeddings() } else { Ok(()) }
    }
}

/// The names in a file.
pub(in crate::checkpoint) struct Interface {
    architecture: Architecture,
    variant: Variant,
    names: Names,
    /// For messages.
    fields: Fields,
}

/// `AdapterModelInterface`, without the methods that it allows.
struct Names {
    model_embeddings: String,
    model_layers: String,
    layer_self_attn: String,
    layer_cross_attn: Option<String>,
    attn_o_proj: Option<String>,
    /// Of queries, keys, values, and of all of them.
    attn_proj: [Option<String>; 4],
    layer_intermediate_proj: String,
    layer_output_proj: String,
    layer_pre_self_attn: Option<String>,
    layer_pre_ffn: Option<String>,
    layer_ln_1: Option<String>,
    layer_ln_2: Option<String>,
}

impl Names {
    fn take(fields: &mut Fields) -> Result<Self, CheckpointError> {
        let mut named = |field: &str| fields.text(field);
        let optional = [
            named("layer_cross_attn")?,
            named("attn_o_proj")?,
            named("layer_pre_self_attn")?,
            named("layer_pre_ffn")?,
            named("layer_ln_1")?,
            named("layer_ln_2")?,
        ];
        let attn_proj =
            [named("attn_q_proj")?, named("attn_k_proj")?, named("attn_v_proj")?, named("attn_qkv_proj")?];
        let mut required = |field: &str| fields.text(field)?.ok_or_else(|| fields.wrong(field, "is missing"));
        let [layer_cross_attn, attn_o_proj, layer_pre_self_attn, layer_pre_ffn, layer_ln_1, layer_ln_2] =
            optional;
        Ok(Self {
            model_embeddings: required("model_embeddings")?,
            model_layers: required("model_layers")?,
            layer_self_attn: required("layer_self_attn")?,
            layer_cross_attn,
            attn_o_proj,
            attn_proj,
            layer_intermediate_proj: required("layer_intermediate_proj")?,
            layer_output_proj: required("layer_output_proj")?,
            layer_pre_self_attn,
            layer_pre_ffn,
            layer_ln_1,
            layer_ln_2,
        })
    }
}

impl Interface {
    fn read(path: &Path, architecture: Architecture, variant: Variant) -> Result<Self, CheckpointError> {
        let mut outer = Fields::new(path, read_json(path)?);
        let inner = outer.object("interface")?.ok_or_else(|| outer.wrong("interface", "is missing"))?;
        outer.ignore(&["version"]);
        if let Some(stated) = outer.text("model_type")?.filter(|stated| *stated != architecture.model_type())
        {
            return Err(outer.wrong(
                "model_type",
                format!("is `{stated}` here and `{architecture}` in adapter_config.json"),
            ));
        }
        outer.finish()?;
        let mut fields = Fields::new(path, inner);
        // Which methods may be added; where the backbone stands in its model; what no block here has.
        fields.ignore(&["adapter_methods", "base_model", "layer_pre_cross_attn"]);
        let names = Names::take(&mut fields)?;
        fields.finish()?;
        // For messages.
        let fields = Fields::new(path, Map::new());
        let read = Self { architecture, variant, names, fields };
        if format!("{}.", read.names.model_layers) != architecture.blocks(variant).concat() {
            return Err(read.wrong(
                "model_layers",
                &read.names.model_layers,
                "is no list of this backbone's blocks",
            ));
        }
        if let Some(cross) = &read.names.layer_cross_attn {
            return Err(read.wrong(
                "layer_cross_attn",
                cross,
                "stands in no block of an encoder or decoder alone",
            ));
        }
        Ok(read)
    }

    fn wrong(&self, field: &str, found: &str, reason: &str) -> CheckpointError {
        self.fields.wrong(&format!("interface.{field}"), format!("is `{found}`, which {reason}"))
    }
}

/// Whether the norms stand in front of the sub-layers, and what goes around them is not normalised.
const fn normalises_in_front(architecture: Architecture) -> bool {
    use Architecture::{Albert, Bart, Bert, DebertaV2, DistilBert, Electra, Roberta, XlmRoberta};
    !matches!(architecture, Albert | Bart | Bert | DebertaV2 | DistilBert | Electra | Roberta | XlmRoberta)
}
