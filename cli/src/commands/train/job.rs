//! From flags to a training job.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use hub_client::{
    data::TaskKind,
    training::{Existing, Facts, FrozenMember, HeadChoice, HyperParameters, TrainingJob, fuse, open_base},
};
use hub_formats::checkpoint::read_method;
use hub_schemas::{
    AdapterId,
    backbone::{BackboneShape, Module},
    head::Pooling,
    method::{FusionConfig, GloraConfig, Method},
};

use super::method::method;
use crate::{
    args::train::{FactArgs, FusionName, MethodArgs, PoolingName, SteeringArgs, TrainArgs},
    commands::numeric::columns,
    failure::UserError,
};

/// Longest name that a folder's name is turned into; the limit of names.
const MAX_NAME: usize = 64;

/// Brings flags and defaults together.
pub(super) fn resolve(
    mut args: TrainArgs,
    base: PathBuf,
    members: Vec<FrozenMember>,
) -> anyhow::Result<TrainingJob> {
    let columns = columns(&args.data.columns);
    let folder = open_base(&base, &args.data.data, args.data.head, &columns)?;
    let (architecture, shape) = (folder.config().architecture, folder.config().shape);
    let asked = args.method.pooling;
    // A vector is the mean of its tokens unless somebody says otherwise, or another that is read of the tokens: what trains
    // the backbone itself leaves its pooler alone, which nothing reads.
    if args.data.head == Some(TaskKind::Embedding) && !architecture.is_decoder() {
        args.method.pooling.get_or_insert(PoolingName::Mean);
    }
    let method = if let Some(file) = &args.method.method_file {
        read_method(file, architecture, &shape)?
    } else if args.fuse.fuse.is_empty() {
        let method = method(&args.method, architecture, &shape)?;
        if args.method.layers.is_empty() { method } else { in_layers(method, &args.method, &shape)? }
    } else {
        let config = match args.fuse.fusion {
            FusionName::Dynamic => FusionConfig::dynamic(),
            FusionName::Static => FusionConfig::fixed(),
        };
        Method::Composition(fuse(&members, &shape, config)?)
    };
    let method = match method {
        // PEFT keeps zeros for what would change a bias that is not there.
        Method::Glora(config) => {
            let has_bias = |module: &Module| folder.tensor(&format!("{module}.bias")).is_some();
            let without_bias = config.targets.iter().filter(|module| !has_bias(module)).collect();
            Method::Glora(GloraConfig { without_bias, ..config })
        }
        // An architecture's norms and layers may have no bias.
        Method::Replace(config) => {
            let tensors: BTreeSet<String> =
                folder.config().tensors().into_iter().map(|tensor| tensor.canonical).collect();
            let config = config.among(|name| tensors.contains(name));
            if config.tensors.is_empty() {
                let reason = format!("{architecture} models have nothing that this method trains");
                return Err(UserError::new(reason).hint("choose another `--method`").into());
            }
            Method::Replace(config)
        }
        other => other,
    };
    if args.steering.adapter_drop && method == Method::LastLayer {
        return Err(UserError::new("`--adapter-drop` leaves adapters out, and `last-layer` has none").into());
    }
    let output = args.output.unwrap_or_default();
    let facts = facts(args.facts, &output)?;
    let mut options = options(&args.steering, &method);
    options.validation_share = args.data.validation_share;
    let pooling = asked.map(|pooling| match pooling {
        PoolingName::First => Pooling::First,
        PoolingName::Last => Pooling::Last,
        PoolingName::Mean => Pooling::Mean,
        PoolingName::Max => Pooling::Max,
        PoolingName::MeanSqrtLen => Pooling::MeanSqrtLen,
        PoolingName::WeightedMean => Pooling::WeightedMean,
        PoolingName::Pooler => Pooling::Pooler,
    });
    let existing = match (args.resume, args.overwrite) {
        (true, _) => Existing::Resume,
        (false, true) => Existing::Overwrite,
        (false, false) => Existing::Refuse,
    };
    Ok(TrainingJob {
        base,
        base_id: args.base_id,
        data: args.data.data,
        validation: args.data.validation,
        test: args.data.test,
        kind: args.data.head,
        columns,
        vision: args.data.vision,
        method,
        members,
        head: HeadChoice { pooling, layers: args.method.head_layers },
        options,
        output,
        existing,
        facts,
    })
}

/// The method in the layers of `--layers` only.
fn in_layers(method: Method, args: &MethodArgs, shape: &BackboneShape) -> Result<Method, UserError> {
    let last = shape.num_layers.saturating_sub(1);
    if let Some(layer) = args.layers.iter().map(|range| *range.0.end()).find(|&layer| layer > last) {
        return Err(UserError::new(format!(
            "`--layers` names layer {layer}; the base model has 0 to {last}"
        )));
    }
    let layers: BTreeSet<usize> = args.layers.iter().flat_map(|range| range.0.clone()).collect();
    let name = args.method.as_str();
    method.in_layers(&layers, shape).ok_or_else(|| {
        UserError::new(format!("`--layers` has no meaning for `{name}`, which can't be left out of a layer"))
    })
}

fn options(args: &SteeringArgs, method: &Method) -> HyperParameters {
    let defaults = HyperParameters::defaults(method);
    HyperParameters {
        seed: args.seed,
        epochs: args.epochs.unwrap_or(defaults.epochs),
        steps: args.steps,
        batch_size: args.batch_size,
        accumulate: args.accumulate,
        learning_rate: args.lr.unwrap_or(defaults.learning_rate),
        warmup: args.warmup,
        weight_decay: args.weight_decay,
        max_length: args.max_length,
        patience: args.patience,
        adapter_drop: args.adapter_drop,
        arithmetic: args.compute.arithmetic(),
        evaluate_every: args.evaluate_every,
        doc_stride: args.doc_stride,
        selection: args.select,
        recompute: args.gradient_checkpointing,
        keep_states: (args.keep_states * 1e9) as u64,
        ..defaults
    }
}

fn facts(args: FactArgs, output: &Path) -> Result<Facts, UserError> {
    let name = match args.name {
        Some(name) => name,
        None => local_name(output)?,
    };
    Ok(Facts {
        name,
        version: args.version,
        task: args.task,
        subtask: args.subtask,
        license: args.license,
        languages: args.languages,
        description: args.description,
    })
}

/// `local/` and the folder's name, in the letters a name may have.
pub(crate) fn local_name(output: &Path) -> Result<AdapterId, UserError> {
    let folder = std::path::absolute(output).unwrap_or_else(|_| output.to_owned());
    let folder = folder.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let letters = folder.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    let name: String = letters.collect::<Vec<_>>().join("-").chars().take(MAX_NAME).collect();
    let name = if name.is_empty() { "adapter" } else { name.trim_end_matches('-') };
    format!("local/{name}").parse().map_err(|e: hub_schemas::name::NameError| {
        UserError::new(format!("the output folder's name can't name an adapter: {e}")).hint("pass `--name`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_names_the_adapter() {
        let name = |folder: &str| local_name(Path::new(folder)).map(|id| id.to_string()).ok();
        assert_eq!(name("runs/Movie Reviews.v2").as_deref(), Some("local/movie-reviews-v2"));
        assert_eq!(name("runs/sst_2/").as_deref(), Some("local/sst-2"));
        assert_eq!(name("/").as_deref(), Some("local/adapter"));
    }
}
