//! `LoRAConfig` and what the library builds on it: (IA)³, `VeRA`, `DoRA`.

use hub_schemas::{
    backbone::{Architecture, LinearSite, Module, Targets},
    method::{Dora, Ia3Config, LoraConfig, LoraInit, Method, MultiTaskLora, VeraConfig, VeraScaling},
};
use serde_json::{Map, Value, json};

use super::Reading;
use crate::checkpoint::{CheckpointError, fields::Fields};

/// The only matrix of a task that `adapters` 1.3.0 can build.
const SINGULAR_VALUES: &str = "singular_values";

pub(super) fn parse(reading: &Reading<'_>, mut fields: Fields) -> Result<Method, CheckpointError> {
    fields.ignore(&["init_weights_seed", "dtype"]);
    let mode = fields.text("composition_mode")?.unwrap_or_else(|| "add".to_owned());
    let r = fields.count("r")?.unwrap_or(8);
    let alpha = fields.number("alpha")?.unwrap_or(8.0);
    let alpha = if reading.ignores_alpha() { r as f64 } else { alpha };
    let dropout = fields.number("dropout")?.unwrap_or(0.0);
    let use_gating = fields.bool_or("use_gating", false)?;
    let dora = fields.bool_or("use_dora", false)?.then_some(Dora::Unscaled);
    let init = fields.text("init_weights")?.unwrap_or_default();
    let vera = fields.number("vera_d")?.zip(fields.number("vera_b")?);
    let (targets, fused) = parse_targets(reading, &mut fields)?;
    if !fused.is_empty() && (dora.is_some() || vera.is_some()) {
        let reason =
            "adapts queries, keys and values in one matrix, where the library has no DoRA and no VeRA";
        return Err(fields.wrong("attn_matrices", reason));
    }
    let method = match (mode.as_str(), vera) {
        ("add", None) => Method::Lora(LoraConfig {
            lora_dropout: dropout,
            dora,
            use_gating,
            init: if init == "bert" { LoraInit::Bert } else { LoraInit::Lora },
            fused,
            ..LoraConfig::on(r, alpha, targets)
        }),
        ("add", Some((d_initial, b_initial))) => {
            let (scaling, alpha) = (VeraScaling::Matrix, Some(alpha));
            let config =
                VeraConfig { r, targets, d_initial, b_initial, dropout, scaling, alpha, dora, use_gating };
            Method::Vera(config)
        }
        ("scale", None) if r == 1 && dora.is_none() => {
            Method::Ia3(Ia3Config { outputs: targets, inputs: Targets::default(), use_gating, alpha, fused })
        }
        (other, _) => {
            let reason = format!("is `{other}` with r {r}; `add`, or `scale` with r 1, can be used");
            return Err(fields.wrong("composition_mode", reason));
        }
    };
    fields.finish()?;
    Ok(method)
}

/// `MTLLoRAConfig`: the fields of a LoRA and three of its own.
pub(super) fn parse_multi_task(reading: &Reading<'_>, mut fields: Fields) -> Result<Method, CheckpointError> {
    let up_projections = fields.count("n_up_projection")?.unwrap_or(1);
    let sharpness = fields.number("weights_sharpness")?.unwrap_or(0.05);
    let kind = fields.text("task_specific_matrix_type")?.unwrap_or_else(|| SINGULAR_VALUES.to_owned());
    if kind != SINGULAR_VALUES {
        let reason =
            format!("is `{kind}`, which the library itself can't build; `{SINGULAR_VALUES}` is read");
        return Err(fields.wrong("task_specific_matrix_type", reason));
    }
    let wrong = fields.wrong("composition_mode", "makes it no LoRA; only plain ones have tasks");
    match parse(reading, fields)? {
        Method::Lora(config) => {
            let multi_task = Some(MultiTaskLora { up_projections, sharpness });
            Ok(Method::Lora(LoraConfig { multi_task, ..config }))
        }
        _ => Err(wrong),
    }
}

