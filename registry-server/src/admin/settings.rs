//! `hub-server config`

use serde_json::Value;

use super::{
    AdminError,
    report::{self, Format},
};
use crate::config::{Config, Sources};

/// Prints every setting, its value in effect and who decided on it.
pub fn show_settings(config: &Config, sources: &Sources, format: Format) -> Result<(), AdminError> {
    let settings = config.effective(sources);
    report::rows(format, ["KEY", "VALUE", "FROM"], &settings, |setting| {
        let value = match &setting.value {
            Value::Null => "-".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        [setting.key.clone(), value, setting.source.to_string()]
    })
}
