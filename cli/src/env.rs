//! Every environment variable that `hub` reads, in one place.
//!
//! A flag wins over the variable, the variable over the configuration file, the
//! file over the default; `hub config list` shows which one decided.

/// URL of the registry.
pub(crate) const REGISTRY: &str = "HUB_REGISTRY";
/// Token for the registry; wins over what `hub login` stored. For machines that run unattended.
pub(crate) const TOKEN: &str = "HUB_TOKEN";
/// Identity token of a CI job, for `hub token exchange`.
pub(crate) const IDENTITY_TOKEN: &str = "HUB_IDENTITY_TOKEN";
/// Where a runner of GitHub Actions gives identity tokens to a job that may have them.
pub(crate) const GITHUB_REQUEST_URL: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";
/// What it wants to see before.
pub(crate) const GITHUB_REQUEST_TOKEN: &str = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";
/// Program that opens an address, for `hub login --oidc`.
pub(crate) const BROWSER: &str = "BROWSER";
/// Folder of the backbone in use.
pub(crate) const BASE: &str = "HUB_BASE";
/// Folders to look for backbones in, separated like `PATH`.
pub(crate) const BACKBONES: &str = "HUB_BACKBONES";
/// Folder of the local store of adapters.
pub(crate) const CACHE: &str = "HUB_CACHE";
/// The configuration file.
pub(crate) const CONFIG: &str = "HUB_CONFIG";
/// Folder in which `hub login` keeps its tokens.
pub(crate) const DATA: &str = "HUB_DATA";
/// `1` makes no request at all.
pub(crate) const OFFLINE: &str = "HUB_OFFLINE";
/// `auto`, `always` or `never`.
pub(crate) const COLOR: &str = "HUB_COLOR";
/// Set to anything: no colour (<https://no-color.org>).
pub(crate) const NO_COLOR: &str = "NO_COLOR";
/// Log filter such as `hub_client=debug`; the log goes to standard error.
pub(crate) const LOG: &str = "HUB_LOG";
/// Where Hugging Face's cache lies, to find backbones in it.
pub(crate) const HF_HUB_CACHE: &str = "HF_HUB_CACHE";
/// Folder above Hugging Face's cache.
pub(crate) const HF_HOME: &str = "HF_HOME";

/// The value of a variable; an empty one counts as absent.
pub(crate) fn get(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
