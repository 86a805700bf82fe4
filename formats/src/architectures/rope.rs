//! How a `config.json` writes down rotary positions. `transformers` up to 4 has `rope_theta` and `rope_scaling` beside each
//! other; from 5 on both stand in `rope_parameters`, of ModernBERT for each kind of layers apart.

use serde_json::{Map, Value};

use super::{ConfigError, Rope, RopeScaling, Yarn, flag, keys, only, optional, optional_number, shown};

/// Parameters that are read, or that the library reads of other kinds than theirs.
const KNOWN: [&str; 15] = [
    "attention_factor",
    "beta_fast",
    "beta_slow",
    "factor",
    // Whether a model was trained behind the change.
    "finetuned",
    "high_freq_factor",
    "low_freq_factor",
    "mscale",
    "mscale_all_dim",
    "original_max_position_embeddings",
    "partial_rotary_factor",
    "rope_theta",
    "rope_type",
    "truncate",
    "type",
];

/// Base and scaling, the same in every layer. Where both forms stand, they must say the same: either version of the
/// library would leave out the other's.
pub(super) fn rope(json: &Map<String, Value>, max_positions: usize) -> Result<Rope, ConfigError> {
    whole_heads(json)?;
    let forms = [object(json, "rope_scaling")?, object(json, "rope_parameters")?];
    for parameters in forms.into_iter().flatten() {
        check(parameters)?;
    }
    let [older, newer] = forms;
    let own = json.get("rope_theta").filter(|value| !value.is_null());
    let bases = [own, older.and_then(|p| p.get("rope_theta")), newer.and_then(|p| p.get("rope_theta"))];
    let bases: Vec<f64> =
        bases.into_iter().flatten().map(|base| positive("rope_theta", base)).collect::<Result<_, _>>()?;
    let older = older.map(|parameters| scaling(parameters, "rope_scaling", max_positions)).transpose()?;
    let newer = newer.map(|parameters| scaling(parameters, "rope_parameters", max_positions)).transpose()?;
    let both_agree = older.zip(newer).is_none_or(|(older, newer)| older == newer);
    if !both_agree || bases.windows(2).any(|pair| differ(pair[0], pair[1])) {
        return Err(contradiction(json));
    }
    let scaling = newer.or(older).unwrap_or(RopeScaling::None);
    same_context(json, scaling)?;
    Ok(Rope { theta: bases.first().copied().unwrap_or(10_000.0), scaling })
}

/// The base that `rope_parameters` states for a kind of layers, or the older key that means them. A base that `rope_scaling`
/// or another kind of positions would change is refused.
pub(super) fn base_of_kind(
    json: &Map<String, Value>,
    kind: &str,
    older: &'static str,
) -> Result<Option<f64>, ConfigError> {
    let of_old = json.get(older).filter(|value| !value.is_null()).map(|base| positive(older, base));
    let of_old = of_old.transpose()?;
    let Some(kinds) = object(json, "rope_parameters")? else { return Ok(of_old) };
    let wrong = |expected| {
        let found = shown(json.get("rope_parameters"));
        Err(ConfigError::Field { key: "rope_parameters", found, expected })
    };
    if kinds.keys().any(|key| key != "full_attention" && key != "sliding_attention") {
        return wrong("it must name `full_attention` and `sliding_attention`, and nothing else");
    }
    let parameters = match kinds.get(kind) {
        None | Some(Value::Null) => return Ok(of_old),
        Some(Value::Object(parameters)) => parameters,
        Some(_) => return wrong("it must hold the parameters of each kind of layers"),
    };
    check(parameters)?;
    if !matches!(kind_of(parameters)?, None | Some("default")) {
        return wrong("`default` is supported here");
    }
    let of_new = parameters.get("rope_theta").map(|base| positive("rope_theta", base)).transpose()?;
    match (of_old, of_new) {
        (Some(old), Some(new)) if differ(old, new) => Err(contradiction(json)),
        _ => Ok(of_new.or(of_old)),
    }
}

/// An object that may be left out.
fn object<'a>(
    json: &'a Map<String, Value>,
    key: &'static str,
) -> Result<Option<&'a Map<String, Value>>, ConfigError> {
    optional(json, key, Value::as_object, "it must be an object with `rope_type`")
}

/// Refuses parameters that are not implemented.
fn check(parameters: &Map<String, Value>) -> Result<(), ConfigError> {
    whole_heads(parameters)?;
    if let Some((_, nested)) = parameters.iter().find(|(_, value)| value.is_object()) {
        return Err(ConfigError::Field {
            key: "rope_parameters",
            found: shown(Some(nested)),
            expected: "every layer must have the same rotary positions",
        });
    }
    let named = parameters.iter().filter(|(key, value)| !KNOWN.contains(&key.as_str()) && !value.is_null());
    keys::refuse(&named.map(|(key, value)| (key.as_str(), value)).collect::<Vec<_>>())
}

