//! The real MiniLM-L6 against its published sentence embeddings.

use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use hub_client::backbones::{Backbone, Batch, Mode, NoHooks};
use hub_formats::checkpoint::BaseFolder;
use hub_tests::golden::max_difference;

/// `scripts/fetch` puts the pinned checkpoint there.
fn minilm() -> PathBuf {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../.data/minilm");
    assert!(
        folder.join("model.safetensors").is_file(),
        "the MiniLM checkpoint is missing: run scripts/fetch"
    );
    folder
}

/// Mean over tokens, then length one: how this model's embeddings are made.
fn embed(backbone: &Backbone, ids: &[u32]) -> candle_core::Result<Tensor> {
    let batch = Batch::unpadded(Tensor::new(ids, &Device::Cpu)?.unsqueeze(0)?)?;
    let mean = backbone.forward(&batch, &NoHooks, Mode::Eval)?.state.mean(1)?.squeeze(0)?;
    mean.broadcast_div(&mean.sqr()?.sum_all()?.sqrt()?)
}

#[test]
fn its_embeddings_are_the_published_ones() {
    let folder = BaseFolder::open(&minilm()).expect("opens");
    let backbone = Backbone::load(&folder, &Device::Cpu).expect("loads");
    // "This is an example sentence" and "Each sentence is converted"
    let first = embed(&backbone, &[101, 2023, 2003, 2019, 2742, 6251, 102]).expect("embeds");
    let second = embed(&backbone, &[101, 2169, 6251, 2003, 4991, 102]).expect("embeds");
    let start = |t: &Tensor| t.narrow(0, 0, 6).expect("six numbers");
    let published = [0.067_657, 0.063_496, 0.048_713, 0.079_305, 0.037_448, 0.002_653];
    assert!(max_difference(&start(&first), &published).expect("compares") <= 1e-6);
    let published = [0.086_439, 0.102_763, 0.005_395, 0.002_044, -0.009_963, 0.025_386];
    assert!(max_difference(&start(&second), &published).expect("compares") <= 1e-6);
    let cosine =
        (first * second).and_then(|p| p.sum_all()?.to_dtype(DType::F64)?.to_scalar::<f64>()).expect("cosine");
    assert!((cosine - 0.404_559).abs() <= 1e-5, "{cosine}");
}

#[test]
fn its_weights_have_the_digest_that_published_adapters_name() {
    let model = BaseFolder::open(&minilm()).expect("opens").model(None).expect("reads");
    assert_eq!((model.shape.hidden_size, model.shape.num_layers, model.shape.num_heads), (384, 6, 12));
    insta::assert_snapshot!(model.weights_digest, @"sha256:f6025f319d1672a73d8d5fb23f4435de00c38cdc4334cbec6178f727de97cc64");
}
