//! Files of heads in which `adapters` saved the whole model.
//!
//! For the head of a model class the library takes what does not begin as the backbone of most classes is called
//! (`PredictionHeadLoader.filter_func` of 1.3.0), which leaves out nothing of T5's classes for texts and words and of
//! Whisper's classifier. Loading such a file puts its backbone, and every adapter that it has, in the place of what
//! the model holds: so it is the head alone only where all else is what the model holds anyway.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    path::Path,
};

use hub_schemas::layout::{ADAPTERS_WEIGHTS, Format, HEAD_WEIGHTS, ModelClass, TensorInfo, WeightsFile};

use super::{AdapterFolder, BaseFolder, CheckpointError, SlotData, TensorFile, weights::stored_name};

/// What `adapters` 1.3.0 calls the modules that hold the parts of adapters and fusions, each by a name.
const HOLDERS: [&str; 9] = [
    "adapter_fusion_layer",
    "adapters",
    "invertible_adapters",
    "loras",
    "prefix_gates",
    "prefix_tunings",
    "prompt_tunings",
    "refts",
    "shared_parameters",
];

/// Tensors by name, with their places in one file.
pub(super) type Beside = BTreeMap<String, TensorInfo>;

impl AdapterFolder {
    /// Whether the file of its head may have more of the model than the head.
    pub fn may_hold_model(&self) -> bool {
        self.format == Format::Adapters && self.head_class.is_some_and(ModelClass::is_saved_whole)
    }

    /// Reads every tensor into its slot, as [`read_slots`](Self::read_slots) does, also where the file of the head has
    /// the whole model. Of that all has to be what the model holds anyway: the tensors of `base`, those of this
    /// adapter's own file, and those of `others`, the adapters that run in the same model. Refuses the first tensor
    /// that has other numbers. One tensor at a time is in memory of either side.
    pub fn read_slots_on(
        &self,
        base: &BaseFolder,
        others: &[&Self],
    ) -> Result<BTreeMap<String, SlotData>, CheckpointError> {
        self.read_slots_beside(&base.config().shape, |file, beside| {
            if beside.is_empty() {
                return Ok(());
            }
            // Adapters of one name are loaded under another one, where the file's tensors find no place.
            let others = others.iter().filter(|other| other.name != self.name);
            let files = std::iter::once(self).chain(others.copied()).filter_map(Self::own_weights);
            let adapters = files.collect::<Result<Vec<_>, _>>()?;
            compare(file, beside, base, &adapters)
        })
    }

    /// The file of the adapter itself, where it is more than a head.
    fn own_weights(&self) -> Option<Result<TensorFile, CheckpointError>> {
        let path = self.path.join(stored_name(&self.path, ADAPTERS_WEIGHTS));
        path.is_file().then(|| TensorFile::open(&path))
    }

    /// Takes out of the table of contents of the file what stands beside a head there.
    pub(super) fn take_beside(&self, file: &mut TensorFile, layout: &WeightsFile) -> Beside {
        if !self.may_hold_model() || layout.path != stored_name(&self.path, HEAD_WEIGHTS) {
            return Beside::new();
        }
        let names = layout.tensors.iter().flat_map(|spec| std::iter::once(&spec.disk).chain(&spec.aliases));
        let known: BTreeSet<&String> = names.collect();
        let all = mem::take(&mut file.header.tensors);
        let (head, beside) = all.into_iter().partition(|(name, _)| known.contains(name));
        file.header.tensors = head;
        beside
    }
}

/// Refuses anything beside the head.
pub(super) fn refuse(file: &TensorFile, beside: &Beside) -> Result<(), CheckpointError> {
    match beside.keys().next() {
        None => Ok(()),
        Some(tensor) => {
            Err(CheckpointError::WholeModel { path: file.path().to_owned(), tensor: tensor.clone() })
        }
    }
}

/// Refuses the first tensor that is not what the model holds anyway.
fn compare(
    file: &TensorFile,
    beside: &Beside,
    base: &BaseFolder,
    adapters: &[TensorFile],
) -> Result<(), CheckpointError> {
    let canonical = base.canonical_names(beside);
    for (name, info) in beside {
        let changed = |owner: &Path| CheckpointError::ChangedModel {
            path: file.path().to_owned(),
            tensor: name.clone(),
            owner: owner.to_owned(),
        };
        let own = adapters.iter().find_map(|own| Some((own, own.header.tensors.get(name)?)));
        let of_base = canonical.get(name).and_then(|canonical| base.tensor(canonical));
        match own.or_else(|| of_base.map(|(place, info)| (&base.files()[place], info))) {
            Some((held, there)) if !same(file, info, held, there)? => return Err(changed(held.path())),
            Some(_) => {}
            // Of adapters that are not loaded: the library finds no place for them either.
            None if is_of_adapter(name) => {}
            None => {
                let (path, base) = (file.path().to_owned(), base.path().to_owned());
                return Err(CheckpointError::OtherModel { path, tensor: name.clone(), base });
            }
        }
    }
    Ok(())
}

fn same(
    file: &TensorFile,
    info: &TensorInfo,
    held: &TensorFile,
    there: &TensorInfo,
) -> Result<bool, CheckpointError> {
    Ok(info.shape == there.shape && file.read(info)?.has_numbers_of(&held.read(there)?))
}

fn is_of_adapter(name: &str) -> bool {
    name.split('.').any(|part| HOLDERS.contains(&part))
}

#[cfg(test)]
mod tests;
