//! The HTTP client underneath: TLS, redirects, and bodies of bounded size.

use std::{sync::Once, time::Duration};

use reqwest::{Client, Response, redirect};
use url::Url;

use super::RegistryError;

/// A host that takes longer to accept a connection is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// More hops than this are a loop.
const MAX_REDIRECTS: usize = 5;

/// Builds the client for `registry`.
///
/// `reqwest` itself takes `Authorization` off a redirect that leaves the host;
/// a redirect from `https` to `http` is not followed at all.
pub(super) fn client(registry: &Url) -> Result<Client, RegistryError> {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // Fails when another part of the process chose a provider before: then that one serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    let builder = || {
        Client::builder()
            .user_agent(concat!("hub/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(redirect::Policy::custom(follow))
    };
    match builder().build() {
        // A machine without certificates can still talk to a registry on plain HTTP.
        Err(_) if registry.scheme() == "http" => builder().tls_certs_only([]).build(),
        result => result,
    }
    .map_err(|cause| RegistryError::Setup { cause })
}

fn follow(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let was_secure = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
    if attempt.previous().len() > MAX_REDIRECTS {
        attempt.error("too many redirects")
    } else if was_secure && attempt.url().scheme() != "https" {
        attempt.error("a redirect from https to http is not followed")
    } else {
        attempt.follow()
    }
}

/// Reads a body of at most `max` bytes.
pub(super) async fn read_bounded(
    mut response: Response,
    max: usize,
    what: &'static str,
) -> Result<Vec<u8>, RegistryError> {
    let url = display_url(response.url());
    let too_large = || RegistryError::TooLarge { what, url: url.clone(), max };
    if response.content_length().is_some_and(|length| length > max as u64) {
        return Err(too_large());
    }
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|e| RegistryError::transport(&url, e))? {
        if body.len() + piece.len() > max {
            return Err(too_large());
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// A URL as messages show it: without credentials and without a query, which may hold a signature.
pub(super) fn display_url(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail for URLs that can't have credentials, which then have none.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_url_tells_no_secrets() {
        let url: Url = "https://ada:pw@hub.example/a?signature=abc#x".parse().expect("a URL");
        assert_eq!(display_url(&url), "https://hub.example/a");
    }
}