/// Refuses heads of which only a part is turned.
fn whole_heads(json: &Map<String, Value>) -> Result<(), ConfigError> {
    // 1 and 1.0 are not the same JSON.
    match json.get("partial_rotary_factor") {
        Some(value) if value.as_f64().is_some_and(|share| !differ(share, 1.0)) => Ok(()),
        _ => only(json, "partial_rotary_factor", &Value::Null),
    }
}

/// Which scaling it is: the older word is `type`.
fn kind_of(parameters: &Map<String, Value>) -> Result<Option<&str>, ConfigError> {
    let kinds = ["type", "rope_type"].map(|key| parameters.get(key).filter(|kind| !kind.is_null()));
    if let [Some(older), Some(newer)] = kinds
        && older != newer
    {
        return Err(ConfigError::Field {
            key: "rope_type",
            found: shown(Some(newer)),
            expected: "it must say the same as `type` beside it",
        });
    }
    // What is no text is no kind that anybody knows.
    Ok(kinds.into_iter().flatten().next().map(|kind| kind.as_str().unwrap_or("(no text)")))
}

fn scaling(
    parameters: &Map<String, Value>,
    key: &'static str,
    max_positions: usize,
) -> Result<RopeScaling, ConfigError> {
    let number = |key: &'static str| match parameters.get(key) {
        Some(value) => positive(key, value),
        None => Err(ConfigError::Field {
            key,
            found: shown(None),
            expected: "the scaling of rotary positions needs a positive number here",
        }),
    };
    Ok(match kind_of(parameters)? {
        None if key == "rope_scaling" => {
            let found = shown(Some(&Value::Object(parameters.clone())));
            return Err(ConfigError::Field {
                key,
                found,
                expected: "it must say of which `rope_type` it is",
            });
        }
        None | Some("default") => RopeScaling::None,
        Some("linear") => RopeScaling::Linear { factor: number("factor")? },
        Some("llama3") => RopeScaling::Llama3 {
            factor: number("factor")?,
            low_freq_factor: number("low_freq_factor")?,
            high_freq_factor: number("high_freq_factor")?,
            original: number("original_max_position_embeddings")?,
        },
        Some("yarn") => RopeScaling::Yarn(yarn(parameters, number("factor")?, max_positions)?),
        Some("dynamic") => RopeScaling::Dynamic { factor: number("factor")?, original: max_positions },
        Some(other) => {
            return Err(ConfigError::Field {
                key,
                found: format!("of the type `{other}`"),
                expected: "`default`, `linear`, `dynamic`, `llama3` and `yarn` are supported",
            });
        }
    })
}

/// YaRN's numbers with the defaults of `transformers`.
fn yarn(parameters: &Map<String, Value>, factor: f64, max_positions: usize) -> Result<Yarn, ConfigError> {
    let number = |key: &'static str| optional_number(parameters, key);
    let mscale = |scale: f64| if factor <= 1.0 { 1.0 } else { 0.1 * scale * factor.ln() + 1.0 };
    let attention = match (number("attention_factor")?, number("mscale")?, number("mscale_all_dim")?) {
        (Some(attention), ..) => attention,
        (None, Some(own), Some(all)) => mscale(own) / mscale(all),
        (None, ..) => mscale(1.0),
    };
    let truncate = parameters.get("truncate").filter(|value| !value.is_null());
    Ok(Yarn {
        factor,
        attention,
        beta_fast: number("beta_fast")?.unwrap_or(32.0),
        beta_slow: number("beta_slow")?.unwrap_or(1.0),
        original: number("original_max_position_embeddings")?.unwrap_or(max_positions as f64),
        truncates: truncate.is_none() || flag(parameters, "truncate")?,
    })
}

/// Refuses a context of pre-training beside the parameters that is not theirs: version 5 of the library reads the one,
/// version 4 the other.
fn same_context(json: &Map<String, Value>, scaling: RopeScaling) -> Result<(), ConfigError> {
    let (RopeScaling::Llama3 { original, .. } | RopeScaling::Yarn(Yarn { original, .. })) = scaling else {
        return Ok(());
    };
    match optional_number(json, "original_max_position_embeddings")? {
        Some(other) if differ(other, original) => Err(ConfigError::Field {
            key: "original_max_position_embeddings",
            found: other.to_string(),
            expected: "it must be what the parameters of rotary positions say",
        }),
        _ => Ok(()),
    }
}

fn positive(key: &'static str, value: &Value) -> Result<f64, ConfigError> {
    value.as_f64().filter(|n| *n > 0.0 && n.is_finite()).ok_or_else(|| ConfigError::Field {
        key,
        found: shown(Some(value)),
        expected: "it must be a positive number",
    })
}

fn differ(a: f64, b: f64) -> bool {
    (a - b).abs() > 0.0
}

fn contradiction(json: &Map<String, Value>) -> ConfigError {
    ConfigError::Field {
        key: "rope_parameters",
        found: shown(json.get("rope_parameters").or_else(|| json.get("rope_scaling"))),
        expected: "it must say the same as the older keys beside it",
    }
}
