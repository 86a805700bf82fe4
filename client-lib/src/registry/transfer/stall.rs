//! Notices when nothing moves any more.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::registry::RegistryError;

/// Counts signs of life; clones count together.
#[derive(Debug, Clone, Default)]
pub(super) struct Pulse(Arc<AtomicU64>);

impl Pulse {
    /// Something moved.
    pub(super) fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Runs `future` until it ends, or until nothing moved for `limit`.
    pub(super) async fn watch<T>(
        &self,
        limit: Duration,
        url: &str,
        future: impl Future<Output = Result<T, RegistryError>>,
    ) -> Result<T, RegistryError> {
        let mut future = std::pin::pin!(future);
        loop {
            let before = self.0.load(Ordering::Relaxed);
            match tokio::time::timeout(limit, &mut future).await {
                Ok(result) => return result,
                Err(_) if self.0.load(Ordering::Relaxed) != before => {}
                Err(_) => return Err(RegistryError::Stalled { url: url.to_owned(), after: limit }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn slow_is_fine_and_still_is_not() {
        let limit = Duration::from_millis(80);
        let pulse = Pulse::default();
        let slow = async {
            for _ in 0..8 {
                tokio::time::sleep(Duration::from_millis(30)).await;
                pulse.beat();
            }
            Ok(())
        };
        assert!(pulse.watch(limit, "http://a", slow).await.is_ok());
        let still = pulse.watch(limit, "http://a", std::future::pending::<Result<(), _>>()).await;
        assert!(matches!(still, Err(RegistryError::Stalled { .. })));
    }
}
