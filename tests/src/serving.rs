//! Servers that tests start for themselves, on free ports of loopback.

use axum::Router;
use tokio::net::TcpListener;

/// A free port, and the address of what will be served there.
pub async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    (listener, url)
}

/// Serves until the test ends.
pub fn serve(listener: TcpListener, app: Router) {
    tokio::spawn(async move { axum::serve(listener, app).await });
}
