//! Adapters of other registries, fetched when somebody asks for them. What there is to know of a registry of this
//! kind stands in `fill`, of a Hugging Face hub in `huggingface`; everything else is the same for both.
//!
//! A version list is asked for again when it is older than the mirror's `fresh_seconds`;
//! a manifest and its files once. Everything is checked against its digest before it is
//! stored or served, and a version whose files are all here becomes one of this registry's
//! own, which nobody can publish, yank or change here. Only signed-in users make this
//! registry ask; whoever else comes gets what is here. Where the other registry does not
//! answer, its last word is served with its age. One that is followed ([`follow_all`]) is fetched before anybody asks.

mod bases;
mod download;
mod fill;
mod flights;
mod follow;
mod huggingface;
mod upstream;

use std::{sync::Arc, time::Duration};

use hub_schemas::{
    digest::Digest,
    name::{AdapterId, Namespace},
    problem::ProblemCode,
};

use crate::{
    app::App,
    config::MirrorConfig,
    db::{
        adapters::{VisibleAdapter, find_visible},
        blobs::{self, Blob},
        clock,
        mirrored::{self, Known},
        versions::StoredManifest,
    },
    domain::{mirror::MirrorPermit, permissions::Viewer},
    error::{ApiError, ApiResult},
};

pub(crate) use bases::bases;
use flights::Flights;
pub(crate) use follow::follow_all;
pub(crate) use upstream::Upstream;
use upstream::{Source, UpstreamError};

/// A client that hears nothing for longer believes that the connection is dead.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// When to ask again for a file that is still on its way.
const ASK_AGAIN_SECONDS: u64 = 2;

/// Why something could not be fetched.
#[derive(Debug, Clone, thiserror::Error)]
enum MirrorError {
    /// The other registry.
    #[error("{0}")]
    Upstream(UpstreamError),
    /// What is there can't be taken.
    #[error("{}", .0.reason())]
    Unfit(ApiError),
    /// This one, or its rules.
    #[error("{}", .0.reason())]
    Here(ApiError),
}

impl MirrorError {
    /// Whether a registry fails, the other or this one, and not what it was asked for: then nothing
    /// else comes from there either.
    fn is_failure(&self) -> bool {
        match self {
            Self::Upstream(error) => matches!(error, UpstreamError::Unreachable { .. }),
            Self::Unfit(_) => false,
            Self::Here(error) => error.problem.status >= 500,
        }
    }
}

impl<E: Into<ApiError>> From<E> for MirrorError {
    fn from(error: E) -> Self {
        Self::Here(error.into())
    }
}

impl From<UpstreamError> for MirrorError {
    fn from(error: UpstreamError) -> Self {
        Self::Upstream(error)
    }
}

/// What everybody who waits for a transfer is told.
type Landed = Result<(), MirrorError>;

/// The other registries, and what is on its way from them.
#[derive(Clone, Default)]
pub(crate) struct Mirrors {
    upstreams: Vec<Arc<Upstream>>,
    lists: Flights<AdapterId, Landed>,
    manifests: Flights<Digest, Landed>,
    files: Flights<Digest, Landed>,
    /// Base models of Hugging Face hubs that are measured: where, what, and which part of it.
    bases: Flights<(String, Source, &'static str), Landed>,
}

/// How a version list came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// How old it is, where the other registry could not be asked.
    pub(crate) stale: Option<Duration>,
}

impl Mirrors {
    pub(crate) fn new(configs: &[MirrorConfig]) -> Result<Self, reqwest::Error> {
        let upstreams = configs.iter().map(|config| Upstream::new(config.clone()).map(Arc::new));
        Ok(Self { upstreams: upstreams.collect::<Result<_, _>>()?, ..Self::default() })
    }

    /// Every registry that is mirrored.
    pub(crate) fn all(&self) -> &[Arc<Upstream>] {
        &self.upstreams
    }

