//! What a row gives does not depend on the rows beside it, nor on the padding that fills it up: on every backbone
//! of the fixtures that reads tokens.

use std::{fs, path::Path};

use candle_core::{DType, Device, Result, Tensor};
use hub_client::{
    backbones::{Backbone, Batch, DecoderInputs, HeadInputs, NoHooks},
    model::Mode,
    tensors::{read_batch, view_of},
};
use hub_formats::checkpoint::BaseFolder;
use serde_json::Value;

/// The largest difference in single precision.
const BAR: f64 = 1e-5;

/// Where the tokens of a row are.
fn tokens(mask: &Tensor, row: usize) -> Result<(usize, usize)> {
    let mask = mask.get(row)?.to_vec1::<u32>()?;
    let start = mask.iter().position(|&m| m == 1).unwrap_or(0);
    Ok((start, mask.iter().filter(|&&m| m == 1).count()))
}

/// One row without its padding.
fn alone(batch: &Batch, row: usize) -> Result<Batch> {
    let cut = |x: &Tensor, mask: &Tensor| {
        let (start, len) = tokens(mask, row)?;
        x.narrow(0, row, 1)?.narrow(1, start, len)?.contiguous()
    };
    let mask = &batch.attention_mask;
    let decoder = batch.decoder.as_ref().map(|own| {
        let part = |x: &Tensor| cut(x, &own.attention_mask);
        Ok::<_, candle_core::Error>(DecoderInputs {
            input_ids: part(&own.input_ids)?,
            attention_mask: part(&own.attention_mask)?,
        })
    });
    Ok(Batch {
        input_ids: cut(&batch.input_ids, mask)?,
        attention_mask: cut(mask, mask)?,
        is_unmasked: false,
        token_type_ids: batch.token_type_ids.as_ref().map(|types| cut(types, mask)).transpose()?,
        head_inputs: HeadInputs::default(),
        decoder: decoder.transpose()?,
        ..batch.clone()
    })
}

/// The largest difference of any row's states among others and alone.
fn difference(backbone: &Backbone, batch: &Batch) -> Result<f64> {
    let together = backbone.forward(batch, &NoHooks, Mode::Eval)?.state;
    // Behind an encoder the states are the decoder's; where that reads the input, they stand at its tokens.
    let mask = batch.decoder.as_ref().map_or(&batch.attention_mask, |decoder| &decoder.attention_mask);
    let mut worst = 0f64;
    for row in 0..batch.input_ids.dim(0)? {
        let (start, len) = tokens(mask, row)?;
        let own = backbone.forward(&alone(batch, row)?, &NoHooks, Mode::Eval)?.state;
        let beside = together.narrow(0, row, 1)?.narrow(1, start, len)?;
        let gap = (own - beside)?.abs()?.flatten_all()?.max(0)?.to_dtype(DType::F64)?;
        worst = worst.max(gap.to_scalar::<f64>()?);
    }
    Ok(worst)
}

#[test]
fn padding_and_company_change_no_row() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/methods");
    let text = fs::read_to_string(root.join("cases.json")).expect("the list of cases");
    let cases: Value = serde_json::from_str(&text).expect("JSON");
    let cases = cases["cases"].as_array().expect("a list");
    let (mut compared, mut failed) = (0, Vec::new());
    for case in cases.iter().filter(|case| case["family"] == "base") {
        let (name, inputs) =
            (case["base"].as_str().expect("a name"), case["inputs"].as_str().expect("a file"));
        let inputs = root.join(inputs);
        let view = view_of(&inputs).expect("a view");
        let base = BaseFolder::open_as(&root.join("bases").join(name), view).expect("opens");
        let backbone = Backbone::load_with(&base, DType::F32, &Device::Cpu).expect("loads");
        let batch = read_batch(&inputs, base.config(), &Device::Cpu).expect("reads");
        // Images and recordings have no padding, and angles that depend on how many tokens there are depend on company too.
        if batch.signal.is_some() || base.config().positions.depend_on_company() {
            continue;
        }
        compared += 1;
        match difference(&backbone, &batch) {
            Ok(worst) if worst <= BAR => {}
            Ok(worst) => failed.push(format!("{name}: {worst:e}")),
            Err(error) => failed.push(format!("{name}: {error}")),
        }
    }
    assert!(compared > 50, "{compared} backbones");
    assert!(failed.is_empty(), "{} of {compared} fail:\n{}", failed.len(), failed.join("\n"));
}
