//! What keeps an adapter off a backbone.

use hub_formats::checkpoint::AdapterFolder;
use hub_schemas::{
    backbone::{Architecture, BackboneShape, LinearSite, Module},
    layout::{Format, Place},
    method::Method,
};

use super::ModelError;
use crate::{
    backbones::Backbone,
    composition::{Composition, StitchError},
    heads::LoadedHead,
};

/// Trained copies of tensors outside of linear layers apply to a whole batch.
pub(super) fn copies(
    composition: &Composition,
    name: &str,
    method: &Method,
    shape: &BackboneShape,
) -> Result<(), ModelError> {
    let copies = method.slots(shape).into_iter().filter_map(|slot| match slot.place {
        Place::Module(module) if slot.part.starts_with("replaced") => Some(module),
        _ => None,
    });
    let Some(tensor) = copies.into_iter().find(|module| !module.is_linear()) else { return Ok(()) };
    match composition.outermost() {
        Composition::Single(_) | Composition::Nothing | Composition::Stack(_) => Ok(()),
        other => Err(StitchError::Replaced {
            name: name.to_owned(),
            tensor: tensor.to_string(),
            block: other.block(),
        }
        .into()),
    }
}

/// Refuses what would train or load tensors that no computation reads.
pub(super) fn modules(backbone: &Backbone, method: &Method) -> Result<(), ModelError> {
    let config = backbone.config();
    let base = config.architecture;
    match named_modules(method, &config.shape).find(|&module| !config.shape.has(base, module)) {
        None => Ok(()),
        Some(module) => {
            let sites: Vec<&str> = base.linear_sites().into_iter().map(LinearSite::as_str).collect();
            Err(ModelError::Module { module, base, sites: sites.join(", ") })
        }
    }
}

/// Refuses an adapter on a layer of a head that is not there.
pub(super) fn heads(
    heads: &[&LoadedHead],
    method: &Method,
    (architecture, shape): (Architecture, &BackboneShape),
) -> Result<(), ModelError> {
    let has = |module: Module| heads.iter().any(|head| head.has(module, architecture));
    let is_missing = |module: &Module| module.is_in_head() && !has(*module);
    match named_modules(method, shape).find(is_missing) {
        None => Ok(()),
        Some(module) => {
            let head = heads.first().map_or("none", |head| head.config().kind());
            Err(ModelError::HeadModule { module, head })
        }
    }
}

/// Refuses an adapter on a layer behind the blocks where groups of rows have heads of their own: it would be divided once more.
pub(super) fn groups(
    groups: &[(Option<usize>, Option<LoadedHead>)],
    name: &str,
    method: &Method,
    shape: &BackboneShape,
) -> Result<(), ModelError> {
    let is_behind = |module: &Module| module.is_in_head() || *module == Module::Pooler;
    match named_modules(method, shape).find(is_behind).filter(|_| !groups.is_empty()) {
        None => Ok(()),
        Some(module) => Err(ModelError::HeadInGroups { name: name.to_owned(), module }),
    }
}

/// The modules that a method has tensors at.
fn named_modules<'a>(method: &'a Method, shape: &'a BackboneShape) -> impl Iterator<Item = Module> + 'a {
    let slots = method.parts().iter().flat_map(|part| part.slots(shape));
    slots.filter_map(|slot| match slot.place {
        Place::Module(module) => Some(module),
        _ => None,
    })
}

pub(super) fn architecture(backbone: &Backbone, folder: &AdapterFolder) -> Result<(), ModelError> {
    let base = backbone.config().architecture;
    // PEFT does not write the architecture; where module paths are the same, or the file
    // names no module at all, it can't be told.
    let unstated = folder.format == Format::Peft && folder.manifest.is_none();
    let shape = backbone.config().shape;
    let names_none = || {
        let shared = |part: &Method| part.slots(&shape).iter().all(|slot| slot.place == Place::Shared);
        let same_head = folder.architecture.is_decoder() && base.is_decoder();
        (folder.head.is_none() || same_head) && folder.method.parts().iter().all(shared)
    };
    if folder.architecture == base || unstated && names_none() {
        return Ok(());
    }
    let path = |architecture: Architecture, module| {
        architecture.path_in_model(module, folder.prefixed, shape.variant())
    };
    let mut modules = named_modules(&folder.method, &shape).peekable();
    let same_paths = modules.peek().is_some()
        && modules.all(|module| base.has(module) && path(base, module) == path(folder.architecture, module));
    if unstated && (same_paths || base.shares_modules(folder.architecture, folder.prefixed)) {
        return Ok(());
    }
    Err(ModelError::Architecture { folder: folder.path.clone(), adapter: folder.architecture, base })
}
