//! Heads of model classes whose file holds more than the head: published, pulled and run.

use std::{fs, path::Path};

use hub_tests::{cli::Home, hub::TestHub, interop};
use safetensors::SafeTensors;

/// A copy of a folder of the method fixtures: pushing an adapter writes into its folder.
fn copied(home: &Home, from: &str, name: &str) {
    let methods = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/methods");
    let folder = home.path(name);
    fs::create_dir_all(&folder).expect("creates the folder");
    for item in fs::read_dir(methods.join(from)).expect("lists the fixture") {
        let item = item.expect("an entry");
        fs::copy(item.path(), folder.join(item.file_name())).expect("copies");
    }
}

/// The logits that the library computes in a case of the method fixtures.
fn expected(case: &str) -> Vec<f64> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/methods/cases").join(case);
    let bytes = fs::read(path.join("expected.safetensors")).expect("reads");
    let tensors = SafeTensors::deserialize(&bytes).expect("parses");
    let logits = tensors.tensor("logits").expect("logits");
    let number = |bytes: &[u8]| f64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    logits.data().chunks_exact(8).map(number).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_brings_layer_and_norm_of_its_pooler_is_published_and_computes_the_same() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    for base in ["modernbert-tagger-biased", "modernbert-reader-biased", "modernbert-mean"] {
        let case = format!("class-{base}");
        let home = Home::logged_in(&hub.url(), ada.token()).await;
        copied(&home, &format!("bases/{base}"), "base");
        copied(&home, &format!("cases/{case}/adapter"), "adapter");
        let name = format!("ada/{case}");
        let push = ["push", "adapter", "--as", &name, "--base", "base", "--base-id", "tests/modernbert"];
        home.hub(&[&push[..], &["--task", "moods", "--license", "MIT"]].concat()).await.expect_code(0);

        let reader = Home::new(&hub.url());
        copied(&reader, &format!("bases/{base}"), "base");
        let pull = ["pull", &name, "--base", "base", "--format", "json"];
        let pulled = reader.hub(&pull).await.expect_code(0).json();
        let folder = Path::new(pulled["folder"].as_str().expect("a path"));
        let inputs =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/methods/inputs/decoder.safetensors");
        let found = interop::hub_forward_on(&inputs, &reader.path("base"), Some(folder)).expect("runs");
        let (_, logits) = &found["logits"];
        let expected = expected(&case);
        assert_eq!(logits.len(), expected.len(), "{case}");
        let off = logits.iter().zip(&expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
        assert!(off <= 1e-4, "{case} is off by {off:e}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_with_the_whole_model_is_published_as_the_head_alone_and_computes_the_same() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let home = Home::logged_in(&hub.url(), ada.token()).await;
    copied(&home, "bases/whisper-weighted", "base");
    copied(&home, "cases/whole-whisper-weighted/adapter", "adapter");
    let push = ["--as", "ada/whole", "--base", "base", "--base-id", "tests/whisper", "--task", "moods"];
    let push = |folder| [&["push", folder], &push[..], &["--license", "MIT"]].concat();
    let refused = home.hub(&push("adapter")).await.expect_code(1);
    assert!(refused.stderr.contains("holds the whole model and not only the head"), "{}", refused.stderr);
    assert!(refused.stderr.contains("`hub convert --base DIR`"), "{}", refused.stderr);

    let convert = ["convert", "adapter", "--base", "base", "--to", "peft", "--out", "alone"];
    home.hub(&convert).await.expect_code(0);
    home.hub(&push("alone")).await.expect_code(0);

    let reader = Home::new(&hub.url());
    copied(&reader, "bases/whisper-weighted", "base");
    let pull = ["pull", "ada/whole", "--base", "base", "--format", "json"];
    let pulled = reader.hub(&pull).await.expect_code(0).json();
    let folder = Path::new(pulled["folder"].as_str().expect("a path"));
    let inputs = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/methods/inputs/recordings.safetensors");
    let found = interop::hub_forward_on(&inputs, &reader.path("base"), Some(folder)).expect("runs");
    let (_, logits) = &found["logits"];
    let expected = expected("whole-whisper-weighted");
    assert_eq!(logits.len(), expected.len());
    let off = logits.iter().zip(&expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
    assert!(off <= 1e-4, "off by {off:e}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_with_a_changed_model_is_neither_run_nor_converted() {
    let home = Home::new("http://127.0.0.1:9");
    copied(&home, "bases/whisper-weighted", "base");
    copied(&home, "cases/whole-whisper-weighted/adapter", "adapter");
    let file = home.path("adapter").join("model_head.safetensors");
    let mut bytes = fs::read(&file).expect("reads");
    let (header, metadata) = SafeTensors::read_metadata(&bytes).expect("parses");
    let at = 8 + header + metadata.tensors()["encoder.layers.0.fc1.weight"].data_offsets.0;
    bytes[at] ^= 1;
    fs::write(&file, bytes).expect("writes");
    let inputs = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/methods/inputs/recordings.safetensors");
    let inputs = inputs.to_str().expect("text");
    let forward =
        ["forward", "--base", "base", "--adapter", "adapter", "--inputs", inputs, "--outputs", "out"];
    let convert = ["convert", "adapter", "--base", "base", "--to", "peft", "--out", "alone"];
    for arguments in [&forward[..], &convert[..]] {
        let said = home.hub(arguments).await.expect_code(1);
        assert!(said.stderr.contains("its `encoder.layers.0.fc1.weight` is not that of"), "{}", said.stderr);
    }
    assert!(!home.path("alone").exists());
}
