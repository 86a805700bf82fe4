//! The `config` object of the `adapters` library: one file per family of methods, each
//! reading and writing.

mod bottleneck;
mod fusion;
pub(super) mod interface;
mod low_rank;
pub(super) mod orthogonal;
mod prompts;
mod reft;

use std::path::Path;

use hub_schemas::{
    backbone::{Architecture, Variant},
    method::{Activation, Method, UnionConfig},
};
use serde_json::{Map, Value, json};

use super::{CheckpointError, fields::Fields};

pub use fusion::FusionFolder;
use interface::Plugged;

/// What decides how a configuration is read, besides itself.
pub(super) struct Reading<'a> {
    /// The file, for messages.
    pub(super) path: &'a Path,
    /// Version of the library that wrote it; the first generation wrote none.
    pub(super) version: Option<&'a str>,
    /// Number of layers that the weights mention, and which variant of the architecture.
    pub(super) blocks: (usize, Variant),
    /// Whether the configuration is a part of a union.
    pub(super) in_union: bool,
    /// The model's architecture.
    pub(super) architecture: Architecture,
    /// Through which of its modules the library reached into it.
    pub(super) plugged: &'a Plugged,
}

impl Reading<'_> {
    /// Files of the first library generation, without a version, write `gelu` for
    /// the tanh approximation and `gelu_orig` for the exact function.
    pub(super) fn activation(
        &self,
        fields: &Fields,
        field: &str,
        name: &str,
    ) -> Result<Activation, CheckpointError> {
        let lower = name.to_ascii_lowercase();
        let name = match (self.version.is_none(), lower.as_str()) {
            (true, "gelu") => "gelu_new",
            (true, "gelu_orig") => "gelu",
            (_, name) => name,
        };
        name.parse().map_err(|e| fields.wrong(field, format!("can't be used: {e}")))
    }

    /// `adapters` before 1.1.0 ignored alpha. The later library reads such a file so too, but
    /// looks at the outer configuration only.
    fn ignores_alpha(&self) -> bool {
        if self.in_union {
            return false;
        }
        let Some(version) = self.version.and_then(|v| v.strip_prefix("adapters.")) else {
            return false;
        };
        let mut parts = version.split('.').map_while(|p| p.parse::<u64>().ok());
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) < (1, 1)
    }

    /// Reads the `config` object.
    pub(super) fn method(&self, config: Map<String, Value>) -> Result<Method, CheckpointError> {
        let mut fields = Fields::new(self.path, config);
        match fields.text("architecture")?.as_deref() {
            None => bottleneck::parse(self, fields).map(Method::Bottleneck),
            Some("lora") => low_rank::parse(self, fields),
            Some("mtl_lora") => low_rank::parse_multi_task(self, fields),
            Some("prefix_tuning") => prompts::parse_prefix(self, fields).map(Method::Prefix),
            Some("prompt_tuning") => prompts::parse_prompt(fields).map(Method::Prompt),
            Some("reft") => reft::parse(self, fields).map(Method::Reft),
            Some("union") => self.union(fields),
            Some(other) => Err(fields.wrong(
                "config.architecture",
                format!(
                    "is `{other}`; this version reads bottlenecks (no architecture), lora, mtl_lora, prefix_tuning, prompt_tuning, reft and union"
                ),
            )),
        }
    }

    fn union(&self, mut fields: Fields) -> Result<Method, CheckpointError> {
        let Some(Value::Array(configs)) = fields.take("configs") else {
            return Err(fields.wrong("config.configs", "is not a list of configurations"));
        };
        let part = |config: Value| match config {
            Value::Object(config) if config.get("architecture") != Some(&json!("union")) => {
                Self { in_union: true, ..*self }.method(config)
            }
            _ => Err(fields.wrong("config.configs", "holds something other than single methods")),
        };
        let parts = configs.into_iter().map(part).collect::<Result<Vec<_>, _>>()?;
        fields.finish()?;
        Ok(Method::Union(UnionConfig { parts }))
    }
}

/// The `config` object of a method; `None` for one that the library does not have.
pub(super) fn config(architecture: Architecture, method: &Method, num_layers: usize) -> Option<Value> {
    Some(match method {
        Method::Bottleneck(config) => bottleneck::json(config),
        Method::Lora(config) => low_rank::lora(architecture, config, num_layers),
        Method::Ia3(config) => low_rank::ia3(architecture, config, num_layers),
        Method::Vera(config) => low_rank::vera(architecture, config, num_layers),
        Method::Prefix(config) => prompts::prefix(config),
        Method::Prompt(config) => prompts::prompt(config),
        Method::Reft(config) => reft::json(config),
        Method::Union(union) => {
            let parts = union.parts.iter().map(|part| config(architecture, part, num_layers));
            json!({ "architecture": "union", "configs": parts.collect::<Option<Vec<_>>>()? })
        }
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
        | Method::Tokens(_)
        | Method::LlamaAdapter(_)
        | Method::Replace(_)
        | Method::Composition(_)
        | Method::Hadamard(_)
        | Method::LastLayer => return None,
    })
}

/// Whole numbers as integers, as the library types them.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 1e9 { json!(value as i64) } else { json!(value) }
}
