//! What the verbs do: one file per verb, each with `run(&Context, Args) -> Result<Exit>`.

mod access;
#[cfg(feature = "stitch")]
mod bake;
mod bundle;
mod completions;
#[cfg(feature = "stitch")]
mod compose;
mod config;
mod convert;
mod delete;
mod doctor;
#[cfg(feature = "stitch")]
mod eval;
mod exchange;
#[cfg(feature = "stitch")]
mod explain;
#[cfg(feature = "stitch")]
mod extract;
#[cfg(feature = "stitch")]
mod forward;
mod identity;
mod info;
#[cfg(feature = "stitch")]
mod lines;
mod list;
mod login;
mod logout;
#[cfg(feature = "stitch")]
mod made;
#[cfg(feature = "stitch")]
mod merge;
#[cfg(feature = "stitch")]
mod numeric;
mod org;
mod password;
mod publisher;
mod pull;
mod push;
mod remove;
mod rename;
mod retention;
#[cfg(feature = "stitch")]
mod run;
mod search;
mod team;
mod token;
#[cfg(feature = "stitch")]
mod train;
#[cfg(feature = "stitch")]
mod transcripts;
#[cfg(feature = "stitch")]
mod typed;
mod webhook;
mod whoami;
mod yank;

use crate::{args::Command, context::Context, failure::Exit};

/// Runs a verb.
pub(crate) fn run(context: &Context, command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Login(args) => login::run(context, &args),
        Command::Logout(args) => logout::run(context, &args),
        Command::Password(args) => password::run(context, &args),
        Command::Whoami => whoami::run(context),
        Command::Push(args) => push::run(context, &args),
        Command::Pull(args) => pull::run(context, &args),
        Command::Search(args) => search::run(context, args),
        Command::Info(args) => info::run(context, &args),
        Command::List => list::run(context),
        Command::Remove(args) => remove::run(context, &args),
        Command::Bundle(args) => bundle::run(context, &args),
        Command::Yank(args) => yank::run(context, &args),
        Command::Delete(args) => delete::run(context, &args),
        Command::Move(args) => rename::run(context, &args),
        Command::Free(args) => rename::free(context, &args),
        Command::Access(args) => access::run(context, &args),
        Command::Org(args) => org::run(context, &args),
        Command::Team(args) => team::run(context, &args),
        Command::Token(args) => token::run(context, args),
        Command::Identity(args) => identity::run(context, &args),
        Command::Publisher(args) => publisher::run(context, args),
        Command::Webhook(args) => webhook::run(context, &args),
        Command::Retention(args) => retention::run(context, &args),
        #[cfg(feature = "stitch")]
        Command::Train(args) => train::run(context, args),
        #[cfg(feature = "stitch")]
        Command::Eval(args) => eval::run(context, &args),
        #[cfg(feature = "stitch")]
        Command::Run(args) => run::run(context, &args),
        #[cfg(feature = "stitch")]
        Command::Explain(args) => explain::run(context, &args),
        #[cfg(feature = "stitch")]
        Command::Compose(args) => compose::run(context, &args),
        #[cfg(feature = "stitch")]
        Command::Forward(args) => forward::run(context, &args),
        #[cfg(feature = "stitch")]
        Command::Merge(args) => merge::run(context, &args),
        #[cfg(feature = "stitch")]
        Command::Extract(args) => extract::run(context, &args),
        #[cfg(feature = "stitch")]
        Command::Bake(args) => bake::run(context, &args),
        #[cfg(feature = "stitch")]
        Command::Unbake(args) => bake::run_unbake(context, &args),
        Command::Convert(args) => convert::run(context, &args),
        Command::Config(args) => config::run(context, &args),
        Command::Doctor(args) => doctor::run(context, &args),
        Command::Completions(args) => completions::run(context, &args),
    }
}

/// Hints for the error types of the numeric rooms; `None` for a type that is none of theirs.
#[cfg(feature = "stitch")]
pub(crate) fn numeric_error(error: &(dyn std::error::Error + 'static)) -> Option<Vec<String>> {
    numeric::hints(error)
}
