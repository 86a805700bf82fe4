//! The browser on this machine: the authorisation code flow with PKCE, led back to a port on loopback
//! (RFC 8252, section 7.3).

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hub_schemas::Digest;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use url::Url;

use super::{Granted, ProvenIdentity, Provider, random_word};
use crate::registry::RegistryError;

/// Longer than anybody takes for a password and a second factor.
const PATIENCE: Duration = Duration::from_mins(10);
/// A browser that connects and says nothing keeps nobody waiting.
const SILENCE: Duration = Duration::from_secs(10);
/// The first line of a request, with a code and a state in it, is shorter.
const MAX_REQUEST: usize = 16 << 10;

/// A login that waits for the person to come back from their browser.
#[derive(Debug)]
pub struct Browser {
    provider: Provider,
    listener: TcpListener,
    redirect: String,
    state: String,
    nonce: String,
    verifier: String,
}

impl Provider {
    /// Begins a login in a browser: [`Browser::url`] is where it must go.
    pub async fn in_browser(&self) -> Result<Browser, RegistryError> {
        let failed = |error: std::io::Error| self.refused(format!("no port to come back to: {error}"));
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        Ok(Browser {
            provider: self.clone(),
            listener,
            redirect: format!("http://127.0.0.1:{port}/callback"),
            state: random_word(),
            nonce: random_word(),
            verifier: random_word(),
        })
    }
}

impl Browser {
    /// Where the person's browser must go.
    pub fn url(&self) -> Url {
        let mut url = self.provider.endpoints.authorization_endpoint.clone();
        let challenge = URL_SAFE_NO_PAD.encode(Digest::of(self.verifier.as_bytes()).as_bytes());
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.provider.login.client_id)
            .append_pair("redirect_uri", &self.redirect)
            .append_pair("scope", &self.provider.login.scopes.join(" "))
            .append_pair("state", &self.state)
            .append_pair("nonce", &self.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        url
    }

    /// Waits until they come back, and takes the identity token for what they bring.
    pub async fn identity(self) -> Result<ProvenIdentity, RegistryError> {
        let waited = tokio::time::timeout(PATIENCE, self.code()).await;
        let code = waited.map_err(|_| self.provider.refused("nobody came back from the browser"))??;
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", &self.redirect),
            ("client_id", &self.provider.login.client_id),
            ("code_verifier", &self.verifier),
        ];
        let granted: Granted = self.provider.post(&self.provider.endpoints.token_endpoint, &fields).await?;
        Ok(ProvenIdentity { token: self.provider.identity(granted)?, nonce: Some(self.nonce) })
    }

    /// The code that the provider sends the browser back with. Any page can send a browser here, so
    /// what does not know the state is answered and forgotten.
    async fn code(&self) -> Result<String, RegistryError> {
        loop {
            let Ok((mut stream, _)) = self.listener.accept().await else { continue };
            let Some(asked) = first_line(&mut stream).await else { continue };
            let get = |name: &str| {
                asked.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
            };
            if asked.path() != "/callback" || get("state").as_deref() != Some(&self.state) {
                answer(&mut stream, "404 Not Found", "There is nothing here.").await;
                continue;
            }
            // Another provider's answer (RFC 9207).
            if get("iss").is_some_and(|issuer| issuer != self.provider.login.issuer) {
                answer(&mut stream, "400 Bad Request", "This is the answer of another provider.").await;
                return Err(self.provider.refused("another provider answered"));
            }
            if let Some(code) = get("code") {
                answer(&mut stream, "200 OK", "You are logged in. This page can be closed.").await;
                return Ok(code);
            }
            answer(&mut stream, "200 OK", "You are not logged in; the terminal says why.").await;
            let granted =
                Granted { id_token: None, error: get("error"), error_description: get("error_description") };
            return Err(match self.provider.identity(granted) {
                Err(error) => error,
                Ok(_) => self.provider.refused("it gives no code"),
            });
        }
    }
}

/// What a browser asks for.
async fn first_line(stream: &mut TcpStream) -> Option<Url> {
    let mut seen = Vec::new();
    let mut buffer = [0; 1024];
    while !seen.windows(4).any(|end| end == b"\r\n\r\n") && seen.len() < MAX_REQUEST {
        let read = tokio::time::timeout(SILENCE, stream.read(&mut buffer)).await.ok()?.ok()?;
        if read == 0 {
            break;
        }
        seen.extend_from_slice(buffer.get(..read)?);
    }
    let text = String::from_utf8_lossy(&seen);
    let path = text.lines().next()?.strip_prefix("GET ")?.split(' ').next()?;
    Url::parse("http://127.0.0.1/").ok()?.join(path).ok().filter(|url| url.host_str() == Some("127.0.0.1"))
}

async fn answer(stream: &mut TcpStream, status: &str, text: &str) {
    let page = format!("<!doctype html><meta charset=utf-8><title>hub</title><p>{text}</p>\n");
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\n\
         cache-control: no-store\r\nreferrer-policy: no-referrer\r\nconnection: close\r\n\r\n",
        page.len()
    );
    // Whoever left does not see it.
    drop(stream.write_all(format!("{head}{page}").as_bytes()).await);
    drop(stream.shutdown().await);
}
