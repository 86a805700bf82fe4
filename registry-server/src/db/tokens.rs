//! `tokens`: hashed at rest, scoped, limited to names, expiring.

use hub_schemas::{
    api::{CreatedToken, TokenEntry, TokenInfo},
    name::Namespace,
    pattern::NamePattern,
    token::{Scope, Scopes},
};
use sqlx::FromRow;

use super::{
    Db, WriteTx,
    audit::{self, Event},
    clock::{from_micros, micros, now},
    new_id, parse,
};
use crate::domain::{
    permissions::{Caller, ManageAccount, Permit},
    secret::TokenSecret,
};

/// Before what would be a wildcard in a pattern of LIKE; `adapters::visible_to` says the same.
const ESCAPE: char = '!';
/// An hour, in microseconds.
const SHORT_LIFE: i64 = 3600 * 1_000_000;

#[derive(Debug, FromRow)]
struct Row {
    id: String,
    user_name: String,
    name: String,
    scopes: String,
    names: Option<String>,
    created_at: i64,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
    administrator_since: Option<i64>,
}

/// The columns of [`Row`]; a macro, so that statements stay literals.
macro_rules! columns {
    () => {
        "t.id, t.user_name, t.name, t.scopes, t.names, t.created_at, t.expires_at, t.revoked_at, \
         u.administrator_since FROM tokens t JOIN users u ON u.name = t.user_name"
    };
}

impl Row {
    fn into_token(self) -> Result<(Namespace, TokenEntry), sqlx::Error> {
        let names: Result<Vec<NamePattern>, _> = match &self.names {
            None => Ok(Vec::new()),
            Some(names) => names.split(',').map(|name| parse("tokens.names", name)).collect(),
        };
        let info = TokenInfo {
            name: self.name,
            scopes: parse::<Scopes>("tokens.scopes", &self.scopes)?.into_vec(),
            names: names?,
            expires_at: self.expires_at.map(from_micros),
        };
        let entry = TokenEntry {
            id: self.id,
            info,
            created_at: from_micros(self.created_at),
            revoked_at: self.revoked_at.map(from_micros),
        };
        Ok((parse("tokens.user_name", &self.user_name)?, entry))
    }
}

/// Who comes with `secret`; `None` when it is unknown, revoked or expired.
pub(crate) async fn caller(db: &Db, secret: &TokenSecret) -> Result<Option<Caller>, sqlx::Error> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " WHERE t.secret_hash = $1 AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > $2)"
    );
    let row: Option<Row> =
        sqlx::query_as(sql).bind(secret.hash()).bind(now()).fetch_optional(db.read()).await?;
    row.map(|row| {
        let administrator = row.administrator_since.is_some();
        let (user, token) = row.into_token()?;
        Ok(Caller::new(user, administrator, token.id, token.info))
    })
    .transpose()
}

/// Makes a token, with the secret that is shown this once.
pub(crate) async fn make(
    tx: &mut WriteTx,
    permit: &Permit<ManageAccount>,
    user: &Namespace,
    info: TokenInfo,
) -> Result<CreatedToken, sqlx::Error> {
    let secret = TokenSecret::generate(&mut rand::rng());
    let token = insert(tx, permit, user, info, &secret).await?;
    Ok(CreatedToken { token, secret: secret.expose().to_owned() })
}

