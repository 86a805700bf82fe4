//! A wire with a tap between two programs: what goes over it is remembered, and it can be cut.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
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
    /// Whether requests to signed addresses find nobody.
    closed: Arc<AtomicBool>,
}

impl Tap {
    /// A wire to `upstream`, an address like `http://127.0.0.1:9000`.
    pub async fn start(upstream: &str) -> Self {
        let upstream = upstream.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (seen, cut) = (Arc::default(), watch::Sender::new(false));
        let (log, watched) = (Arc::clone(&seen), cut.subscribe());
        let closed = Arc::new(AtomicBool::new(false));
        let addresses = Arc::clone(&closed);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let wire =
                    carry(near, upstream.clone(), Arc::clone(&log), watched.clone(), Arc::clone(&addresses));
                tokio::spawn(wire);
            }
        });
        Self { address, seen, cut, closed }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Breaks every connection, and refuses new ones until it is mended.
    pub fn cut(&self, cut: bool) {
        self.cut.send_replace(cut);
    }

    /// Breaks the connection of whoever sends to a signed address, as where clients can't reach a store.
    pub fn refuse_addresses(&self, refuse: bool) {
        self.closed.store(refuse, Ordering::Relaxed);
    }

    /// Everything that went upstream since the last call, as text.
    pub fn take(&self) -> String {
        let bytes = std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

async fn carry(
    near: TcpStream,
    upstream: String,
    log: Arc<Mutex<Vec<u8>>>,
    mut cut: watch::Receiver<bool>,
    closed: Arc<AtomicBool>,
) {
    if *cut.borrow() {
        return;
    }
    let Ok(far) = TcpStream::connect(upstream).await else { return };
    let ((mut near_read, mut near_write), (mut far_read, mut far_write)) =
        (near.into_split(), far.into_split());
    let forth = async {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(read @ 1..) = near_read.read(&mut buffer).await {
            let head = String::from_utf8_lossy(&buffer[..read.min(4096)]);
            if closed.load(Ordering::Relaxed) && head.starts_with("PUT ") && head.contains("X-Amz-Signature=")
            {
                break;
            }
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
