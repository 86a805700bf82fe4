//! The half of an identity provider that people meet: a page where they log in (which believes whoever
//! comes), codes with PKCE, and the device flow. It refuses what a real one refuses.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use axum::{
    Form, Json,
    extract::{Query, State},
    http::{StatusCode, header::LOCATION},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hub_schemas::Digest;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::issuer::Issuer;

/// What `hub` is called there.
pub const CLIENT: &str = "hub-people";

/// Who sits before the browser, and what was given out.
#[derive(Debug, Default)]
pub(crate) struct People(Mutex<Given>);

#[derive(Debug, Default)]
struct Given {
    /// `sub`, and the claims beside it.
    person: Option<(String, Value)>,
    codes: HashMap<String, Asked>,
    /// Whether the person typed the code of a device.
    devices: HashMap<String, bool>,
    made: usize,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Asked {
    response_type: String,
    client_id: String,
    redirect_uri: String,
    scope: String,
    state: String,
    nonce: String,
    code_challenge: String,
    code_challenge_method: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Grant {
    #[serde(rename = "grant_type")]
    kind: String,
    client_id: String,
    code: Option<String>,
    redirect_uri: Option<String>,
    code_verifier: Option<String>,
    device_code: Option<String>,
}

impl People {
    fn with<T>(&self, change: impl FnOnce(&mut Given) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Issuer {
    /// Whoever logs in from now on: `sub`, and the claims beside it.
    pub fn person(&self, subject: &str, claims: Value) {
        self.people().with(|given| given.person = Some((subject.to_owned(), claims)));
    }

    /// The person types the code that a device shows.
    pub fn type_code(&self, code: &str) {
        self.people().with(|given| *given.devices.get_mut(code).expect("a code that was given") = true);
    }

    /// An identity token of the person, as `hub` gets it.
    pub fn identity(&self, nonce: Option<&str>) -> String {
        let (subject, more) = self.people().with(|given| given.person.clone()).expect("a person");
        let mut claims = self.claims(&subject);
        claims["aud"] = json!(CLIENT);
        // Providers need not number their tokens.
        claims.as_object_mut().expect("an object").remove("jti");
        if let Some(nonce) = nonce {
            claims["nonce"] = json!(nonce);
        }
        for (name, value) in more.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        self.sign(&claims)
    }
}

pub(crate) async fn authorize(State(issuer): State<Issuer>, Query(asked): Query<Asked>) -> Response {
    let right = asked.response_type == "code"
        && asked.client_id == CLIENT
        && asked.redirect_uri.starts_with("http://127.0.0.1:")
        && asked.scope.split(' ').any(|scope| scope == "openid")
        && asked.code_challenge_method == "S256"
        && !asked.state.is_empty();
    if !right {
        return (StatusCode::BAD_REQUEST, format!("{asked:?}")).into_response();
    }
    let (code, there) = issuer.people().with(|given| {
        given.made += 1;
        let code = format!("code-{}", given.made);
        given.codes.insert(code.clone(), asked.clone());
        (code, given.person.is_some())
    });
    let back = if there { format!("code={code}") } else { "error=access_denied".to_owned() };
    let issuer_name = issuer.url().replace(':', "%3A").replace('/', "%2F");
    let location = format!("{}?{back}&state={}&iss={issuer_name}", asked.redirect_uri, asked.state);
    (StatusCode::FOUND, [(LOCATION, location)]).into_response()
}

pub(crate) async fn device(
    State(issuer): State<Issuer>,
    Form(asked): Form<HashMap<String, String>>,
) -> Response {
    if asked.get("client_id").map(String::as_str) != Some(CLIENT) {
        return refuse("invalid_client");
    }
    let code = issuer.people().with(|given| {
        given.made += 1;
        let code = format!("WDJB-{}", given.made);
        given.devices.insert(code.clone(), false);
        code
    });
    let page = format!("{}/device", issuer.url());
    Json(json!({
        "device_code": format!("device-of-{code}"), "user_code": code, "verification_uri": page,
        "verification_uri_complete": format!("{page}?user_code={code}"), "expires_in": 60, "interval": 0,
    }))
    .into_response()
}

pub(crate) async fn token(State(issuer): State<Issuer>, Form(grant): Form<Grant>) -> Response {
    if grant.client_id != CLIENT {
        return refuse("invalid_client");
    }
    let nonce = match grant.kind.as_str() {
        "authorization_code" => {
            // Good once, whoever comes with it.
            let code = grant.code.unwrap_or_default();
            let Some(asked) = issuer.people().with(|given| given.codes.remove(&code)) else {
                return refuse("invalid_grant");
            };
            let verifier = grant.code_verifier.unwrap_or_default();
            let challenge = URL_SAFE_NO_PAD.encode(Digest::of(verifier.as_bytes()).as_bytes());
            if challenge != asked.code_challenge || grant.redirect_uri != Some(asked.redirect_uri) {
                return refuse("invalid_grant");
            }
            Some(asked.nonce)
        }
        "urn:ietf:params:oauth:grant-type:device_code" => {
            let code = grant.device_code.unwrap_or_default();
            let code = code.strip_prefix("device-of-").unwrap_or_default().to_owned();
            match issuer.people().with(|given| given.devices.get(&code).copied()) {
                None => return refuse("expired_token"),
                Some(false) => return refuse("authorization_pending"),
                Some(true) => None,
            }
        }
        _ => return refuse("unsupported_grant_type"),
    };
    Json(json!({"access_token": "x", "token_type": "Bearer", "id_token": issuer.identity(nonce.as_deref())}))
        .into_response()
}

fn refuse(error: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({"error": error}))).into_response()
}
