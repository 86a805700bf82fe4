//! `hub-server token …`

use std::str::FromStr;

use hub_schemas::{
    api::TokenInfo,
    name::Namespace,
    pattern::NamePattern,
    token::{Scope, Scopes},
};
use time::{Duration, OffsetDateTime};

use super::{AdminError, print};
use crate::{
    app::App,
    db::{tokens, users},
    domain::{
        permissions::{Actor, ManageAccount, Permit, Resource, may},
        secret::TokenSecret,
        token,
    },
};

/// How long a token works: `90s`, `15m`, `12h`, `30d`, `8w`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime(Duration);

/// Not a lifetime.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a duration; write a number and `s`, `m`, `h`, `d` or `w`, as in `30d`")]
pub struct LifetimeError(String);

impl FromStr for Lifetime {
    type Err = LifetimeError;
    fn from_str(text: &str) -> Result<Self, LifetimeError> {
        let refuse = || LifetimeError(text.to_owned());
        let unit = text.chars().last().ok_or_else(refuse)?;
        let number: i64 = text.strip_suffix(unit).and_then(|n| n.parse().ok()).ok_or_else(refuse)?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return Err(refuse()),
        };
        // A century is as good as for ever, and fits every calendar.
        let seconds = number.checked_mul(seconds).filter(|s| (0..=3_155_760_000).contains(s));
        Ok(Self(Duration::seconds(seconds.ok_or_else(refuse)?)))
    }
}

/// Makes a token and prints its secret, this once.
pub async fn create_token(
    app: &App,
    user: &Namespace,
    name: &str,
    scopes: &Scopes,
    names: &[NamePattern],
    lifetime: Option<Lifetime>,
) -> Result<(), AdminError> {
    print(mint(app, user, name, scopes.as_slice(), names, lifetime).await?.expose())
}

/// Makes a token.
pub async fn mint(
    app: &App,
    user: &Namespace,
    name: &str,
    scopes: &[Scope],
    names: &[NamePattern],
    lifetime: Option<Lifetime>,
) -> Result<TokenSecret, AdminError> {
    let made_at = OffsetDateTime::now_utc();
    let expires_at = lifetime.map(|Lifetime(after)| made_at + after);
    let info =
        TokenInfo { name: name.to_owned(), scopes: scopes.to_vec(), names: names.to_vec(), expires_at };
    // One that ends at once is of use to nobody, but harms nobody either.
    token::check(&TokenInfo { expires_at: None, ..info.clone() }, made_at)?;
    let secret = TokenSecret::generate(&mut rand::rng());
    let mut tx = app.db.write().await?;
    if !users::exists(&mut tx, user).await? {
        return Err(AdminError::NoUser(user.clone()));
    }
    let id = tokens::insert(&mut tx, &permit(user)?, user, info, &secret).await?.id;
    tx.commit().await?;
    tracing::info!(token.id = %id, user.name = %user, "Made the token `{id}` for `{user}`");
    Ok(secret)
}

/// Prints every token, without secrets.
pub async fn list_tokens(app: &App) -> Result<(), AdminError> {
    let now = OffsetDateTime::now_utc();
    for (user, token) in tokens::all(&app.db).await? {
        let state = match (token.revoked_at, token.info.expires_at) {
            (Some(at), _) => format!("revoked {}", at.date()),
            (None, Some(at)) if at <= now => format!("expired {}", at.date()),
            (None, Some(at)) => format!("until {}", at.date()),
            (None, None) => "until revoked".to_owned(),
        };
        let (id, info, since) = (&token.id, &token.info, token.created_at.date());
        let scopes = info.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(",");
        let names = info.names.iter().map(NamePattern::as_str).collect::<Vec<_>>().join(",");
        let names = if names.is_empty() { "*" } else { names.as_str() };
        print(&format!("{id}\t{user}\t{}\t{scopes}\t{names}\tsince {since}\t{state}", info.name))?;
    }
    Ok(())
}

/// Makes a token useless.
pub async fn revoke_token(app: &App, id: &str) -> Result<(), AdminError> {
    let no_token = || AdminError::NoToken(id.to_owned());
    let user = tokens::owner(&app.db, id).await?.ok_or_else(no_token)?;
    let mut tx = app.db.write().await?;
    if !tokens::revoke(&mut tx, &permit(&user)?, &user, id).await? {
        return Err(no_token());
    }
    tx.commit().await?;
    tracing::info!(token.id = %id, "Revoked the token `{id}`");
    Ok(())
}

fn permit(user: &Namespace) -> Result<Permit<ManageAccount>, AdminError> {
    Ok(may(&Actor::Operator, ManageAccount, &Resource::Account(user.clone()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_have_a_unit() {
        assert_eq!("30d".parse(), Ok(Lifetime(Duration::days(30))));
        assert_eq!("0s".parse(), Ok(Lifetime(Duration::ZERO)));
        for wrong in ["", "30", "d", "1y", "-1d", "99999999999999999999d", "9999999999w", "3ü"] {
            assert!(wrong.parse::<Lifetime>().is_err(), "{wrong}");
        }
    }
}
