//! A fusion's folder: `adapter_fusion_config.json` and `model_adapter_fusion.safetensors`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use hub_schemas::{
    backbone::{Architecture, BackboneShape, SubLayer, Variant},
    layout::{self, FUSION_CONFIG, FUSION_WEIGHTS},
    method::FusionConfig,
};

use crate::checkpoint::{
    CheckpointError, SlotData, TensorFile, fields::Fields, folder::read_json, weights::stored_name,
};

/// A fusion's folder whose configuration was read.
#[derive(Debug)]
pub struct FusionFolder {
    /// Where it lies.
    pub path: PathBuf,
    /// Its name: by default those of its members, with commas.
    pub name: String,
    /// Its configuration.
    pub config: FusionConfig,
    /// The architecture it was made for.
    pub architecture: Architecture,
}

impl FusionFolder {
    /// Opens a folder that `adapters` wrote.
    pub fn open(dir: &Path) -> Result<Self, CheckpointError> {
        if !dir.is_dir() {
            return Err(CheckpointError::NoFolder(dir.to_owned()));
        }
        let path = dir.join(FUSION_CONFIG);
        if !path.is_file() {
            return Err(CheckpointError::NotAnAdapter(dir.to_owned()));
        }
        let mut outer = Fields::new(&path, read_json(&path)?);
        let name = outer.text("name")?.ok_or_else(|| outer.wrong("name", "is missing"))?;
        let model_type = outer.text("model_type")?.unwrap_or_default();
        let architecture =
            model_type.parse().map_err(|e| outer.wrong("model_type", format!("can't be used: {e}")))?;
        let config = outer.object("config")?.ok_or_else(|| outer.wrong("config", "is missing"))?;
        let mut fields = Fields::new(&path, config);
        let default = FusionConfig::dynamic();
        let config = FusionConfig {
            key: fields.bool_or("key", default.key)?,
            query: fields.bool_or("query", default.query)?,
            value: fields.bool_or("value", default.value)?,
            query_before_ln: fields.bool_or("query_before_ln", default.query_before_ln)?,
            regularization: fields.bool_or("regularization", default.regularization)?,
            residual_before: fields.bool_or("residual_before", default.residual_before)?,
            temperature: fields.bool_or("temperature", default.temperature)?,
            value_before_softmax: fields.bool_or("value_before_softmax", default.value_before_softmax)?,
            // Only says how fresh weights are drawn; older files hold a text.
            value_initialized: fields.take("value_initialized").is_some_and(|v| v != false),
            dropout_prob: fields.number("dropout_prob")?,
        };
        fields.finish()?;
        Ok(Self { path: dir.to_owned(), name, config, architecture })
    }

    /// Reads the tensors for `places` into their slots.
    pub fn read_slots(
        &self,
        places: &[(usize, SubLayer)],
        shape: &BackboneShape,
    ) -> Result<BTreeMap<String, SlotData>, CheckpointError> {
        let file = TensorFile::open_renamed(&self.path.join(stored_name(&self.path, FUSION_WEIGHTS)))?;
        let prefix = format!("{}.", self.architecture.model_prefix(shape.variant()));
        let prefixed = file.header.tensors.keys().any(|name| name.starts_with(&prefix));
        let slots = self.config.slots(places, shape);
        // A custom interface hangs fusions elsewhere too, and leaves no file beside them.
        let [own, hooked] = [Architecture::sublayer_path, Architecture::hooked_path];
        let has = |path: fn(Architecture, usize, SubLayer, Variant) -> String| {
            let paths = places.iter().map(|&(layer, at)| path(self.architecture, layer, at, shape.variant()));
            let stems: Vec<String> = paths.map(|path| format!("{path}.adapter_fusion_layer.")).collect();
            file.header.tensors.keys().any(|name| stems.iter().any(|stem| name.contains(stem)))
        };
        let is_hooked = !has(own) && has(hooked);
        let kind = (self.architecture, shape.variant());
        let layout = layout::fusion_file(&slots, kind, &self.name, (prefixed, is_hooked));
        layout
            .check(&file.header)
            .map_err(|source| CheckpointError::Misfit { folder: self.path.clone(), source })?;
        file.read_slots(&layout)
    }
}
