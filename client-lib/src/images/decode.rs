//! Files of images, decoded within bounds.

use std::{
    io::Cursor,
    path::{Path, PathBuf},
};

use image::{DynamicImage, ImageDecoder as _, ImageReader, Limits};

/// Longest side that is decoded.
const MAX_SIDE: u32 = 1 << 14;
/// Memory that decoding may take, in bytes.
const MAX_MEMORY: u64 = 1 << 30;
/// Size of a file, in bytes.
const MAX_FILE: u64 = 1 << 28;

/// An image in red, green and blue, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `height · width · 3` values.
    pub rgb: Vec<u8>,
}

/// Why a file is no image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The file can't be read.
    #[error("`{}` can't be read: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is too large.
    #[error("`{}` has {bytes} bytes; images of up to {MAX_FILE} bytes are read", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// The contents are no image of a kind that is read.
    #[error("`{}` is no image that can be read: {reason} (PNG and JPEG are read)", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What the decoder says.
        reason: String,
    },
}

impl Pixels {
    /// Reads a PNG or JPEG file, turned as its EXIF orientation says. Colours become red, green and
    /// blue of 8 bits; what is transparent shows its colour.
    pub fn open(path: &Path) -> Result<Self, ImageError> {
        let io = |source| ImageError::Io { path: path.to_owned(), source };
        let bytes = std::fs::metadata(path).map_err(io)?.len();
        if bytes > MAX_FILE {
            return Err(ImageError::TooLarge { path: path.to_owned(), bytes });
        }
        let file = std::fs::read(path).map_err(io)?;
        Self::decode(&file).map_err(|reason| ImageError::Format { path: path.to_owned(), reason })
    }

    /// Decodes the bytes of a file; an error is what the decoder says.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let mut reader =
            ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| e.to_string())?;
        let mut limits = Limits::default();
        limits.max_image_width = Some(MAX_SIDE);
        limits.max_image_height = Some(MAX_SIDE);
        limits.max_alloc = Some(MAX_MEMORY);
        reader.limits(limits);
        let mut decoder = reader.into_decoder().map_err(|e| e.to_string())?;
        let orientation = decoder.orientation().map_err(|e| e.to_string())?;
        let mut image = DynamicImage::from_decoder(decoder).map_err(|e| e.to_string())?;
        image.apply_orientation(orientation);
        let image = image.into_rgb8();
        let (width, height) = (image.width() as usize, image.height() as usize);
        Ok(Self { width, height, rgb: image.into_raw() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_image_is_refused() {
        assert!(Pixels::decode(b"").is_err());
        assert!(Pixels::decode(b"\x89PNG\r\n\x1a\n").is_err());
        assert!(Pixels::decode(b"GIF89a\x01\x00\x01\x00").is_err());
    }
}
