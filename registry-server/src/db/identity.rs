//! `identity`: which registry this is.

use super::{Db, WriteTx, new_id};

/// The registry's own identifier, made when it is asked for first.
pub(crate) async fn of(db: &Db) -> Result<String, sqlx::Error> {
    if let Some(found) = find(db).await? {
        return Ok(found);
    }
    let mut tx = db.write().await?;
    sqlx::query("INSERT INTO identity (only_one, id) VALUES (1, $1) ON CONFLICT DO NOTHING")
        .bind(new_id())
        .execute(tx.connection())
        .await?;
    tx.commit().await?;
    find(db).await?.ok_or(sqlx::Error::RowNotFound)
}

/// The registry's own identifier, when it has one.
pub(crate) async fn find(db: &Db) -> Result<Option<String>, sqlx::Error> {
    let found: Option<(String,)> =
        sqlx::query_as("SELECT id FROM identity").fetch_optional(db.read()).await?;
    Ok(found.map(|(id,)| id))
}

/// Takes the identifier that a storage has, where the database has none yet.
pub(crate) async fn adopt(tx: &mut WriteTx, id: &str) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO identity (only_one, id) VALUES (1, $1) ON CONFLICT DO NOTHING")
        .bind(id)
        .execute(tx.connection())
        .await?;
    Ok(())
}
