//! `TrainableTokensConfig`, and `trainable_token_indices` beside a LoRA.

use hub_schemas::{
    backbone::{Architecture, BackboneShape, Module, Table},
    method::{Method, TokensConfig, UnionConfig},
};
use serde_json::{Value, json};

use super::{super::fields::Fields, File, targets::ModuleFilter};
use crate::checkpoint::CheckpointError;

/// A file of tokens alone.
pub(super) fn parse(fields: &mut Fields, file: &File<'_>) -> Result<Method, CheckpointError> {
    let Some(indices) = fields.take("token_indices") else {
        return Err(fields.wrong("token_indices", "is missing"));
    };
    let tokens = tokens(fields, "token_indices", &indices)?;
    let tables = if fields.has("target_modules") {
        let tables =
            ModuleFilter::take(fields)?.matched(fields, file, |m| matches!(m, Module::Embedding(_)))?;
        tables.iter().collect()
    } else {
        vec![Module::Embedding(Table::Word)]
    };
    match tables.as_slice() {
        [table] => {
            let repeated = file.has_part(Module::Output, "trainable_tokens_delta");
            Ok(Method::Tokens(TokensConfig { table: *table, tokens, beside: false, repeated }))
        }
        _ => Err(fields.wrong("target_modules", "names several embedding tables; this version reads one")),
    }
}

/// `method`, with the tokens that its file has besides.
pub(super) fn beside(
    method: Method,
    fields: &mut Fields,
    file: &File<'_>,
) -> Result<Method, CheckpointError> {
    const FIELD: &str = "trainable_token_indices";
    let found = match fields.take(FIELD) {
        None => return Ok(method),
        Some(Value::Array(items)) if items.is_empty() => return Ok(method),
        Some(Value::Object(tables)) if tables.is_empty() => return Ok(method),
        Some(found) => found,
    };
    let mut parts = vec![method];
    match found {
        Value::Object(tables) => {
            for (name, indices) in tables {
                let ends_so = |module: &Module| {
                    let path = file.told_path(*module);
                    path == name || path.ends_with(&format!(".{name}"))
                };
                let embedding = |module: &Module| matches!(module, Module::Embedding(_));
                let table = file.modules().into_iter().filter(embedding).find(ends_so);
                let table = table
                    .ok_or_else(|| fields.wrong(FIELD, format!("names no embedding table: `{name}`")))?;
                let tokens = tokens(fields, FIELD, &indices)?;
                parts.push(Method::Tokens(TokensConfig { table, tokens, beside: true, repeated: false }));
            }
        }
        indices => {
            let table = Module::Embedding(Table::Word);
            let tokens = tokens(fields, FIELD, &indices)?;
            parts.push(Method::Tokens(TokensConfig { table, tokens, beside: true, repeated: false }));
        }
    }
    Ok(Method::Union(UnionConfig { parts }))
}

fn tokens(fields: &Fields, field: &str, indices: &Value) -> Result<Vec<u32>, CheckpointError> {
    let token = |value: &Value| value.as_u64().and_then(|token| u32::try_from(token).ok());
    let tokens = indices.as_array().and_then(|items| items.iter().map(token).collect::<Option<Vec<u32>>>());
    tokens.filter(|tokens| !tokens.is_empty()).ok_or_else(|| fields.wrong(field, "is no list of tokens"))
}

pub(super) fn render(architecture: Architecture, config: &TokensConfig, shape: &BackboneShape) -> Value {
    json!({
        "init_weights": true,
        "peft_type": "TRAINABLE_TOKENS",
        "target_modules": [architecture.module_path(config.table, shape.variant())],
        "token_indices": config.tokens,
    })
}
