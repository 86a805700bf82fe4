//! Loops over slices, compiled for the widest vectors that the processor has.

use pulp::{Arch, NullaryFnOnce};

/// A closure that borrows what it works on.
///
/// Called as what it is. Given to `pulp` as a closure that is called once, it would be called through a function that
/// the compiler makes for that, which is not inlined where it is large: the loop in it would be compiled for any
/// processor, whatever surrounds it.
struct Loops<F>(F);

impl<R, F: FnMut() -> R> NullaryFnOnce for Loops<F> {
    type Output = R;

    #[inline(always)]
    fn call(mut self) -> R {
        (self.0)()
    }
}

/// The same, called once.
struct Once<F>(F);

impl<R, F: FnOnce() -> R> NullaryFnOnce for Once<F> {
    type Output = R;

    #[inline(always)]
    fn call(self) -> R {
        (self.0)()
    }
}

/// Runs a closure that takes something over, as [`vectorised`] does.
#[inline(always)]
pub fn vectorised_once<R>(loops: impl FnOnce() -> R) -> R {
    Arch::new().dispatch(Once(loops))
}

/// Runs a closure that is marked `#[inline(always)]`, compiled for the processor at hand.
#[inline(always)]
pub fn vectorised<R>(loops: impl FnMut() -> R) -> R {
    Arch::new().dispatch(Loops(loops))
}
