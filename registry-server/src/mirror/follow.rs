//! Following another registry by its changes, so that everything is here before somebody asks.
//!
//! The feed says which names changed, and what is there now says what they came to: a name is compared
//! with its version list, its manifest and files are fetched like any mirrored ones, checked against
//! their digests, and what the other registry does not show any more goes here too. A place in the feed
//! is written down once everything up to it is here, so a follower that was killed goes on there. Once a
//! day everything is compared: what a role given or taken over there shows or hides is no change.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use hub_schemas::{
    api::{ChangesPage, NamespaceKind, VersionEntry},
    digest::Digest,
    manifest::Artifact,
    name::{AdapterId, Namespace},
};

use super::{MirrorError, Upstream, UpstreamError, fill, landed, manifest_of, told};
use crate::{
    app::App,
    db::{
        adapters::VisibleAdapter,
        clock,
        followed::{self, Place},
        mirrored, namespaces,
    },
    domain::mirror::MirrorPermit,
    error::ApiError,
};

/// How often everything is compared.
const COMPARED_EVERY: Duration = Duration::from_hours(24);
/// Names that one move leads to before it is taken for a circle.
const MAX_MOVES: usize = 4;

/// What one round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Followed {
    /// Names that were compared.
    pub(crate) names: usize,
    /// Names that could not be taken as they are, for a reason that stands in the log.
    pub(crate) refused: usize,
}

/// Brings this registry up to date with every registry that it follows. A registry that does not
/// answer keeps the others from nothing.
pub(crate) async fn follow_all(app: &App, compare: bool) -> Result<Followed, ApiError> {
    let mut done = Followed::default();
    let mut failed = None;
    for upstream in app.mirrors.all() {
        let Some(user) = &upstream.config.replicate_as else { continue };
        let follower = Follower { app, upstream, user };
        if let Err(error) = follower.follow(compare, &mut done).await {
            tracing::warn!(mirror.url = upstream.name(), %error, "Could not follow: {error}");
            failed = Some(told(error));
        }
    }
    failed.map_or(Ok(done), Err)
}

/// One registry that follows another one.
#[derive(Clone, Copy)]
struct Follower<'a> {
    app: &'a App,
    upstream: &'a Arc<Upstream>,
    /// In whose name.
    user: &'a Namespace,
}