/// The adapted modules, and which parts of them where one projects queries, keys and values.
fn parse_targets(
    reading: &Reading<'_>,
    fields: &mut Fields,
) -> Result<(Targets, Vec<LinearSite>), CheckpointError> {
    let leave_out = fields.counts("leave_out")?.unwrap_or_default();
    let attention = fields.bool_or("selfattn_lora", true)?;
    let is_fused = reading.architecture.has(Module::Linear { layer: 0, site: LinearSite::QueryKeyValue });
    let mut sites = Vec::new();
    for matrix in fields.texts("attn_matrices")?.unwrap_or_else(|| vec!["q".into(), "v".into()]) {
        let site = match matrix.as_str() {
            "q" => LinearSite::Query,
            "k" => LinearSite::Key,
            "v" => LinearSite::Value,
            // The library takes any word, and has layers for these three; of a fused one it counts them all.
            other if is_fused => {
                let reason = format!("names `{other}`; q, k and v are supported");
                return Err(fields.wrong("attn_matrices", reason));
            }
            _ => continue,
        };
        if attention {
            sites.push(site);
        }
    }
    if !sites.is_empty() {
        reading.plugged.check_attention()?;
    }
    let mut fused = Vec::new();
    if is_fused && !sites.is_empty() {
        fused = std::mem::replace(&mut sites, vec![LinearSite::QueryKeyValue]);
        fused.sort_unstable();
        fused.dedup();
    }
    let [intermediate, output] = reading.plugged.ffn_sites(reading.architecture)?;
    if fields.bool_or("intermediate_lora", false)? {
        sites.push(intermediate);
    }
    if fields.bool_or("output_lora", false)? {
        sites.push(output);
    }
    let (num_layers, variant) = reading.blocks;
    let targets = (0..num_layers).filter(|layer| !leave_out.contains(layer)).flat_map(|layer| {
        // One switch for both attentions of a decoder's block.
        let cross = sites.iter().filter(|_| variant.is_decoder(layer)).filter_map(|site| site.cross());
        let sites: Vec<LinearSite> = sites.iter().copied().chain(cross).collect();
        sites.into_iter().map(move |site| Module::Linear { layer, site })
    });
    Ok((targets.collect(), fused))
}

/// What all three have.
fn common(
    architecture: Architecture,
    targets: &Targets,
    fused: &[LinearSite],
    num_layers: usize,
) -> Map<String, Value> {
    let [intermediate, output] = architecture.adapters_ffn_sites();
    let is_at = |site| targets.iter().any(|m| matches!(m, Module::Linear { site: s, .. } if s == site));
    let at = |site| is_at(site) || fused.contains(&site);
    let matrices: Vec<&str> = [(LinearSite::Query, "q"), (LinearSite::Key, "k"), (LinearSite::Value, "v")]
        .into_iter()
        .filter(|(site, _)| at(*site))
        .map(|(_, name)| name)
        .collect();
    let left_out: Vec<usize> =
        (0..num_layers).filter(|&layer| !targets.iter().any(|m| m.layer() == Some(layer))).collect();
    let mut json = Map::new();
    json.insert("architecture".into(), json!("lora"));
    json.insert("selfattn_lora".into(), json!(!matrices.is_empty()));
    json.insert("attn_matrices".into(), json!(matrices));
    json.insert("intermediate_lora".into(), json!(at(intermediate)));
    json.insert("output_lora".into(), json!(at(output)));
    json.insert("leave_out".into(), json!(left_out));
    json
}

fn with(mut json: Map<String, Value>, fields: Value) -> Value {
    if let Value::Object(fields) = fields {
        json.extend(fields);
    }
    Value::Object(json)
}

pub(super) fn lora(architecture: Architecture, config: &LoraConfig, num_layers: usize) -> Value {
    let mut fields = json!({
        "alpha": super::number(config.lora_alpha),
        "composition_mode": "add",
        "dropout": config.lora_dropout,
        "init_weights": if config.init == LoraInit::Bert { "bert" } else { "lora" },
        "r": config.r,
        "use_gating": config.use_gating,
    });
    // Versions before 1.3 do not know the field.
    if config.dora.is_some() {
        fields["use_dora"] = json!(true);
    }
    let mut common = common(architecture, &config.targets, &config.fused, num_layers);
    if let Some(multi_task) = config.multi_task {
        common.insert("architecture".into(), json!("mtl_lora"));
        fields["n_up_projection"] = json!(multi_task.up_projections);
        fields["task_specific_matrix_type"] = json!(SINGULAR_VALUES);
        fields["weights_sharpness"] = json!(multi_task.sharpness);
    }
    with(common, fields)
}

pub(super) fn ia3(architecture: Architecture, config: &Ia3Config, num_layers: usize) -> Value {
    let fields = json!({
        "alpha": super::number(config.alpha),
        "composition_mode": "scale",
        "dropout": 0.0,
        "init_weights": "ia3",
        "r": 1,
        "use_gating": config.use_gating,
    });
    with(common(architecture, &config.outputs, &config.fused, num_layers), fields)
}

pub(super) fn vera(architecture: Architecture, config: &VeraConfig, num_layers: usize) -> Value {
    let fields = json!({
        "alpha": super::number(config.alpha.unwrap_or(config.r as f64)),
        "composition_mode": "add",
        "dropout": config.dropout,
        "init_weights": "vera",
        "r": config.r,
        "use_dora": config.dora.is_some(),
        "use_gating": config.use_gating,
        "vera_b": config.b_initial,
        "vera_d": config.d_initial,
    });
    with(common(architecture, &config.targets, &[], num_layers), fields)
}
