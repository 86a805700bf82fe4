//! `identities`: who of an identity provider is which user.

use hub_schemas::{api::LinkedIdentity, name::Namespace};
use sqlx::FromRow;

use super::{
    Db, WriteTx,
    audit::{self, Event},
    clock::{from_micros, now},
    namespaces, new_id, parse,
};
use crate::domain::permissions::{ManageAccount, Permit};

#[derive(Debug, FromRow)]
struct Row {
    id: String,
    issuer: String,
    subject: String,
    created_at: i64,
}

impl Row {
    fn into_linked(self) -> LinkedIdentity {
        let Self { id, issuer, subject, created_at } = self;
        LinkedIdentity { id, issuer, subject, linked_at: from_micros(created_at) }
    }
}

/// The user whom somebody is here.
pub(crate) async fn user_of(
    tx: &mut WriteTx,
    issuer: &str,
    subject: &str,
) -> Result<Option<Namespace>, sqlx::Error> {
    let found: Option<(String,)> =
        sqlx::query_as("SELECT user_name FROM identities WHERE issuer = $1 AND subject = $2")
            .bind(issuer)
            .bind(subject)
            .fetch_optional(tx.connection())
            .await?;
    found.map(|(user,)| parse("identities.user_name", &user)).transpose()
}

/// Lets somebody log in as `user`; `false` where they are a user already, whoever that is.
pub(crate) async fn link(
    tx: &mut WriteTx,
    permit: &Permit<ManageAccount>,
    user: &Namespace,
    issuer: &str,
    subject: &str,
) -> Result<bool, sqlx::Error> {
    let sql =
        "INSERT INTO identities (id, issuer, subject, user_name, created_at) VALUES ($1, $2, $3, $4, $5)
               ON CONFLICT DO NOTHING";
    let done = sqlx::query(sql)
        .bind(new_id())
        .bind(issuer)
        .bind(subject)
        .bind(user.as_str())
        .bind(now())
        .execute(tx.connection())
        .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    let detail = format!("{subject} of {issuer}");
    let event =
        Event { actor: permit.actor(), action: "identity-link", subject: user.as_str(), detail: &detail };
    audit::record(tx, event).await?;
    Ok(true)
}

/// Takes that back; `false` where `user` has no such identity.
pub(crate) async fn unlink(
    tx: &mut WriteTx,
    permit: &Permit<ManageAccount>,
    user: &Namespace,
    id: &str,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query("DELETE FROM identities WHERE id = $1 AND user_name = $2")
        .bind(id)
        .bind(user.as_str())
        .execute(tx.connection())
        .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    let event =
        Event { actor: permit.actor(), action: "identity-unlink", subject: user.as_str(), detail: id };
    audit::record(tx, event).await?;
    Ok(true)
}

/// Who logs in as a user, oldest first.
const OF_USER: &str =
    "SELECT id, issuer, subject, created_at FROM identities WHERE user_name = $1 ORDER BY id";

/// Who logs in as `user`, oldest first.
pub(crate) async fn of_user(db: &Db, user: &Namespace) -> Result<Vec<LinkedIdentity>, sqlx::Error> {
    let rows: Vec<Row> = sqlx::query_as(OF_USER).bind(user.as_str()).fetch_all(db.read()).await?;
    Ok(rows.into_iter().map(Row::into_linked).collect())
}

/// The same, which nobody who also asks so changes until the transaction ends.
pub(crate) async fn of_user_locked(
    tx: &mut WriteTx,
    user: &Namespace,
) -> Result<Vec<LinkedIdentity>, sqlx::Error> {
    namespaces::lock(tx, user).await?;
    let rows: Vec<Row> = sqlx::query_as(OF_USER).bind(user.as_str()).fetch_all(tx.connection()).await?;
    Ok(rows.into_iter().map(Row::into_linked).collect())
}
