//! The configuration file of our own format, `hub_adapter.json`: see [`HubConfig`].

use std::path::Path;

use hub_schemas::layout::{Format, HUB_CONFIG, HUB_FORMAT_VERSION, HubConfig, HubConfigError};
use serde_json::Value;

use super::{
    AdapterToWrite, CheckpointError,
    folder::{Parsed, read_json},
};

/// Reads the configuration in `dir`; strict, and bounded as every configuration.
pub(super) fn parse(dir: &Path) -> Result<Parsed, CheckpointError> {
    let path = dir.join(HUB_CONFIG);
    let json = Value::Object(read_json(&path)?);
    let wrong = |source: HubConfigError| CheckpointError::Hub { path: path.clone(), source };
    let config = HubConfig::from_json(&json).map_err(wrong)?;
    if let Some(head) = &config.head {
        head.validate(&config.labels).map_err(|e| wrong(HubConfigError::Field(format!("`head`: {e}"))))?;
    }
    Ok(Parsed {
        format: Format::Hub,
        method: config.method,
        head: config.head,
        labels: config.labels,
        name: "default".to_owned(),
        head_class: None,
        library: None,
        prefixed: false,
        drops_segments: false,
        is_flexible: false,
        task: None,
        base_hint: Some(config.base_model),
        architecture: config.architecture,
    })
}

/// The configuration of what is written.
pub(super) fn render(adapter: &AdapterToWrite<'_>) -> Result<Value, serde_json::Error> {
    serde_json::to_value(HubConfig {
        format_version: HUB_FORMAT_VERSION,
        architecture: adapter.base.architecture,
        base_model: adapter.base.id.clone(),
        method: adapter.method.clone(),
        head: adapter.head.cloned(),
        labels: adapter.labels.to_vec(),
    })
}
