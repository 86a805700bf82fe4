//! Logging people in by the word of an identity provider.
//!
//! A person is a provider's `iss` and `sub`, which never pass to anybody else (OpenID Connect Core 1.0,
//! section 5.7); their name or address there can. So neither ever leads to a user who exists: that user
//! links their identity, or an operator does. Where the settings say so, whoever comes first gets a user
//! of their own, under a name that nobody has.

use hub_schemas::{
    api::{CreateToken, CreatedToken, LinkedIdentity, OidcLogIn},
    digest::Digest,
    name::Namespace,
    problem::ProblemCode,
};
use serde_json::Value;
use time::{Duration, OffsetDateTime};

use super::exchange::refused;
use crate::{
    app::App,
    config::LoginConfig,
    db::{WriteTx, identities, passwords, publishers, reserved, tokens, users},
    domain::{
        names,
        permissions::{Actor, Administer, Caller, CreateOrganisation, ManageAccount, Permit, Resource, may},
        token,
    },
    error::{ApiError, ApiResult},
    oidc::Identity,
};

/// A token for whoever an identity token is about.
pub(crate) async fn run(app: &App, request: OidcLogIn) -> ApiResult<CreatedToken> {
    let OidcLogIn { identity, nonce, token: wanted } = request;
    let (login, person) = person(app, &identity, nonce.as_deref()).await?;
    let now = OffsetDateTime::now_utc();
    let latest = now + Duration::days(login.token_days.into());
    let expires_at = Some(wanted.expires_at.map_or(latest, |at| at.min(latest)));
    let info = token::wanted(CreateToken { expires_at, ..wanted }, now).map_err(ApiError::invalid_value)?;
    let mut tx = app.db.write().await?;
    once(&mut tx, &person, &identity).await?;
    let user = match identities::user_of(&mut tx, &person.issuer, &person.subject).await? {
        Some(user) => user,
        None => newcomer(&mut tx, login, &person).await?,
    };
    let permit = may(&Actor::Account(user.clone()), ManageAccount, &Resource::Account(user.clone()))?;
    let made = tokens::make(&mut tx, &permit, &user, info).await?;
    tx.commit().await?;
    Ok(made)
}

/// Lets whoever an identity token is about log in as the caller from now on.
pub(crate) async fn link(
    app: &App,
    caller: &Caller,
    permit: &Permit<ManageAccount>,
    identity: &str,
    nonce: Option<&str>,
) -> ApiResult<()> {
    // Whoever is linked makes any token, so one that can't do everything must not link.
    token::may_link(caller.token())
        .map_err(|error| ApiError::new(ProblemCode::Forbidden, error.to_string()).hint(LINK_HINT))?;
    let person = person(app, identity, nonce).await.map(|(_, person)| person);
    // The caller's own token is a good one.
    let person = person.map_err(|error| match error.problem.code {
        ProblemCode::Unauthorized => ApiError::invalid_value(&error.problem.detail),
        _ => error,
    })?;
    let mut tx = app.db.write().await?;
    once(&mut tx, &person, identity).await?;
    if !identities::link(&mut tx, permit, caller.user(), &person.issuer, &person.subject).await? {
        return Err(
            ApiError::new(ProblemCode::Conflict, "this identity logs in as a user already").hint(UNLINK_HINT)
        );
    }
    Ok(tx.commit().await?)
}

/// Lets an identity log in as the caller no more, unless nothing else would in the long run.
pub(crate) async fn unlink(
    app: &App,
    caller: &Caller,
    permit: &Permit<ManageAccount>,
    id: &str,
) -> ApiResult<()> {
    let user = caller.user();
    let stays = passwords::hash_of(&app.db, user).await?.is_some()
        || tokens::of_user(&app.db, user).await?.iter().any(token::stands_for_the_user);
    let mut tx = app.db.write().await?;
    let linked = identities::of_user_locked(&mut tx, user).await?;
    let Some(gone) = linked.iter().find(|one| one.id == id) else {
        let id: String = id.chars().take(80).collect();
        return Err(ApiError::not_found(format!("nobody with the id `{id}` logs in as you"))
            .hint("`hub identity list` shows them"));
    };
    // One whose provider has left the settings lets nobody in, so it neither stays nor is missed.
    let lets_in = |one: &LinkedIdentity| app.logins.issuers.has(&one.issuer);
    if lets_in(gone) && !stays && !linked.iter().any(|one| one.id != id && lets_in(one)) {
        let detail = format!(
            "`{}` of `{}` is your last way to log in: there is no other identity, no password, and no token \
             that has every scope and does not expire",
            gone.subject, gone.issuer
        );
        return Err(ApiError::new(ProblemCode::Conflict, detail).hint(LAST_HINT));
    }
    identities::unlink(&mut tx, permit, user, id).await?;
    Ok(tx.commit().await?)
}

