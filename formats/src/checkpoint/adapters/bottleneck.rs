//! `BnConfig`: bottlenecks of every kind.

use hub_schemas::method::{
    Activation, BottleneckConfig, InitScheme, InnerResidual, Invertible, PhmConfig, PhmInit, ReductionFactor,
    Scaling,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Reading;
use crate::checkpoint::{CheckpointError, fields::Fields};

pub(super) fn parse(reading: &Reading<'_>, mut fields: Fields) -> Result<BottleneckConfig, CheckpointError> {
    // Both only say how fresh weights are drawn, before they are overwritten by a file's. The library draws
    // hypercomplex ones in the same way whatever the second says (`init_W` in `methods/modeling.py` of 1.3.0 asks
    // whether it says anything); `read_method` refuses the first where it would matter, in training.
    fields.ignore(&["init_weights_seed", "hypercomplex_nonlinearity"]);
    let (mh_adapter, output_adapter) =
        (flag(&mut fields, "mh_adapter")?, flag(&mut fields, "output_adapter")?);
    let reduction_factor: ReductionFactor = typed(&mut fields, "reduction_factor")?
        .ok_or_else(|| fields.wrong("reduction_factor", "is missing"))?;
    let activation =
        fields.text("non_linearity")?.ok_or_else(|| fields.wrong("non_linearity", "is missing"))?;
    let phm = parse_phm(&mut fields)?;
    let invertible = parse_invertible(&mut fields)?;
    if invertible.is_some() {
        reading.plugged.check_embeddings()?;
    }
    let config = BottleneckConfig {
        mh_adapter,
        output_adapter,
        cross_adapter: fields.bool_or("cross_adapter", false)?,
        reduction_factor,
        non_linearity: match activation.as_str() {
            "prelu" => Activation::Prelu,
            other => reading.activation(&fields, "non_linearity", other)?,
        },
        original_ln_before: fields.bool_or("original_ln_before", false)?,
        original_ln_after: fields.bool_or("original_ln_after", true)?,
        ln_before: fields.bool_or("ln_before", false)?,
        ln_after: fields.bool_or("ln_after", false)?,
        residual_before_ln: typed(&mut fields, "residual_before_ln")?
            .unwrap_or(InnerResidual::SubLayerOutput),
        adapter_residual_before_ln: fields.bool_or("adapter_residual_before_ln", false)?,
        init_weights: typed(&mut fields, "init_weights")?.unwrap_or(InitScheme::Bert),
        is_parallel: fields.bool_or("is_parallel", false)?,
        scaling: typed(&mut fields, "scaling")?.unwrap_or(Scaling::Fixed(1.0)),
        use_gating: fields.bool_or("use_gating", false)?,
        dropout: fields.number("dropout")?.unwrap_or(0.0),
        stochastic_depth: fields.number("stochastic_depth")?.unwrap_or(0.0),
        leave_out: fields.counts("leave_out")?.unwrap_or_default(),
        invertible,
        phm,
        hooked: reading.plugged.hooked(reading.architecture)?,
    };
    fields.finish()?;
    Ok(config)
}

fn flag(fields: &mut Fields, field: &str) -> Result<bool, CheckpointError> {
    match fields.take(field) {
        Some(Value::Bool(value)) => Ok(value),
        _ => Err(fields.wrong(field, "is missing")),
    }
}

/// A field of one of our own types.
fn typed<T: DeserializeOwned>(fields: &mut Fields, field: &str) -> Result<Option<T>, CheckpointError> {
    match fields.take(field) {
        None => Ok(None),
        Some(value) => {
            serde_json::from_value(value).map(Some).map_err(|e| fields.wrong(field, e.to_string()))
        }
    }
}

/// Two flat keys, or the nested one of older files.
fn parse_invertible(fields: &mut Fields) -> Result<Option<Invertible>, CheckpointError> {
    let mut kind = fields.text("inv_adapter")?;
    let mut factor = fields.number("inv_adapter_reduction_factor")?;
    if let Some(nested) = fields.object("invertible_adapter")? {
        kind = nested.get("block_type").and_then(Value::as_str).map(ToOwned::to_owned);
        factor = nested.get("reduction_factor").and_then(Value::as_f64);
    }
    match kind.as_deref() {
        None => Ok(None),
        Some("nice") => Ok(Some(Invertible { reduction_factor: factor.unwrap_or(2.0) })),
        Some(other) => {
            let reason = format!("is `{other}`; `nice` is supported (the library's `glow` does not run)");
            Err(fields.wrong("inv_adapter", reason))
        }
    }
}

/// The fields are written whether or not they apply.
fn parse_phm(fields: &mut Fields) -> Result<Option<PhmConfig>, CheckpointError> {
    let default = PhmConfig::default();
    let applies = fields.bool_or("phm_layer", false)?;
    let config = PhmConfig {
        phm_dim: fields.count("phm_dim")?.unwrap_or(default.phm_dim),
        phm_rank: fields.count("phm_rank")?.unwrap_or(default.phm_rank),
        phm_bias: fields.bool_or("phm_bias", default.phm_bias)?,
        factorized_w: fields.bool_or("factorized_phm_W", default.factorized_w)?,
        shared_w: fields.bool_or("shared_W_phm", default.shared_w)?,
        shared_phm_rule: fields.bool_or("shared_phm_rule", default.shared_phm_rule)?,
        factorized_phm_rule: fields.bool_or("factorized_phm_rule", default.factorized_phm_rule)?,
        learn_phm: fields.bool_or("learn_phm", default.learn_phm)?,
        phm_c_init: typed(fields, "phm_c_init")?.unwrap_or(PhmInit::Normal),
        phm_init_range: fields.number("phm_init_range")?.unwrap_or(default.phm_init_range),
    };
    Ok(applies.then_some(config))
}

pub(super) fn json(config: &BottleneckConfig) -> Value {
    let mut json = json!({
        "adapter_residual_before_ln": config.adapter_residual_before_ln,
        "cross_adapter": config.cross_adapter,
        "dropout": config.dropout,
        "init_weights": config.init_weights,
        "inv_adapter": config.invertible.map(|_| "nice"),
        "inv_adapter_reduction_factor": config.invertible.map(|i| super::number(i.reduction_factor)),
        "is_parallel": config.is_parallel,
        "leave_out": config.leave_out,
        "ln_after": config.ln_after,
        "ln_before": config.ln_before,
        "mh_adapter": config.mh_adapter,
        "non_linearity": config.non_linearity.as_str(),
        "original_ln_after": config.original_ln_after,
        "original_ln_before": config.original_ln_before,
        "output_adapter": config.output_adapter,
        "phm_layer": config.phm.is_some(),
        "reduction_factor": config.reduction_factor,
        "residual_before_ln": config.residual_before_ln,
        "scaling": config.scaling,
        "use_gating": config.use_gating,
    });
    // Versions before 1.1 do not know the field.
    if config.stochastic_depth > 0.0 {
        json["stochastic_depth"] = json!(config.stochastic_depth);
    }
    if let (Some(Value::Object(phm)), Some(all)) =
        (config.phm.as_ref().and_then(|phm| serde_json::to_value(phm).ok()), json.as_object_mut())
    {
        all.extend(phm);
    }
    json
}
