//! `followed_registries`: how far this registry came with the changes of others.

use super::{Db, WriteTx, clock::now};

/// Where following goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Which registry it was; another one at the same address has other serials.
    pub(crate) registry: String,
    /// Everything up to this change is here.
    pub(crate) serial: u64,
    /// When everything was compared last, whether it had changed or not; microseconds since 1970.
    pub(crate) checked_at: i64,
}

/// How far this registry came with the one at `url`; the beginning where it never did.
pub(crate) async fn place(db: &Db, url: &str) -> Result<Place, sqlx::Error> {
    let sql = "SELECT registry, serial, checked_at FROM followed_registries WHERE url = $1";
    let found: Option<(String, i64, i64)> = sqlx::query_as(sql).bind(url).fetch_optional(db.read()).await?;
    Ok(found.map_or_else(Place::default, |(registry, serial, checked_at)| Place {
        registry,
        serial: serial as u64,
        checked_at,
    }))
}

/// Everything up to `serial` of `registry` is here.
pub(crate) async fn reached(
    tx: &mut WriteTx,
    url: &str,
    registry: &str,
    serial: u64,
) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO followed_registries (url, registry, serial, checked_at) VALUES ($1, $2, $3, 0)
               ON CONFLICT (url) DO UPDATE SET registry = excluded.registry, serial = excluded.serial";
    sqlx::query(sql).bind(url).bind(registry).bind(serial as i64).execute(tx.connection()).await?;
    Ok(())
}

/// Everything was compared just now.
pub(crate) async fn compared(tx: &mut WriteTx, url: &str) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE followed_registries SET checked_at = $1 WHERE url = $2")
        .bind(now())
        .bind(url)
        .execute(tx.connection())
        .await?;
    Ok(())
}
