//! Adapters on layers behind the blocks, which no library composes: every member computes there what it computes alone.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use hub_client::{
    backbones::Backbone,
    model::{Mode, ModelError, StitchedModel},
    tensors::read_batch,
};
use hub_formats::checkpoint::{AdapterFolder, BaseFolder};

/// All linear layers, the classifier's too; queries and the classifier.
const MEMBERS: [(&str, &str); 2] =
    [("a", "peft-bert-classifier-every-linear/adapter"), ("b", "peft-bert-classifier-head-lokr/adapter")];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/methods")
}

fn composed(base: &str, members: &[(&str, &str)], expression: &str) -> Result<StitchedModel> {
    let base = BaseFolder::open(&root().join("bases").join(base))?;
    let backbone = Arc::new(Backbone::load_with(&base, DType::F64, &Device::Cpu)?);
    let open = |(name, folder): &(&str, &str)| {
        Ok(((*name).to_owned(), AdapterFolder::open(&root().join("cases").join(folder))?))
    };
    let folders: Vec<(String, AdapterFolder)> = members.iter().map(open).collect::<Result<_>>()?;
    let named: Vec<(String, &AdapterFolder)> = folders.iter().map(|(n, f)| (n.clone(), f)).collect();
    Ok(StitchedModel::compose(backbone, &named, &[], &expression.parse()?)?)
}

/// Scores `[b, 3]` of the fixtures' three texts.
fn scores(expression: &str) -> Result<Tensor> {
    let base = BaseFolder::open(&root().join("bases/bert-classifier"))?;
    let batch = read_batch(&root().join("inputs/bert.safetensors"), base.config(), &Device::Cpu)?;
    let output = composed("bert-classifier", &MEMBERS, expression)?.forward(&batch, Mode::Eval)?;
    output.logits().cloned().context("the base model has a classifier")
}

fn are_equal(a: &Tensor, b: &Tensor) -> Result<()> {
    ensure!(a.dims() == b.dims(), "{:?} and {:?}", a.dims(), b.dims());
    let apart = (a - b)?.abs()?.flatten_all()?.max(0)?.to_scalar::<f64>()?;
    ensure!(apart < 1e-12, "{apart:e} apart");
    Ok(())
}

#[test]
fn members_in_parallel_adapt_the_classifier_for_their_own_rows() -> Result<()> {
    let (a, b) = (scores("a")?, scores("b")?);
    are_equal(&scores("Parallel(a, b)")?, &Tensor::cat(&[&a, &b], 0)?)?;
    let mixed = Tensor::cat(&[a.narrow(0, 0, 1)?, b.narrow(0, 1, 2)?], 0)?;
    are_equal(&scores("BatchSplit(a, b, batch_sizes=[1, 2])")?, &mixed)
}

#[test]
fn a_classifier_that_another_adapter_brings_is_not_the_one_that_was_adapted() -> Result<()> {
    let members = [MEMBERS[0], ("b", "class-bert-classifier-batch/a")];
    let error = composed("bert-classifier", &members, "Stack(a, b)").err().context("is refused")?;
    match error.downcast_ref::<ModelError>() {
        Some(ModelError::HeadModule { .. }) => Ok(()),
        _ => anyhow::bail!("{error}"),
    }
}
