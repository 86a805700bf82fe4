//! `hub forward`: tensors in, tensors out, to compare with other programs.

use std::sync::Arc;

use hub_client::{
    backbones::Backbone,
    checkpoint::{AdapterFolder, BaseFolder, FusionFolder},
    composition::Composition,
    model::{Mode, ModelError, StitchedModel},
    tensors::{TensorFileError, read_batch, write_output},
};

use super::numeric::DEVICE;
use crate::{
    args::forward::{ForwardArgs, NamedFolder},
    context::Context,
    failure::{Exit, UserError},
};

/// Runs `hub forward`.
pub(crate) fn run(context: &Context, args: &ForwardArgs) -> anyhow::Result<Exit> {
    let base = BaseFolder::open(&args.base)?;
    let named = args.adapters.iter().map(open).collect::<anyhow::Result<Vec<_>>>()?;
    for (_, folder) in &named {
        let wanted = folder.manifest.as_ref().map(|manifest| &manifest.base);
        context.find_base(wanted, Some(&args.base), args.force)?;
    }
    let fusions =
        args.fusion.iter().map(|folder| FusionFolder::open(folder)).collect::<Result<Vec<_>, _>>()?;
    let composition = composition(context, args.compose.as_deref(), &named)?;
    let batch = read_batch(&args.inputs, base.config(), &DEVICE)?;
    let backbone = Arc::new(Backbone::load(&base, &DEVICE).map_err(ModelError::from)?);
    let model = match &composition {
        None => StitchedModel::plain(backbone)?,
        Some(composition) => {
            let borrowed: Vec<(String, &AdapterFolder)> =
                named.iter().map(|(name, folder)| (name.clone(), folder)).collect();
            StitchedModel::compose(backbone, &borrowed, &fusions, composition)?
        }
    };
    let output = model.forward(&batch, Mode::Eval).map_err(TensorFileError::from)?;
    write_output(&args.outputs, &output)?;
    let names = output.named().map_err(TensorFileError::from)?;
    let names: Vec<String> = names.iter().map(|(name, _)| format!("`{name}`")).collect();
    let what = match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => "nothing".to_owned(),
    };
    context.printer.done("wrote", &format!("{what} to `{}`", args.outputs.display()));
    Ok(Exit::Success)
}

fn open(named: &NamedFolder) -> anyhow::Result<(String, AdapterFolder)> {
    let folder = AdapterFolder::open(&named.folder)?;
    let name = named.name.clone().unwrap_or_else(|| folder.name.clone());
    Ok((name, folder))
}

/// What to compute: the expression, or the only adapter, or the plain backbone.
fn composition(
    context: &Context,
    expression: Option<&str>,
    named: &[(String, AdapterFolder)],
) -> anyhow::Result<Option<Composition>> {
    let names: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
    if let Some(twice) = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
        return Err(UserError::new(format!("two adapters are called `{}`", twice.1))
            .hint("name them apart, as in `--adapter first=DIR --adapter second=DIR`")
            .into());
    }
    match (expression, names.as_slice()) {
        (Some(expression), _) => {
            let composition: Composition = expression.parse()?;
            let used = composition.names();
            for unused in names.iter().filter(|name| !used.contains(*name)) {
                context.printer.warn(&format!("`{expression}` does not use the adapter `{unused}`"));
            }
            Ok(Some(composition))
        }
        (None, []) => Ok(None),
        (None, [name]) => Ok(Some(Composition::Single((*name).to_owned()))),
        (None, [first, second, ..]) => {
            Err(UserError::new(format!("{} adapters are given, but not how they work together", names.len()))
                .hint(format!("pass `--compose`, as in `--compose \"Stack({first}, {second})\"`"))
                .into())
        }
    }
}
