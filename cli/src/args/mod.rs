//! What may be typed: clap definitions and nothing else.
//!
//! Values are parsed into the types of `hub-schemas` right here, so a malformed
//! name never reaches a command. Defaults that depend on environment or
//! configuration are not clap's business: see `settings`.

mod access;
mod adapters;
#[cfg(feature = "stitch")]
pub(crate) mod bake;
mod bundle;
#[cfg(feature = "stitch")]
pub(crate) mod compose;
#[cfg(feature = "stitch")]
pub(crate) mod compute;
mod config;
mod convert;
mod delete;
#[cfg(feature = "stitch")]
pub(crate) mod eval;
#[cfg(feature = "stitch")]
pub(crate) mod explain;
#[cfg(feature = "stitch")]
pub(crate) mod extract;
#[cfg(feature = "stitch")]
pub(crate) mod forward;
mod global;
mod identity;
mod login;
#[cfg(feature = "stitch")]
pub(crate) mod made;
#[cfg(feature = "stitch")]
pub(crate) mod merge;
mod org;
mod publisher;
mod push;
mod rename;
mod retention;
#[cfg(feature = "stitch")]
pub(crate) mod run;
mod search;
#[cfg(feature = "stitch")]
pub(crate) mod stitch;
mod team;
mod token;
#[cfg(feature = "stitch")]
pub(crate) mod train;
mod webhook;
mod yank;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

pub(crate) use access::{AccessArgs, AccessVerb, Place, Who};
pub(crate) use adapters::{InfoArgs, PullArgs, RemoveArgs};
pub(crate) use bundle::{BundleArgs, BundleVerb};
pub(crate) use config::{ConfigArgs, ConfigVerb};
pub(crate) use convert::ConvertArgs;
pub(crate) use delete::DeleteArgs;
pub(crate) use global::{Color, Format, GlobalArgs};
pub(crate) use identity::{IdentityArgs, IdentityVerb};
pub(crate) use login::{LoginArgs, LogoutArgs, PasswordArgs};
pub(crate) use org::{OrgArgs, OrgVerb};
pub(crate) use publisher::{PublisherArgs, PublisherVerb};
pub(crate) use push::PushArgs;
pub(crate) use rename::{FreeArgs, MoveArgs};
pub(crate) use retention::{RetentionArgs, RetentionVerb};
pub(crate) use search::SearchArgs;
pub(crate) use team::{TeamArgs, TeamVerb};
pub(crate) use token::{TokenArgs, TokenVerb};
pub(crate) use webhook::{WebhookArgs, WebhookVerb};
pub(crate) use yank::YankArgs;

/// Train, publish, find, pull and run adapters: small files that teach a frozen model one task.
#[derive(Debug, Parser)]
#[command(name = "hub", version, infer_subcommands = false)]
#[command(after_help = "Use `hub help COMMAND` for more on a command.")]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// What holds for every command.
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
}

/// The verbs.
#[derive(Debug, Subcommand)]
#[cfg_attr(
    feature = "stitch",
    expect(clippy::large_enum_variant, reason = "there is one of it, for the length of a command")
)]
pub(crate) enum Command {
    /// Store a token for the registry, or have one made for a password
    Login(LoginArgs),
    /// Forget the token for the registry
    Logout(LogoutArgs),
    /// Set or change your password at the registry
    Password(PasswordArgs),
    /// Show who the registry takes you for
    Whoami,
    /// Publish an adapter folder, or a base model
    Push(PushArgs),
    /// Fetch an adapter and its base model into the local cache
    Pull(PullArgs),
    /// Find adapters and base models in the registry
    Search(SearchArgs),
    /// Show an adapter with its versions
    Info(InfoArgs),
    /// List the adapters and base models in the local cache
    List,
    /// Remove an adapter or a base model from the local cache
    Remove(RemoveArgs),
    /// Carry versions to a site without a network, in one file
    Bundle(BundleArgs),
    /// Take a version out of use, or bring it back
    Yank(YankArgs),
    /// Delete a version, or a whole adapter, from the registry for good
    Delete(DeleteArgs),
    /// Give an adapter another name, or to another namespace
    Move(MoveArgs),
    /// Let a name be used again that an adapter had
    Free(FreeArgs),
    /// Show or change who may do what
    Access(AccessArgs),
    /// Make an organisation
    Org(OrgArgs),
    /// Make and change teams of an organisation
    Team(TeamArgs),
    /// Make, list, revoke or exchange tokens
    Token(TokenArgs),
    /// List or remove the identities that log in as you
    Identity(IdentityArgs),
    /// Trust programs elsewhere with publishing an adapter
    Publisher(PublisherArgs),
    /// Send the events of a namespace somewhere
    Webhook(WebhookArgs),
    /// Delete old versions of a namespace by rule
    Retention(RetentionArgs),
    /// Train an adapter on texts, images or recordings
    #[cfg(feature = "stitch")]
    Train(train::TrainArgs),
    /// Measure an adapter on labelled data
    #[cfg(feature = "stitch")]
    Eval(eval::EvalArgs),
    /// Predict with an adapter
    #[cfg(feature = "stitch")]
    Run(run::RunArgs),
    /// Show which members a fusion listens to, and how far gates are open
    #[cfg(feature = "stitch")]
    Explain(explain::ExplainArgs),
    /// Write an expression over adapters as an artifact of its own
    #[cfg(feature = "stitch")]
    Compose(compose::ComposeArgs),
    /// Run a stitched model on tensors from a file
    #[cfg(feature = "stitch")]
    Forward(forward::ForwardArgs),
    /// Make one adapter of several
    #[cfg(feature = "stitch")]
    Merge(merge::MergeArgs),
    /// Make an adapter of what fine-tuning changed in a backbone
    #[cfg(feature = "stitch")]
    Extract(extract::ExtractArgs),
    /// Put adapters into a backbone's weights
    #[cfg(feature = "stitch")]
    Bake(bake::BakeArgs),
    /// Take baked adapters out again, to the original bytes
    #[cfg(feature = "stitch")]
    Unbake(bake::UnbakeArgs),
    /// Write an adapter in another library's format
    Convert(ConvertArgs),
    /// Show or change the configuration
    Config(ConfigArgs),
    /// Check that everything `hub` needs is in place
    Doctor(DoctorArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
}

/// Arguments of `hub doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Folder of the backbone to check
    #[arg(long, value_name = "DIR")]
    pub(crate) base: Option<std::path::PathBuf>,
}

/// Arguments of `hub completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: Shell,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_definitions_are_consistent() {
        super::Cli::command().debug_assert();
    }
}
