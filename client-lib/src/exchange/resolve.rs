//! Which version a reference means.

use hub_schemas::{
    AdapterId, Digest, Reference, Version, VersionReq,
    api::{Candidate, IndexDocument, ResolveQuery, SearchQuery, VersionEntry},
    manifest::Artifact,
    nearest,
    problem::ProblemCode,
};

use super::ResolveError;
use crate::{
    cache::{Cache, Entry, KnownIndex},
    registry::{IndexAnswer, RegistryClient},
};

/// The version that was chosen.
#[derive(Debug, Clone)]
pub struct Choice {
    /// Its name and version; a digest tells neither before the manifest is there.
    pub name: Option<(AdapterId, Version)>,
    /// The name that its manifest states, where the adapter has another one by now.
    pub published_as: Option<AdapterId>,
    /// Digest of its manifest.
    pub digest: Digest,
    /// It, when the local store has it.
    pub cached: Option<Box<Entry<Artifact>>>,
    /// How it was chosen.
    pub how: How,
    /// Why it was yanked, when it was: only one that is named exactly is chosen then.
    pub yanked: Option<String>,
}

impl Choice {
    /// How to call it in messages.
    pub fn title(&self) -> String {
        self.name.as_ref().map_or_else(|| self.digest.to_string(), |(id, version)| format!("{id}@{version}"))
    }
}

/// How a version was chosen.
#[derive(Debug, Clone)]
pub enum How {
    /// It was named exactly.
    Exact,
    /// The newest that fits, of so many versions.
    Newest {
        /// How many versions there are.
        of: usize,
    },
    /// The best for a bare word.
    Best {
        /// The word.
        word: String,
        /// All candidates, the chosen one first. Empty when chosen offline.
        candidates: Vec<Candidate>,
        /// How many adapters match the word but another backbone.
        other_bases: u64,
    },
}

/// Chooses versions.
#[derive(Debug, Clone, Copy)]
pub struct Resolver<'a> {
    /// The registry; `None` makes no request.
    pub client: Option<&'a RegistryClient>,
    /// The local store.
    pub cache: &'a Cache,
    /// Digest of the backbone in use.
    pub base: Option<Digest>,
}