    /// Where the names of `namespace` come from; `None`: from here.
    pub(crate) fn of(&self, namespace: &Namespace) -> Option<&Arc<Upstream>> {
        self.upstreams.iter().find(|upstream| upstream.config.namespaces.contains(namespace))
    }

    /// The answer to whoever wants to change something in `namespace`, where nobody can.
    pub(crate) fn refuse_changes(&self, namespace: &Namespace) -> ApiResult<()> {
        let Some(upstream) = self.of(namespace) else { return Ok(()) };
        let detail = format!("`{namespace}` is mirrored from `{}`, and changes there alone", upstream.name());
        Err(ApiError::new(ProblemCode::ReadOnly, detail)
            .hint(format!("publish to `{}`, or under another namespace here", upstream.name())))
    }

    /// Allows whoever is signed in to fetch something of `namespace`.
    fn permit(&self, app: &App, viewer: &Viewer, namespace: &Namespace) -> Option<MirrorPermit> {
        self.of(namespace)?;
        // A user whose name is no namespace does not exist.
        let user = viewer.user().parse().ok()?;
        (!app.read_only).then(|| MirrorPermit::new(user, namespace.clone()))
    }
}

/// Brings the version list of a mirrored adapter up to date where it is due; `None` where
/// the adapter is not mirrored, or not known.
pub(crate) async fn refresh(app: &App, viewer: &Viewer, id: &AdapterId) -> ApiResult<Option<Seen>> {
    let Some(upstream) = app.mirrors.of(&id.namespace) else { return Ok(None) };
    let known = mirrored::find(&app.db, id).await?;
    if known.as_ref().is_some_and(|known| is_fresh(upstream, known)) {
        return Ok(Some(Seen { stale: None }));
    }
    let old = |known: &Option<Known>| known.as_ref().map(|known| Seen { stale: Some(age(known)) });
    let Some(permit) = app.mirrors.permit(app, viewer, &id.namespace) else { return Ok(old(&known)) };
    let work = || fill::list(app.clone(), Arc::clone(upstream), permit, id.clone());
    let Ok(done) = tokio::time::timeout(LONGEST_WAIT, app.mirrors.lists.join(id.clone(), work)).await else {
        // It goes on without whoever asked.
        return old(&known).map_or_else(|| Err(on_its_way("the adapter")), |seen| Ok(Some(seen)));
    };
    let error = match landed(done) {
        Ok(()) => return Ok(Some(Seen { stale: None })),
        Err(MirrorError::Here(error)) => return Err(error),
        Err(error) => error,
    };
    tracing::warn!(mirror.url = upstream.name(), %error, "Could not take `{id}` as it is there: {error}");
    if let Some(seen) = old(&known) {
        return Ok(Some(seen));
    }
    match error {
        // Answered as what is private, so that nobody learns which it is.
        MirrorError::Upstream(UpstreamError::Refused { .. }) => Ok(None),
        error => Err(told(error)),
    }
}

/// The manifest with this digest, where some mirrored adapter that `viewer` may see lists it.
pub(crate) async fn manifest(
    app: &App,
    viewer: &Viewer,
    digest: &Digest,
) -> ApiResult<Option<StoredManifest>> {
    let Some(listed) = mirrored::listed(&app.db, digest).await? else { return Ok(None) };
    let Some(adapter) = find_visible(&app.db, &listed.id, viewer).await? else { return Ok(None) };
    if let Some(text) = listed.manifest {
        return Ok(Some(StoredManifest { adapter, bytes: text.into_bytes() }));
    }
    let Some(upstream) = app.mirrors.of(&listed.id.namespace) else { return Ok(None) };
    let permit = app.mirrors.permit(app, viewer, &listed.id.namespace);
    let permit = permit.ok_or_else(|| not_filled(app, &format!("`{}@{}`", listed.id, listed.version)))?;
    let found = manifest_of(app, upstream, &permit, &adapter, digest).await.map_err(told)?;
    let text = found.ok_or_else(|| ApiError::no_adapter(&adapter.id))?;
    Ok(Some(StoredManifest { adapter, bytes: text.into_bytes() }))
}

