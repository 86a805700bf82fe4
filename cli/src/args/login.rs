//! `hub login` and `hub logout`.

use clap::Args;

/// Arguments of `hub login`.
///
/// The registry is the global `--registry`, or the configured one.
#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// The token; it stays in the shell's history, so prefer the prompt
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_stdin", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// Read the token from standard input
    #[arg(long)]
    pub(crate) token_stdin: bool,
}

/// Arguments of `hub logout`.
#[derive(Debug, Args)]
pub(crate) struct LogoutArgs {
    /// Forget the tokens of all registries
    #[arg(long)]
    pub(crate) all: bool,
}
