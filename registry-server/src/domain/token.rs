//! What a new token may be.

use hub_schemas::{
    api::{CreateToken, MAX_TOKEN_NAME, MAX_TOKEN_NAMES, TokenEntry, TokenInfo},
    token::Scope,
};
use time::OffsetDateTime;

/// Why a token is not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// What it is called.
    #[error("`name` is one line of 1 to {MAX_TOKEN_NAME} characters")]
    Name,
    /// No scope at all.
    #[error("a token needs at least one scope")]
    NoScope,
    /// More patterns than anybody reads.
    #[error("`names` has {0} patterns; a token is limited to at most {MAX_TOKEN_NAMES}")]
    TooManyNames(usize),
    /// It would never work.
    #[error("`expires_at` has passed")]
    Expired,
    /// It could do more than the one that makes it.
    #[error("the token `{by}` has no scope `{scope}`, so it can't make a token that has it")]
    MoreScopes {
        /// The one that would make it.
        by: String,
        /// What that lacks.
        scope: Scope,
    },
    /// It would outlive the one that makes it.
    #[error("the token `{0}` expires, so a token that it makes must expire no later")]
    LivesLonger(String),
    /// A password makes tokens that may do everything, for ever.
    #[error("the token `{0}` expires or has not every scope, so it can't set a first password")]
    NoFirstPassword(String),
    /// Whoever is linked makes tokens, for ever.
    #[error("the token `{0}` expires or has not every scope, so it can't link an identity")]
    NoLink(String),
}

/// Checks a new token by itself.
pub fn check(info: &TokenInfo, now: OffsetDateTime) -> Result<(), TokenError> {
    let one_line = !info.name.chars().any(char::is_control);
    if !(1..=MAX_TOKEN_NAME).contains(&info.name.chars().count()) || !one_line {
        return Err(TokenError::Name);
    }
    if info.scopes.is_empty() {
        return Err(TokenError::NoScope);
    }
    if info.names.len() > MAX_TOKEN_NAMES {
        return Err(TokenError::TooManyNames(info.names.len()));
    }
    if info.expires_at.is_some_and(|at| at <= now) {
        return Err(TokenError::Expired);
    }
    Ok(())
}

/// What `wanted` becomes when its user makes it.
pub fn wanted(wanted: CreateToken, now: OffsetDateTime) -> Result<TokenInfo, TokenError> {
    let CreateToken { name, mut scopes, mut names, expires_at } = wanted;
    scopes.sort_unstable();
    scopes.dedup();
    names.sort_unstable();
    names.dedup();
    let info = TokenInfo { name, scopes, names, expires_at };
    check(&info, now)?;
    Ok(info)
}

/// What `request` becomes when it is made with the token `by`, which is not limited to names.
pub fn made_by(by: &TokenInfo, request: CreateToken, now: OffsetDateTime) -> Result<TokenInfo, TokenError> {
    let info = wanted(request, now)?;
    if let Some(&scope) = info.scopes.iter().find(|scope| !by.scopes.contains(scope)) {
        return Err(TokenError::MoreScopes { by: by.name.clone(), scope });
    }
    match (by.expires_at, info.expires_at) {
        (Some(end), at) if at.is_none_or(|at| at > end) => Err(TokenError::LivesLonger(by.name.clone())),
        _ => Ok(info),
    }
}

/// Checks that `by` may set the first password of its user: whoever has one makes any token with
/// it, so a token that can't do everything must not.
pub fn sets_first_password(by: &TokenInfo) -> Result<(), TokenError> {
    if is_as_good_as_the_user(by) { Ok(()) } else { Err(TokenError::NoFirstPassword(by.name.clone())) }
}

/// The same for letting somebody of an identity provider log in as its user.
pub fn may_link(by: &TokenInfo) -> Result<(), TokenError> {
    if is_as_good_as_the_user(by) { Ok(()) } else { Err(TokenError::NoLink(by.name.clone())) }
}

/// Whether whoever has this token needs no other way in, now and later.
pub fn stands_for_the_user(token: &TokenEntry) -> bool {
    token.revoked_at.is_none() && is_as_good_as_the_user(&token.info)
}

fn is_as_good_as_the_user(token: &TokenInfo) -> bool {
    let everything = Scope::ALL.iter().all(|scope| token.scopes.contains(scope));
    everything && token.names.is_empty() && token.expires_at.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(scopes: &[Scope], expires: Option<i64>) -> TokenInfo {
        let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).expect("a time");
        TokenInfo {
            name: "laptop".into(),
            scopes: scopes.to_vec(),
            names: Vec::new(),
            expires_at: expires.map(at),
        }
    }

    fn wanted(scopes: &[Scope], expires: Option<i64>) -> CreateToken {
        let TokenInfo { name, scopes, names, expires_at } = info(scopes, expires);
        CreateToken { name, scopes, names, expires_at }
    }

    #[test]
    fn a_first_password_is_set_only_by_a_token_that_may_do_everything() {
        assert_eq!(sets_first_password(&info(&Scope::ALL, None)), Ok(()));
        let mut named = info(&Scope::ALL, None);
        named.names = vec!["ada/x".parse().expect("a pattern")];
        for less in [info(&Scope::ALL, Some(100)), info(&[Scope::Read, Scope::Admin], None), named] {
            assert_eq!(sets_first_password(&less), Err(TokenError::NoFirstPassword("laptop".into())));
        }
    }

    #[test]
    fn a_token_never_makes_one_that_may_do_more() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let by = info(&[Scope::Read, Scope::Admin], Some(100));
        assert!(made_by(&by, wanted(&[Scope::Read], Some(100)), now).is_ok());
        let more = made_by(&by, wanted(&[Scope::Yank], Some(100)), now).expect_err("more");
        assert_eq!(
            more.to_string(),
            "the token `laptop` has no scope `yank`, so it can't make a token that has it"
        );
        for expires in [None, Some(101)] {
            let longer = made_by(&by, wanted(&[Scope::Read], expires), now);
            assert_eq!(longer, Err(TokenError::LivesLonger("laptop".into())));
        }
    }

    #[test]
    fn a_token_that_could_never_work_is_not_made() {
        let now = OffsetDateTime::from_unix_timestamp(50).expect("a time");
        let by = info(&Scope::ALL, None);
        assert_eq!(made_by(&by, wanted(&[], None), now), Err(TokenError::NoScope));
        assert_eq!(made_by(&by, wanted(&[Scope::Read], Some(50)), now), Err(TokenError::Expired));
        let unnamed = CreateToken { name: "a\nb".into(), ..wanted(&[Scope::Read], None) };
        assert_eq!(made_by(&by, unnamed, now), Err(TokenError::Name));
    }
}
