//! `tokens`: hashed at rest, scoped, expiring.

use hub_schemas::{api::TokenInfo, name::Namespace, token::Scope};
use sqlx::FromRow;
use time::OffsetDateTime;

use super::{
    Db, WriteTx,
    audit::{self, Event, OPERATOR},
    clock::{from_micros, micros, now},
    new_id, parse,
};
use crate::domain::{
    permissions::{Caller, OperatorPermit},
    secret::TokenSecret,
};

#[derive(Debug, FromRow)]
struct Row {
    id: String,
    user_name: String,
    name: String,
    scopes: String,
    created_at: i64,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
}

/// A token as operators list it.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    /// Names it in `token revoke`.
    pub(crate) id: String,
    /// Whose it is.
    pub(crate) user: Namespace,
    /// Name, scopes, expiry.
    pub(crate) info: TokenInfo,
    /// Since when.
    pub(crate) created_at: OffsetDateTime,
    /// Since when it works no more.
    pub(crate) revoked_at: Option<OffsetDateTime>,
}

impl Row {
    fn into_token(self) -> Result<Token, sqlx::Error> {
        let scopes: Result<Vec<Scope>, _> =
            self.scopes.split(',').map(|scope| parse("tokens.scopes", scope)).collect();
        Ok(Token {
            id: self.id,
            user: parse("tokens.user_name", &self.user_name)?,
            info: TokenInfo {
                name: self.name,
                scopes: scopes?,
                expires_at: self.expires_at.map(from_micros),
            },
            created_at: from_micros(self.created_at),
            revoked_at: self.revoked_at.map(from_micros),
        })
    }
}

/// Who comes with `secret`; `None` when it is unknown, revoked or expired.
pub(crate) async fn caller(db: &Db, secret: &TokenSecret) -> Result<Option<Caller>, sqlx::Error> {
    let sql = "SELECT id, user_name, name, scopes, created_at, expires_at, revoked_at FROM tokens
               WHERE secret_hash = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)";
    let row: Option<Row> =
        sqlx::query_as(sql).bind(secret.hash()).bind(now()).fetch_optional(db.read()).await?;
    row.map(|row| row.into_token().map(|token| Caller::new(token.user, token.info))).transpose()
}

/// Stores a new token; its id.
pub(crate) async fn insert(
    tx: &mut WriteTx,
    _permit: &OperatorPermit,
    user: &Namespace,
    info: &TokenInfo,
    secret: &TokenSecret,
) -> Result<String, sqlx::Error> {
    let id = new_id();
    let scopes = info.scopes.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(",");
    let sql = "INSERT INTO tokens (id, user_name, name, secret_hash, scopes, created_at, expires_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    sqlx::query(sql)
        .bind(id.as_str())
        .bind(user.as_str())
        .bind(info.name.as_str())
        .bind(secret.hash())
        .bind(scopes.as_str())
        .bind(now())
        .bind(info.expires_at.map(micros))
        .execute(tx.connection())
        .await?;
    let detail = format!("{id} with {scopes}");
    let event = Event { actor: OPERATOR, action: "token-create", subject: user.as_str(), detail: &detail };
    audit::record(tx, event).await?;
    Ok(id)
}

/// Makes a token useless; `false` when there is none with this id that works.
pub(crate) async fn revoke(
    tx: &mut WriteTx,
    _permit: &OperatorPermit,
    id: &str,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query("UPDATE tokens SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL")
        .bind(now())
        .bind(id)
        .execute(tx.connection())
        .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    audit::record(tx, Event { actor: OPERATOR, action: "token-revoke", subject: id, detail: "" }).await?;
    Ok(true)
}

/// Every token, oldest first.
pub(crate) async fn all(db: &Db) -> Result<Vec<Token>, sqlx::Error> {
    let sql = "SELECT id, user_name, name, scopes, created_at, expires_at, revoked_at FROM tokens
               ORDER BY created_at, id";
    let rows: Vec<Row> = sqlx::query_as(sql).fetch_all(db.read()).await?;
    rows.into_iter().map(Row::into_token).collect()
}