impl Resolver<'_> {
    /// Chooses a version. One that is named exactly, and is in the local store, takes no request.
    pub async fn resolve(&self, reference: &Reference) -> Result<Choice, ResolveError> {
        match reference {
            Reference::Digest(digest) => self.by_digest(*digest, reference),
            Reference::Adapter { id, version } => self.by_name(id, version.as_ref(), reference).await,
            Reference::Word(word) => self.by_word(word, reference).await,
        }
    }

    fn by_digest(&self, digest: Digest, reference: &Reference) -> Result<Choice, ResolveError> {
        let cached = self.cache.entry_by_digest(&digest);
        if cached.is_none() && self.client.is_none() {
            return Err(self.offline(reference));
        }
        let name = cached.as_ref().map(|e| (e.manifest.name().clone(), e.manifest.version().clone()));
        let cached = cached.map(Box::new);
        Ok(Choice { name, published_as: None, digest, cached, how: How::Exact, yanked: None })
    }

    async fn by_name(
        &self,
        id: &AdapterId,
        requirement: Option<&VersionReq>,
        reference: &Reference,
    ) -> Result<Choice, ResolveError> {
        let exact = requirement.and_then(exact_version);
        if let Some(entry) = exact.as_ref().and_then(|version| self.cache.entry(id, version)) {
            let known = self.cache.known_index(id);
            let noted =
                known.as_ref().and_then(|k| k.document.versions.iter().find(|v| v.digest == entry.digest));
            return Ok(Choice {
                name: Some((id.clone(), entry.manifest.version().clone())),
                published_as: None,
                digest: entry.digest,
                yanked: noted.and_then(reason),
                cached: Some(Box::new(entry)),
                how: How::Exact,
            });
        }
        let Some(client) = self.client else { return self.by_name_offline(id, requirement, reference) };
        let index = self.index(client, id).await?;
        let chosen = choose(&index, requirement)?;
        Ok(Choice {
            name: Some((index.name.clone(), chosen.version.clone())),
            published_as: chosen.published_as.clone(),
            digest: chosen.digest,
            cached: self.cache.entry_by_digest(&chosen.digest).map(Box::new),
            how: if exact.is_some() { How::Exact } else { How::Newest { of: index.versions.len() } },
            yanked: reason(chosen),
        })
    }

    /// The version list, revalidated with its ETag.
    async fn index(&self, client: &RegistryClient, id: &AdapterId) -> Result<IndexDocument, ResolveError> {
        let known = self.cache.known_index(id);
        let etag = known.as_ref().and_then(|k| k.etag.as_deref());
        match client.index(id, etag).await {
            Ok(IndexAnswer::Changed { document, etag }) => {
                let known = KnownIndex { etag, document };
                if known.document.name != *id {
                    self.cache.forget_index(id);
                }
                self.cache.keep_index(&known)?;
                Ok(known.document)
            }
            Ok(IndexAnswer::NotModified) => match known {
                Some(known) => Ok(known.document),
                None => self.not_found(client, id).await,
            },
            Err(error) if error.code() == Some(ProblemCode::NotFound) => {
                self.cache.forget_index(id);
                self.not_found(client, id).await
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn not_found<T>(&self, client: &RegistryClient, id: &AdapterId) -> Result<T, ResolveError> {
        let names = names(client).await;
        let wanted = id.to_string();
        // The right name in another namespace is the likelier slip.
        let same_name = names.iter().find(|n| n.name == id.name).map(ToString::to_string);
        let texts: Vec<_> = names.iter().map(ToString::to_string).collect();
        let meant =
            same_name.or_else(|| nearest(&wanted, texts.iter().map(String::as_str)).map(ToOwned::to_owned));
        Err(ResolveError::NotFound {
            id: id.clone(),
            registry: shown(client),
            meant,
            logged_in: client.has_token(),
        })
    }

    fn by_name_offline(
        &self,
        id: &AdapterId,
        requirement: Option<&VersionReq>,
        reference: &Reference,
    ) -> Result<Choice, ResolveError> {
        let mut entries = self.cache.versions(id)?;
        // Versions that were published when the adapter had another name.
        let known = self.cache.known_index(id).map(|known| known.document.versions).unwrap_or_default();
        let renamed = known.iter().filter(|entry| entry.published_as.is_some());
        entries.extend(renamed.filter_map(|entry| self.cache.entry_by_digest(&entry.digest)));
        entries.sort_by(|a, b| b.manifest.version().cmp(a.manifest.version()));
        let of = entries.len();
        let fits = |e: &Entry<Artifact>| match requirement {
            Some(requirement) => requirement.matches(e.manifest.version()),
            None => !e.manifest.version().is_prerelease(),
        };
        let entry = entries
            .iter()
            .find(|e| fits(e))
            .or_else(|| requirement.is_none().then(|| entries.first()).flatten());
        let entry = entry.ok_or_else(|| self.offline(reference))?;
        Ok(cached_choice(entry.clone(), How::Newest { of }))
    }

    async fn by_word(&self, word: &str, reference: &Reference) -> Result<Choice, ResolveError> {
        let Some(client) = self.client else { return self.by_word_offline(word, reference) };
        let query = ResolveQuery { word: word.to_owned(), base: self.base };
        let resolution = client.resolve(&query).await?;
        let Some(best) = resolution.candidates.first() else {
            let names = names(client).await;
            let meant = nearest(word, names.iter().map(|n| n.name.as_str())).map(ToOwned::to_owned);
            return Err(ResolveError::NothingFits {
                word: word.to_owned(),
                registry: shown(client),
                base: self.base,
                other_bases: resolution.other_bases,
                meant: meant.filter(|m| m != word),
            });
        };
        let adapter = &best.adapter;
        Ok(Choice {
            name: Some((adapter.name.clone(), adapter.version.clone())),
            published_as: adapter.published_as.clone(),
            digest: adapter.digest,
            cached: self.cache.entry_by_digest(&adapter.digest).map(Box::new),
            yanked: None,
            how: How::Best {
                word: word.to_owned(),
                candidates: resolution.candidates,
                other_bases: resolution.other_bases,
            },
        })
    }

    /// The same order as far as the store alone tells: name, task, subtask, metric, version.
    fn by_word_offline(&self, word: &str, reference: &Reference) -> Result<Choice, ResolveError> {
        let rank = |e: &Entry| {
            let (m, task) = (&e.manifest, &e.manifest.task);
            let matches = [
                m.name.name.as_str() == word,
                task.name.as_str() == word,
                task.subtask.as_ref().is_some_and(|s| s.as_str() == word),
            ];
            matches.iter().position(|&hit| hit)
        };
        let entries = self.cache.entries()?;
        let fits = |e: &&Entry| self.base.is_none_or(|base| e.manifest.base.weights_digest == base);
        let other_bases = entries.iter().filter(|e| rank(e).is_some() && !fits(e)).count() as u64;
        let metric = |e: &Entry| e.manifest.headline_metric().map_or(f64::NEG_INFINITY, |m| m.value);
        let best =
            entries.iter().filter(fits).filter_map(|e| Some((rank(e)?, e))).min_by(|(a, x), (b, y)| {
                a.cmp(b)
                    .then_with(|| metric(y).total_cmp(&metric(x)))
                    .then_with(|| y.manifest.version.cmp(&x.manifest.version))
            });
        let (_, entry) = best.ok_or_else(|| self.offline(reference))?;
        let Entry { registry, digest, folder, manifest } = entry.clone();
        let entry = Entry { registry, digest, folder, manifest: manifest.into() };
        let how = How::Best { word: word.to_owned(), candidates: Vec::new(), other_bases };
        Ok(cached_choice(entry, how))
    }

    fn offline(&self, reference: &Reference) -> ResolveError {
        ResolveError::Offline { reference: reference.clone(), cache: self.cache.root().to_owned() }
    }
}

fn cached_choice(entry: Entry<Artifact>, how: How) -> Choice {
    Choice {
        name: Some((entry.manifest.name().clone(), entry.manifest.version().clone())),
        published_as: None,
        digest: entry.digest,
        cached: Some(Box::new(entry)),
        how,
        yanked: None,
    }
}

fn reason(entry: &VersionEntry) -> Option<String> {
    entry.yanked.as_ref().map(|yank| yank.reason.clone())
}

fn shown(client: &RegistryClient) -> String {
    client.url().as_str().trim_end_matches('/').to_owned()
}

/// The version that a requirement names exactly.
fn exact_version(requirement: &VersionReq) -> Option<Version> {
    requirement.to_string().strip_prefix('=')?.parse().ok()
}

/// The newest version that fits and was not yanked. A pre-release has to be asked
/// for, unless there is nothing else; a yanked version has to be named exactly.
fn choose<'a>(
    index: &'a IndexDocument,
    requirement: Option<&VersionReq>,
) -> Result<&'a VersionEntry, ResolveError> {
    let newest = |allowed: &dyn Fn(&VersionEntry) -> bool| {
        index.versions.iter().filter(|v| allowed(v)).max_by(|a, b| a.version.cmp(&b.version))
    };
    let fits = |v: &VersionEntry| requirement.is_none_or(|r| r.matches(&v.version));
    let is_exact = requirement.and_then(exact_version).is_some();
    let asked = requirement.is_some();
    let found = newest(&|v| fits(v) && v.yanked.is_none() && (asked || !v.version.is_prerelease()))
        .or_else(|| newest(&|v| fits(v) && v.yanked.is_none()))
        .or_else(|| newest(&|v| is_exact && fits(v)));
    if let Some(found) = found {
        return Ok(found);
    }
    let id = index.name.clone();
    Err(match newest(&fits) {
        Some(VersionEntry { version, yanked: Some(yank), .. }) => {
            ResolveError::Yanked { id, version: version.clone(), reason: yank.reason.clone() }
        }
        _ => ResolveError::NoVersion {
            id,
            requirement: requirement.cloned().unwrap_or_else(any),
            versions: index.versions.iter().map(|v| v.version.clone()).collect(),
        },
    })
}

