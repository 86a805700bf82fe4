//! Many who want the same thing at the same time wait for one transfer of it.

use std::{
    collections::HashMap,
    future::Future,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};

use crate::trace::here;

/// What is under way, by what it brings.
#[derive(Clone)]
pub(super) struct Flights<K, T: Clone>(Arc<Mutex<UnderWay<K, T>>>);

type UnderWay<K, T> = HashMap<K, Shared<BoxFuture<'static, Option<T>>>>;

impl<K: Clone + Eq + Hash + Send + 'static, T: Clone + Send + Sync + 'static> Flights<K, T> {
    /// What `work` gives, begun now or by whoever came before; `None` when it panicked.
    ///
    /// It runs to its end even when everybody who waited has gone.
    pub(super) async fn join<F>(&self, key: K, work: impl FnOnce() -> F) -> Option<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let flight = {
            let mut under_way = self.lock();
            if let Some(flight) = under_way.get(&key) {
                flight.clone()
            } else {
                let (flights, landed, work) = (self.clone(), key.clone(), work());
                let task = tokio::spawn(here(async move {
                    // Removed on a panic too.
                    let _guard = Landing { flights, key: landed };
                    work.await
                }));
                let flight = task.map(Result::ok).boxed().shared();
                under_way.insert(key, flight.clone());
                flight
            }
        };
        flight.await
    }

    fn lock(&self) -> MutexGuard<'_, UnderWay<K, T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, T: Clone> Default for Flights<K, T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

struct Landing<K: Clone + Eq + Hash + Send + 'static, T: Clone + Send + Sync + 'static> {
    flights: Flights<K, T>,
    key: K,
}

impl<K: Clone + Eq + Hash + Send + 'static, T: Clone + Send + Sync + 'static> Drop for Landing<K, T> {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn a_hundred_who_ask_at_once_share_one_transfer_and_the_next_one_begins_anew() {
        let (flights, begun) = (Flights::<u8, usize>::default(), Arc::new(AtomicUsize::new(0)));
        let ask = || {
            let (flights, begun) = (flights.clone(), Arc::clone(&begun));
            async move {
                flights
                    .join(1, || async move {
                        tokio::task::yield_now().await;
                        begun.fetch_add(1, Ordering::SeqCst)
                    })
                    .await
            }
        };
        let answers = join_all((0..100).map(|_| ask())).await;
        assert!(answers.iter().all(|answer| *answer == Some(0)), "{answers:?}");
        assert_eq!(ask().await, Some(1));
    }

    #[tokio::test]
    async fn a_transfer_that_panics_is_not_in_the_way_of_the_next() {
        let flights = Flights::<u8, u8>::default();
        assert_eq!(flights.join(1, || async { panic!("on purpose") }).await, None);
        assert_eq!(flights.join(1, || async { 7 }).await, Some(7));
    }
}
