//! Ctrl-C: what it does depends on what is going on.
//!
//! By default it ends the process with 130. While requests run it drops them, so
//! that partial files stay and are continued next time. A command that computes
//! for long (training) asks for a flag instead, saves what it has and ends by
//! itself; a second Ctrl-C does not wait.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use tokio::{runtime::Runtime, sync::Notify};

use crate::failure::Exit;

/// Listens for Ctrl-C and SIGTERM for the life of the process.
#[derive(Clone, Default)]
pub(crate) struct Interrupts(Arc<State>);

#[derive(Default)]
struct State {
    /// Set on the first signal when a command asked for it.
    flag: Mutex<Option<Arc<AtomicBool>>>,
    /// How many cancellable futures run.
    waiting: AtomicUsize,
    cancel: Notify,
}

impl Interrupts {
    /// Starts to listen.
    pub(crate) fn listen(runtime: &Runtime) -> Self {
        let interrupts = Self::default();
        let state = Arc::clone(&interrupts.0);
        runtime.spawn(async move {
            while signal().await {
                state.handle();
            }
        });
        interrupts
    }

    /// From now on the first Ctrl-C sets the returned flag instead of ending the process.
    #[cfg_attr(not(feature = "stitch"), expect(dead_code, reason = "only computing commands need it"))]
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        let flag = Arc::new(AtomicBool::new(false));
        *self.0.flag.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&flag));
        flag
    }

    /// Runs `future` until it ends or Ctrl-C comes: then `None`.
    pub(crate) async fn cancellable<F: Future>(&self, future: F) -> Option<F::Output> {
        self.0.waiting.fetch_add(1, Ordering::SeqCst);
        let result = tokio::select! {
            output = future => Some(output),
            () = self.0.cancel.notified() => None,
        };
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
        result
    }
}

impl State {
    fn handle(&self) {
        let flag = self.flag.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(flag) = flag {
            flag.store(true, Ordering::SeqCst);
        } else if self.waiting.load(Ordering::SeqCst) > 0 {
            self.cancel.notify_waiters();
        } else {
            exit_now();
        }
    }
}

#[expect(clippy::exit, reason = "nothing is left to clean up: files appear by atomic rename only")]
fn exit_now() -> ! {
    std::process::exit(i32::from(Exit::Interrupted.code()))
}

#[cfg(unix)]
async fn signal() -> bool {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return tokio::signal::ctrl_c().await.is_ok();
    };
    tokio::select! {
        result = tokio::signal::ctrl_c() => result.is_ok(),
        received = terminate.recv() => received.is_some(),
    }
}

#[cfg(not(unix))]
async fn signal() -> bool {
    tokio::signal::ctrl_c().await.is_ok()
}
