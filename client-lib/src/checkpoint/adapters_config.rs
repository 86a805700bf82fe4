//! The configuration files of AdapterHub's `adapters` library.

use std::path::Path;

use hub_schemas::{
    backbone::{Architecture, LinearSite},
    head::Head,
    layout::{ADAPTERS_WEIGHTS, Format, HEAD_CONFIG},
    method::{Activation, BottleneckConfig, InitScheme, InnerResidual, LoraConfig, Method},
};
use serde_json::{Map, Value, json};

use super::{CheckpointError, TensorFile, fields::Fields, folder::Parsed, heads};

/// Version whose rules our files follow.
const WRITTEN_AS: &str = "adapters.1.1.1";

pub(super) fn parse(dir: &Path, path: &Path, json: Map<String, Value>) -> Result<Parsed, CheckpointError> {
    let mut fields = Fields::new(path, json);
    let common = Common::take(&mut fields)?;
    let config = fields
        .object("config")?
        .ok_or_else(|| fields.wrong("config", "is missing; it holds the adapter's method"))?;
    let method = parse_method(path, config, &common)?;
    let weights = TensorFile::open(&dir.join(ADAPTERS_WEIGHTS))?;
    let prefix = format!("{}.", common.architecture.model_prefix());
    let prefixed = weights.header.tensors.keys().any(|name| name.starts_with(&prefix));
    let parsed = if dir.join(HEAD_CONFIG).is_file() { Some(heads::parse(dir)?) } else { None };
    if let Some(name) = parsed.as_ref().and_then(|parsed| parsed.name.as_ref()).filter(|&n| *n != common.name)
    {
        let reason = format!("is `{name}` here and `{}` in adapter_config.json", common.name);
        return Err(Fields::new(&dir.join(HEAD_CONFIG), Map::new()).wrong("name", reason));
    }
    let (head, labels, head_class) =
        parsed.map_or((None, Vec::new(), None), |parsed| (Some(parsed.head), parsed.labels, parsed.class));
    Ok(Parsed {
        format: Format::Adapters,
        method,
        head,
        labels,
        name: common.name,
        head_class,
        prefixed,
        base_hint: common.base_hint,
        architecture: common.architecture,
    })
}

/// What every configuration file of the library states.
pub(super) struct Common {
    pub(super) name: String,
    pub(super) architecture: Architecture,
    pub(super) base_hint: Option<String>,
    version: Option<String>,
}

impl Common {
    pub(super) fn take(fields: &mut Fields) -> Result<Self, CheckpointError> {
        let name = fields.text("name")?.ok_or_else(|| fields.wrong("name", "is missing"))?;
        // The name becomes part of tensor names; the library itself refuses a dot.
        if name.is_empty() || name.contains('.') {
            return Err(fields.wrong("name", format!("is `{name}`; it can't be empty or contain a dot")));
        }
        let model_type = fields.text("model_type")?.unwrap_or_default();
        let architecture =
            model_type.parse().map_err(|e| fields.wrong("model_type", format!("can't be used: {e}")))?;
        Ok(Self {
            name,
            architecture,
            base_hint: fields.text("model_name")?,
            version: fields.text("version")?,
        })
    }

    /// Files of the first library generation, without a version, write `gelu` for
    /// the tanh approximation and `gelu_orig` for the exact function.
    fn activation(&self, fields: &Fields, field: &str, name: &str) -> Result<Activation, CheckpointError> {
        let name = match (self.version.is_none(), name) {
            (true, "gelu") => "gelu_new",
            (true, "gelu_orig") => "gelu",
            (_, name) => name,
        };
        name.parse().map_err(|e| fields.wrong(field, format!("can't be used: {e}")))
    }

    /// `adapters` before 1.1.0 ignored alpha.
    fn ignores_alpha(&self) -> bool {
        let Some(version) = self.version.as_deref().and_then(|v| v.strip_prefix("adapters.")) else {
            return false;
        };
        let mut parts = version.split('.').map_while(|p| p.parse::<u64>().ok());
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) < (1, 1)
    }
}

