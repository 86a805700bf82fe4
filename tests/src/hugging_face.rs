//! A small Hugging Face hub: repositories with commits, large files in a store at another address, and the headers,
//! errors and refusals that its own clients rely on (as `huggingface_hub` 2.4.0 reads them).

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Query, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use futures_util::{StreamExt as _, stream};
use hub_schemas::Digest;
use ring::digest;
use serde_json::{Value, json};

use crate::serving::{listen, serve};

/// A file by its name.
pub type Files = BTreeMap<String, Vec<u8>>;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing.
    None,
    /// Every request is answered so.
    Answers(u16),
    /// The last byte of every large file is another one.
    Corrupts,
    /// The first download of each large file breaks off after so many bytes.
    Cuts(usize),
}

/// A repository.
#[derive(Debug, Clone, Default)]
pub struct Repository {
    /// Who has no token that may read it does not see it.
    pub private: bool,
    /// Its files are for those who were given access; the token was not.
    pub gated: bool,
    /// The metadata of its card.
    pub card: Value,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its states, the oldest first.
    pub commits: Vec<Commit>,
}

/// A state of a repository.
#[derive(Debug, Clone)]
pub struct Commit {
    id: String,
    date: String,
    files: Files,
}

impl Repository {
    /// One with this card.
    pub fn with_card(card: Value) -> Self {
        Self { card, ..Self::default() }
    }

    /// A commit on `main`, as of `2026-01-01T00:00:00.000Z`.
    #[must_use]
    pub fn commit(mut self, date: &str, files: Files) -> Self {
        let id = Digest::of(format!("{date} {}", self.commits.len()).as_bytes()).hex()[..40].to_owned();
        self.commits.push(Commit { id, date: date.to_owned(), files });
        self
    }
}

/// The hub.
#[derive(Debug, Clone)]
pub struct HuggingFace(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    url: String,
    store: String,
    repositories: Mutex<BTreeMap<String, Repository>>,
    objects: Mutex<HashMap<String, Vec<u8>>>,
    cut: Mutex<Vec<String>>,
    seen: Mutex<Vec<String>>,
    trouble: Mutex<Trouble>,
    token: &'static str,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl HuggingFace {
    /// The token that may read everything.
    pub const TOKEN: &'static str = "hf_reads";

    /// An empty one.
    pub async fn start() -> Self {
        let ((hub, url), (store, store_url)) = (listen().await, listen().await);
        let shared = Self(Arc::new(Shared {
            url,
            store: store_url,
            repositories: Mutex::default(),
            objects: Mutex::default(),
            cut: Mutex::default(),
            seen: Mutex::default(),
            trouble: Mutex::new(Trouble::None),
            token: Self::TOKEN,
        }));
        serve(hub, Router::new().fallback(answer).with_state(shared.clone()));
        serve(store, Router::new().fallback(object).with_state(shared.clone()));
        shared
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// There is this repository from now on.
    pub fn put(&self, id: &str, repository: Repository) {
        locked(&self.0.repositories).insert(id.to_owned(), repository);
    }

    /// From now on this goes wrong.
    pub fn set(&self, trouble: Trouble) {
        locked(&self.0.cut).clear();
        *locked(&self.0.trouble) = trouble;
    }

    /// The requests since the last call: `store` before those to the store, `with a token` behind those that had one.
    pub fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut *locked(&self.0.seen))
    }

    fn note(&self, place: &str, request: &Request) -> Option<Response> {
        let token = if request.headers().contains_key(header::AUTHORIZATION) { " with a token" } else { "" };
        locked(&self.0.seen).push(format!("{place}{}{token}", request.uri()));
        match *locked(&self.0.trouble) {
            Trouble::Answers(status) => Some(refusal(status, "", "")),
            _ => None,
        }
    }
}

fn refusal(status: u16, code: &'static str, message: &'static str) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    (status, [("x-error-code", code), ("x-error-message", message)], message).into_response()
}

fn is_large(path: &str) -> bool {
    [".safetensors", ".bin", ".pt"].iter().any(|end| path.ends_with(end))
}

/// What git calls these bytes.
fn blob_id(bytes: &[u8]) -> String {
    let mut git = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    git.update(format!("blob {}\0", bytes.len()).as_bytes());
    git.update(bytes);
    let digits =
        |byte: &u8| [byte >> 4, byte & 15].map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]));
    git.finish().as_ref().iter().flat_map(digits).collect()
}