fn any() -> VersionReq {
    // `*` is a requirement; the newest version is asked for with it.
    "*".parse().unwrap_or_else(|_| unreachable!("`*` parses"))
}

/// Names to suggest from. It is only a courtesy, so a failure is no failure.
async fn names(client: &RegistryClient) -> Vec<AdapterId> {
    let query = SearchQuery { limit: Some(hub_schemas::api::MAX_LIMIT), ..SearchQuery::default() };
    client
        .search(&query)
        .await
        .map(|page| page.items.into_iter().map(|a| a.name).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use hub_schemas::{
        api::{BaseSummary, Yank},
        backbone::Architecture,
        manifest::ArtifactKind,
    };
    use time::OffsetDateTime;

    use super::*;

    /// Versions, a yanked one with `!` behind it.
    fn index(versions: &[&str]) -> IndexDocument {
        let at = OffsetDateTime::UNIX_EPOCH;
        let entry = |text: &&str| VersionEntry {
            version: text.trim_end_matches('!').parse().expect("a version"),
            digest: Digest::of(text.as_bytes()),
            size: 1,
            base: BaseSummary {
                id: "tiny".into(),
                architecture: Architecture::Bert,
                weights_digest: Digest::of(b"w"),
            },
            method: "lora".into(),
            published_at: at,
            published_as: None,
            yanked: text.ends_with('!').then(|| Yank { reason: "wrong labels".into(), at }),
        };
        IndexDocument {
            name: "ada/sst".parse().expect("a name"),
            kind: ArtifactKind::Adapter,
            versions: versions.iter().map(entry).collect(),
        }
    }

    fn chosen(versions: &[&str], requirement: &str) -> Result<String, String> {
        let requirement = (!requirement.is_empty()).then(|| requirement.parse().expect("a requirement"));
        choose(&index(versions), requirement.as_ref())
            .map(|v| v.version.to_string())
            .map_err(|e| e.to_string())
    }

    #[test]
    fn the_newest_that_is_in_use_is_chosen() {
        let all = ["2.0.0-rc.1", "1.10.0!", "1.2.0", "1.1.0"];
        assert_eq!(chosen(&all, "").as_deref(), Ok("1.2.0"));
        assert_eq!(chosen(&all, "^1").as_deref(), Ok("1.2.0"));
        assert_eq!(chosen(&all, ">=2.0.0-rc").as_deref(), Ok("2.0.0-rc.1"));
        assert_eq!(chosen(&["0.1.0-a.1", "0.1.0-a.2"], "").as_deref(), Ok("0.1.0-a.2"));
    }

    #[test]
    fn a_yanked_version_must_be_named_exactly() {
        assert_eq!(chosen(&["1.1.0!", "1.0.0"], "1.1.0").as_deref(), Ok("1.1.0"));
        let error = chosen(&["1.1.0!", "1.0.0!"], "^1").expect_err("all yanked");
        assert!(error.contains("1.1.0 because \"wrong labels\""), "{error}");
    }

    #[test]
    fn what_there_is_is_told_when_nothing_fits() {
        let error = chosen(&["1.1.0", "1.0.0"], "^2").expect_err("no version 2");
        assert_eq!(error, "`ada/sst` has no version that fits `^2`; it has 1.1.0, 1.0.0");
    }
}
