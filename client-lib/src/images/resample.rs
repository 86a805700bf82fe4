//! Resizing as Pillow computes it, to the last bit: backbones were trained on its numbers.
//!
//! Each output pixel is a weighted mean of the pixels under a filter that is as wide as the pixels
//! which are left out. Rows first, then columns, in integers of 22 bits behind the point, with 8 bits
//! kept in between (Pillow 11, `Resample.c`; Pillow 13 takes the columns first for some sizes). A crate
//! that promises the same rounds its weights to fewer bits and is a level of 255 apart in places.

use std::f64::consts::PI;

use super::{Filter, Pixels};

/// Bits behind the point of a weight.
const PRECISION: u32 = 22;

/// The pixels that an output pixel is made of: the first one, and the weight of each.
type Window = (usize, Vec<i64>);

/// An image of another size.
pub(super) fn resize(image: &Pixels, [height, width]: [usize; 2], filter: Filter) -> Pixels {
    if filter == Filter::Nearest {
        return nearest(image, [height, width]);
    }
    let mut image = image.clone();
    if width != image.width {
        image = across(&image, &windows(image.width, width, filter));
    }
    if height != image.height {
        image = down(&image, &windows(image.height, height, filter));
    }
    image
}

/// The filter at a distance from its middle, in pixels of the smaller image.
fn weight(filter: Filter, x: f64) -> f64 {
    let sinc = |x: f64| if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) };
    let x = x.abs();
    match filter {
        Filter::Nearest | Filter::Box => f64::from(u8::from(x <= 0.5)),
        Filter::Bilinear => (1.0 - x).max(0.0),
        Filter::Hamming if x >= 1.0 => 0.0,
        Filter::Hamming => sinc(x) * (0.54 + 0.46 * (PI * x).cos()),
        Filter::Bicubic => cubic(x),
        Filter::Lanczos if x >= 3.0 => 0.0,
        Filter::Lanczos => sinc(x) * sinc(x / 3.0),
    }
}

/// Cubic convolution (Keys 1981) with a = −0.5.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

/// How far the filter reaches to each side.
const fn reach(filter: Filter) -> f64 {
    match filter {
        Filter::Nearest | Filter::Box => 0.5,
        Filter::Bilinear | Filter::Hamming => 1.0,
        Filter::Bicubic => 2.0,
        Filter::Lanczos => 3.0,
    }
}

/// For `to` pixels out of `from`.
fn windows(from: usize, to: usize, filter: Filter) -> Vec<Window> {
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    let support = reach(filter) * stretch;
    let window = |at: usize| {
        let centre = (at as f64 + 0.5) * scale;
        // Cut off towards zero, as a cast does in C.
        let first = (centre - support + 0.5).max(0.0) as usize;
        let end = ((centre + support + 0.5) as usize).min(from);
        let weights: Vec<f64> =
            (first..end).map(|i| weight(filter, (i as f64 - centre + 0.5) * (1.0 / stretch))).collect();
        let sum: f64 = weights.iter().sum();
        let whole = |w: &f64| {
            let w = if sum == 0.0 { *w } else { w / sum };
            (w * f64::from(1_u32 << PRECISION) + 0.5_f64.copysign(w)) as i64
        };
        (first, weights.iter().map(whole).collect())
    };
    (0..to).map(window).collect()
}

/// The weighted mean of every `step`-th value, rounded and kept within 8 bits.
fn mix(values: &[u8], step: usize, weights: &[i64]) -> u8 {
    let half = 1_i64 << (PRECISION - 1);
    let sum = weights.iter().zip(values.iter().step_by(step)).map(|(w, v)| w * i64::from(*v)).sum::<i64>();
    ((sum + half) >> PRECISION).clamp(0, 255) as u8
}

fn across(image: &Pixels, windows: &[Window]) -> Pixels {
    let rows = image.rgb.chunks_exact(image.width * 3);
    let rgb = rows.flat_map(|row| {
        let pixel = move |(first, weights): &Window| {
            [0, 1, 2].map(|colour| mix(&row[first * 3 + colour..], 3, weights))
        };
        windows.iter().flat_map(pixel)
    });
    Pixels { width: windows.len(), height: image.height, rgb: rgb.collect() }
}

fn down(image: &Pixels, windows: &[Window]) -> Pixels {
    let line = image.width * 3;
    let row = |(first, weights): &Window| {
        let above = &image.rgb[first * line..];
        (0..line).map(|at| mix(&above[at..], line, weights)).collect::<Vec<_>>()
    };
    Pixels { width: image.width, height: windows.len(), rgb: windows.iter().flat_map(row).collect() }
}

fn nearest(image: &Pixels, [height, width]: [usize; 2]) -> Pixels {
    let (rows, columns) = (places(image.height, height), places(image.width, width));
    let pixel = |(row, column): (usize, usize)| {
        let at = (row * image.width + column) * 3;
        [image.rgb[at], image.rgb[at + 1], image.rgb[at + 2]]
    };
    let all = rows.iter().flat_map(|&row| columns.iter().map(move |&column| (row, column)));
    Pixels { width, height, rgb: all.flat_map(pixel).collect() }
}

/// The pixel under the middle of each of `to` pixels; the steps are summed up, as there.
fn places(from: usize, to: usize) -> Vec<usize> {
    let step = from as f64 / to as f64;
    let mut at = step * 0.5;
    let mut places = Vec::with_capacity(to);
    for _ in 0..to {
        places.push((at as usize).min(from - 1));
        at += step;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_a_window_sum_to_one() {
        for filter in [Filter::Box, Filter::Bilinear, Filter::Hamming, Filter::Bicubic, Filter::Lanczos] {
            for (from, to) in [(7, 3), (3, 7), (100, 1), (1, 5)] {
                for (_, weights) in windows(from, to, filter) {
                    let sum: i64 = weights.iter().sum();
                    assert!((sum - (1 << PRECISION)).abs() <= weights.len() as i64, "{filter:?} {from} {to}");
                }
            }
        }
    }

    #[test]
    fn an_even_image_stays_even() {
        let image = Pixels { width: 5, height: 4, rgb: vec![77; 60] };
        for filter in [Filter::Nearest, Filter::Bicubic, Filter::Lanczos] {
            let resized = resize(&image, [9, 2], filter);
            assert_eq!((resized.height, resized.width), (9, 2));
            assert!(resized.rgb.iter().all(|&v| v == 77));
        }
    }
}
