//! `retention`: which versions of a namespace are deleted by rule.

use hub_schemas::{api::RetentionRules, name::Namespace};

use super::{
    Db, WriteTx,
    adapters::{self, VisibleAdapter, adapter_columns},
    audit::{self, Event},
    parse,
};
use crate::domain::permissions::{ManageMembers, Permit};

type Row = (Option<i64>, i64, Option<i64>);

fn rules((prerelease_days, keep_prereleases, yanked_days): Row) -> RetentionRules {
    let number = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
    RetentionRules {
        prerelease_days: prerelease_days.map(number),
        keep_prereleases: number(keep_prereleases),
        yanked_days: yanked_days.map(number),
    }
}

/// The rules of a namespace; none where it set none.
pub(crate) async fn of(db: &Db, namespace: &Namespace) -> Result<RetentionRules, sqlx::Error> {
    let found: Option<Row> = sqlx::query_as(
        "SELECT prerelease_days, keep_prereleases, yanked_days FROM retention WHERE namespace = $1",
    )
    .bind(namespace.as_str())
    .fetch_optional(db.read())
    .await?;
    Ok(found.map(rules).unwrap_or_default())
}

/// Every namespace with rules.
pub(crate) async fn all(db: &Db) -> Result<Vec<(Namespace, RetentionRules)>, sqlx::Error> {
    let rows: Vec<(String, Option<i64>, i64, Option<i64>)> = sqlx::query_as(
        "SELECT namespace, prerelease_days, keep_prereleases, yanked_days FROM retention ORDER BY namespace",
    )
    .fetch_all(db.read())
    .await?;
    rows.into_iter()
        .map(|(name, a, b, c)| Ok((parse("retention.namespace", &name)?, rules((a, b, c)))))
        .collect()
}

/// Sets the rules of a namespace in place of those it has.
pub(crate) async fn set(
    tx: &mut WriteTx,
    permit: &Permit<ManageMembers>,
    namespace: &Namespace,
    wanted: &RetentionRules,
) -> Result<(), sqlx::Error> {
    debug_assert!(permit.covers_namespace(namespace), "the handler asked for another namespace");
    sqlx::query("DELETE FROM retention WHERE namespace = $1")
        .bind(namespace.as_str())
        .execute(tx.connection())
        .await?;
    if *wanted != RetentionRules::default() {
        let sql = "INSERT INTO retention (namespace, prerelease_days, keep_prereleases, yanked_days)
                   VALUES ($1, $2, $3, $4)";
        sqlx::query(sql)
            .bind(namespace.as_str())
            .bind(wanted.prerelease_days.map(i64::from))
            .bind(i64::from(wanted.keep_prereleases))
            .bind(wanted.yanked_days.map(i64::from))
            .execute(tx.connection())
            .await?;
    }
    let detail = serde_json::to_string(wanted).map_err(|e| sqlx::Error::Encode(Box::new(e)))?;
    let event = Event {
        actor: permit.actor(),
        action: "retention-set",
        subject: namespace.as_str(),
        detail: &detail,
    };
    audit::record(tx, event).await
}

/// Every adapter and base model of a namespace that is not another registry's, by name: for its
/// own rules, whoever may see it.
pub(crate) async fn adapters_in(db: &Db, namespace: &Namespace) -> Result<Vec<VisibleAdapter>, sqlx::Error> {
    let sql = concat!(
        "SELECT ",
        adapter_columns!(),
        " FROM adapters a WHERE a.namespace = $1
          AND NOT EXISTS (SELECT 1 FROM mirrored_adapters m WHERE m.adapter_id = a.id) ORDER BY a.name"
    );
    let rows: Vec<adapters::Row> = sqlx::query_as(sql).bind(namespace.as_str()).fetch_all(db.read()).await?;
    rows.into_iter().map(adapters::Row::into_adapter).collect()
}
