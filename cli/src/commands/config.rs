//! `hub config`: the configuration with the source of every value.

use serde::Serialize;

use crate::{
    args::{ConfigArgs, ConfigVerb},
    context::Context,
    failure::{Exit, UserError},
    output::Table,
    settings::{ConfigFile, Key, Settings, Source},
};

#[derive(Serialize)]
struct Item {
    key: &'static str,
    /// Text, a list of texts, a switch, or `null`.
    value: serde_json::Value,
    source: String,
}

/// Does what the verb says.
pub(crate) fn run(context: &Context, args: &ConfigArgs) -> anyhow::Result<Exit> {
    let (printer, settings) = (&context.printer, &context.settings);
    let path = &settings.config_file.value;
    match &args.verb {
        ConfigVerb::Path => {
            if printer.is_json() {
                printer.json(&serde_json::json!({ "path": path, "exists": path.exists() }))?;
            } else {
                printer.line(&path.to_string_lossy())?;
            }
        }
        ConfigVerb::List => list(context)?,
        ConfigVerb::Get { key } => {
            let item = item(settings, key.parse()?);
            if printer.is_json() {
                printer.json(&item)?;
            } else if item.value.is_null() {
                return Err(UserError::new(format!("`{key}` is not set"))
                    .hint(format!("`hub config set {key} VALUE` sets it"))
                    .into());
            } else {
                printer.line(&shown(&item.value))?;
            }
        }
        ConfigVerb::Set { key, values } => {
            let key: Key = key.parse()?;
            let value = key
                .value(values)
                .map_err(|reason| UserError::new(format!("`{}` can't be set: {reason}", key.name())))?;
            let mut file = ConfigFile::open(path)?;
            file.set(key.name(), &value)?;
            file.save()?;
            printer
                .done("set", &format!("`{}` to `{}` in `{}`", key.name(), values.join(" "), path.display()));
            warn_if_overruled(context, key);
        }
        // A key that means nothing can be taken out too: it may be why the file is refused.
        ConfigVerb::Unset { key } => {
            let mut file = ConfigFile::open(path)?;
            if file.unset(key)? {
                file.save()?;
                printer.done("unset", &format!("`{key}` in `{}`", path.display()));
            } else {
                let _: Key = key.parse()?;
                printer.status(&format!("`{key}` is not set in `{}`", path.display()));
            }
        }
    }
    Ok(Exit::Success)
}

fn list(context: &Context) -> anyhow::Result<()> {
    let items = Key::ALL.map(|key| item(&context.settings, key));
    if context.printer.is_json() {
        return Ok(context.printer.json(&items)?);
    }
    let mut table = Table::new(&["KEY", "VALUE", "SOURCE"]);
    for item in &items {
        table.row([item.key.to_owned(), shown(&item.value), item.source.clone()]);
    }
    Ok(context.printer.table(&table)?)
}

fn item(settings: &Settings, key: Key) -> Item {
    let (value, source) = match key {
        Key::Registry => {
            let registry = &settings.registry;
            (registry.value.as_str().trim_end_matches('/').into(), &registry.source)
        }
        Key::Base => match &settings.base {
            Some(base) => (path(&base.value), &base.source),
            None => (serde_json::Value::Null, &Source::Default),
        },
        Key::Backbones => {
            let folders = settings.backbones.value.iter().map(|folder| path(folder));
            (folders.collect(), &settings.backbones.source)
        }
        Key::Cache => (path(&settings.cache.value), &settings.cache.source),
        Key::Offline => (settings.offline.value.into(), &settings.offline.source),
        Key::Color => {
            let color = format!("{:?}", settings.color.value).to_lowercase();
            (color.into(), &settings.color.source)
        }
    };
    Item { key: key.name(), value, source: source.to_string() }
}

fn path(path: &std::path::Path) -> serde_json::Value {
    path.to_string_lossy().into()
}

fn shown(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(" "),
        serde_json::Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn warn_if_overruled(context: &Context, key: Key) {
    let source = match key {
        Key::Registry => Some(&context.settings.registry.source),
        Key::Base => context.settings.base.as_ref().map(|base| &base.source),
        Key::Backbones => Some(&context.settings.backbones.source),
        Key::Cache => Some(&context.settings.cache.source),
        Key::Offline => Some(&context.settings.offline.source),
        Key::Color => Some(&context.settings.color.source),
    };
    if let Some(Source::Env(name)) = source {
        context.printer.warn(&format!("the environment variable `{name}` is set and wins over the file"));
    }
}
