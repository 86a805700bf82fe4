//! Who somebody is, by the word of an identity provider: in a browser, or with a code.

use std::process::{Command, Stdio};

use hub_client::registry::{ProvenIdentity, Provider, RegistryClient};
use hub_schemas::api::{LinkIdentity, LoginProvider};
use serde::Serialize;

use crate::{
    args::LoginArgs,
    context::Context,
    env,
    failure::{Exit, UserError},
};

#[derive(Serialize)]
struct Linked<'a> {
    registry: &'a str,
    provider: &'a str,
}

/// Asks the provider.
pub(super) fn prove(context: &Context, args: &LoginArgs) -> anyhow::Result<ProvenIdentity> {
    let client = context.client_with(None)?;
    context.block_on(async {
        let provider = client.discover(chosen(context, args, &client).await?).await?;
        if args.device {
            on_device(context, &provider).await
        } else {
            in_browser(context, args, &provider).await
        }
    })
}

/// `hub login --oidc --link`
pub(super) fn link(context: &Context, args: &LoginArgs) -> anyhow::Result<Exit> {
    let client = context.client()?;
    if !client.has_token() {
        return Err(UserError::new("there is no token in use, so no user to link somebody to")
            .hint("log in with a token of that user first: `hub login`")
            .into());
    }
    let proven = prove(context, args)?;
    let request = LinkIdentity { identity: proven.token.expose().to_owned(), nonce: proven.nonce };
    context.block_on(async { Ok(client.link_identity(&request).await?) })?;
    let registry = context.registry_name();
    let provider = args.provider.as_deref().unwrap_or("the identity provider");
    context
        .printer
        .done("linked", &format!("`hub login --oidc` logs in to {registry} as this user from now on"));
    if context.printer.is_json() {
        context.printer.json(&Linked { registry, provider })?;
    }
    Ok(Exit::Success)
}

/// The provider that is meant.
async fn chosen(
    context: &Context,
    args: &LoginArgs,
    client: &RegistryClient,
) -> anyhow::Result<LoginProvider> {
    let known = client.login_providers().await?;
    let names = || known.iter().map(|one| format!("`{}`", one.issuer)).collect::<Vec<_>>().join(", ");
    let registry = context.registry_name();
    let Some(wanted) = &args.provider else {
        return match known.as_slice() {
            [only] => Ok(only.clone()),
            [] => Err(UserError::new(format!("nobody logs in to {registry} with an identity provider"))
                .hint("log in with a token, `hub login`, or a password, `hub login --user NAME`")
                .into()),
            _ => Err(UserError::new(format!("{registry} has several identity providers: {}", names()))
                .hint("choose one with `--provider URL`")
                .into()),
        };
    };
    known.iter().find(|one| one.issuer == *wanted).cloned().ok_or_else(|| {
        UserError::new(format!("`{wanted}` is no identity provider of {registry}"))
            .hint(format!("it has: {}", names()))
            .into()
    })
}

async fn in_browser(
    context: &Context,
    args: &LoginArgs,
    provider: &Provider,
) -> anyhow::Result<ProvenIdentity> {
    let login = provider.in_browser().await?;
    let url = login.url();
    context.printer.ask(&format!("Log in with your browser:\n  {url}\n"));
    if !args.no_browser {
        open(url.as_str());
    }
    Ok(login.identity().await?)
}

async fn on_device(context: &Context, provider: &Provider) -> anyhow::Result<ProvenIdentity> {
    let login = provider.on_device().await?;
    let code = &login.code;
    let direct =
        code.verification_uri_complete.as_ref().map(|url| format!("  or open {url}\n")).unwrap_or_default();
    context.printer.ask(&format!(
        "On any machine, open {} and type the code `{}`\n{direct}",
        code.verification_uri, code.user_code
    ));
    Ok(login.identity().await?)
}

/// Opens a browser, if there is one: the address is printed anyway.
fn open(url: &str) {
    let own = env::get(env::BROWSER);
    let program = own.as_deref().unwrap_or(if cfg!(target_os = "macos") { "open" } else { "xdg-open" });
    let mut command = Command::new(program);
    command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Err(error) = command.spawn() {
        tracing::debug!(%error, "There is no browser to open");
    }
}
