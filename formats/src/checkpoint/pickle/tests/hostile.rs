//! Whatever else is in the file, the answer is an error that names it.

use std::fs;

use super::{
    build::{archive, archive_with, dict, global, int, ints, numbers, storage, tensor, text},
    fixture, refusal,
};

#[test]
fn a_pickle_that_asks_for_anything_but_tensors_is_refused_by_name() {
    let named = |name: &str| refusal(&fs::read(fixture(name)).expect("reads"));
    let loads = global("torch.storage", "_load_from_bytes");
    let stacked = [text("builtins"), text("eval"), b"\x93".to_vec()].concat();
    let long = global(&"x".repeat(500), "\u{1b}[31m");
    insta::assert_snapshot!(
        [
            named("malicious.bin"),
            named("malicious-legacy.bin"),
            named("nested.bin"),
            named("list.bin"),
            named("expanded.bin"),
            named("float8.bin"),
            refusal(&archive(&dict(&text("w"), &loads))),
            refusal(&archive(&dict(&text("w"), &stacked))),
            refusal(&archive(&dict(&text("w"), &long))),
            refusal(&archive(&dict(&text("w"), &global("torch", "FloatStorage")))),
            refusal(&archive(&dict(&text("w"), b")\x81"))),
            refusal(&archive(&dict(&text("w"), b"(ios\nsystem\n"))),
            refusal(&archive(&dict(&text("w"), b"\xff"))),
            refusal(&archive(&dict(&int(1), &tensor(4, 0, &[4], &[1])))),
        ]
        .join("\n")
    );
}