fn parse_method(path: &Path, config: Map<String, Value>, common: &Common) -> Result<Method, CheckpointError> {
    let mut fields = Fields::new(path, config);
    match fields.text("architecture")?.as_deref() {
        None => Ok(Method::Bottleneck(parse_bottleneck(fields, common)?)),
        Some("lora") => Ok(Method::Lora(parse_lora(fields, common)?)),
        Some(other) => {
            let reason = format!("is `{other}`; this version reads bottlenecks (no architecture) and `lora`");
            Err(fields.wrong("config.architecture", reason))
        }
    }
}

fn parse_bottleneck(mut fields: Fields, common: &Common) -> Result<BottleneckConfig, CheckpointError> {
    let needed = |fields: &Fields, field: &str| fields.wrong(field, "is missing");
    for (field, value) in [("is_parallel", json!(false)), ("phm_layer", json!(false))] {
        fields.only(field, &value)?;
    }
    fields.ignore(&[
        "cross_adapter",
        "init_weights_seed",
        "phm_dim",
        "factorized_phm_W",
        "shared_W_phm",
        "shared_phm_rule",
        "factorized_phm_rule",
        "phm_c_init",
        "phm_init_range",
        "learn_phm",
        "hypercomplex_nonlinearity",
        "phm_rank",
        "phm_bias",
        "inv_adapter_reduction_factor",
        "stochastic_depth",
    ]);
    let flag = |fields: &mut Fields, field: &str| -> Result<bool, CheckpointError> {
        match fields.take(field) {
            Some(Value::Bool(value)) => Ok(value),
            _ => Err(needed(fields, field)),
        }
    };
    let (mh_adapter, output_adapter) =
        (flag(&mut fields, "mh_adapter")?, flag(&mut fields, "output_adapter")?);
    let reduction_factor =
        fields.number("reduction_factor")?.ok_or_else(|| needed(&fields, "reduction_factor"))?;
    let activation = fields.text("non_linearity")?.ok_or_else(|| needed(&fields, "non_linearity"))?;
    let init_weights = match fields.text("init_weights")?.as_deref() {
        None | Some("bert") => InitScheme::Bert,
        Some("mam_adapter") => InitScheme::MamAdapter,
        Some("houlsby") => InitScheme::Houlsby,
        Some(other) => {
            return Err(
                fields.wrong("init_weights", format!("is `{other}`, which this version does not know"))
            );
        }
    };
    let residual_before_ln = match fields.take("residual_before_ln") {
        None => InnerResidual::SubLayerOutput,
        Some(value) => {
            serde_json::from_value(value).map_err(|e| fields.wrong("residual_before_ln", e.to_string()))?
        }
    };
    let config = BottleneckConfig {
        mh_adapter,
        output_adapter,
        reduction_factor,
        non_linearity: common.activation(&fields, "non_linearity", &activation)?,
        original_ln_before: fields.bool_or("original_ln_before", false)?,
        original_ln_after: fields.bool_or("original_ln_after", true)?,
        ln_before: fields.bool_or("ln_before", false)?,
        ln_after: fields.bool_or("ln_after", false)?,
        residual_before_ln,
        adapter_residual_before_ln: fields.bool_or("adapter_residual_before_ln", false)?,
        init_weights,
        scaling: fields.number("scaling")?.unwrap_or(1.0),
        use_gating: fields.bool_or("use_gating", false)?,
        dropout: fields.number("dropout")?.unwrap_or(0.0),
        leave_out: fields.counts("leave_out")?.unwrap_or_default(),
    };
    fields.finish()?;
    Ok(config)
}

