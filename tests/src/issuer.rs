//! A small issuer of identity tokens, as CI systems have one: discovery, keys, and a runner that
//! gives jobs their tokens. It signs with a real key (ECDSA on P-256).

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::{
    provider::{self, People},
    serving::{listen, serve},
};

/// What the runner wants to see from a job.
const JOB_TOKEN: &str = "the-job";

/// An issuer on loopback.
#[derive(Debug, Clone)]
pub struct Issuer {
    url: String,
    state: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    key: Mutex<(String, EcdsaKeyPair)>,
    /// What the discovery document says where the keys are; nothing: here.
    keys_at: Mutex<Option<String>>,
    asked: AtomicUsize,
    made: AtomicU64,
    people: People,
}

impl Issuer {
    /// A new one, with a key called `first`.
    pub async fn start() -> Self {
        let state = Arc::new(Shared {
            key: Mutex::new(("first".to_owned(), new_key())),
            keys_at: Mutex::default(),
            asked: AtomicUsize::default(),
            made: AtomicU64::default(),
            people: People::default(),
        });
        let (listener, url) = listen().await;
        let issuer = Self { url, state };
        let app = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/job", get(job))
            .route("/authorize", get(provider::authorize))
            .route("/token", post(provider::token))
            .route("/device", post(provider::device))
            .with_state(issuer.clone());
        serve(listener, app);
        issuer
    }

    /// Its address, which its tokens have as `iss`.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn people(&self) -> &People {
        &self.state.people
    }

    /// The variables that a runner of GitHub Actions gives a job.
    pub fn variables(&self) -> [(&'static str, String); 2] {
        [
            ("ACTIONS_ID_TOKEN_REQUEST_URL", format!("{}/job?api-version=2.0", self.url)),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", JOB_TOKEN.to_owned()),
        ]
    }

    /// How often its keys were asked for.
    pub fn asked(&self) -> usize {
        self.state.asked.load(Ordering::Relaxed)
    }

    /// Signs with another key from now on.
    pub fn rotate(&self, kid: &str) {
        *self.state.key.lock().unwrap_or_else(PoisonError::into_inner) = (kid.to_owned(), new_key());
    }

    /// Says that its keys are elsewhere.
    pub fn say_keys_are_at(&self, url: &str) {
        *self.state.keys_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(url.to_owned());
    }

    /// The claims of a token of a job, good for five minutes.
    pub fn claims(&self, subject: &str) -> Value {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let jti = format!("token-{}", self.state.made.fetch_add(1, Ordering::Relaxed));
        json!({
            "iss": self.url, "aud": "hub", "sub": subject, "jti": jti, "iat": now, "nbf": now,
            "exp": now + 300, "ref": "refs/heads/main",
        })
    }

    /// A token with these claims, signed with the present key.
    pub fn sign(&self, claims: &Value) -> String {
        let key = self.state.key.lock().unwrap_or_else(PoisonError::into_inner);
        Self::sign_as(&json!({"alg": "ES256", "typ": "JWT", "kid": key.0}), claims, &key.1)
    }

    /// The same with another header.
    pub fn sign_with(&self, header: &Value, claims: &Value) -> String {
        let key = self.state.key.lock().unwrap_or_else(PoisonError::into_inner);
        Self::sign_as(header, claims, &key.1)
    }

    fn sign_as(header: &Value, claims: &Value, key: &EcdsaKeyPair) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = key.sign(&SystemRandom::new(), message.as_bytes()).expect("signs");
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn new_key() -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, made.as_ref(), &random).expect("a key")
}

async fn discovery(State(issuer): State<Issuer>) -> Json<Value> {
    let elsewhere = issuer.state.keys_at.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let keys = elsewhere.unwrap_or_else(|| format!("{}/keys", issuer.url));
    let at = |path: &str| format!("{}/{path}", issuer.url);
    Json(json!({
        "issuer": issuer.url, "jwks_uri": keys, "authorization_endpoint": at("authorize"),
        "token_endpoint": at("token"), "device_authorization_endpoint": at("device"),
    }))
}

async fn keys(State(issuer): State<Issuer>) -> Json<Value> {
    issuer.state.asked.fetch_add(1, Ordering::Relaxed);
    let key = issuer.state.key.lock().unwrap_or_else(PoisonError::into_inner);
    let point = key.1.public_key().as_ref();
    let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
    let jwk =
        json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": key.0, "x": x, "y": y});
    Json(json!({"keys": [{"kty": "of-another-kind", "kid": "other"}, jwk]}))
}

#[derive(serde::Deserialize)]
struct JobQuery {
    audience: String,
}

async fn job(
    State(issuer): State<Issuer>,
    Query(JobQuery { audience }): Query<JobQuery>,
    headers: HeaderMap,
) -> Result<Json<Value>, StatusCode> {
    let shown = headers.get("authorization").and_then(|value| value.to_str().ok());
    if shown != Some(&format!("Bearer {JOB_TOKEN}")) {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let mut claims = issuer.claims("repo:ukp/adapters:ref:refs/heads/main");
    claims["aud"] = json!(audience);
    Ok(Json(json!({"value": issuer.sign(&claims)})))
}
