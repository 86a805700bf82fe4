//! Names that could be taken for other ones, at the moment when everyone begins to see them.

use hub_schemas::{api::Visibility, name::Namespace};

use crate::{
    db::{
        WriteTx,
        adapters::{self, VisibleAdapter},
        audit::{self, Event},
    },
    domain::{names, permissions::Actor},
    error::ApiResult,
};

/// Namespaces that a new one is compared with: those that squatters would choose.
const MAX_POPULAR: i64 = 1000;

/// What to tell whoever showed an adapter to everyone (published it, opened it or moved it) where nothing of its
/// namespace was to be seen before: which popular namespaces it looks like. Leaves a record for the administrators.
///
/// Names of adapters are not compared: that many namespaces have one of the same name is what namespaces are for.
pub(crate) async fn of_first_shown(
    tx: &mut WriteTx,
    actor: &Actor,
    adapter: &VisibleAdapter,
) -> ApiResult<Vec<String>> {
    let namespace = &adapter.id.namespace;
    if adapter.visibility != Visibility::Public || adapters::shows_another(tx, adapter).await? {
        return Ok(Vec::new());
    }
    let popular = adapters::popular_namespaces(tx, namespace, MAX_POPULAR).await?;
    let alike: Vec<_> = popular.iter().filter(|other| names::look_alike(namespace, other)).collect();
    for other in &alike {
        let (subject, detail) = (namespace.as_str(), other.as_str());
        audit::record(tx, Event { actor, action: "name-lookalike", subject, detail }).await?;
    }
    let warning = |other: &&Namespace| {
        format!("the namespace `{namespace}` looks like `{other}`; people could take one for the other")
    };
    Ok(alike.iter().map(warning).collect())
}