impl Follower<'_> {
    fn permit(&self, id: &AdapterId) -> MirrorPermit {
        MirrorPermit::new(self.user.clone(), id.namespace.clone())
    }

    async fn follow(&self, compare: bool, done: &mut Followed) -> Result<(), MirrorError> {
        let Self { app, upstream, .. } = *self;
        if namespaces::kind(&app.db, self.user).await? != Some(NamespaceKind::User) {
            let detail = format!(
                "the user `{}`, in whose name `{}` is followed, does not exist",
                self.user,
                upstream.name()
            );
            return Err(ApiError::not_found(detail)
                .hint(format!("`hub-server user add {}`", self.user))
                .into());
        }
        let place = followed::place(&app.db, upstream.name()).await?;
        let old = clock::now() - place.checked_at > COMPARED_EVERY.as_micros() as i64;
        let mut same = BTreeSet::new();
        let reached = self.catch_up(place, &mut same, done).await?;
        if compare || old {
            let here = mirrored::of_upstream(&app.db, upstream.name()).await?;
            let mut names: BTreeSet<AdapterId> = here.into_iter().filter(|id| !same.contains(id)).collect();
            let mut since = 0;
            loop {
                let page = upstream.changes(since).await?;
                let items = page.items.into_iter();
                let due = items.filter(|change| change.serial > reached || !same.contains(&change.name));
                names.extend(due.map(|change| change.name));
                since = page.next;
                if !page.more || since >= reached {
                    break;
                }
            }
            self.compare_all(names, &mut same, done).await?;
            let mut tx = app.db.write().await?;
            followed::compared(&mut tx, upstream.name()).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Takes page after page; where it ended. Everything in `same` is here as it was there by then.
    async fn catch_up(
        &self,
        mut place: Place,
        same: &mut BTreeSet<AdapterId>,
        done: &mut Followed,
    ) -> Result<u64, MirrorError> {
        let Self { app, upstream, .. } = *self;
        loop {
            let page = upstream.changes(place.serial).await?;
            if place.serial > 0 && (page.registry != place.registry || page.next < place.serial) {
                tracing::warn!(
                    mirror.url = upstream.name(),
                    "`{}` is another registry than it was, or an older state of it; everything is compared",
                    upstream.name()
                );
                place.serial = 0;
                same.clear();
                continue;
            }
            let ChangesPage { registry, items, next, more } = page;
            self.compare_all(items.into_iter().map(|change| change.name).collect(), same, done).await?;
            if next != place.serial || place.registry != registry {
                let mut tx = app.db.write().await?;
                followed::reached(&mut tx, upstream.name(), &registry, next).await?;
                tx.commit().await?;
            }
            place = Place { registry, serial: next, ..place };
            if !more {
                return Ok(next);
            }
        }
    }

    /// Makes `names` here what they are there, and keeps in `same` those that are.
    async fn compare_all(
        &self,
        names: BTreeSet<AdapterId>,
        same: &mut BTreeSet<AdapterId>,
        done: &mut Followed,
    ) -> Result<(), MirrorError> {
        let upstream = self.upstream;
        for id in names.into_iter().filter(|id| upstream.config.namespaces.contains(&id.namespace)) {
            done.names += 1;
            match self.compare(&id).await {
                Ok(()) => {
                    same.insert(id);
                }
                Err(error) if error.is_failure() => return Err(error),
                // What this one is does not keep the others back.
                Err(error) => {
                    done.refused += 1;
                    tracing::warn!(mirror.url = upstream.name(), reason = %error, "`{id}` is not taken: {error}");
                    same.remove(&id);
                }
            }
        }
        Ok(())
    }

    /// Makes `id` here what it is there.
    async fn compare(&self, id: &AdapterId) -> Result<(), MirrorError> {
        let Self { app, upstream, .. } = *self;
        let mut id = id.clone();
        for _ in 0..MAX_MOVES {
            let permit = self.permit(&id);
            let known = mirrored::find(&app.db, &id).await?;
            let answer = match fill::ask(app, upstream, &id, known.as_ref()).await {
                Ok(answer) => answer,
                Err(UpstreamError::Refused { .. }) => {
                    let reason = format!("`{}` does not show it any more", upstream.name());
                    return self.withdraw(&permit, &id, &reason).await;
                }
                Err(error) => return Err(error.into()),
            };
            let to =
                answer.changed.as_ref().map(|(document, _)| document.name.clone()).filter(|name| *name != id);
            let Some(to) = to else {
                let adapter =
                    fill::take_list(app, upstream, &permit, &id, &answer, fill::Missing::Deleted).await?;
                return self.fetch(&permit, &adapter).await;
            };
            if !upstream.config.namespaces.contains(&to.namespace) {
                let reason =
                    format!("it is called `{to}` in `{}` now, which is not mirrored", upstream.name());
                return self.withdraw(&permit, &id, &reason).await;
            }
            let mut tx = app.db.write().await?;
            mirrored::rename(&mut tx, &permit, &self.permit(&to), &id, &to).await?;
            tx.commit().await?;
            id = to;
        }
        Err(upstream.wrong(format!("names that lead from one to the next, `{id}` the last")).into())
    }

    async fn withdraw(&self, permit: &MirrorPermit, id: &AdapterId, reason: &str) -> Result<(), MirrorError> {
        let app = self.app;
        let mut tx = app.db.write().await?;
        mirrored::withdraw(&mut tx, permit, id, reason).await?;
        Ok(tx.commit().await?)
    }

    /// Fetches what is missing of each version.
    async fn fetch(&self, permit: &MirrorPermit, adapter: &VisibleAdapter) -> Result<(), MirrorError> {
        let app = self.app;
        let mut refused = None;
        for VersionEntry { digest, .. } in mirrored::unfetched(&app.db, adapter).await? {
            match self.fetch_version(permit, adapter, &digest).await {
                Ok(()) => {}
                Err(error) if error.is_failure() => return Err(error),
                // One version that can't be taken keeps no other back.
                Err(error) => refused = Some(error),
            }
        }
        refused.map_or(Ok(()), Err)
    }

    async fn fetch_version(
        &self,
        permit: &MirrorPermit,
        adapter: &VisibleAdapter,
        digest: &Digest,
    ) -> Result<(), MirrorError> {
        let Self { app, upstream, .. } = *self;
        let found = manifest_of(app, upstream, permit, adapter, digest).await?;
        let Some(text) = found else { return Ok(()) };
        let manifest = Artifact::parse(text.as_bytes()).map_err(ApiError::internal)?;
        for file in manifest.files() {
            let work = || {
                let (app, upstream, permit) = (app.clone(), Arc::clone(upstream), permit.clone());
                fill::file(app, upstream, permit, adapter.clone(), file.clone())
            };
            landed(app.mirrors.files.join(file.digest, work).await)?;
        }
        fill::complete(app, permit, adapter).await
    }
}
