//! Writing the folder.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::Path,
};

use hub_schemas::digest::Digest;
use serde_json::Value;
use sqlx::{Row as _, any::AnyRow};

use super::{
    ArchiveError, FORMAT, INDEX, Index,
    schema::{self, Kind, Table},
};
use crate::{
    app::App,
    db::{WriteTx, blobs},
    storage::{Key, PutError, Storage, StorageError, Written},
};

/// Writes everything into `folder`. The registry goes on meanwhile: the rows are those
/// of one moment, and the files they name stay for a day longer.
pub(crate) async fn export(app: &App, folder: &Path) -> Result<Index, ArchiveError> {
    fs::create_dir_all(folder.join("tables")).map_err(|e| failed(folder, &e))?;
    // Until it is complete again, it is no export.
    drop(fs::remove_file(folder.join(INDEX)));
    let mut tx = app.db.snapshot().await?;
    let migrations = crate::db::applied(&mut tx).await?;
    let mut rows = BTreeMap::new();
    for table in schema::tables(&mut tx).await? {
        let path = folder.join("tables").join(format!("{}.jsonl", table.name));
        let count = write_table(&mut tx, &table, &path).await?;
        rows.insert(table.name, count);
    }
    let files = blobs::all(&mut tx).await?;
    drop(tx);
    let archive = Storage::local(folder)?;
    let mut bytes = 0;
    for (digest, blob) in &files {
        copy(&app.storage, &blob.object, &archive, &Key::first_blob(digest), digest, blob.size).await?;
        bytes += blob.size;
    }
    let index = Index { format: FORMAT, migrations, tables: rows, blobs: files.len() as u64, bytes };
    let text = serde_json::to_vec_pretty(&index).map_err(|e| sqlx::Error::Encode(Box::new(e)))?;
    let path = folder.join(INDEX);
    fs::write(&path, text).map_err(|e| failed(&path, &e))?;
    Ok(index)
}

pub(super) fn failed(path: &Path, error: &dyn std::fmt::Display) -> ArchiveError {
    ArchiveError::File { path: path.to_owned(), reason: error.to_string() }
}

/// Copies a file unless it is there, hashing it on the way.
pub(super) async fn copy(
    from: &Storage,
    source: &Key,
    to: &Storage,
    target: &Key,
    digest: &Digest,
    size: u64,
) -> Result<(), ArchiveError> {
    if to.size(target).await.is_ok_and(|found| found == size) {
        return Ok(());
    }
    let body = from.get(source, None).await?;
    // The digest that was found; nothing is written then.
    let other = std::cell::Cell::new(None);
    let accept = |written: &Written| {
        if written.digest == *digest {
            return Ok(());
        }
        other.set(Some(written.digest));
        Err(StorageError::Other("another digest".into()))
    };
    match to.put(target, body, accept).await {
        Ok(_) => Ok(()),
        Err(PutError::Body(error) | PutError::Storage(error)) => Err(match other.get() {
            Some(found) => ArchiveError::Damaged { expected: *digest, found },
            None => error.into(),
        }),
    }
}

async fn write_table(tx: &mut WriteTx, table: &Table, path: &Path) -> Result<u64, ArchiveError> {
    let names: Vec<&str> = table.columns.iter().map(|(name, _)| name.as_str()).collect();
    let sql = format!("SELECT {} FROM {}", names.join(", "), table.name);
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(tx.connection()).await?;
    let mut file = BufWriter::new(File::create(path).map_err(|e| failed(path, &e))?);
    let mut line = |value: &Value| writeln!(file, "{value}").map_err(|e| failed(path, &e));
    line(&names.into())?;
    for row in &rows {
        line(&values(row, table)?)?;
    }
    let file = file.into_inner().map_err(|e| failed(path, &e))?;
    file.sync_all().map_err(|e| failed(path, &e))?;
    Ok(rows.len() as u64)
}

fn values(row: &AnyRow, table: &Table) -> Result<Value, sqlx::Error> {
    let columns = table.columns.iter().enumerate();
    columns
        .map(|(i, (_, kind))| {
            Ok(match kind {
                Kind::Text => row.try_get::<Option<String>, _>(i)?.into(),
                Kind::Integer => row.try_get::<Option<i64>, _>(i)?.into(),
                Kind::Real => row.try_get::<Option<f64>, _>(i)?.into(),
            })
        })
        .collect::<Result<Vec<Value>, _>>()
        .map(Value::from)
}
