//! From an identity token to a token of this registry.

use hub_schemas::{
    api::{CreatedToken, MAX_TOKEN_NAME, Publisher, TokenInfo},
    name::AdapterId,
    problem::ProblemCode,
    token::Scope,
};
use time::{Duration, OffsetDateTime};

use crate::{
    app::App,
    db::{
        audit::{self, Event},
        publishers, tokens,
    },
    domain::{
        permissions::{Actor, ManageAccount, Resource, may},
        publisher::{self, Mismatch},
    },
    error::{ApiError, ApiResult},
    oidc::{Identity, Issuers, KeyError, TokenError},
};

/// Long enough for the largest push.
const LIFETIME: Duration = Duration::minutes(15);
/// What publishing one adapter takes: also to see what is published already.
const SCOPES: [Scope; 3] = [Scope::Read, Scope::PublishNew, Scope::PublishUpdate];

/// A token that publishes `adapter`, for whoever is trusted with that.
pub(crate) async fn run(app: &App, adapter: &AdapterId, token: &str) -> ApiResult<CreatedToken> {
    let identity = app.issuers.verify(token).await.map_err(|error| refused(&app.issuers, &error))?;
    let publisher = trusted(app, adapter, &identity).await?;
    let user = &publisher.created_by;
    // What tells it from all others of the issuer, so that it is taken once.
    let jti = identity.jti.as_deref().ok_or_else(|| refused(&app.issuers, &TokenError::Claim("jti")))?;
    let now = OffsetDateTime::now_utc();
    let info = TokenInfo {
        name: shortened(&identity.subject),
        scopes: SCOPES.to_vec(),
        names: vec![adapter.to_string().parse().map_err(ApiError::internal)?],
        expires_at: Some(now + LIFETIME),
    };
    let actor = Actor::Account(user.clone());
    let permit = may(&actor, ManageAccount, &Resource::Account(user.clone()))?;
    let mut tx = app.db.write().await?;
    if !publishers::exchange(&mut tx, &identity.issuer, jti, identity.remember_until).await? {
        return Err(ApiError::unauthorized("the identity token was exchanged before")
            .hint("an identity token is taken once: ask the CI for a new one"));
    }
    let (subject, detail) =
        (adapter.to_string(), format!("{} of {} by {}", identity.subject, identity.issuer, publisher.id));
    audit::record(
        &mut tx,
        Event { actor: &actor, action: "publisher-exchange", subject: &subject, detail: &detail },
    )
    .await?;
    let made = tokens::make(&mut tx, &permit, user, info).await?;
    tx.commit().await?;
    Ok(made)
}

/// The first publisher whose claims the token has. Whoever has the subject of one is told what
/// else differs; whoever has not learns nothing about the adapter.
async fn trusted(app: &App, adapter: &AdapterId, identity: &Identity) -> ApiResult<Publisher> {
    let mut nearest: Option<Mismatch> = None;
    for publisher in publishers::all(&app.db, adapter).await? {
        if publisher.issuer != identity.issuer {
            continue;
        }
        match publisher::compare(&publisher.claims, &identity.claims) {
            None => return Ok(publisher),
            Some(mismatch) if mismatch.is_of_the_subject() => {}
            Some(mismatch) => nearest = nearest.or(Some(mismatch)),
        }
    }
    let (subject, issuer) = (&identity.subject, &identity.issuer);
    let detail = match nearest {
        Some(mismatch) => format!("the trusted publisher of `{adapter}` takes other tokens: {mismatch}"),
        None => format!("no trusted publisher of `{adapter}` takes the subject `{subject}` of `{issuer}`"),
    };
    Err(ApiError::new(ProblemCode::Forbidden, detail).hint(format!(
        "a maintainer of `{adapter}` decides: `hub publisher add {adapter} --issuer {issuer} --claim 'sub={subject}'`"
    )))
}

pub(super) fn refused(issuers: &Issuers, error: &TokenError) -> ApiError {
    if let TokenError::Key(KeyError::Unavailable { .. }) = error {
        return ApiError::with_cause(
            ProblemCode::Unavailable,
            "the keys of the identity token's issuer can't be read at the moment",
            error,
        )
        .hint("try again in a minute; the registry's operator finds the reason in its log");
    }
    let hint = match error {
        TokenError::Issuer(_) => {
            let known: Vec<_> = issuers.listed().iter().map(|known| format!("`{}`", known.issuer)).collect();
            format!(
                "this registry takes tokens of: {}",
                if known.is_empty() { "nobody".to_owned() } else { known.join(", ") }
            )
        }
        TokenError::Audience { wanted, .. } => format!("ask for a token for the audience `{wanted}`"),
        _ => "ask for a new identity token".to_owned(),
    };
    ApiError::unauthorized(error.to_string()).hint(hint)
}

/// A subject as the name of a token.
fn shortened(subject: &str) -> String {
    let mut name: String = subject.chars().filter(|c| !c.is_control()).collect();
    while name.len() > MAX_TOKEN_NAME {
        name.pop();
    }
    name
}