fn parse_lora(mut fields: Fields, common: &Common) -> Result<LoraConfig, CheckpointError> {
    fields.only("composition_mode", &json!("add"))?;
    fields.only("use_gating", &json!(false))?;
    fields.only("use_dora", &json!(false))?;
    fields.only("leave_out", &json!([]))?;
    fields.ignore(&["init_weights", "init_weights_seed", "dtype"]);
    let r = fields.count("r")?.unwrap_or(8);
    let alpha = fields.number("alpha")?.unwrap_or(8.0);
    let mut targets = Vec::new();
    let attention = fields.bool_or("selfattn_lora", true)?;
    for matrix in fields.texts("attn_matrices")?.unwrap_or_else(|| vec!["q".into(), "v".into()]) {
        let site = match matrix.as_str() {
            "q" => LinearSite::Query,
            "k" => LinearSite::Key,
            "v" => LinearSite::Value,
            other => {
                return Err(
                    fields.wrong("attn_matrices", format!("names `{other}`; q, k and v are supported"))
                );
            }
        };
        if attention {
            targets.push(site);
        }
    }
    if fields.bool_or("intermediate_lora", false)? {
        targets.push(LinearSite::FfnUp);
    }
    if fields.bool_or("output_lora", false)? {
        targets.push(LinearSite::FfnDown);
    }
    let lora_dropout = fields.number("dropout")?.unwrap_or(0.0);
    fields.finish()?;
    let lora_alpha = if common.ignores_alpha() { r as f64 } else { alpha };
    Ok(LoraConfig { r, lora_alpha, lora_dropout, use_rslora: false, targets, layers: None })
}

/// What stands around every configuration the library writes.
pub(super) struct Envelope<'a> {
    pub(super) architecture: Architecture,
    pub(super) hidden_size: usize,
    pub(super) base: &'a str,
    pub(super) name: &'a str,
}

impl Envelope<'_> {
    fn around(&self, config: &Value) -> Value {
        json!({
            "config": config,
            "hidden_size": self.hidden_size,
            "model_class": self.architecture.flexible_class(),
            "model_name": self.base,
            "model_type": self.architecture.model_type(),
            "name": self.name,
            "version": WRITTEN_AS,
        })
    }

    /// `adapter_config.json`; `None` for a method that has no adapter.
    pub(super) fn adapter(&self, method: &Method) -> Option<Value> {
        let config = match method {
            Method::Bottleneck(config) => bottleneck_json(config),
            Method::Lora(config) => lora_json(config),
            Method::LastLayer => return None,
        };
        Some(self.around(&config))
    }

    /// `head_config.json`.
    pub(super) fn head(&self, head: &Head, labels: &[String]) -> Value {
        self.around(&heads::render(head, labels))
    }
}

fn bottleneck_json(config: &BottleneckConfig) -> Value {
    json!({
        "adapter_residual_before_ln": config.adapter_residual_before_ln,
        "cross_adapter": false,
        "dropout": config.dropout,
        "init_weights": config.init_weights,
        "inv_adapter": null,
        "inv_adapter_reduction_factor": null,
        "is_parallel": false,
        "leave_out": config.leave_out,
        "ln_after": config.ln_after,
        "ln_before": config.ln_before,
        "mh_adapter": config.mh_adapter,
        "non_linearity": config.non_linearity.as_str(),
        "original_ln_after": config.original_ln_after,
        "original_ln_before": config.original_ln_before,
        "output_adapter": config.output_adapter,
        "phm_layer": false,
        "reduction_factor": config.reduction_factor,
        "residual_before_ln": config.residual_before_ln,
        "scaling": config.scaling,
        "use_gating": config.use_gating,
    })
}

fn lora_json(config: &LoraConfig) -> Value {
    let matrices: Vec<&str> = [(LinearSite::Query, "q"), (LinearSite::Key, "k"), (LinearSite::Value, "v")]
        .into_iter()
        .filter(|(site, _)| config.targets.contains(site))
        .map(|(_, name)| name)
        .collect();
    json!({
        "alpha": if config.lora_alpha.fract() == 0.0 { json!(config.lora_alpha as i64) } else { json!(config.lora_alpha) },
        "architecture": "lora",
        "attn_matrices": matrices,
        "composition_mode": "add",
        "dropout": config.lora_dropout,
        "init_weights": "lora",
        "intermediate_lora": config.targets.contains(&LinearSite::FfnUp),
        "leave_out": [],
        "output_lora": config.targets.contains(&LinearSite::FfnDown),
        "r": config.r,
        "selfattn_lora": !matrices.is_empty(),
        "use_gating": false,
    })
}