const UNLINK_HINT: &str = "that user removes it first (`hub identity list`, `hub identity remove ID`), or an operator of the registry does: `hub-server user unlink NAME`";
const LAST_HINT: &str = "an operator of the registry gives you another one (`hub-server user password NAME`, `hub-server user link NAME --issuer URL --subject SUB`), or removes it all the same: `hub-server user unlink NAME`";
const LINK_HINT: &str = "an operator of the registry links an identity too: `hub-server user link NAME --issuer URL --subject SUB`";

/// Whom a token is about, if it holds and is for `hub` at this provider.
async fn person<'a>(
    app: &'a App,
    token: &str,
    nonce: Option<&str>,
) -> ApiResult<(&'a LoginConfig, Identity)> {
    let person =
        app.logins.issuers.verify(token).await.map_err(|error| refused(&app.logins.issuers, &error))?;
    let login = app.logins.providers.iter().find(|login| login.issuer.issuer == person.issuer);
    let login = login.ok_or_else(|| ApiError::internal("a provider without settings"))?;
    let claim = |name: &str| person.claims.get(name).and_then(Value::as_str);
    // A token that another program was given and that names this one too (section 3.1.3.7).
    if claim("azp").is_some_and(|party| party != login.issuer.audience) {
        return Err(ApiError::unauthorized("the identity token was given to another program"));
    }
    // One that was asked for in another browser, and put under this one's login.
    if claim("nonce") != nonce {
        return Err(ApiError::unauthorized("the identity token belongs to another login"));
    }
    Ok((login, person))
}

/// Takes an identity token once: providers need not number theirs.
async fn once(tx: &mut WriteTx, person: &Identity, token: &str) -> ApiResult<()> {
    let name = Digest::of(token.as_bytes()).to_string();
    if publishers::exchange(tx, &person.issuer, &name, person.remember_until).await? {
        return Ok(());
    }
    Err(ApiError::unauthorized("the identity token was used before").hint("log in again: `hub login --oidc`"))
}

/// A user for somebody who comes first, under the name that the provider says, if nobody has it.
async fn newcomer(tx: &mut WriteTx, login: &LoginConfig, person: &Identity) -> ApiResult<Namespace> {
    let refuse = |detail: String| {
        ApiError::new(ProblemCode::Forbidden, detail).hint(format!(
            "who has a user here links it, with a token of theirs: `hub login --oidc --link`; an operator does \
             that too: `hub-server user link NAME --issuer {} --subject {}`",
            person.issuer, person.subject
        ))
    };
    if !login.create_users {
        return Err(refuse(format!("nobody here is `{}` of `{}`", person.subject, person.issuer)));
    }
    let said = person.claims.get(&login.name_claim).and_then(Value::as_str).unwrap_or_default();
    let name: Namespace = said.parse().map_err(|error| {
        refuse(format!("`{}` of the identity token makes no user name: {error}", login.name_claim))
    })?;
    let taken = || refuse(format!("the name `{name}` is taken here, perhaps by somebody else"));
    if names::is_reserved(&name) || reserved::reason(tx, &name).await?.is_some() {
        return Err(refuse(format!("the name `{name}` is reserved")));
    }
    // The settings of the operator make this user.
    let administering = may(&Actor::Operator, Administer, &Resource::Registry)?;
    let founding = may(&Actor::Operator, CreateOrganisation, &Resource::Registry)?;
    if !users::found(tx, &administering, &founding, &name).await? {
        return Err(taken());
    }
    let permit = may(&Actor::Account(name.clone()), ManageAccount, &Resource::Account(name.clone()))?;
    if !identities::link(tx, &permit, &name, &person.issuer, &person.subject).await? {
        return Err(taken());
    }
    Ok(name)
}
