//! `hub login`: keep a token, once the registry has accepted it, or made it for a password or by the word of an
//! identity provider.

mod identity;

use std::io::{IsTerminal as _, Read as _};

use hub_client::registry::{RegistryError, Secret, StoredToken};
use hub_schemas::{
    Namespace,
    api::{CreateToken, LogIn, OidcLogIn},
    problem::ProblemCode,
    token::TOKEN_PREFIX,
};
use serde::Serialize;
use time::{Duration, OffsetDateTime};

use crate::{
    args::LoginArgs,
    context::Context,
    env,
    failure::{Exit, UserError},
};

/// Tokens have some fifty characters; more is a mistake.
const MAX_TOKEN_BYTES: u64 = 4096;
/// How a token is called that was made by logging in.
const MADE_BY: &str = "hub login";

#[derive(Serialize)]
struct Answer<'a> {
    registry: &'a str,
    user: &'a str,
}

/// Asks for a token or a password, tries it, and keeps the token.
pub(crate) fn run(context: &Context, args: &LoginArgs) -> anyhow::Result<Exit> {
    // Before the question: nobody should type a secret for nothing.
    context.client()?;
    if args.link {
        return identity::link(context, args);
    }
    let (user, token) = match &args.user {
        Some(user) => (user.to_string(), with_password(context, args, user)?),
        None if args.oidc => with_identity(context, args)?,
        None => with_token(context, args)?,
    };
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

/// A token that is made with the password.
fn with_password(context: &Context, args: &LoginArgs, user: &Namespace) -> anyhow::Result<Secret> {
    let question = format!("Password of `{user}` for {}: ", context.registry_name());
    let hint = "pipe it in: `hub login --user NAME --password-stdin < FILE`";
    let text = read_secret(context, args.password_stdin, &question, hint)?;
    let token = wanted(args);
    let password = text.trim_end_matches(['\r', '\n']).to_owned();
    let request = LogIn { user: user.clone(), password, token };
    let client = context.client_with(None)?;
    let made = context.block_on(async { Ok(client.log_in(&request).await?) })?;
    Ok(Secret::new(&made.secret))
}

/// A token that is made by the word of an identity provider, and whose it is.
fn with_identity(context: &Context, args: &LoginArgs) -> anyhow::Result<(String, Secret)> {
    let proven = identity::prove(context, args)?;
    let request =
        OidcLogIn { identity: proven.token.expose().to_owned(), nonce: proven.nonce, token: wanted(args) };
    let client = context.client_with(None)?;
    let made = context.block_on(async { Ok(client.log_in_by_identity(&request).await?) })?;
    let token = Secret::new(&made.secret);
    let client = context.client_with(Some(token.clone()))?;
    let account = context.block_on(async { Ok(client.whoami().await?) })?;
    Ok((account.user.to_string(), token))
}

/// The token that is asked for.
fn wanted(args: &LoginArgs) -> CreateToken {
    let expires = OffsetDateTime::now_utc() + Duration::days(args.expires.into());
    let scopes = args.scope.clone().into_vec();
    CreateToken { name: MADE_BY.to_owned(), scopes, names: Vec::new(), expires_at: Some(expires) }
}

/// A token that the registry accepts, and whose it is.
fn with_token(context: &Context, args: &LoginArgs) -> anyhow::Result<(String, Secret)> {
    let token = read_token(context, args)?;
    let client = context.client_with(Some(token.clone()))?;
    let account = context.block_on(async {
        client.whoami().await.map_err(|error| match error.code() {
            Some(ProblemCode::Unauthorized) => refused(context, error).into(),
            _ => error.into(),
        })
    })?;
    Ok((account.user.to_string(), token))
}

fn refused(context: &Context, error: RegistryError) -> UserError {
    UserError::new(format!("{} does not accept this token", context.registry_name()))
        .hint("is it complete, for this registry, and not expired? nothing was changed")
        .caused_by(error)
}

fn read_token(context: &Context, args: &LoginArgs) -> anyhow::Result<Secret> {
    let text = if let Some(token) = &args.token {
        token.clone()
    } else {
        let question = format!("Token for {}: ", context.registry_name());
        let hint = "pipe it in: `hub login --token-stdin < FILE`";
        read_secret(context, args.token_stdin, &question, hint)?
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

/// What is piped in, or typed where nobody sees it.
pub(super) fn read_secret(
    context: &Context,
    from_stdin: bool,
    question: &str,
    hint: &str,
) -> anyhow::Result<String> {
    if from_stdin {
        let mut text = String::new();
        std::io::stdin().take(MAX_TOKEN_BYTES).read_to_string(&mut text)?;
        return Ok(text);
    }
    if std::io::stdin().is_terminal() {
        context.printer.ask(question);
        return Ok(console::Term::stderr().read_secure_line()?);
    }
    let what = if question.starts_with("Token") { "token" } else { "password" };
    Err(UserError::new(format!("there is no terminal to ask for the {what}")).hint(hint).into())
}
