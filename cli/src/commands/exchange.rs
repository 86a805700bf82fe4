//! `hub token exchange`: from the identity token of a CI job to a token that publishes one adapter.

use std::io::Read as _;

use hub_client::registry::{RegistryClient, Secret};
use hub_schemas::{AdapterId, api::Issuer};

use crate::{
    context::Context,
    env,
    failure::{Exit, UserError},
};

/// Identity tokens have one or two kilobytes; more is a mistake.
const MAX_BYTES: u64 = 64 << 10;
/// The issuer of GitHub Actions, where a registry takes tokens of several.
const GITHUB: &str = "https://token.actions.githubusercontent.com";

/// Finds the identity token and prints what it is exchanged for.
pub(super) fn run(context: &Context, adapter: &AdapterId, from_stdin: bool) -> anyhow::Result<Exit> {
    context.client()?;
    // A token kept here is not what this is about.
    let client = context.client_with(None)?;
    let identity = if from_stdin {
        let mut text = String::new();
        std::io::stdin().take(MAX_BYTES).read_to_string(&mut text)?;
        Secret::new(&text)
    } else if let Some(text) = env::get(env::IDENTITY_TOKEN) {
        Secret::new(&text)
    } else {
        of_github(context, &client)?
    };
    let made = context.block_on(async { Ok(client.exchange_token(adapter, &identity).await?) })?;
    let until =
        made.token.info.expires_at.map(|at| format!(" until {:02}:{:02} UTC", at.hour(), at.minute()));
    context
        .printer
        .done("exchanged", &format!("for a token that publishes `{adapter}`{}", until.unwrap_or_default()));
    if context.printer.is_json() {
        context.printer.json(&made)?;
    } else {
        context.printer.line(&made.secret)?;
    }
    Ok(Exit::Success)
}

/// What the runner gives this job, for the audience that the registry wants.
fn of_github(context: &Context, client: &RegistryClient) -> anyhow::Result<Secret> {
    let (Some(url), Some(job)) = (env::get(env::GITHUB_REQUEST_URL), env::get(env::GITHUB_REQUEST_TOKEN))
    else {
        return Err(UserError::new("there is no identity token here")
            .hint("in GitHub Actions, give the job `permissions: id-token: write`")
            .hint(format!(
                "elsewhere, put it into `{}` or pipe it in with `--identity-stdin`",
                env::IDENTITY_TOKEN
            ))
            .into());
    };
    let url = url
        .parse()
        .map_err(|e| UserError::new(format!("`{}` is no address: {e}", env::GITHUB_REQUEST_URL)))?;
    let issuers = context.block_on(async { Ok(client.issuers().await?) })?;
    let audience = audience(&issuers).ok_or_else(|| {
        UserError::new(format!("{} takes no identity tokens of GitHub Actions", context.registry_name()))
            .hint("its operator allows them: `[[issuers]]` in the settings of `hub-server`")
    })?;
    context.block_on(async { Ok(client.identity_of_the_job(url, &Secret::new(&job), audience).await?) })
}

/// GitHub's issuer, or the only one: a server of GitHub's in one's own house has an address of its own.
fn audience(issuers: &[Issuer]) -> Option<&str> {
    let github = issuers.iter().find(|known| known.issuer == GITHUB);
    let only = issuers.first().filter(|_| issuers.len() == 1);
    github.or(only).map(|known| known.audience.as_str())
}
