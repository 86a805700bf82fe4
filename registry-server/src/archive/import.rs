//! Reading the folder into an empty registry.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::Path,
};

use hub_schemas::digest::Digest;
use serde_json::Value;

use super::{
    ArchiveError, FORMAT, INDEX, Index,
    export::{copy, failed},
    schema::{self, Kind, Table},
};
use crate::{
    app::App,
    db::{WriteTx, adapters, changes, listings, new_id},
    jobs::KeepManifest,
    storage::{Key, Storage},
};

/// Reads `folder`. Files come first; the rows follow in one transaction, so that there
/// is either all of it or nothing.
pub(crate) async fn import(app: &App, folder: &Path) -> Result<Index, ArchiveError> {
    let path = folder.join(INDEX);
    let text = fs::read(&path).map_err(|e| failed(&path, &e))?;
    let index: Index = serde_json::from_slice(&text).map_err(|e| failed(&path, &e))?;
    let mut tx = app.db.snapshot().await?;
    if index.format != FORMAT || index.migrations != crate::db::applied(&mut tx).await? {
        return Err(ArchiveError::OtherVersion);
    }
    let (there,): (i64,) =
        sqlx::query_as("SELECT COUNT(*) FROM namespaces").fetch_one(tx.connection()).await?;
    if there > 0 {
        return Err(ArchiveError::NotEmpty);
    }
    let tables = schema::tables(&mut tx).await?;
    drop(tx);
    let objects = files(app, folder, &tables).await?;
    let mut tx = app.db.write().await?;
    for table in &tables {
        let expected = index.tables.get(&table.name).copied().unwrap_or_default();
        let read = read_table(&mut tx, folder, table, &objects).await?;
        if read != expected {
            let reason = format!("it has {read} rows, not the {expected} that were exported");
            return Err(failed(&table_path(folder, table), &reason));
        }
    }
    for adapter in adapters::every(&mut tx).await? {
        listings::refresh(&mut tx, &adapter).await?;
    }
    changes::begin(&mut tx).await?;
    KeepManifest::enqueue_all(&mut tx).await?;
    tx.commit().await?;
    Ok(index)
}

fn table_path(folder: &Path, table: &Table) -> std::path::PathBuf {
    folder.join("tables").join(format!("{}.jsonl", table.name))
}

/// Copies every file; where each lies now.
async fn files(app: &App, folder: &Path, tables: &[Table]) -> Result<BTreeMap<String, String>, ArchiveError> {
    let archive = Storage::local(folder)?;
    let mut objects = BTreeMap::new();
    let Some(table) = tables.iter().find(|table| table.name == "blobs") else { return Ok(objects) };
    let path = table_path(folder, table);
    let column = |name| table.columns.iter().position(|(column, _)| column == name).unwrap_or_default();
    let (digest_at, size_at) = (column("digest"), column("size"));
    for row in rows(&path, table)? {
        let text = row.get(digest_at).and_then(Value::as_str).unwrap_or_default();
        let digest: Digest = text.parse().map_err(|e: hub_schemas::digest::DigestError| failed(&path, &e))?;
        let size = row.get(size_at).and_then(Value::as_u64).unwrap_or_default();
        let object = Key::blob(&digest, &new_id());
        copy(&archive, &Key::first_blob(&digest), &app.storage, &object, &digest, size).await?;
        objects.insert(text.to_owned(), object.to_string());
    }
    Ok(objects)
}

/// The rows of a file, whose first line names the columns.
fn rows(path: &Path, table: &Table) -> Result<Vec<Vec<Value>>, ArchiveError> {
    let mut lines = BufReader::new(File::open(path).map_err(|e| failed(path, &e))?).lines();
    let first = lines.next().transpose().map_err(|e| failed(path, &e))?.unwrap_or_default();
    let names: Vec<String> = serde_json::from_str(&first).map_err(|e| failed(path, &e))?;
    if names.iter().ne(table.columns.iter().map(|(name, _)| name)) {
        return Err(ArchiveError::OtherVersion);
    }
    lines
        .map(|line| {
            let row: Vec<Value> =
                serde_json::from_str(&line.map_err(|e| failed(path, &e))?).map_err(|e| failed(path, &e))?;
            if row.len() == names.len() { Ok(row) } else { Err(failed(path, &"a row has other columns")) }
        })
        .collect()
}

async fn read_table(
    tx: &mut WriteTx,
    folder: &Path,
    table: &Table,
    objects: &BTreeMap<String, String>,
) -> Result<u64, ArchiveError> {
    let names: Vec<&str> = table.columns.iter().map(|(name, _)| name.as_str()).collect();
    let places: Vec<String> = (1..=names.len()).map(|i| format!("${i}")).collect();
    let sql = format!("INSERT INTO {} ({}) VALUES ({})", table.name, names.join(", "), places.join(", "));
    let rows = rows(&table_path(folder, table), table)?;
    let at = |name| names.iter().position(|column| *column == name);
    for row in &rows {
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql.clone()));
        for (i, ((_, kind), value)) in table.columns.iter().zip(row).enumerate() {
            query = match kind {
                // Bytes lie elsewhere now.
                Kind::Text if table.name == "blobs" && Some(i) == at("object") => {
                    let digest = at("digest").and_then(|d| row.get(d)?.as_str()).unwrap_or_default();
                    query.bind(objects.get(digest).cloned())
                }
                Kind::Text => query.bind(value.as_str().map(str::to_owned)),
                Kind::Integer => query.bind(value.as_i64()),
                Kind::Real => query.bind(value.as_f64()),
            };
        }
        query.execute(tx.connection()).await?;
    }
    Ok(rows.len() as u64)
}
