//! Updates into a backbone's weights, and out again bit for bit.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use hub_formats::checkpoint::{BaseFolder, SlotData, TensorFile};
use hub_schemas::{Digest, layout::Dtype};
use safetensors::tensor::TensorView;

use super::{
    super::{BakedAdapter, Delta, Deltas, Factors, Matrix, MergeError, bake, numbers, unbake},
    noise,
};

/// A folder of the interop fixtures: 16 dimensions, 2 layers.
pub(super) fn tiny(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(name)
}

pub(super) fn base() -> BaseFolder {
    BaseFolder::open(&tiny("tiny-bert")).expect("opens")
}

/// Copies a backbone with its tensors changed.
pub(super) fn with_tensors(from: &Path, into: &Path, change: impl Fn(&str, &mut SlotData)) {
    fs::create_dir_all(into).expect("creates");
    fs::copy(from.join("config.json"), into.join("config.json")).expect("copies");
    let file = TensorFile::open(&from.join("model.safetensors")).expect("opens");
    let tensors = file.header.tensors.iter().map(|(name, info)| {
        let mut tensor = file.read(info).expect("reads");
        change(name, &mut tensor);
        (name.clone(), tensor)
    });
    write(&into.join("model.safetensors"), &tensors.collect());
}

fn write(path: &Path, tensors: &BTreeMap<String, SlotData>) {
    let views = tensors.iter().map(|(name, tensor)| {
        (name, TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes).expect("a view"))
    });
    fs::write(path, safetensors::serialize(views, None).expect("serialises")).expect("writes");
}

const QUERY: &str = "encoder.layer.0.attention.self.query.weight";

fn query_update(scaling: f64) -> Deltas {
    let factors = Factors::new(noise(2, 16, 1), noise(16, 2, 2), scaling).expect("factors");
    [("layers.0.query.weight".to_owned(), Delta::LowRank(vec![factors]))].into()
}

fn sentiment() -> BakedAdapter {
    BakedAdapter { name: "ada/sentiment@1.0.0".to_owned(), digest: Digest::of(b"manifest"), weight: 1.0 }
}

/// Every file below a folder with its bytes.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for item in fs::read_dir(next).expect("lists") {
            let path = item.expect("an item").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("below").to_owned();
                found.insert(name, fs::read(path).expect("reads"));
            }
        }
    }
    found
}

fn read(folder: &Path, name: &str) -> SlotData {
    let file = TensorFile::open(&folder.join("model.safetensors")).expect("opens");
    file.read(&file.header.tensors[name]).expect("reads")
}

/// Bakes, checks that only the query changed, unbakes, and checks that every byte is back.
fn there_and_back(dir: &Path, original: &Path, scaling: f64) -> SlotData {
    let (baked, restored) = (dir.join("baked"), dir.join("restored"));
    let base = BaseFolder::open(original).expect("opens");
    let report = bake(&base, &query_update(scaling), &[sentiment()], &baked).expect("bakes");
    assert_eq!(report.tensors, 1);
    for (name, bytes) in contents(original) {
        let now = fs::read(baked.join(&name)).expect("is there");
        assert_eq!(now == bytes, name != Path::new("model.safetensors"), "{}", name.display());
    }
    let before = TensorFile::open(&original.join("model.safetensors")).expect("opens").header;
    let after = TensorFile::open(&baked.join("model.safetensors")).expect("opens").header;
    assert_eq!(before, after);
    for name in before.tensors.keys() {
        assert_eq!(read(original, name) == read(&baked, name), name != QUERY, "{name}");
    }
    let report = unbake(&BaseFolder::open(&baked).expect("opens"), &restored).expect("unbakes");
    assert_eq!((report.tensors, report.adapters), (1, vec![sentiment()]));
    assert_eq!(contents(&restored), contents(original));
    read(&baked, QUERY)
}

#[test]
fn a_baked_weight_is_the_rounded_sum_and_unbaking_gives_every_byte_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let baked = there_and_back(dir.path(), &tiny("tiny-bert"), 0.5);
    let update = query_update(0.5)["layers.0.query.weight"].matrix().expect("multiplies");
    let before = numbers::to_doubles(&read(&tiny("tiny-bert"), QUERY), QUERY).expect("doubles");
    let after = numbers::to_doubles(&baked, QUERY).expect("doubles");
    for ((before, after), delta) in before.iter().zip(after).zip(update.data()) {
        assert_eq!(after.to_bits(), f64::from((before + delta) as f32).to_bits());
    }
}

