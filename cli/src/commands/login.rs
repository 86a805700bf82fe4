//! `hub login`: keep a token, once the registry has accepted it.

use std::io::{IsTerminal as _, Read as _};

use hub_client::registry::{RegistryError, Secret, StoredToken};
use hub_schemas::{problem::ProblemCode, token::TOKEN_PREFIX};
use serde::Serialize;

use crate::{
    args::LoginArgs,
    context::Context,
    env,
    failure::{Exit, UserError},
};

/// Tokens have some fifty characters; more is a mistake.
const MAX_TOKEN_BYTES: u64 = 4096;

#[derive(Serialize)]
struct Answer<'a> {
    registry: &'a str,
    user: &'a str,
}

/// Asks for a token, tries it, and keeps it.
pub(crate) fn run(context: &Context, args: &LoginArgs) -> anyhow::Result<Exit> {
    // Before the question: nobody should type a token for nothing.
    context.client()?;
    let token = read_token(context, args)?;
    let client = context.client_with(Some(token.clone()))?;
    let account = context.block_on(async {
        client.whoami().await.map_err(|error| match error.code() {
            Some(ProblemCode::Unauthorized) => refused(context, error).into(),
            _ => error.into(),
        })
    })?;
    let user = account.user.to_string();
    let mut store = context.auth_store()?;
    store.set(&context.settings.registry.value, StoredToken { user: user.clone(), token })?;
    let registry = context.registry_name();
    context.printer.done("logged in", &format!("to {registry} as `{user}`"));
    if env::get(env::TOKEN).is_some() {
        context.printer.warn(&format!("`{}` is set and wins over the token kept now", env::TOKEN));
    }
    if context.printer.is_json() {
        context.printer.json(&Answer { registry, user: &user })?;
    }
    Ok(Exit::Success)
}

fn refused(context: &Context, error: RegistryError) -> UserError {
    UserError::new(format!("{} does not accept this token", context.registry_name()))
        .hint("is it complete, for this registry, and not expired? nothing was changed")
        .caused_by(error)
}

fn read_token(context: &Context, args: &LoginArgs) -> anyhow::Result<Secret> {
    let text = if let Some(token) = &args.token {
        token.clone()
    } else if args.token_stdin {
        let mut text = String::new();
        std::io::stdin().take(MAX_TOKEN_BYTES).read_to_string(&mut text)?;
        text
    } else if std::io::stdin().is_terminal() {
        context.printer.ask(&format!("Token for {}: ", context.registry_name()));
        console::Term::stderr().read_secure_line()?
    } else {
        return Err(UserError::new("there is no terminal to ask for the token")
            .hint("pipe it in: `hub login --token-stdin < FILE`")
            .into());
    };
    let token = Secret::new(&text);
    // A header can't carry anything else, and a message would show it.
    if !token.expose().bytes().all(|b| b.is_ascii_graphic()) || token.expose().len() <= TOKEN_PREFIX.len() {
        return Err(UserError::new("that is not a token")
            .hint(format!("a token starts with `{TOKEN_PREFIX}`"))
            .into());
    }
    Ok(token)
}
