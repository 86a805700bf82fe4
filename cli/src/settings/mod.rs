//! What was asked for, and by whom: flag, environment, configuration file or default.

mod edit;
mod file;
mod key;
mod sourced;

use std::path::PathBuf;

use url::Url;

pub(crate) use edit::{ConfigFile, EditError};
pub(crate) use file::ConfigError;
pub(crate) use key::{Key, UnknownKey};
pub(crate) use sourced::{Source, Sourced};

use self::file::FileSettings;
use crate::{
    args::{Color, Command, ConfigVerb, GlobalArgs},
    env,
    failure::UserError,
};

/// The registry that a fresh installation talks to: one that `hub-server serve` started on this machine.
pub(crate) const DEFAULT_REGISTRY: &str = "http://127.0.0.1:8080";

/// Whether a command must work although the configuration file is broken, to repair it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EditsConfig {
    /// It repairs: a broken file is passed over.
    Yes,
    /// It reads: a broken file is an error.
    No,
}

impl EditsConfig {
    /// What `command` does.
    pub(crate) fn of(command: &Command) -> Self {
        match command {
            Command::Config(args)
                if matches!(
                    args.verb,
                    ConfigVerb::Set { .. } | ConfigVerb::Unset { .. } | ConfigVerb::Path
                ) =>
            {
                Self::Yes
            }
            Command::Completions(_) => Self::Yes,
            _ => Self::No,
        }
    }
}

/// Every setting with its source.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The registry.
    pub(crate) registry: Sourced<Url>,
    /// Folder of the backbone in use.
    pub(crate) base: Option<Sourced<PathBuf>>,
    /// Folders to look for backbones in.
    pub(crate) backbones: Sourced<Vec<PathBuf>>,
    /// Folder of the local store.
    pub(crate) cache: Sourced<PathBuf>,
    /// No requests.
    pub(crate) offline: Sourced<bool>,
    /// When to use colour.
    pub(crate) color: Sourced<Color>,
    /// The configuration file, whether it exists or not.
    pub(crate) config_file: Sourced<PathBuf>,
    /// Folder of the tokens.
    pub(crate) data: Sourced<PathBuf>,
}

impl Settings {
    /// Brings flags, environment, file and defaults together.
    pub(crate) fn load(global: &GlobalArgs, edits: EditsConfig) -> anyhow::Result<Self> {
        let config_file = config_file(global)?;
        let must_exist = matches!(config_file.source, Source::Flag(_)) && edits == EditsConfig::No;
        let file = match FileSettings::read(&config_file.value, must_exist) {
            Ok(file) => file,
            Err(_) if edits == EditsConfig::Yes => FileSettings::default(),
            Err(error) => return Err(error.into()),
        };
        let from_file = Source::File(config_file.value.clone());
        let layers = Layers { from_file: &from_file };
        let default_registry = || Ok(Url::parse(DEFAULT_REGISTRY)?);
        let paths = |text: &str| std::env::split_paths(text).collect();
        Ok(Self {
            registry: layers.pick(
                global.registry.clone().map(|url| (url, "--registry")),
                parsed_env(env::REGISTRY, parse_registry)?,
                file.registry,
                default_registry,
            )?,
            base: layers.pick_optional(None, env::get(env::BASE).map(|v| (v.into(), env::BASE)), file.base),
            backbones: layers.pick(
                None,
                env::get(env::BACKBONES).map(|v| (paths(&v), env::BACKBONES)),
                file.backbones,
                || Ok(Vec::new()),
            )?,
            cache: layers.pick(
                None,
                env::get(env::CACHE).map(|v| (v.into(), env::CACHE)),
                file.cache,
                || user_folder(|dirs| dirs.cache_dir().to_owned(), env::CACHE),
            )?,
            offline: layers.pick(
                global.offline.then_some((true, "--offline")),
                parsed_env(env::OFFLINE, parse_switch)?,
                file.offline,
                || Ok(false),
            )?,
            color: layers.pick(
                global.color.map(|color| (color, "--color")),
                parsed_env(env::COLOR, key::parse_color)?,
                file.color,
                || Ok(Color::Auto),
            )?,
            data: layers.pick(None, env::get(env::DATA).map(|v| (v.into(), env::DATA)), None, || {
                user_folder(|dirs| dirs.data_local_dir().to_owned(), env::DATA)
            })?,
            config_file,
        })
    }
}

/// Picks the first layer that has a value.
struct Layers<'a> {
    from_file: &'a Source,
}

impl Layers<'_> {
    fn pick_optional<T>(
        &self,
        flag: Option<(T, &'static str)>,
        env: Option<(T, &'static str)>,
        file: Option<T>,
    ) -> Option<Sourced<T>> {
        let flag = flag.map(|(value, name)| Sourced { value, source: Source::Flag(name) });
        let env = env.map(|(value, name)| Sourced { value, source: Source::Env(name) });
        flag.or(env).or_else(|| file.map(|value| Sourced { value, source: self.from_file.clone() }))
    }

    fn pick<T>(
        &self,
        flag: Option<(T, &'static str)>,
        env: Option<(T, &'static str)>,
        file: Option<T>,
        default: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<Sourced<T>> {
        match self.pick_optional(flag, env, file) {
            Some(found) => Ok(found),
            None => Ok(Sourced { value: default()?, source: Source::Default }),
        }
    }
}

fn parsed_env<T>(
    name: &'static str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<(T, &'static str)>, UserError> {
    let Some(text) = env::get(name) else { return Ok(None) };
    match parse(&text) {
        Ok(value) => Ok(Some((value, name))),
        Err(reason) => Err(UserError::new(format!("the environment variable `{name}` is wrong: {reason}"))),
    }
}

fn parse_switch(text: &str) -> Result<bool, String> {
    match text {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        other => Err(format!("`{other}` is neither `1` nor `0`")),
    }
}

/// A registry is named by an `http` or `https` URL without credentials.
pub(crate) fn parse_registry(text: &str) -> Result<Url, String> {
    let url = Url::parse(text)
        .map_err(|e| format!("`{text}` is not a URL: {e}; one looks like `{DEFAULT_REGISTRY}`"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(format!("`{text}` is not a registry: its URL starts with `http://` or `https://`"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the URL has a user name or password in it; use `hub login` for that".to_owned());
    }
    Ok(url)
}

fn config_file(global: &GlobalArgs) -> anyhow::Result<Sourced<PathBuf>> {
    if let Some(path) = &global.config {
        return Ok(Sourced { value: path.clone(), source: Source::Flag("--config") });
    }
    if let Some(path) = env::get(env::CONFIG) {
        return Ok(Sourced { value: path.into(), source: Source::Env(env::CONFIG) });
    }
    let value = user_folder(|dirs| dirs.config_dir().join("config.toml"), env::CONFIG)?;
    Ok(Sourced { value, source: Source::Default })
}

fn user_folder(
    pick: impl FnOnce(&directories::ProjectDirs) -> PathBuf,
    variable: &'static str,
) -> anyhow::Result<PathBuf> {
    let dirs = directories::ProjectDirs::from("", "", "adapter-hub").ok_or_else(|| {
        UserError::new("this user has no home folder").hint(format!("set `HOME`, or `{variable}`"))
    })?;
    Ok(pick(&dirs))
}