#[test]
fn bits_that_no_sum_keeps_come_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let original = dir.path().join("original");
    // -0.0, NaNs with payloads (quiet, signalling, negative), the smallest subnormal,
    // infinities, and numbers that absorb the update or drown in it.
    let odd: [u32; 10] = [
        0x8000_0000,
        0x7fc0_1234,
        0x7f80_0001,
        0xffc0_0001,
        0x0000_0001,
        0x7f80_0000,
        0xff80_0000,
        0x7149_f2ca,
        0x0da2_4260,
        0x3f80_0001,
    ];
    with_tensors(&tiny("tiny-bert"), &original, |name, tensor| {
        if name == QUERY {
            let bytes: Vec<u8> = odd.iter().flat_map(|bits| bits.to_le_bytes()).collect();
            tensor.bytes[..bytes.len()].copy_from_slice(&bytes);
        }
    });
    there_and_back(dir.path(), &original, 1e3);
}

#[test]
fn half_precision_keeps_its_type_and_comes_back() {
    for dtype in [Dtype::F16, Dtype::BF16, Dtype::F64] {
        let dir = tempfile::tempdir().expect("a folder");
        let original = dir.path().join("original");
        with_tensors(&tiny("tiny-bert"), &original, |name, tensor| {
            let values = numbers::to_doubles(tensor, name).expect("doubles");
            *tensor = numbers::from_doubles(tensor.shape.clone(), &values, dtype, name).expect("packs");
        });
        assert_eq!(there_and_back(dir.path(), &original, 0.5).dtype, dtype);
    }
}

#[test]
fn shards_and_everything_beside_the_weights_come_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let original = dir.path().join("original");
    let file = TensorFile::open(&tiny("tiny-bert").join("model.safetensors")).expect("opens");
    let (mut shards, mut map) = ([BTreeMap::new(), BTreeMap::new()], serde_json::Map::new());
    for (index, (name, info)) in file.header.tensors.iter().enumerate() {
        shards[index % 2].insert(name.clone(), file.read(info).expect("reads"));
        map.insert(name.clone(), format!("model-{}.safetensors", index % 2).into());
    }
    fs::create_dir_all(original.join("1_Pooling")).expect("creates");
    for (index, shard) in shards.iter().enumerate() {
        write(&original.join(format!("model-{index}.safetensors")), shard);
    }
    let index = serde_json::json!({"weight_map": map}).to_string();
    fs::write(original.join("model.safetensors.index.json"), index).expect("writes");
    fs::write(original.join("1_Pooling/config.json"), "{}").expect("writes");
    for name in ["config.json", "tokenizer.json"] {
        fs::copy(tiny("tiny-bert").join(name), original.join(name)).expect("copies");
    }
    let before = contents(&original);
    // The same weights in another container would contradict what is written.
    fs::write(original.join("pytorch_model.bin"), "old").expect("writes");

    let base = BaseFolder::open(&original).expect("opens");
    let mut deltas = query_update(1.0);
    deltas.insert("layers.1.value.weight".into(), Delta::Dense(noise(16, 16, 9)));
    let report = bake(&base, &deltas, &[], &dir.path().join("baked")).expect("bakes");
    assert_eq!((report.tensors, report.left_out), (2, vec![PathBuf::from("pytorch_model.bin")]));
    let baked = BaseFolder::open(&dir.path().join("baked")).expect("opens");
    let report = unbake(&baked, &dir.path().join("restored")).expect("unbakes");
    assert_eq!((report.tensors, report.left_out.len()), (2, 0));
    assert_eq!(contents(&dir.path().join("restored")), before);
}

#[test]
fn the_originals_lie_where_no_program_loads_them() {
    let dir = tempfile::tempdir().expect("a folder");
    bake(&base(), &query_update(1.0), &[], dir.path()).expect("bakes");
    let loadable = |path: &Path| path.extension().is_some_and(|e| e == "safetensors");
    let top = fs::read_dir(dir.path()).expect("lists").map(|item| item.expect("an item").path());
    assert_eq!(top.filter(|path| loadable(path)).count(), 1);
    let undo = TensorFile::open(&dir.path().join("bake/undo.safetensors")).expect("is safetensors");
    assert_eq!(undo.header.tensors.keys().collect::<Vec<_>>(), [QUERY]);
    assert_eq!(undo.read(&undo.header.tensors[QUERY]).expect("reads"), read(&tiny("tiny-bert"), QUERY));
}

