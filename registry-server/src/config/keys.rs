//! The names of all settings, as the file, the command line and the environment spell them.
//!
//! Nothing is listed by hand: the keys are those that [`Settings`] has when it is
//! written out, flag and variable those that clap made of its fields.

use std::collections::BTreeMap;

use clap::{Args as _, Command};
use serde_json::Value;

use super::{IssuerSettings, LoginSettings, MirrorSettings, Settings};

/// The tables of which there may be several.
const MIRRORS: &str = "mirrors";
const ISSUERS: &str = "issuers";
const LOGINS: &str = "logins";

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    /// In the file, its table before it: `limits.max_file_bytes`.
    pub(super) path: String,
    /// clap's name of the argument.
    pub(super) argument: String,
    /// On the command line; a few settings are in the file alone.
    pub(super) flag: Option<String>,
    /// In the environment.
    pub(super) variable: Option<String>,
}

/// Every setting there is, by its path.
pub(super) fn all() -> Vec<Key> {
    let command = Settings::augment_args(Command::new("hub-server"));
    let key = |path: String| {
        let argument = path.rsplit('.').next().unwrap_or_default().to_owned();
        let found = command.get_arguments().find(|a| a.get_id() == argument.as_str());
        let flag = found.and_then(|a| a.get_long()).map(|long| format!("--{long}"));
        let variable = found.and_then(|a| a.get_env()).map(|name| name.to_string_lossy().into_owned());
        Key { path, argument, flag, variable }
    };
    flatten(&Settings::default()).into_keys().map(key).collect()
}

/// The keys of a `[[mirrors]]`, of an `[[issuers]]` and of a `[[logins]]`, which are in the file alone.
pub(super) fn of_tables() -> Vec<String> {
    let mut flat = BTreeMap::new();
    put(&mut flat, MIRRORS, serde_json::to_value(MirrorSettings::default()).unwrap_or_default());
    put(&mut flat, ISSUERS, serde_json::to_value(IssuerSettings::default()).unwrap_or_default());
    put(&mut flat, LOGINS, serde_json::to_value(LoginSettings::default()).unwrap_or_default());
    flat.into_keys().collect()
}

/// What the settings say, by path; nulls are settings that nobody gave.
pub(super) fn flatten(settings: &Settings) -> BTreeMap<String, Value> {
    let mut flat = BTreeMap::new();
    // Structs of texts, numbers and options of them always have a JSON form.
    put(&mut flat, "", serde_json::to_value(settings).unwrap_or_default());
    flat
}

fn put(flat: &mut BTreeMap<String, Value>, path: &str, value: Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                put(flat, &joined(path, &name), value);
            }
        }
        value => drop(flat.insert(path.to_owned(), value)),
    }
}

/// Every key of a file, by path.
pub(super) fn in_file(table: &toml::Table) -> Vec<String> {
    fn walk(table: &toml::Table, path: &str, found: &mut Vec<String>) {
        for (name, value) in table {
            let path = joined(path, name);
            match value {
                toml::Value::Table(inner) => walk(inner, &path, found),
                toml::Value::Array(items) if items.iter().any(toml::Value::is_table) => {
                    items
                        .iter()
                        .filter_map(toml::Value::as_table)
                        .for_each(|inner| walk(inner, &path, found));
                }
                _ => found.push(path),
            }
        }
    }
    let mut found = Vec::new();
    walk(table, "", &mut found);
    found
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_a_flag_and_a_variable_of_its_own() {
        let keys = all();
        assert!(keys.len() > 15, "{keys:?}");
        for key in keys.iter().filter(|key| ![MIRRORS, ISSUERS, LOGINS].contains(&key.path.as_str())) {
            assert!(key.flag.is_some() && key.variable.is_some(), "{key:?}");
            let same = keys.iter().filter(|other| other.argument == key.argument).count();
            assert_eq!(same, 1, "two settings named {}", key.argument);
        }
    }
}