#[test]
fn malformed_pickles_are_refused() {
    let with = |value: &[u8]| refusal(&archive(&dict(&text("w"), value)));
    let called =
        |arguments: &[u8]| with(&[&global("torch._utils", "_rebuild_tensor_v2"), arguments].concat());
    let twice = [text("w"), tensor(4, 0, &[4], &[1])].concat();
    insta::assert_snapshot!(
        [
            refusal(&archive(b"")),
            refusal(&archive(b".")),
            refusal(&archive(b"\x80\x09}.")),
            refusal(&archive(b"\x80\x02}")),
            refusal(&archive(b"}(K\x01u.")),
            refusal(&archive(b"]K\x01K\x02s.")),
            refusal(&archive(b"u.")),
            refusal(&archive(b"(K\x01a.")),
            refusal(&archive(b"h\x00.")),
            refusal(&archive(b"}r\xff\xff\xff\xff.")),
            refusal(&archive(b"K\x01}b.")),
            refusal(&archive(b"ccollections\nOrderedDict")),
            with(b"X\xff\xff\xff\xff"),
            with(b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff"),
            with(b"\x8c\x02\xff\xfe"),
            with(b"\x8a\xff"),
            with(&[b"\x8a\x09".as_slice(), &[1; 9]].concat()),
            called(b")R"),
            called(b"K\x01R"),
            with(b"K\x01)R"),
            with(&[text("0"), b"\x85Q".to_vec()].concat()),
            // Metadata that would negate every number when it is read.
            called(
                &[
                    b"(".to_vec(),
                    storage(4),
                    int(0),
                    ints(&[4]),
                    ints(&[1]),
                    b"\x89}}".to_vec(),
                    text("neg"),
                    b"\x88stR".to_vec()
                ]
                .concat()
            ),
            refusal(&archive(&[b"\x80\x02}(".as_slice(), &twice, &twice, b"u."].concat())),
            // A dict in itself.
            refusal(&archive(&[b"}q\x00".as_slice(), &text("w"), b"h\x00s."].concat())),
        ]
        .join("\n")
    );
}

#[test]
fn tensors_that_leave_their_storage_are_refused() {
    let of = |tensor: Vec<u8>| refusal(&archive(&dict(&text("w"), &tensor)));
    insta::assert_snapshot!(
        [
            of(tensor(4, 0, &[5], &[1])),
            of(tensor(4, 1, &[4], &[1])),
            of(tensor(4, 0, &[2, 2], &[3, 1])),
            of(tensor(4, i64::MAX, &[2], &[i64::MAX])),
            of(tensor(4, 0, &[1 << 40], &[0])),
            of(tensor(4, 0, &[1 << 40, 1 << 40], &[0, 0])),
            of(tensor(4, 0, &[0, 1 << 40, 1 << 40], &[0, 0, 0])),
            of(tensor(4, 0, &[2], &[-1])),
            of(tensor(4, -1, &[2], &[1])),
            of(tensor(4, 0, &[2, 2], &[1])),
            of(tensor(4, 0, &[1; 65], &[1; 65])),
            of(tensor(5, 0, &[4], &[1])),
            of(tensor(1 << 62, 0, &[4], &[1])),
            of(tensor(-1, 0, &[4], &[1])),
        ]
        .join("\n")
    );
}

#[test]
fn archives_that_torch_does_not_write_are_refused() {
    let zip = |change: fn(&mut super::build::Zip)| refusal(&archive_with(&numbers(4), change));
    let mut comment = archive(&numbers(4));
    comment.extend(b"a comment");
    insta::assert_snapshot!(
        [
            zip(|zip| zip.method = 8),
            zip(|zip| zip.local_name = Some("b/data.pkl".into())),
            zip(|zip| zip.count = Some(2)),
            zip(|zip| zip.count = Some(9)),
            zip(|zip| {
                zip.is_wide = true;
                zip.count = Some(u16::MAX);
            }),
            zip(|zip| zip.entries.push(zip.entries[2].clone())),
            zip(|zip| zip.entries.push(("../a/data.pkl".into(), Vec::new()))),
            zip(|zip| zip.entries.push(("/etc/passwd".into(), Vec::new()))),
            zip(|zip| zip.entries.push(("b/data.pkl".into(), Vec::new()))),
            zip(|zip| drop(zip.entries.remove(0))),
            zip(|zip| zip.entries[1].1 = b"big".to_vec()),
            zip(|zip| zip.entries[1].1 = b"middle".to_vec()),
            zip(|zip| zip.entries[2].1.truncate(15)),
            refusal(&comment),
            refusal(b"PK\x03\x04"),
            refusal(b""),
            refusal(b"\x80\x02}."),
        ]
        .join("\n")
    );
}

#[test]
fn the_format_before_1_6_is_checked_as_strictly() {
    let bytes = fs::read(fixture("legacy.bin")).expect("reads");
    let at = |needle: &[u8]| bytes.windows(needle.len()).position(|w| w == needle).expect("is there");
    let with = |at: usize, byte: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = byte;
        refusal(&bytes)
    };
    let little = at(b"little_endian") + b"little_endianq\x02".len();
    // The first storage's number of elements follows the last pickle: 24 and 6 elements
    // stand behind it, in an order that addresses decide.
    let elements = bytes.len() - (24 * 4 + 8 + 6 * 8 + 8);
    // The first digit of the first storage's key, where the keys are listed.
    let key = at(b"]q\x00(X") + 9;
    assert_eq!(
        with(little, 0x89),
        "it was written on a big-endian machine, which this version does not read"
    );
    assert_eq!(
        with(at(b"M\xe9\x03.") + 1, 0),
        "its pickle is malformed at byte 21: the format's version is 768; 1001 is read"
    );
    assert!(with(key, b'x').ends_with("belongs to no tensor"), "{}", with(key, b'x'));
    assert_eq!(with(elements, 0xff), "it ends inside its storages");
}

