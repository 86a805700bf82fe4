//! The objects that a pickle describes.
//!
//! Containers refer to each other by number: a pickle can nest them without end or
//! in a circle, and neither may cost more than the bytes that say so.

use std::collections::BTreeMap;

use hub_schemas::layout::Dtype;

use super::{MAX_TENSORS, PickleError, error::shown, global::Global};

/// Most values that are kept, those in containers and in the memo counted. A tensor takes 31.
const MAX_VALUES: usize = 4 << 20;

/// One value on the stack, in a container or in the memo.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    Float,
    Text(&'a str),
    Tuple(usize),
    List(usize),
    Dict(usize),
    Global(Global),
    Storage(usize),
    Tensor(usize),
}

impl Value<'_> {
    /// What it is, for messages.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an integer",
            Self::Float => "a floating-point number",
            Self::Text(_) => "a text",
            Self::Tuple(_) => "a tuple",
            Self::List(_) => "a list",
            Self::Dict(_) => "a dict",
            Self::Global(_) => "a Python object",
            Self::Storage(_) => "a storage",
            Self::Tensor(_) => "a tensor",
        }
    }
}

/// A storage as the pickle refers to it; nothing was compared with the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Storage<'a> {
    pub(super) key: &'a str,
    pub(super) dtype: Dtype,
    /// Number of elements.
    pub(super) len: u64,
}

/// A tensor as the pickle describes it; nothing was compared with its storage.
#[derive(Debug)]
pub(super) struct Tensor<'a> {
    pub(super) storage: Storage<'a>,
    /// In elements, as the strides are.
    pub(super) offset: u64,
    pub(super) shape: Vec<u64>,
    pub(super) strides: Vec<u64>,
}

/// Everything that one pickle made.
#[derive(Debug, Default)]
pub(super) struct Heap<'a> {
    containers: Vec<Vec<Value<'a>>>,
    storages: Vec<Storage<'a>>,
    tensors: Vec<Tensor<'a>>,
    values: usize,
}

impl<'a> Heap<'a> {
    /// Counts `n` more values.
    pub(super) fn count(&mut self, n: usize) -> Result<(), PickleError> {
        self.values = self.values.saturating_add(n);
        if self.values > MAX_VALUES {
            return Err(PickleError::TooLarge {
                what: "values in its pickle",
                found: self.values as u64,
                max: MAX_VALUES as u64,
            });
        }
        Ok(())
    }

    /// The number of a new container.
    pub(super) fn container(&mut self, items: Vec<Value<'a>>) -> Result<usize, PickleError> {
        self.count(1 + items.len())?;
        self.containers.push(items);
        Ok(self.containers.len() - 1)
    }

    /// The number of a new storage.
    pub(super) fn storage(&mut self, storage: Storage<'a>) -> Result<usize, PickleError> {
        self.count(1)?;
        self.storages.push(storage);
        Ok(self.storages.len() - 1)
    }

    /// The number of a new tensor.
    pub(super) fn tensor(&mut self, tensor: Tensor<'a>) -> Result<usize, PickleError> {
        if self.tensors.len() == MAX_TENSORS {
            let (found, max) = (MAX_TENSORS as u64 + 1, MAX_TENSORS as u64);
            return Err(PickleError::TooLarge { what: "tensors", found, max });
        }
        self.count(1 + tensor.shape.len() + tensor.strides.len())?;
        self.tensors.push(tensor);
        Ok(self.tensors.len() - 1)
    }

    /// Adds to a container.
    pub(super) fn extend(&mut self, container: usize, items: &[Value<'a>]) -> Result<(), PickleError> {
        self.count(items.len())?;
        if let Some(container) = self.containers.get_mut(container) {
            container.extend_from_slice(items);
        }
        Ok(())
    }

    /// What a container holds; a dict's keys and values alternate.
    pub(super) fn items(&self, container: usize) -> &[Value<'a>] {
        self.containers.get(container).map_or(&[], Vec::as_slice)
    }

    /// The storage of this number.
    pub(super) fn storage_at(&self, index: usize) -> Option<Storage<'a>> {
        self.storages.get(index).copied()
    }

    /// Every storage, each as often as the pickle refers to it.
    pub(super) fn storages(&self) -> &[Storage<'a>] {
        &self.storages
    }

    /// The tensors of the dict that a pickle of a state dict ends with, by name.
    pub(super) fn state_dict(&self, top: Value<'a>) -> Result<BTreeMap<&'a str, &Tensor<'a>>, PickleError> {
        let Value::Dict(dict) = top else {
            return Err(PickleError::NotTensors(format!("it holds {}, not a dict", top.kind())));
        };
        let mut tensors = BTreeMap::new();
        for pair in self.items(dict).as_chunks::<2>().0 {
            let [key, value] = *pair;
            let Value::Text(name) = key else {
                return Err(PickleError::NotTensors(format!(
                    "one of its keys is {}, not a text",
                    key.kind()
                )));
            };
            let tensor = if let Value::Tensor(index) = value { self.tensors.get(index) } else { None };
            let wrong = |what: &str| PickleError::NotTensors(format!("`{}` is {what}", shown(name)));
            let tensor = tensor.ok_or_else(|| wrong(value.kind()))?;
            if tensors.insert(name, tensor).is_some() {
                return Err(wrong("there twice"));
            }
        }
        Ok(tensors)
    }
}
