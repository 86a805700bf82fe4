//! `hub forward`: tensors in, tensors out, to compare with other programs.

use std::{path::PathBuf, sync::Arc};

use hub_client::{
    backbones::Backbone,
    composition::Composition,
    generation::image_prompt,
    model::{Batch, Mode, ModelError, StitchedModel},
    tensors::{IMAGE_FEATURES, TensorFileError, read_batch, view_of, write_output},
};
use hub_formats::checkpoint::{AdapterFolder, BaseFolder, FusionFolder, SetupFolder};

use crate::{
    args::forward::{ForwardArgs, NamedFolder},
    context::Context,
    failure::{Exit, UserError},
};

/// Runs `hub forward`.
pub(crate) fn run(context: &Context, args: &ForwardArgs) -> anyhow::Result<Exit> {
    let base = BaseFolder::open_as(&args.base, view_of(&args.inputs)?)?;
    let (given, more_fusions, setup) = with_setups(&args.adapters)?;
    let named = given.iter().map(open).collect::<anyhow::Result<Vec<_>>>()?;
    for (_, folder) in &named {
        let wanted = folder.manifest.as_ref().map(|manifest| &manifest.base);
        context.find_base(wanted, Some(&args.base), args.force)?;
    }
    let fusions = args.fusion.iter().chain(&more_fusions);
    let fusions = fusions.map(|folder| FusionFolder::open(folder)).collect::<Result<Vec<_>, _>>()?;
    let expression = args.compose.clone().or(setup);
    let saved = saved_composition(expression.as_deref(), &named);
    let compute = args.compute.open()?;
    let mut batch = read_batch(&args.inputs, base.config(), &compute.device)?;
    check_images(&batch, &named)?;
    let backbone = Arc::new(Backbone::load_for(&base, &compute).map_err(ModelError::from)?);
    let model = if let Some(saved) = saved {
        let others = given.iter().zip(&named).filter(|(_, (_, f))| f.path != saved.path);
        let others: Vec<NamedFolder> = others.map(|(given, _)| given.clone()).collect();
        let members = context.find_members(saved, &others)?;
        StitchedModel::load_composition(backbone, saved, &borrow(&members))?
    } else {
        match composition(context, expression.as_deref(), &named)? {
            None => StitchedModel::plain(backbone)?,
            Some(composition) => StitchedModel::compose(backbone, &borrow(&named), &fusions, &composition)?,
        }
    };
    let model = model.skipping(args.skip_layers.0.clone())?;
    if !args.task_ids.is_empty() {
        batch.head_inputs.tasks = Some(numbers(&args.task_ids, &model.tasks())?);
    }
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

/// The folders that were given, with the members and fusions of a setup of `adapters` in its place, and what it says
/// of how they work together.
fn with_setups(given: &[NamedFolder]) -> anyhow::Result<(Vec<NamedFolder>, Vec<PathBuf>, Option<String>)> {
    let (mut folders, mut fusions, mut expression) = (Vec::new(), Vec::new(), None);
    for named in given {
        let Some(setup) = SetupFolder::open(&named.folder)? else {
            folders.push(named.clone());
            continue;
        };
        if expression.is_some() {
            return Err(UserError::new("two setups are given, and how they work together is not known")
                .hint("give their members one by one, with `--compose`")
                .into());
        }
        folders
            .extend(setup.members.into_iter().map(|(name, folder)| NamedFolder { name: Some(name), folder }));
        fusions.extend(setup.fusions);
        expression = Some(setup.expression);
    }
    Ok((folders, fusions, expression))
}

/// Refuses images that nobody looks at, images of another width, and none where an adapter reads them.
fn check_images(batch: &Batch, named: &[(String, AdapterFolder)]) -> anyhow::Result<()> {
    let given = batch.image.as_ref().map(|image| image.dim(1)).transpose()?;
    let reader = named.iter().find_map(|(name, folder)| Some((name, image_prompt(&folder.method)?)));
    let wrong = match (given, reader) {
        (None, None) => return Ok(()),
        (Some(_), None) => format!("no adapter reads the input `{IMAGE_FEATURES}`"),
        (given, Some((name, image))) => {
            let (width, base) = (image.features(), &image.base.id);
            let found = match given {
                Some(given) if given == width => return Ok(()),
                Some(given) => format!("has {given}"),
                None => "is missing".to_owned(),
            };
            format!(
                "`{name}` reads images as `{base}` sees them: `{IMAGE_FEATURES}` [batch, {width}] {found}"
            )
        }
    };
    Err(UserError::new(wrong).into())
}

fn open(named: &NamedFolder) -> anyhow::Result<(String, AdapterFolder)> {
    let folder = AdapterFolder::open(&named.folder)?;
    let name = named.name.clone().unwrap_or_else(|| folder.name.clone());
    Ok((name, folder))
}

/// The numbers of tasks that are named or numbered.
fn numbers(given: &[String], tasks: &[String]) -> Result<Vec<usize>, UserError> {
    let number = |text: &String| {
        let named = tasks.iter().position(|task| task == text);
        named.or_else(|| text.parse().ok().filter(|n| *n < tasks.len())).ok_or_else(|| {
            let known: Vec<String> = tasks.iter().map(|task| format!("`{task}`")).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            UserError::new(format!("`{text}` is no task of the composition; its tasks are: {known}"))
        })
    };
    given.iter().map(number).collect()
}

fn borrow(named: &[(String, AdapterFolder)]) -> Vec<(String, &AdapterFolder)> {
    named.iter().map(|(name, folder)| (name.clone(), folder)).collect()
}

/// The composition among the folders, whose members the others are.
fn saved_composition<'a>(
    expression: Option<&str>,
    named: &'a [(String, AdapterFolder)],
) -> Option<&'a AdapterFolder> {
    let mut saved = named.iter().map(|(_, folder)| folder).filter(|folder| folder.composition().is_some());
    if expression.is_some() { None } else { saved.next() }
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