async fn answer(
    State(hub): State<HuggingFace>,
    Query(query): Query<HashMap<String, String>>,
    request: Request,
) -> Response {
    if let Some(refusal) = hub.note("", &request) {
        return refusal;
    }
    let path = request.uri().path().trim_start_matches('/').to_owned();
    let parts: Vec<&str> = path.split('/').collect();
    let token = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let known = token == Some(&format!("Bearer {}", hub.0.token));
    if token.is_some() && !known {
        return refusal(401, "", "Invalid credentials in Authorization header");
    }
    if parts == ["api", "models"] {
        return Json(hub.found(&query, known)).into_response();
    }
    let (api, parts) = match &parts[..] {
        ["api", "models", rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let verbs = if api { &["revision", "tree", "commits"][..] } else { &["resolve"] };
    let Some(at) = (1..=2).find(|at| parts.get(*at).is_some_and(|part| verbs.contains(part))) else {
        return refusal(404, "", "no such route");
    };
    let (id, verb, rest) = (parts[..at].join("/"), parts[at], &parts[at + 1..]);
    let repositories = locked(&hub.0.repositories);
    // Names are the same whatever their case is.
    let found = repositories.iter().find(|(name, _)| name.eq_ignore_ascii_case(&id));
    let Some((id, repository)) = found.filter(|(_, repository)| known || !repository.private) else {
        let status = if known { 404 } else { 401 };
        return refusal(status, "RepoNotFound", "Repository not found");
    };
    let revision = rest.first().copied().unwrap_or_default();
    let named = |commit: &&Commit| revision == "main" || commit.id == revision;
    let Some(commit) = repository.commits.iter().rev().find(named) else {
        return refusal(404, "RevisionNotFound", "Invalid rev id");
    };
    match verb {
        "revision" => Json(described(id, repository, commit)).into_response(),
        "tree" => Json(tree(commit)).into_response(),
        "commits" => {
            let until = repository.commits.iter().take_while(|one| one.id != commit.id).chain([commit]);
            let commits: Vec<Value> =
                until.map(|one| json!({"id": one.id, "title": "a change", "date": one.date})).collect();
            let limit = query.get("limit").and_then(|text| text.parse().ok()).unwrap_or(100);
            Json(commits.into_iter().rev().take(limit).collect::<Vec<_>>()).into_response()
        }
        _ if repository.gated && rest.get(1) != Some(&"README.md") => {
            refusal(if known { 403 } else { 401 }, "GatedRepo", "Access to this model is restricted")
        }
        _ => resolve(&hub, commit, &rest[1..].join("/"), request.headers()),
    }
}

impl HuggingFace {
    fn found(&self, query: &HashMap<String, String>, known: bool) -> Vec<Value> {
        let wanted = |name: &str| query.get(name).map(|text| text.to_lowercase()).unwrap_or_default();
        let repositories = locked(&self.0.repositories);
        let visible = repositories.iter().filter(|(_, repository)| known || !repository.private);
        visible
            .filter(|(id, _)| id.to_lowercase().starts_with(&wanted("author")))
            .filter(|(id, _)| id.to_lowercase().contains(&wanted("search")))
            .map(|(id, _)| json!({"id": id}))
            .collect()
    }
}

fn described(id: &str, repository: &Repository, commit: &Commit) -> Value {
    let siblings: Vec<Value> = commit.files.keys().map(|path| json!({"rfilename": path})).collect();
    let gated = if repository.gated { json!("manual") } else { json!(false) };
    json!({
        "_id": "1", "id": id, "modelId": id, "sha": commit.id, "lastModified": commit.date, "disabled": false,
        "private": repository.private, "gated": gated, "downloads": 0, "tags": repository.tags,
        "cardData": repository.card, "siblings": siblings,
    })
}

/// The top of a commit; folders stand before files.
fn tree(commit: &Commit) -> Vec<Value> {
    let mut folders: Vec<&str> =
        commit.files.keys().filter_map(|path| path.split_once('/')).map(|p| p.0).collect();
    folders.dedup();
    let folder = |name| json!({"type": "directory", "oid": "0".repeat(40), "size": 0, "path": name});
    let file = |(path, bytes): (&String, &Vec<u8>)| {
        let mut entry = json!({"type": "file", "oid": blob_id(bytes), "size": bytes.len(), "path": path});
        if is_large(path) {
            let oid = Digest::of(bytes).hex();
            // What git itself holds is a pointer.
            entry["oid"] = json!(blob_id(oid.as_bytes()));
            entry["lfs"] = json!({"oid": oid, "size": bytes.len(), "pointerSize": 134});
        }
        entry
    };
    let files = commit.files.iter().filter(|(path, _)| !path.contains('/')).map(file);
    folders.into_iter().map(folder).chain(files).collect()
}

fn resolve(hub: &HuggingFace, commit: &Commit, path: &str, headers: &HeaderMap) -> Response {
    let Some(bytes) = commit.files.get(path) else {
        return refusal(404, "EntryNotFound", "Entry not found");
    };
    if !is_large(path) {
        let etag = format!("\"{}\"", blob_id(bytes));
        let named = [("x-repo-commit", commit.id.clone()), ("etag", etag)];
        return (named, ranged(bytes, headers)).into_response();
    }
    let digest = Digest::of(bytes).hex();
    locked(&hub.0.objects).insert(digest.clone(), bytes.clone());
    let location = format!("{}/{digest}?signature=x", hub.0.store);
    let named = [
        ("x-repo-commit", commit.id.clone()),
        ("x-linked-etag", format!("\"{digest}\"")),
        ("x-linked-size", bytes.len().to_string()),
        ("location", location),
    ];
    (StatusCode::FOUND, named).into_response()
}

/// All of it, or what a range names.
fn ranged(bytes: &[u8], headers: &HeaderMap) -> Response {
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let start = range.and_then(|text| text.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    match start {
        Some(start) => (StatusCode::PARTIAL_CONTENT, bytes[start..].to_vec()).into_response(),
        None => bytes.to_vec().into_response(),
    }
}

/// The store of large files: whoever has the address may read.
async fn object(State(hub): State<HuggingFace>, request: Request) -> Response {
    if let Some(refusal) = hub.note("store ", &request) {
        return refusal;
    }
    let name = request.uri().path().trim_start_matches('/').to_owned();
    let Some(mut bytes) = locked(&hub.0.objects).get(&name).cloned() else {
        return refusal(404, "", "no such object");
    };
    match *locked(&hub.0.trouble) {
        Trouble::Corrupts => *bytes.last_mut().expect("a byte") ^= 1,
        Trouble::Cuts(after) if !locked(&hub.0.cut).contains(&name) => {
            locked(&hub.0.cut).push(name);
            let head = bytes[..after.min(bytes.len())].to_vec();
            // The pause lets the bytes leave before the connection breaks.
            let broken = stream::once(async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Err(std::io::Error::other("cut"))
            });
            let pieces = stream::iter([Ok(head)]).chain(broken);
            return Response::new(Body::from_stream(pieces));
        }
        _ => {}
    }
    ranged(&bytes, request.headers())
}