#[test]
fn several_adapters_are_baked_at_once_and_none_into_a_baked_backbone() {
    let dir = tempfile::tempdir().expect("a folder");
    let one = Factors::new(noise(2, 16, 1), noise(16, 2, 2), 0.5).expect("factors");
    let layers = |f: &Factors| [("layers.0.query".to_owned(), f.clone())].into();
    let minus = one.clone().times(-1.0);
    let nothing = Delta::of_loras([layers(&one), layers(&minus)]).expect("modules");
    assert!(nothing["layers.0.query.weight"].matrix().expect("adds").norm() < 1e-15);

    let baked = dir.path().join("baked");
    bake(&base(), &query_update(1.0), &[], &baked).expect("bakes");
    let again = BaseFolder::open(&baked).expect("opens");
    let refused = bake(&again, &query_update(1.0), &[], &dir.path().join("twice"));
    assert!(matches!(refused, Err(MergeError::AlreadyBaked(_))));
    let refused = bake(&base(), &query_update(1.0), &[], &baked).expect_err("is occupied");
    assert!(refused.to_string().ends_with("is not empty"));
}

#[test]
fn an_embedding_table_takes_the_transposed_update() {
    let factors = Factors::new(noise(2, 40, 1), noise(16, 2, 2), 0.5).expect("factors");
    let layers = [("embeddings.word".to_owned(), factors.clone())].into();
    let deltas = Delta::of_loras([layers]).expect("modules");
    let update = deltas["embeddings.word"].matrix().expect("multiplies");
    assert_eq!(update, factors.delta().expect("multiplies").transposed());
}

#[test]
fn updates_that_do_not_fit_are_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("out");
    let refused = |name: &str, delta: Delta| {
        let deltas = [(name.to_owned(), delta)].into();
        bake(&base(), &deltas, &[], &out).expect_err("is refused").to_string()
    };
    let said = refused("layers.7.query.weight", Delta::Dense(noise(16, 16, 1)));
    assert!(said.ends_with("has no tensor `layers.7.query.weight` to bake into"), "{said}");
    assert!(!out.exists());
    let said = refused("layers.0.query.weight", Delta::Dense(noise(16, 8, 1)));
    assert!(said.ends_with("[16, 8] does not fit [16, 16]"), "{said}");
    fs::remove_dir_all(&out).expect("removes");
    let huge = Matrix::from_fn(16, 16, |_, _| 1e39);
    let said = refused("layers.0.query.weight", Delta::Dense(huge));
    assert!(said.contains("with its update in F32: element 0 is 1"), "{said}");
}

#[test]
fn what_was_changed_after_baking_is_not_unbaked() {
    let dir = tempfile::tempdir().expect("a folder");
    let baked = dir.path().join("baked");
    bake(&base(), &query_update(1.0), &[], &baked).expect("bakes");
    let attempt = |out: &str| {
        let out = dir.path().join(out);
        let refused = unbake(&BaseFolder::open(&baked).expect("opens"), &out).expect_err("is refused");
        assert!(!out.join("model.safetensors").exists(), "a wrong model lies around");
        refused.to_string()
    };
    let spoil = |name: &str, at_end: usize| {
        let path = baked.join(name);
        let good = fs::read(&path).expect("reads");
        let mut bad = good.clone();
        let at = bad.len() - at_end;
        bad[at] ^= 1;
        fs::write(&path, bad).expect("writes");
        good
    };
    let good = spoil("model.safetensors", 1);
    assert!(attempt("a").contains("it was changed after baking"));
    fs::write(baked.join("model.safetensors"), good).expect("writes");

    let good = spoil("bake/undo.safetensors", 1);
    assert!(attempt("b").contains("are damaged"));
    fs::write(baked.join("bake/undo.safetensors"), good).expect("writes");

    let record = fs::read_to_string(baked.join("bake/record.json")).expect("reads");
    fs::write(baked.join("bake/record.json"), record.replace("\"version\": 1", "\"version\": 9"))
        .expect("writes");
    assert!(attempt("c").contains("it has version 9"));
    fs::remove_file(baked.join("bake/record.json")).expect("removes");
    assert!(attempt("d").starts_with("nothing was baked into"));
    fs::write(baked.join("bake/record.json"), &record).expect("writes");
    unbake(&BaseFolder::open(&baked).expect("opens"), &dir.path().join("e")).expect("is right again");
}
