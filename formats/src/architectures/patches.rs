//! How an image is cut into patches.

/// A grid of patches, each a token (Dosovitskiy et al. 2021), behind a class token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatchGrid {
    /// Colours of a pixel.
    pub channels: usize,
    /// Height and width of the images of pre-training.
    pub image: [usize; 2],
    /// Height and width of a patch.
    pub patch: [usize; 2],
    /// Whether the learned positions are stretched to images of other sizes; such are refused otherwise.
    pub stretches: bool,
}

/// An image that can't be cut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GridError {
    /// The model was made for another size.
    #[error("the image is {height} × {width} pixels; this backbone reads {} × {}", .expected[0], .expected[1])]
    Size {
        /// Of the image.
        height: usize,
        /// Of the image.
        width: usize,
        /// What is read: height and width.
        expected: [usize; 2],
    },
    /// Less than a patch, or more than any image.
    #[error("the image is {height} × {width} pixels; from {} × {} to {max} × {max} are read", .patch[0], .patch[1])]
    Bounds {
        /// Of the image.
        height: usize,
        /// Of the image.
        width: usize,
        /// Height and width of a patch.
        patch: [usize; 2],
        /// The longest side that is read.
        max: usize,
    },
}

/// Longest side of an image: attention over its patches is quadratic.
const MAX_SIDE: usize = 1 << 13;

impl PatchGrid {
    /// Rows and columns of patches in an image; what is left at the right and at the bottom is not read.
    pub fn cut(&self, height: usize, width: usize) -> Result<[usize; 2], GridError> {
        if !self.stretches && [height, width] != self.image {
            return Err(GridError::Size { height, width, expected: self.image });
        }
        let [rows, columns] = [height / self.patch[0], width / self.patch[1]];
        if rows == 0 || columns == 0 || height.max(width) > MAX_SIDE {
            return Err(GridError::Bounds { height, width, patch: self.patch, max: MAX_SIDE });
        }
        Ok([rows, columns])
    }

    /// Rows and columns of the learned positions.
    pub const fn learned(&self) -> [usize; 2] {
        [self.image[0] / self.patch[0], self.image[1] / self.patch[1]]
    }

    /// Number of learned positions: one per patch, and one for the class token.
    pub const fn positions(&self) -> usize {
        let [rows, columns] = self.learned();
        rows.saturating_mul(columns).saturating_add(1)
    }
}
