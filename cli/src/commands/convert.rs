//! `hub convert`: the same weights in another library's layout.

use hub_client::exchange::BaseSearch;
use hub_formats::checkpoint::{AdapterFolder, convert, convert_on};
use serde::Serialize;

use crate::{args::ConvertArgs, context::Context, failure::Exit, whole::write_folder};

#[derive(Serialize)]
struct Answer {
    folder: std::path::PathBuf,
    format: String,
}

/// Converts; the tensors keep their bytes.
pub(crate) fn run(context: &Context, args: &ConvertArgs) -> anyhow::Result<Exit> {
    let folder = AdapterFolder::open(&args.folder)?;
    let (base, weights) = if let Some(manifest) = &folder.manifest {
        (manifest.base.clone(), None)
    } else {
        let search = BaseSearch { view: folder.view(), ..context.base_search(args.base.as_deref()) };
        let found = context.locate_base(search, None)?;
        (found.folder.model_with_digest(None, found.weights_digest), Some(found.folder))
    };
    let name = args.name.as_ref().map_or(folder.name.as_str(), |name| name.as_str());
    let name = if name.is_empty() { "default" } else { name };
    let (from, to) = (folder.format, args.to.into());
    write_folder(&args.out, "--out", |out| match &weights {
        Some(weights) => Ok(convert_on(&folder, (&base, weights), to, name, out)?),
        None => Ok(convert(&folder, &base, to, name, out)?),
    })?;
    let (source, out) = (args.folder.display(), args.out.display());
    context.printer.done("wrote", &format!("`{source}` ({from}) as {to} to `{out}`"));
    if context.printer.is_json() {
        context.printer.json(&Answer { folder: args.out.clone(), format: to.to_string() })?;
    } else {
        context.printer.line(&args.out.to_string_lossy())?;
    }
    Ok(Exit::Success)
}