/// Stores a new token.
pub(crate) async fn insert(
    tx: &mut WriteTx,
    permit: &Permit<ManageAccount>,
    user: &Namespace,
    info: TokenInfo,
    secret: &TokenSecret,
) -> Result<TokenEntry, sqlx::Error> {
    let (id, created_at) = (new_id(), now());
    let joined = |words: Vec<&str>| words.join(",");
    let scopes = joined(info.scopes.iter().copied().map(Scope::as_str).collect());
    let names = joined(info.names.iter().map(NamePattern::as_str).collect());
    let sql = "INSERT INTO tokens (id, user_name, name, secret_hash, scopes, names, created_at, expires_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    sqlx::query(sql)
        .bind(id.as_str())
        .bind(user.as_str())
        .bind(info.name.as_str())
        .bind(secret.hash())
        .bind(scopes.as_str())
        .bind(Some(names.as_str()).filter(|names| !names.is_empty()))
        .bind(created_at)
        .bind(info.expires_at.map(micros))
        .execute(tx.connection())
        .await?;
    for pattern in &info.names {
        sqlx::query("INSERT INTO token_names (token_id, pattern) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(id.as_str())
            .bind(pattern.as_like(ESCAPE))
            .execute(tx.connection())
            .await?;
    }
    let limits = if names.is_empty() { String::new() } else { format!(" for {names}") };
    let detail = format!("{id} with {scopes}{limits}");
    let event =
        Event { actor: permit.actor(), action: "token-create", subject: user.as_str(), detail: &detail };
    audit::record(tx, event).await?;
    Ok(TokenEntry { id, info, created_at: from_micros(created_at), revoked_at: None })
}

/// Makes a token of `user` useless; `false` when they have none with this id that works.
pub(crate) async fn revoke(
    tx: &mut WriteTx,
    permit: &Permit<ManageAccount>,
    user: &Namespace,
    id: &str,
) -> Result<bool, sqlx::Error> {
    let sql = "UPDATE tokens SET revoked_at = $1 WHERE id = $2 AND user_name = $3 AND revoked_at IS NULL";
    let done = sqlx::query(sql).bind(now()).bind(id).bind(user.as_str()).execute(tx.connection()).await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    let event = Event { actor: permit.actor(), action: "token-revoke", subject: user.as_str(), detail: id };
    audit::record(tx, event).await?;
    Ok(true)
}

/// Whose a token is.
pub(crate) async fn owner(db: &Db, id: &str) -> Result<Option<Namespace>, sqlx::Error> {
    let found: Option<(String,)> = sqlx::query_as("SELECT user_name FROM tokens WHERE id = $1")
        .bind(id)
        .fetch_optional(db.read())
        .await?;
    found.map(|(user,)| parse("tokens.user_name", &user)).transpose()
}

/// The tokens of one user, oldest first.
pub(crate) async fn of_user(db: &Db, user: &Namespace) -> Result<Vec<TokenEntry>, sqlx::Error> {
    let sql = concat!("SELECT ", columns!(), " WHERE t.user_name = $1 ORDER BY t.created_at, t.id");
    let rows: Vec<Row> = sqlx::query_as(sql).bind(user.as_str()).fetch_all(db.read()).await?;
    rows.into_iter().map(|row| row.into_token().map(|(_, token)| token)).collect()
}

/// Every token and whose it is, oldest first.
pub(crate) async fn all(db: &Db) -> Result<Vec<(Namespace, TokenEntry)>, sqlx::Error> {
    let sql = concat!("SELECT ", columns!(), " ORDER BY t.created_at, t.id");
    let rows: Vec<Row> = sqlx::query_as(sql).fetch_all(db.read()).await?;
    rows.into_iter().map(Row::into_token).collect()
}

/// Forgets tokens that expired before `before` and were made for an hour at most, as those of trusted
/// publishing are: nobody manages them, and there is one for every job. Records of what was done with them
/// stay; so do tokens that worked longer, for their users to see.
pub(crate) async fn forget_short_lived(tx: &mut WriteTx, before: i64) -> Result<u64, sqlx::Error> {
    let sql = "DELETE FROM token_names WHERE token_id IN (
                   SELECT id FROM tokens WHERE expires_at < $1 AND expires_at - created_at <= $2)";
    sqlx::query(sql).bind(before).bind(SHORT_LIFE).execute(tx.connection()).await?;
    let sql = "DELETE FROM tokens WHERE expires_at < $1 AND expires_at - created_at <= $2";
    Ok(sqlx::query(sql).bind(before).bind(SHORT_LIFE).execute(tx.connection()).await?.rows_affected())
}