/// The manifest of a version that a list names, fetched unless it is here; `None` where the list
/// does not name it any more.
async fn manifest_of(
    app: &App,
    upstream: &Arc<Upstream>,
    permit: &MirrorPermit,
    adapter: &VisibleAdapter,
    digest: &Digest,
) -> Result<Option<String>, MirrorError> {
    let work = || {
        let (app, upstream, permit) = (app.clone(), Arc::clone(upstream), permit.clone());
        fill::manifest(app, upstream, permit, adapter.clone(), *digest)
    };
    landed(app.mirrors.manifests.join(*digest, work).await)?;
    Ok(mirrored::listed(&app.db, digest).await?.and_then(|listed| listed.manifest))
}

/// A file that a manifest of a mirrored adapter lists.
pub(crate) async fn blob(
    app: &App,
    viewer: &Viewer,
    adapter: &VisibleAdapter,
    digest: &Digest,
) -> ApiResult<Option<Blob>> {
    let Some(upstream) = app.mirrors.of(&adapter.id.namespace) else { return Ok(None) };
    let Some(file) = mirrored::file(&app.db, adapter, digest).await? else { return Ok(None) };
    let permit = app.mirrors.permit(app, viewer, &adapter.id.namespace);
    if let Some(blob) = blobs::find(&app.db, digest).await? {
        // Nothing keeps it until its version is complete, and whoever fetched the last file may have been killed before.
        if let Some(permit) = permit {
            fill::complete(app, &permit, adapter).await.map_err(told)?;
        }
        return Ok(Some(blob));
    }
    let permit = permit.ok_or_else(|| not_filled(app, &format!("`{}` of `{}`", file.path, adapter.id)))?;
    let adapter = adapter.clone();
    let work = || fill::file(app.clone(), Arc::clone(upstream), permit, adapter, file);
    let Ok(done) = tokio::time::timeout(LONGEST_WAIT, app.mirrors.files.join(*digest, work)).await else {
        return Err(on_its_way("the file"));
    };
    landed(done).map_err(told)?;
    Ok(blobs::find(&app.db, digest).await?)
}

/// Whether a version list need not be asked for again.
fn is_fresh(upstream: &Upstream, known: &Known) -> bool {
    age(known) < upstream.config.fresh
}

fn age(known: &Known) -> Duration {
    Duration::from_micros(u64::try_from(clock::now() - known.checked_at).unwrap_or_default())
}

fn landed(outcome: Option<Landed>) -> Landed {
    outcome.unwrap_or_else(|| Err(MirrorError::Here(ApiError::internal("a transfer from a mirror panicked"))))
}

fn told(error: MirrorError) -> ApiError {
    match error {
        MirrorError::Here(error) | MirrorError::Unfit(error) => error,
        MirrorError::Upstream(error) => not_there(&error),
    }
}

fn on_its_way(what: &str) -> ApiError {
    let detail = format!("{what} is on its way from the registry that it is mirrored from");
    ApiError::new(ProblemCode::Unavailable, detail)
        .hint(format!("it is fetched on: try again in {ASK_AGAIN_SECONDS} seconds"))
        .retry_after(ASK_AGAIN_SECONDS)
}

fn not_there(error: &UpstreamError) -> ApiError {
    let detail = format!("this is mirrored from another registry and not here yet, and {error}");
    ApiError::new(ProblemCode::Unavailable, detail).hint("nothing was stored: try again in a moment")
}

fn not_filled(app: &App, what: &str) -> ApiError {
    if app.read_only {
        let detail = format!("{what} is not here yet, and this registry takes no changes at the moment");
        return ApiError::new(ProblemCode::ReadOnly, detail);
    }
    ApiError::unauthorized(format!("{what} is not here yet, and only signed-in users may have it fetched"))
        .hint("log in with `hub login` and try again")
}

impl std::fmt::Debug for Mirrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.upstreams.iter().map(|upstream| upstream.name())).finish()
    }
}