#[test]
fn nothing_small_can_claim_much_memory_or_time() {
    let started = std::time::Instant::now();
    // Tuples nested a million deep: neither reading nor dropping them may recurse.
    let deep = [b"\x80\x02)".as_slice(), &vec![0x85; 1 << 20], b"."].concat();
    assert_eq!(
        refusal(&archive(&deep)),
        "it is not a flat table of named tensors: it holds a tuple, not a dict"
    );
    // More marks, values and containers than any state dict has.
    assert!(refusal(&archive(&vec![b'('; 1 << 20])).contains("values on its pickle's stack; at most 65536"));
    assert!(refusal(&archive(&vec![b'N'; 1 << 20])).contains("values on its pickle's stack; at most 65536"));
    let containers = [b"]".as_slice(), &b"]a".repeat(5 << 20)].concat();
    assert!(refusal(&archive(&containers)).contains("values in its pickle; at most 4194304"));
    // One shape of a thousand dimensions, used by tens of thousands of tensors.
    let shape = [ints(&[1; 1000]), b"q\x00a".to_vec()].concat();
    let rebuild = global("torch._utils", "_rebuild_tensor_v2");
    let arguments = [b"(".to_vec(), storage(4), int(0), b"h\x00h\x00\x89}tq\x01".to_vec()].concat();
    let first = [b"]".to_vec(), shape, rebuild.clone(), arguments, b"Ra".to_vec()].concat();
    let again = [rebuild, b"h\x01Ra".to_vec()].concat().repeat(60_000);
    let many = refusal(&archive(&[first, again].concat()));
    assert!(many.contains("values in its pickle; at most 4194304"), "{many}");
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

#[test]
fn views_that_would_read_the_file_over_and_over_are_refused() {
    let rebuild = global("torch._utils", "_rebuild_tensor_v2");
    let arguments = [storage(3000), int(0), ints(&[2]), ints(&[2999]), b"\x89}tq\x00R".to_vec()].concat();
    let mut pickle = [b"\x80\x02}".to_vec(), text("w"), rebuild.clone(), b"(".to_vec(), arguments].concat();
    pickle.push(b's');
    for index in 0..150 {
        pickle.extend([text(&index.to_string()), rebuild.clone(), b"h\x00Rs".to_vec()].concat());
    }
    pickle.push(b'.');
    let archive = |zip: &mut super::build::Zip| zip.entries[2].1 = vec![0; 12_000];
    let error = refusal(&archive_with(&pickle, archive));
    assert!(error.ends_with("are views that need more than 64 times the file to be gathered"), "{error}");
}

#[test]
fn more_tensors_than_an_adapter_has_are_refused() {
    let first = tensor(4, 0, &[4], &[1]);
    let arguments = first.len() - 2;
    let mut pickle = [b"\x80\x02]".as_slice(), &first[..=arguments], b"q\x00Ra"].concat();
    let again = [global("torch._utils", "_rebuild_tensor_v2"), b"h\x00Ra".to_vec()].concat();
    pickle.extend(again.repeat(100_000));
    assert_eq!(refusal(&archive(&pickle)), "it has 100001 tensors; at most 100000 are read");
}

#[test]
fn a_shortened_file_is_always_refused() {
    for name in ["views.bin", "legacy.bin", "module.bin"] {
        let bytes = fs::read(fixture(name)).expect("reads");
        for length in 0..bytes.len() {
            refusal(&bytes[..length]);
        }
    }
}

#[test]
fn whatever_byte_is_flipped_the_answer_is_tensors_of_bounded_size_or_an_error() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("flipped.bin");
    for name in ["views.bin", "legacy.bin", "module.bin", "protocol-5.bin", "malicious.bin"] {
        let bytes = fs::read(fixture(name)).expect("reads");
        let (mut read, mut refused) = (0, 0);
        for at in 0..bytes.len() {
            for mask in [0x01, 0xff] {
                let mut flipped = bytes.clone();
                flipped[at] ^= mask;
                fs::write(&path, &flipped).expect("writes");
                let Ok(file) = crate::checkpoint::TensorFile::open(&path) else {
                    refused += 1;
                    continue;
                };
                read += 1;
                for info in file.header.tensors.values() {
                    let data = file.read(info).expect("what was checked can be read");
                    assert_eq!(data.bytes.len() as u64, info.end - info.start);
                    assert_eq!(
                        data.bytes.len() * 8,
                        data.shape.iter().product::<usize>() * data.dtype.bitsize()
                    );
                    assert!(data.bytes.len() < bytes.len());
                }
            }
        }
        assert!(refused > bytes.len() / 2, "{name}: {read} read, {refused} refused");
        assert_eq!(read == 0, name == "malicious.bin", "{name}: {read} read, {refused} refused");
    }
}
