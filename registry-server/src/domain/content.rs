//! Whether the first bytes of a file are what its name says.
//!
//! A pickle runs code when it is loaded, whatever the file is called; a zip may
//! hold one (`torch.save` writes zips). Both are refused under every name.

use hub_schemas::{
    layout::{HeaderError, TensorHeader},
    manifest::{FileEntry, MediaType},
};

/// How many bytes of a file are looked at.
pub const HEAD_BYTES: u64 = 4096;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
/// First bytes that no accepted kind of file has.
const FOREIGN: [(&[u8], &str); 7] = [
    (b"PK\x03\x04", "a zip archive, as PyTorch's pickles are"),
    (b"PK\x05\x06", "a zip archive"),
    (b"\x1f\x8b", "gzip-compressed"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"GGUF", "a GGUF file"),
    (b"\x89HDF", "an HDF5 file"),
];

/// A file whose content is of another kind than its name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// A pickle.
    #[error("`{0}` is a pickle, which runs code when it is loaded; weights must be safetensors")]
    Pickle(String),
    /// Some other kind that is not accepted.
    #[error("`{path}` is {found}, not {stated}")]
    Foreign {
        /// The file.
        path: String,
        /// What it is.
        found: &'static str,
        /// What its name says.
        stated: &'static str,
    },
    /// Not the text, image or JSON its name says.
    #[error("`{path}` is not {stated}")]
    NotAsStated {
        /// The file.
        path: String,
        /// What its name says.
        stated: &'static str,
    },
    /// Not a safetensors file.
    #[error("`{path}` is not a usable safetensors file: {source}")]
    Header {
        /// The file.
        path: String,
        /// Why.
        source: HeaderError,
    },
    /// JSON that does not parse.
    #[error("`{path}` is not valid JSON: {reason}")]
    Json {
        /// The file.
        path: String,
        /// What the parser says.
        reason: String,
    },
}

/// Checks `head`, the first [`HEAD_BYTES`] of `file` or all of it.
pub fn check_head(file: &FileEntry, head: &[u8]) -> Result<(), ContentError> {
    let path = || file.path.to_string();
    let stated = file.media_type.as_str();
    if is_pickle(head) && file.media_type != MediaType::Safetensors {
        return Err(ContentError::Pickle(path()));
    }
    if file.media_type == MediaType::Gguf {
        return if is_gguf(head) { Ok(()) } else { Err(ContentError::NotAsStated { path: path(), stated }) };
    }
    if let Some((_, found)) = FOREIGN.iter().find(|(magic, _)| head.starts_with(magic)) {
        // A Markdown file may well begin with "MZ": only binary content is foreign.
        let binary = head.contains(&0) || !is_text(head, file.size);
        if binary && (file.media_type != MediaType::Safetensors || head.starts_with(b"PK")) {
            return Err(ContentError::Foreign { path: path(), found, stated });
        }
    }
    let fits = match file.media_type {
        // Its header is parsed whole, by `tensor_header`.
        MediaType::Safetensors | MediaType::Gguf => true,
        MediaType::Png => head.starts_with(PNG),
        MediaType::Json | MediaType::Markdown | MediaType::Html | MediaType::Text | MediaType::Csv => {
            is_text(head, file.size) && !head.contains(&0)
        }
    };
    if fits { Ok(()) } else { Err(ContentError::NotAsStated { path: path(), stated }) }
}

/// Parses the header of a safetensors file from its first bytes.
pub fn tensor_header(file: &FileEntry, bytes: &[u8]) -> Result<TensorHeader, ContentError> {
    TensorHeader::parse(bytes, file.size).map_err(|e| header_error(file, bytes, e))
}

/// Says "pickle" where the bytes are one: more helpful than "not safetensors".
pub fn header_error(file: &FileEntry, head: &[u8], source: HeaderError) -> ContentError {
    let path = file.path.to_string();
    if is_pickle(head) { ContentError::Pickle(path) } else { ContentError::Header { path, source } }
}

/// Binary pickles (protocols 2 to 5) start with PROTO and its argument.
fn is_pickle(head: &[u8]) -> bool {
    matches!(head, [0x80, 2..=5, opcode, ..] if matches!(opcode, b'}' | b'(' | b']' | b')' | b'c' | b'K' | b'X' | b'q' | b'N' | b'G' | b'J' | b'M' | 0x8a..=0x95))
}

/// Its magic and a version that can be read, in little-endian order.
fn is_gguf(head: &[u8]) -> bool {
    matches!(head, [b'G', b'G', b'U', b'F', 2 | 3, 0, 0, 0, ..])
}

fn is_text(head: &[u8], file_size: u64) -> bool {
    match std::str::from_utf8(head) {
        Ok(_) => true,
        // A character may be cut at the end of what was read.
        Err(e) => e.error_len().is_none() && file_size > head.len() as u64,
    }
}

#[cfg(test)]
mod tests {
    use hub_schemas::digest::Digest;

    use super::*;

    fn check(path: &str, head: &[u8]) -> Result<(), String> {
        let path: hub_schemas::path::FilePath = path.parse().expect("a path");
        let media_type = MediaType::of_base(&path).expect("an accepted kind");
        let (size, digest) = (head.len() as u64, Digest::of(head));
        let file = FileEntry { path, size, digest, media_type, extra: serde_json::Map::new() };
        check_head(&file, head).map_err(|e| e.to_string())
    }

    #[test]
    fn ordinary_files_pass() {
        for (path, head) in [
            ("README.md", "# Größe\nMZ".as_bytes()),
            ("notes.txt", b"MZ is how a program starts"),
            ("config.json", b"{}"),
            ("curve.png", b"\x89PNG\r\n\x1a\n\0\0"),
            ("empty.txt", b""),
            ("model-q4.gguf", b"GGUF\x03\0\0\0\0"),
        ] {
            assert_eq!(check(path, head), Ok(()), "{path}");
        }
    }

    #[test]
    fn pickles_and_archives_are_refused_whatever_their_name() {
        let pickle = b"\x80\x02}q\0(X\x06\0\0\0weight";
        let messages = [
            check("vocab.txt", pickle),
            check("adapter_config.json", pickle),
            check("curve.png", b"PK\x03\x04\x14\0\0\0"),
            check("x.safetensors", b"PK\x03\x04\x14\0\0\0"),
            check("README.md", b"\x7fELF\x02\x01\0"),
            check("table.csv", b"\xff\xfe\0"),
            check("model.gguf", pickle),
            check("model.gguf", b"GGUF\x09\0\0\0"),
        ]
        .map(|m| m.expect_err("refused"));
        insta::assert_snapshot!(messages.join("\n"), @r"
        `vocab.txt` is a pickle, which runs code when it is loaded; weights must be safetensors
        `adapter_config.json` is a pickle, which runs code when it is loaded; weights must be safetensors
        `curve.png` is a zip archive, as PyTorch's pickles are, not image/png
        `x.safetensors` is a zip archive, as PyTorch's pickles are, not application/vnd.safetensors
        `README.md` is a program, not text/markdown
        `table.csv` is not text/csv
        `model.gguf` is a pickle, which runs code when it is loaded; weights must be safetensors
        `model.gguf` is not application/vnd.gguf
        ");
    }
}
