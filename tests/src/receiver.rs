//! A receiver of webhooks for tests.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use serde_json::Value;

use crate::{
    eventually,
    serving::{listen, serve},
};

/// A receiver, and everything that came.
#[derive(Debug)]
pub struct Receiver {
    url: String,
    seen: Arc<Seen>,
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Its headers.
    pub headers: HeaderMap,
    /// The event, in the bytes that are signed.
    pub body: String,
}

#[derive(Debug, Default)]
struct Seen {
    refuses: AtomicBool,
    deliveries: Mutex<Vec<Delivery>>,
}

impl Receiver {
    /// Takes every event.
    pub async fn start() -> Self {
        Self::with(false).await
    }

    /// Answers the first request with 500.
    pub async fn refusing_first() -> Self {
        Self::with(true).await
    }

    async fn with(refuses: bool) -> Self {
        let seen = Arc::new(Seen { refuses: AtomicBool::new(refuses), ..Seen::default() });
        let receive = async |State(seen): State<Arc<Seen>>, headers: HeaderMap, body: String| {
            seen.deliveries().push(Delivery { headers, body });
            let refused = seen.refuses.swap(false, Ordering::Relaxed);
            if refused { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::NO_CONTENT }
        };
        let app = Router::new().route("/hook", post(receive)).with_state(Arc::clone(&seen));
        let (listener, url) = listen().await;
        serve(listener, app);
        Self { url: format!("{url}/hook"), seen }
    }

    /// Where events go.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What came, oldest first.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.seen.deliveries().clone()
    }

    /// What came, once so many requests did.
    pub async fn wait(&self, count: usize) -> Vec<Delivery> {
        let came = async || Some(self.deliveries()).filter(|seen| seen.len() >= count);
        eventually(&format!("{count} requests come"), came).await
    }
}

impl Delivery {
    /// The event.
    pub fn event(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// A header that must be there.
    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().expect("text")
    }
}

impl Seen {
    fn deliveries(&self) -> MutexGuard<'_, Vec<Delivery>> {
        self.deliveries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
