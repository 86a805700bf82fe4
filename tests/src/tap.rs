//! A wire with a tap between two programs: what goes over it is remembered, and it can be cut.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Forwards bytes as they are, so that signatures over the host name stay right.
#[derive(Debug)]
pub struct Tap {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<u8>>>,
    cut: watch::Sender<bool>,
}

impl Tap {
    /// A wire to `upstream`, an address like `http://127.0.0.1:9000`.
    pub async fn start(upstream: &str) -> Self {
        let upstream = upstream.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (seen, cut) = (Arc::default(), watch::Sender::new(false));
        let (log, watched) = (Arc::clone(&seen), cut.subscribe());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(near, upstream.clone(), Arc::clone(&log), watched.clone()));
            }
        });
        Self { address, seen, cut }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Breaks every connection, and refuses new ones until it is mended.
    pub fn cut(&self, cut: bool) {
        self.cut.send_replace(cut);
    }

    /// Everything that went upstream since the last call, as text.
    pub fn take(&self) -> String {
        let bytes = std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

async fn carry(near: TcpStream, upstream: String, log: Arc<Mutex<Vec<u8>>>, mut cut: watch::Receiver<bool>) {
    if *cut.borrow() {
        return;
    }
    let Ok(far) = TcpStream::connect(upstream).await else { return };
    let ((mut near_read, mut near_write), (mut far_read, mut far_write)) =
        (near.into_split(), far.into_split());
    let forth = async {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(read @ 1..) = near_read.read(&mut buffer).await {
            log.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..read]);
            if far_write.write_all(&buffer[..read]).await.is_err() {
                break;
            }
        }
        drop(far_write.shutdown().await);
    };
    let back = tokio::io::copy(&mut far_read, &mut near_write);
    tokio::select! {
        _ = cut.wait_for(|cut| *cut) => {}
        _ = async { tokio::join!(forth, back) } => {}
    }
}
