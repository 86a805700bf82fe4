//! `hub-server token …`

use std::str::FromStr;

use hub_schemas::{api::TokenInfo, name::Namespace, token::Scope};
use time::{Duration, OffsetDateTime};

use super::{AdminError, print, scope_list};
use crate::{
    app::App,
    db::{tokens, users},
    domain::{permissions::OperatorPermit, secret::TokenSecret},
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
    scopes: &[Scope],
    lifetime: Option<Lifetime>,
) -> Result<(), AdminError> {
    print(mint(app, user, name, scopes, lifetime).await?.expose())
}

/// Makes a token.
pub async fn mint(
    app: &App,
    user: &Namespace,
    name: &str,
    scopes: &[Scope],
    lifetime: Option<Lifetime>,
) -> Result<TokenSecret, AdminError> {
    let mut scopes = scopes.to_vec();
    scopes.sort_unstable();
    scopes.dedup();
    if scopes.is_empty() {
        return Err(AdminError::NoScope);
    }
    let expires_at = lifetime.map(|Lifetime(after)| OffsetDateTime::now_utc() + after);
    let info = TokenInfo { name: name.to_owned(), scopes, expires_at };
    let secret = TokenSecret::generate(&mut rand::rng());
    let mut tx = app.db.write().await?;
    if !users::exists(&mut tx, user).await? {
        return Err(AdminError::NoUser(user.clone()));
    }
    let id = tokens::insert(&mut tx, &OperatorPermit::command_line(), user, &info, &secret).await?;
    tx.commit().await?;
    tracing::info!(token.id = %id, user.name = %user, "Made the token `{id}` for `{user}`");
    Ok(secret)
}

/// Prints every token, without secrets.
pub async fn list_tokens(app: &App) -> Result<(), AdminError> {
    let now = OffsetDateTime::now_utc();
    for token in tokens::all(&app.db).await? {
        let state = match (token.revoked_at, token.info.expires_at) {
            (Some(at), _) => format!("revoked {}", at.date()),
            (None, Some(at)) if at <= now => format!("expired {}", at.date()),
            (None, Some(at)) => format!("until {}", at.date()),
            (None, None) => "until revoked".to_owned(),
        };
        let (id, user, info) = (&token.id, &token.user, &token.info);
        let (scopes, since) = (scope_list(&info.scopes), token.created_at.date());
        print(&format!("{id}\t{user}\t{}\t{scopes}\tsince {since}\t{state}", info.name))?;
    }
    Ok(())
}

/// Makes a token useless.
pub async fn revoke_token(app: &App, id: &str) -> Result<(), AdminError> {
    let mut tx = app.db.write().await?;
    if !tokens::revoke(&mut tx, &OperatorPermit::command_line(), id).await? {
        return Err(AdminError::NoToken(id.to_owned()));
    }
    tx.commit().await?;
    tracing::info!(token.id = %id, "Revoked the token `{id}`");
    Ok(())
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
