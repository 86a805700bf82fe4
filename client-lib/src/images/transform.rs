//! The steps, each as Pillow and `transformers` compute it.

use super::{Pixels, Size};

/// The size that an image gets.
pub(super) fn target(image: &Pixels, size: Size) -> [usize; 2] {
    match size {
        Size::Exactly(sides) => sides,
        Size::Shortest(shortest) => {
            let (short, long) = (image.width.min(image.height), image.width.max(image.height));
            // Cut off, not rounded.
            let long = (shortest * long / short.max(1)).max(1);
            if image.width <= image.height { [long, shortest] } else { [shortest, long] }
        }
    }
}

/// The middle of an image, with black around it where it is smaller.
pub(super) fn crop(image: &Pixels, [height, width]: [usize; 2]) -> Pixels {
    // Where an image is smaller, the rest is divided so that the larger half stands in front.
    let start = |have: usize, want: usize| (have as isize - want as isize).div_euclid(2);
    let (top, left) = (start(image.height, height), start(image.width, width));
    let mut rgb = vec![0; height * width * 3];
    for row in 0..height {
        let Ok(from_row) = usize::try_from(row as isize + top) else { continue };
        for column in 0..width {
            let Ok(from_column) = usize::try_from(column as isize + left) else { continue };
            if from_row < image.height && from_column < image.width {
                let (from, to) = ((from_row * image.width + from_column) * 3, (row * width + column) * 3);
                rgb[to..to + 3].copy_from_slice(&image.rgb[from..from + 3]);
            }
        }
    }
    Pixels { width, height, rgb }
}

/// Values `[3, height, width]`: `(v · factor − mean) / std` for each colour.
pub(super) fn normalise(image: &Pixels, factor: Option<f64>, colours: Option<[[f64; 3]; 2]>) -> Vec<f32> {
    let factor = factor.unwrap_or(1.0);
    let [mean, std] = colours.unwrap_or([[0.0; 3], [1.0; 3]]);
    let area = image.width * image.height;
    let mut values = vec![0.0; 3 * area];
    for (at, pixel) in image.rgb.chunks_exact(3).enumerate() {
        for colour in 0..3 {
            // Rescaled in double precision, normalised in single, as there.
            let value = (f64::from(pixel[colour]) * factor) as f32;
            values[colour * area + at] = (value - mean[colour] as f32) / std[colour] as f32;
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(height: usize, width: usize) -> Pixels {
        Pixels { width, height, rgb: (0..height * width * 3).map(|i| (i * 7 % 251) as u8).collect() }
    }

    #[test]
    fn the_shorter_side_decides_and_the_longer_is_cut_off() {
        assert_eq!(target(&ramp(30, 47), Size::Shortest(20)), [20, 31]);
        assert_eq!(target(&ramp(47, 30), Size::Shortest(20)), [31, 20]);
        assert_eq!(target(&ramp(5, 9), Size::Exactly([3, 4])), [3, 4]);
    }

    #[test]
    fn a_crop_is_the_middle_with_black_around_what_is_missing() {
        let image = ramp(4, 6);
        let inner = crop(&image, [2, 2]);
        assert_eq!(inner.rgb[..3], image.rgb[(6 + 2) * 3..][..3]);
        let outer = crop(&image, [6, 6]);
        assert_eq!((outer.rgb[0], &outer.rgb[18..21]), (0, &image.rgb[..3]));
    }
}
