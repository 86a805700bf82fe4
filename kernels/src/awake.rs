//! Threads that stay awake for a while.
//!
//! A thread of the pool that finds no work goes to sleep, and waking it takes longer than a product of a few rows. A pass
//! of a model over one token has some two hundred products one behind the other: while it lasts the others had better keep
//! looking.

use std::{
    hint::spin_loop,
    sync::atomic::{AtomicBool, Ordering},
};

use rayon::Yield;

/// More than this get no share of a small product.
const MOST: usize = 8;

/// Whether somebody's threads are awake: those of others would take each other's time.
static IS_KEPT: AtomicBool = AtomicBool::new(false);

/// Does `work` on this thread while the others of the pool look for parts of it without going to sleep.
///
/// They look with all they have, so `work` should be short and full of products; one call at a time does more than
/// calling `work`.
pub fn awake<T>(work: impl FnOnce() -> T) -> T {
    let others = rayon::current_num_threads().min(MOST) - 1;
    // A thread outside of the pool sleeps itself until its products are done.
    if others == 0 || rayon::current_thread_index().is_none() || IS_KEPT.swap(true, Ordering::Acquire) {
        return work();
    }
    let is_done = AtomicBool::new(false);
    rayon::in_place_scope(|scope| {
        for _ in 0..others {
            scope.spawn(|_| look(&is_done));
        }
        let _end = End(&is_done);
        work()
    })
}

/// Does what there is to do until `is_done`.
fn look(is_done: &AtomicBool) {
    while !is_done.load(Ordering::Relaxed) {
        if rayon::yield_now() != Some(Yield::Executed) {
            spin_loop();
        }
    }
}

/// Lets the threads go, whatever becomes of the work.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        IS_KEPT.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use rayon::prelude::*;

    use super::*;

    fn sum(to: u64) -> u64 {
        (0..to).into_par_iter().sum()
    }

    #[test]
    fn work_in_a_pool_gives_what_it_gives_and_nobody_waits_for_anybody() {
        for threads in [1, 2, 4] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            let found = pool.install(|| {
                // One within another, and several side by side.
                let inner = || awake(|| (0..50).map(|i| awake(|| sum(i))).sum::<u64>());
                let (left, right) = rayon::join(inner, inner);
                left + right
            });
            assert_eq!(found, 2 * (0..50).map(|i| (0..i).sum::<u64>()).sum::<u64>(), "{threads}");
        }
        assert_eq!(awake(|| sum(5)), 10, "outside of a pool");
    }

    #[test]
    fn threads_are_let_go_when_the_work_panics() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("a pool");
        for _ in 0..3 {
            let outcome = pool.install(|| catch_unwind(AssertUnwindSafe(|| awake(|| panic!("on purpose")))));
            assert!(outcome.is_err());
        }
        assert_eq!(pool.install(|| awake(|| sum(7))), 21);
    }
}
