//! A wire with a tap between two programs: what goes over it is remembered, and it can be cut.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

/// Read at once.
const PIECE: usize = 1 << 16;

/// Forwards bytes as they are, so that signatures over the host name stay right.
#[derive(Debug)]
pub struct Tap {
    address: SocketAddr,
    wires: Arc<Wires>,
}

/// What all connections share.
#[derive(Debug)]
struct Wires {
    upstream: String,
    /// What went upstream.
    seen: Mutex<Vec<u8>>,
    cut: watch::Sender<bool>,
    /// Bytes that still come back before it is cut.
    left: AtomicUsize,
    /// Whether requests to signed addresses find nobody.
    closed: AtomicBool,
}

impl Tap {
    /// A wire to `upstream`, an address like `http://127.0.0.1:9000`.
    pub async fn start(upstream: &str) -> Self {
        let wires = Arc::new(Wires {
            upstream: upstream.trim_start_matches("http://").to_owned(),
            seen: Mutex::default(),
            cut: watch::Sender::new(false),
            left: AtomicUsize::new(usize::MAX),
            closed: AtomicBool::new(false),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let all = Arc::clone(&wires);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let wires = Arc::clone(&all);
                tokio::spawn(async move { wires.carry(near).await });
            }
        });
        Self { address, wires }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Breaks every connection, and refuses new ones until it is mended.
    pub fn cut(&self, cut: bool) {
        self.wires.left.store(usize::MAX, Ordering::Relaxed);
        self.wires.cut.send_replace(cut);
    }

    /// Cuts it once so many bytes more have come back.
    pub fn cut_behind(&self, bytes: usize) {
        self.wires.left.store(bytes, Ordering::Relaxed);
    }

    /// Whether it is cut.
    pub fn is_cut(&self) -> bool {
        *self.wires.cut.borrow()
    }

    /// Breaks the connection of whoever sends to a signed address, as where clients can't reach a store.
    pub fn refuse_addresses(&self, refuse: bool) {
        self.wires.closed.store(refuse, Ordering::Relaxed);
    }

    /// Everything that went upstream since the last call, as text.
    pub fn take(&self) -> String {
        let bytes = std::mem::take(&mut *self.wires.seen.lock().unwrap_or_else(PoisonError::into_inner));
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Wires {
    async fn carry(&self, near: TcpStream) {
        let mut cut = self.cut.subscribe();
        if *cut.borrow() {
            return;
        }
        let Ok(far) = TcpStream::connect(&self.upstream).await else { return };
        let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
        tokio::select! {
            _ = cut.wait_for(|cut| *cut) => {}
            _ = async { tokio::join!(self.forth(near_read, far_write), self.back(far_read, near_write)) } => {}
        }
    }

    async fn forth(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut piece = vec![0; PIECE];
        while let Ok(read @ 1..) = from.read(&mut piece).await {
            let head = String::from_utf8_lossy(&piece[..read.min(4096)]);
            let is_signed = head.starts_with("PUT ") && head.contains("X-Amz-Signature=");
            if is_signed && self.closed.load(Ordering::Relaxed) {
                break;
            }
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&piece[..read]);
            if to.write_all(&piece[..read]).await.is_err() {
                break;
            }
        }
        drop(to.shutdown().await);
    }

    async fn back(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut piece = vec![0; PIECE];
        while let Ok(read @ 1..) = from.read(&mut piece).await {
            let left = self.left.load(Ordering::Relaxed);
            if left < read {
                self.cut.send_replace(true);
                return;
            }
            if left != usize::MAX {
                self.left.store(left - read, Ordering::Relaxed);
            }
            if to.write_all(&piece[..read]).await.is_err() {
                return;
            }
        }
    }
}
