//! Two products, the second of what a function makes of the first: a feed-forward network, or its backward.
//!
//! A thread takes some rows through both. What lies in between is several times as wide as what goes in and comes out,
//! and stays in the thread's cache; it is the same, number by number, as of two products one after the other.

use std::ops::Range;

use super::Packed;
use crate::{fresh, spread::Product};

/// `second(between(first(x)))`, where each layer is a packed weight and what is added behind it.
#[derive(Debug, Clone, Copy)]
pub struct Chain<'a> {
    /// From `inputs` to what is in between.
    pub first: (&'a Packed, Option<&'a [f32]>),
    /// From there to the outputs.
    pub second: (&'a Packed, Option<&'a [f32]>),
    /// Whether what the first layer gives is asked for.
    pub keeps: bool,
}

/// What a chain gives.
#[derive(Debug, PartialEq)]
pub struct Chained {
    /// `[m, outputs]`.
    pub outputs: Vec<f32>,
    /// What the first layer gave, `[m, inner]`; empty where nobody asked for it.
    pub inner: Vec<f32>,
}

impl Chain<'_> {
    /// Takes all rows of `x [m, inputs]` through it, on all threads of the current pool. `between` gets the numbers of some rows
    /// and what the first layer gave for them, and changes it.
    ///
    /// # Panics
    /// If the sizes do not fit together.
    pub fn of(&self, x: &[f32], between: &(impl Fn(Range<usize>, &mut [f32]) + Sync)) -> Chained {
        let ((first, first_bias), (second, second_bias)) = (self.first, self.second);
        assert_eq!(first.outputs, second.inputs, "numbers in between");
        let product = Product::of(x, first.inputs, first.outputs);
        let Some(block) = product.share() else {
            let mut middle = first.product(x, first_bias);
            let inner = if self.keeps { middle.clone() } else { Vec::new() };
            between(0..product.rows, &mut middle);
            return Chained { outputs: second.product(&middle, second_bias), inner };
        };
        let kept = if self.keeps { first.outputs } else { 0 };
        let [outputs, inner] =
            fresh::matrices(product.rows, block, [second.outputs, kept], |rows, [to, inner]| {
                let x = &x[rows.start * first.inputs..rows.end * first.inputs];
                let mut middle = fresh::alone(rows.len() * first.outputs, |to| first.fill(x, first_bias, to));
                let inner = inner.copy(if self.keeps { &middle } else { &[] });
                between(rows, &mut middle);
                [second.fill(&middle, second_bias, to), inner]
            });
        Chained { outputs, inner }
    }
}
