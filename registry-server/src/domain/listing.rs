//! What a listing shows of an adapter: its newest version that is not yanked.

use hub_schemas::{
    api::{AdapterSummary, BaseSummary, MetricSummary, Visibility},
    digest::Digest,
    label::LabelError,
    manifest::{Artifact, BASE_TASK},
    name::AdapterId,
    version::Version,
};
use time::OffsetDateTime;

use super::words;

/// The version a listing describes: the newest release, or the newest
/// pre-release where there is no release.
pub fn newest<'a, T>(versions: impl IntoIterator<Item = (&'a Version, T)>) -> Option<T> {
    versions
        .into_iter()
        .max_by(|(a, _), (b, _)| (!a.is_prerelease(), a).cmp(&(!b.is_prerelease(), b)))
        .map(|(_, item)| item)
}

/// What a manifest contributes to the listing of the adapter `id`.
pub fn summary(
    id: &AdapterId,
    manifest: &Artifact,
    digest: Digest,
    published_at: OffsetDateTime,
    visibility: Visibility,
) -> Result<AdapterSummary, LabelError> {
    let adapter = match manifest {
        Artifact::Adapter(adapter) => Some(adapter),
        Artifact::Base(_) => None,
    };
    let metric = adapter.and_then(|m| m.headline_metric());
    Ok(AdapterSummary {
        name: id.clone(),
        published_as: (manifest.name() != id).then(|| manifest.name().clone()),
        kind: manifest.kind(),
        version: manifest.version().clone(),
        digest,
        description: manifest.description().to_owned(),
        task: match adapter {
            Some(adapter) => adapter.task.name.clone(),
            None => BASE_TASK.parse()?,
        },
        subtask: adapter.and_then(|m| m.task.subtask.clone()),
        languages: manifest.languages().to_vec(),
        license: manifest.license().clone(),
        base: base_summary(manifest),
        method: manifest.method().to_owned(),
        method_summary: adapter.map_or_else(|| manifest.method().to_owned(), |m| m.method.summary()),
        metric: metric.map(|m| MetricSummary {
            name: m.name.clone(),
            value: m.value,
            dataset: m.dataset.clone(),
            split: m.split.clone(),
        }),
        size: manifest.total_size(),
        pulls: 0,
        published_at,
        visibility,
    })
}

/// The base model as listings and indexes show it.
pub fn base_summary(manifest: &Artifact) -> BaseSummary {
    let base = manifest.base();
    BaseSummary { id: base.id.clone(), architecture: base.architecture, weights_digest: base.weights_digest }
}

/// The words a listing is found by, in three fields of falling weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// Namespace and name.
    pub name: String,
    /// Task and subtask.
    pub task: String,
    /// Description, base model, labels, method.
    pub body: String,
}

impl Words {
    /// The words of `manifest`, of the adapter `id`.
    pub fn of(id: &AdapterId, manifest: &Artifact) -> Self {
        let (task, subtask, labels) = match manifest {
            Artifact::Adapter(adapter) => {
                let task = &adapter.task;
                let subtask = task.subtask.as_ref().map_or("", AsRef::as_ref);
                (task.name.as_str(), subtask, task.labels.as_slice())
            }
            Artifact::Base(_) => (BASE_TASK, "", [].as_slice()),
        };
        let body = [manifest.description(), &manifest.base().id, manifest.method()];
        Self {
            name: words::document([id.namespace.as_str(), id.name.as_str()]),
            task: words::document([task, subtask]),
            body: words::document(body.into_iter().chain(labels.iter().map(String::as_str))),
        }
    }

    /// All of them, as [`words::pattern`] finds them.
    pub fn in_order(&self) -> String {
        words::in_order([self.name.as_str(), &self.task, &self.body])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_preferred_over_a_later_prerelease() {
        let pick = |all: &[&str]| {
            let versions: Vec<Version> = all.iter().map(|v| v.parse().expect("a version")).collect();
            newest(versions.iter().map(|v| (v, v.to_string())))
        };
        assert_eq!(pick(&["1.2.0", "1.10.0", "2.0.0-rc.1"]).as_deref(), Some("1.10.0"));
        assert_eq!(pick(&["0.1.0-a", "0.1.0-b"]).as_deref(), Some("0.1.0-b"));
        assert_eq!(pick(&[]), None);
    }
}
