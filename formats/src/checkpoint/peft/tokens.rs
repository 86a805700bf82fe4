//! `TrainableTokensConfig`, and `trainable_token_indices` beside a LoRA.

use hub_schemas::{
    backbone::{Architecture, BackboneShape, Module, Table},
    method::{Method, TokensConfig, UnionConfig},
};
use serde_json::{Value, json};

use super::{super::fields::Fields, File, targets::ModuleFilter};
use crate::checkpoint::CheckpointError;

const WORDS: Module = Module::Embedding(Table::Word);

/// A file of tokens alone.
pub(super) fn parse(fields: &mut Fields, file: &File<'_>) -> Result<Method, CheckpointError> {
    let Some(indices) = fields.take("token_indices") else {
        return Err(fields.wrong("token_indices", "is missing"));
    };
    let tokens = tokens(fields, "token_indices", &indices)?;
    let tables: Vec<Module> = if fields.has("target_modules") {
        let tables =
            ModuleFilter::take(fields)?.matched(fields, file, |m| matches!(m, Module::Embedding(_)))?;
        tables.iter().collect()
    } else {
        vec![WORDS]
    };
    check_shared(fields, "target_modules", file, &tables)?;
    let repeated = file.has_part(Module::Output, "trainable_tokens_delta");
    let of_table = |table| {
        let repeated = repeated && table == WORDS;
        Method::Tokens(TokensConfig { table, tokens: tokens.clone(), beside: false, repeated })
    };
    let mut parts: Vec<Method> = tables.into_iter().map(of_table).collect();
    Ok(if parts.len() == 1 { parts.swap_remove(0) } else { Method::Union(UnionConfig { parts }) })
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
    let mut named: Vec<(Module, Vec<u32>)> = Vec::new();
    match found {
        Value::Object(tables) => {
            for (name, indices) in tables {
                let ends_so = |module: &Module| {
                    let path = file.told_path(*module);
                    path == name || path.ends_with(&format!(".{name}"))
                };
                let embedding = |module: &Module| matches!(module, Module::Embedding(_));
                let tables: Vec<Module> =
                    file.modules().into_iter().filter(embedding).filter(ends_so).collect();
                if tables.is_empty() {
                    return Err(fields.wrong(FIELD, format!("names no embedding table: `{name}`")));
                }
                let tokens = tokens(fields, FIELD, &indices)?;
                named.extend(tables.into_iter().map(|table| (table, tokens.clone())));
            }
        }
        indices => named.push((WORDS, tokens(fields, FIELD, &indices)?)),
    }
    let tables: Vec<Module> = named.iter().map(|(table, _)| *table).collect();
    check_shared(fields, FIELD, file, &tables)?;
    let tokens = named
        .into_iter()
        .map(|(table, tokens)| Method::Tokens(TokensConfig { table, tokens, beside: true, repeated: false }));
    Ok(Method::Union(UnionConfig { parts: std::iter::once(method).chain(tokens).collect() }))
}

/// Refuses tokens of the table that encoder and decoder share where the stacks have something of their own: whether the
/// ones are tied to the others then, PEFT decides by the base model and by which tokens they are.
fn check_shared(
    fields: &Fields,
    field: &str,
    file: &File<'_>,
    tables: &[Module],
) -> Result<(), CheckpointError> {
    let is_own = |module: &Module| module.is_shared();
    let copies = file.copies();
    let is_copied = copies.iter().filter_map(|tensor| tensor.parse().ok()).any(|table| is_own(&table));
    if tables.contains(&WORDS) && (is_copied || tables.iter().any(is_own)) {
        let reason = "names the table that encoder and decoder share, beside those by which each of them reads it; name \
                      the ones or the other";
        return Err(fields.wrong(field, reason));
    }
    Ok(())
}

fn tokens(fields: &Fields, field: &str, indices: &Value) -> Result<Vec<u32>, CheckpointError> {
    let token = |value: &Value| value.as_u64().and_then(|token| u32::try_from(token).ok());
    let tokens = indices.as_array().and_then(|items| items.iter().map(token).collect::<Option<Vec<u32>>>());
    tokens.filter(|tokens| !tokens.is_empty()).ok_or_else(|| fields.wrong(field, "is no list of tokens"))
}

/// The configuration for tokens of these tables: the same ones of all of them.
pub(super) fn render(
    architecture: Architecture,
    tables: &[&TokensConfig],
    shape: &BackboneShape,
) -> Option<Value> {
    let (first, others) = tables.split_first()?;
    if others.iter().any(|other| other.tokens != first.tokens) {
        return None;
    }
    let paths = tables.iter().map(|config| architecture.module_path(config.table, shape.variant()));
    Some(json!({
        "init_weights": true,
        "peft_type": "TRAINABLE_TOKENS",
        "target_modules": paths.collect::<Vec<_>>(),
        "token_indices": first.tokens,
    }))
}
