//! `hub login`, `hub logout` and `hub password`.

use clap::Args;
use hub_schemas::{Namespace, token::Scopes};

/// Arguments of `hub login`.
///
/// The registry is the global `--registry`, or the configured one.
#[derive(Debug, Args)]
#[command(after_help = "\
With `--user`, the password is asked for and a token is made with it; with `--oidc`, an identity provider of the
registry says who you are, in a browser on this machine, or with `--device` on another one; without either, the
token is asked for.")]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(crate) struct LoginArgs {
    /// The token; it stays in the shell's history, so prefer the prompt
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_stdin", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// Read the token from standard input
    #[arg(long)]
    pub(crate) token_stdin: bool,
    /// Log in as this user, with a password
    #[arg(long, value_name = "NAME", group = "made", conflicts_with_all = ["token", "token_stdin"])]
    pub(crate) user: Option<Namespace>,
    /// Read the password from standard input
    #[arg(long, requires = "user")]
    pub(crate) password_stdin: bool,
    /// Log in by the word of an identity provider
    #[arg(long, group = "made", conflicts_with_all = ["token", "token_stdin"])]
    pub(crate) oidc: bool,
    /// The provider, where the registry has several
    #[arg(long, value_name = "URL", requires = "oidc")]
    pub(crate) provider: Option<String>,
    /// Type a code on another machine instead of using a browser on this one
    #[arg(long, requires = "oidc")]
    pub(crate) device: bool,
    /// Only print the address that the browser must go to
    #[arg(long, requires = "oidc", conflicts_with = "device")]
    pub(crate) no_browser: bool,
    /// Let that person log in as the user whose token is in use, from now on
    #[arg(long, requires = "oidc", conflicts_with_all = ["scope", "expires"])]
    pub(crate) link: bool,
    /// What a token may do that is made for a password or an identity
    #[arg(long, value_name = "SCOPES", default_value = "read,publish,yank,admin", requires = "made")]
    pub(crate) scope: Scopes,
    /// Days that such a token works; fewer where the registry says so
    #[arg(long, value_name = "DAYS", default_value_t = 90, requires = "made",
          value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) expires: u16,
}

/// Arguments of `hub logout`.
#[derive(Debug, Args)]
pub(crate) struct LogoutArgs {
    /// Forget the tokens of all registries
    #[arg(long)]
    pub(crate) all: bool,
}

/// Arguments of `hub password`.
#[derive(Debug, Args)]
#[command(after_help = "\
A password has at least 15 characters. This needs a token with the scope `admin`, and the present password; the
first one is set by the registry's operator, or with a token that has every scope and does not expire.
Tokens go on working.")]
pub(crate) struct PasswordArgs {
    /// Read the present password, an empty line where there is none, and the new one from standard input
    #[arg(long)]
    pub(crate) stdin: bool,
}
