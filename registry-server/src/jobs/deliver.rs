//! Sending an event to a webhook.

use std::{net::SocketAddr, time::Duration};

use hub_schemas::name::Namespace;
use reqwest::redirect::Policy;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use url::Url;

use super::{Job, JobError};
use crate::{
    app::App,
    db::{WriteTx, clock, new_id, webhooks},
    domain::{
        address::is_public,
        webhook::{Happening, parse_url, sign},
    },
    outgoing::choose_tls,
    trace::Span,
};

/// A receiver that takes longer does its work before it answers; it should not.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends one event to one webhook, until it is answered with success.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Deliver {
    webhook: String,
    event: Happening,
}

/// Queues an event for every webhook of a namespace, in the transaction of what happened.
pub(crate) async fn announce(
    tx: &mut WriteTx,
    namespace: &Namespace,
    kind: &str,
    subject: &str,
    data: Value,
) -> Result<(), sqlx::Error> {
    let webhooks = webhooks::ids(tx, namespace).await?;
    if webhooks.is_empty() {
        return Ok(());
    }
    let event = Happening {
        id: new_id(),
        kind: kind.to_owned(),
        subject: subject.to_owned(),
        at: clock::now(),
        data,
    };
    for webhook in webhooks {
        Deliver { webhook, event: event.clone() }.enqueue(tx).await?;
    }
    Ok(())
}

impl Job for Deliver {
    const KIND: &'static str = "deliver-event";

    async fn run(self, app: &App) -> Result<(), JobError> {
        // Removed meanwhile: nobody waits for it.
        let Some((url, secret)) = webhooks::target(&app.db, &self.webhook).await? else { return Ok(()) };
        let outcome = send(&url, &secret, &self.event, app.webhooks_anywhere).await;
        let text = outcome.as_ref().err().map_or("delivered", String::as_str);
        let mut tx = app.db.write().await?;
        webhooks::note(&mut tx, &self.webhook, text).await?;
        tx.commit().await?;
        outcome.map_err(JobError::Delivery)
    }
}

/// Sends the event; the error is for the owners of the namespace, so it says nothing of
/// what stands behind the address.
async fn send(url: &str, secret: &str, event: &Happening, anywhere: bool) -> Result<(), String> {
    let url = parse_url(url, anywhere).map_err(|e| e.to_string())?;
    let addresses = resolve(&url, anywhere).await?;
    let timestamp = OffsetDateTime::now_utc().unix_timestamp();
    let body = event.body();
    let signature =
        sign(secret, &event.id, timestamp, &body).ok_or_else(|| "the secret is damaged".to_owned())?;
    choose_tls();
    // Just the addresses that were checked: a name may mean another one a moment later. And no
    // redirect, which could lead anywhere.
    let client = reqwest::Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .timeout(PATIENCE)
        .resolve_to_addrs(url.host_str().unwrap_or_default(), &addresses)
        .build()
        .map_err(|_| "the request can't be made".to_owned())?;
    let span = Span::client("POST", &url);
    let request = client
        .post(url)
        .header("content-type", "application/cloudevents+json")
        .header("user-agent", concat!("adapter-hub/", env!("CARGO_PKG_VERSION")))
        .header("webhook-id", &event.id)
        .header("webhook-timestamp", timestamp.to_string())
        .header("webhook-signature", signature)
        .body(body);
    let answer = span.judged(span.around(span.carried_by(request).send()).await);
    if let Ok(answer) = &answer {
        span.was_answered(answer.status());
    }
    match answer {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(format!("answered {}", answer.status().as_u16())),
        Err(error) if error.is_timeout() => Err(format!("no answer within {} s", PATIENCE.as_secs())),
        Err(_) => Err("no connection".to_owned()),
    }
}

/// The addresses of a host; none when one of them must not be reached.
async fn resolve(url: &Url, anywhere: bool) -> Result<Vec<SocketAddr>, String> {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or(443);
    let found = tokio::net::lookup_host((host, port)).await;
    let addresses: Vec<_> = found.map_err(|_| "the host has no address".to_owned())?.collect();
    if addresses.is_empty() {
        return Err("the host has no address".to_owned());
    }
    if !anywhere && addresses.iter().any(|address| !is_public(address.ip())) {
        return Err("the host is not on the public internet".to_owned());
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_leads_inside_is_refused_however_it_is_written() {
        for url in [
            "https://localhost/",
            "https://127.0.0.1/",
            "https://127.1/",
            "https://0x7f000001/",
            "https://2130706433/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://169.254.169.254/latest/meta-data",
            "https://0/",
            "https://10.0.0.1:8443/",
        ] {
            let url: Url = url.parse().expect(url);
            let refused = resolve(&url, false).await.expect_err(url.as_str());
            assert_eq!(refused, "the host is not on the public internet", "{url}");
        }
        let local: Url = "https://127.0.0.1:8443/".parse().expect("an address");
        assert_eq!(resolve(&local, true).await, Ok(vec![([127, 0, 0, 1], 8443).into()]));
        assert!(resolve(&"https://1.1.1.1/".parse().expect("an address"), false).await.is_ok());
    }
}
