//! `mirrored_bases`: base models of Hugging Face hubs, measured once for each state of their repository.

use hub_schemas::manifest::BaseModel;

use super::{Db, WriteTx};
use crate::domain::huggingface::{Commit, RepositoryId};

/// What was measured; `part` is the view of the checkpoint.
pub(crate) async fn find(
    db: &Db,
    upstream: &str,
    repository: &RepositoryId,
    commit: &Commit,
    part: &str,
) -> Result<Option<BaseModel>, sqlx::Error> {
    let sql = "SELECT base FROM mirrored_bases
               WHERE upstream = $1 AND repository = $2 AND revision = $3 AND part = $4";
    let found: Option<(String,)> = sqlx::query_as(sql)
        .bind(upstream)
        .bind(repository.to_string())
        .bind(commit.as_str())
        .bind(part)
        .fetch_optional(db.read())
        .await?;
    let read = |(text,): (String,)| serde_json::from_str(&text).map_err(|e| sqlx::Error::Decode(Box::new(e)));
    found.map(read).transpose()
}

/// Keeps what was measured.
pub(crate) async fn keep(
    tx: &mut WriteTx,
    upstream: &str,
    repository: &RepositoryId,
    commit: &Commit,
    part: &str,
    base: &BaseModel,
) -> Result<(), sqlx::Error> {
    let text = serde_json::to_string(base).map_err(|e| sqlx::Error::Encode(Box::new(e)))?;
    let sql =
        "INSERT INTO mirrored_bases (upstream, repository, revision, part, base) VALUES ($1, $2, $3, $4, $5)
               ON CONFLICT DO NOTHING";
    sqlx::query(sql)
        .bind(upstream)
        .bind(repository.to_string())
        .bind(commit.as_str())
        .bind(part)
        .bind(text)
        .execute(tx.connection())
        .await?;
    Ok(())
}
