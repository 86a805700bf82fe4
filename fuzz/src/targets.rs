//! One function per parser of foreign bytes. Whatever the bytes are, it returns: a refusal is as
//! good as an answer, a panic or an endless loop is the bug. What is accepted must keep what its
//! type promises.
//!
//! `fuzz_targets` gives these to libFuzzer; `tests/tests/fuzz.rs` runs the same functions on the
//! committed corpora, and on seeded mutations of them, with a stable compiler.

use std::{fs, path::Path};

use hub_client::{bundle::import_bundle, cache::Cache, registry::Silent};
use hub_formats::checkpoint::{AdapterFolder, BaseFolder, TensorFile, gguf_tokenizer};
use hub_schemas::{
    AdapterId, AdapterName, Digest, FilePath, Namespace, Reference, Version, VersionReq,
    label::{Language, License, TaskId},
    layout::TensorHeader,
    manifest::Artifact,
    pattern::NamePattern,
    token::Scopes,
};
use hub_server::domain::range::{self, Wanted};

/// Headers of safetensors files: every tensor lies inside the file.
pub fn header(bytes: &[u8]) {
    let len = bytes.len() as u64;
    if let Ok(header) = TensorHeader::parse(bytes, len) {
        for (name, tensor) in &header.tensors {
            assert!(tensor.start <= tensor.end && tensor.end <= len, "`{name}` leaves the file");
        }
    }
}

/// Manifests: what is accepted is written and read again as the same.
pub fn manifest(bytes: &[u8]) {
    if let Ok(found) = Artifact::parse(bytes) {
        let again = found.to_canonical_bytes().expect("what was read can be written");
        assert_eq!(Artifact::parse(&again).expect("and read again"), found);
    }
}

/// Names, versions, references, paths, digests, patterns: what is accepted is written as it is read.
pub fn names(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for line in text.lines() {
        written_as_read::<AdapterId>(line);
        written_as_read::<AdapterName>(line);
        written_as_read::<Namespace>(line);
        written_as_read::<Version>(line);
        written_as_read::<FilePath>(line);
        written_as_read::<Digest>(line);
        written_as_read::<NamePattern>(line);
        written_as_read::<TaskId>(line);
        // These have several spellings; what they are written as means the same.
        drop(
            line.parse::<VersionReq>()
                .map(|req| req.to_string().parse::<VersionReq>().expect("parses again")),
        );
        drop(line.parse::<Reference>().map(|r| r.to_string().parse::<Reference>().expect("parses again")));
        drop(line.parse::<Language>());
        drop(line.parse::<License>());
        drop(line.parse::<Scopes>());
        if let Ok(path) = line.parse::<FilePath>() {
            let inside =
                Path::new(path.as_str()).components().all(|c| matches!(c, std::path::Component::Normal(_)));
            assert!(inside, "`{path}` leaves its folder");
        }
    }
}

fn written_as_read<T: std::str::FromStr + std::fmt::Display>(text: &str) {
    if let Ok(found) = text.parse::<T>() {
        assert_eq!(found.to_string(), text);
    }
}

/// `Range` and `Content-Range`: what is accepted lies inside the file. The first eight bytes are
/// the file's size.
pub fn ranges(bytes: &[u8]) {
    let Some((size, text)) = bytes.split_first_chunk::<8>() else { return };
    let size = u64::from_le_bytes(*size);
    let Ok(text) = std::str::from_utf8(text) else { return };
    if let Wanted::Part(part) = range::wanted(Some(text), size) {
        assert!(part.start < part.end && part.end <= size, "{part:?} of {size}");
    }
    if let Ok(part) = range::content_range(text, size) {
        assert!(part.start < part.end && part.end <= size, "{part:?} of {size}");
    }
}

/// Files of `torch.save`: every tensor lies inside the file, and nothing is called.
pub fn pickle(bytes: &[u8]) {
    in_a_file("adapter_model.bin", bytes, |path| {
        if let Ok(file) = TensorFile::open(path) {
            for tensor in file.header.tensors.values() {
                drop(file.read(tensor));
            }
        }
    });
}

/// GGUF files: their header, tensors and tokenizer.
pub fn gguf(bytes: &[u8]) {
    in_a_file("model.gguf", bytes, |path| {
        drop(BaseFolder::open(path).map(|base| base.weights_digest()));
        drop(gguf_tokenizer(path));
    });
}

/// `config.json`, for either view of a checkpoint, beside weights without tensors.
pub fn config(bytes: &[u8]) {
    in_a_file("config.json", bytes, |path| {
        let folder = path.parent().expect("its folder");
        fs::write(folder.join("model.safetensors"), NO_TENSORS).expect("writes");
        drop(BaseFolder::open(folder));
        drop(BaseFolder::open_whole(folder));
    });
}

/// `adapter_config.json` of either library, beside weights without tensors.
pub fn adapter(bytes: &[u8]) {
    in_a_file("adapter_config.json", bytes, |path| {
        let folder = path.parent().expect("its folder");
        for weights in ["adapter_model.safetensors", "adapter.safetensors"] {
            fs::write(folder.join(weights), NO_TENSORS).expect("writes");
        }
        drop(AdapterFolder::open(folder));
    });
}

/// A safetensors file: the length of its header, and that.
const NO_TENSORS: &[u8] = b"\x02\0\0\0\0\0\0\0{}";

/// Bundles: whatever is refused leaves nothing in the cache.
pub fn bundle(bytes: &[u8]) {
    in_a_file("carried.tar", bytes, |path| {
        let root = path.with_file_name("cache");
        let registry = "http://127.0.0.1:9".parse().expect("a URL");
        let cache = Cache::new(&root, &registry);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        if runtime.block_on(import_bundle(&cache, path, &Silent)).is_err() {
            let left = |name: &str| fs::read_dir(root.join(name)).map_or(0, Iterator::count);
            assert_eq!([left("adapters"), left("blobs"), left("partial"), left("staging")], [0; 4]);
        }
    });
}

/// Parsers that read files get one.
fn in_a_file(name: &str, bytes: &[u8], read: impl FnOnce(&Path)) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    fs::write(&path, bytes).expect("writes");
    read(&path);
}
