//! What it means to "call" one of the known objects: an entry in a table.

use super::{
    PickleError,
    global::Global,
    heap::{Storage, Tensor, Value},
    machine::Machine,
};

impl<'a> Machine<'a, '_> {
    /// `("storage", type, key, device, number of elements)`; the legacy format adds
    /// a view of another storage, which is read only where there is none.
    pub(super) fn storage(&mut self) -> Result<Storage<'a>, PickleError> {
        let tuple = self.pop_tuple()?;
        let ([kind, object, key, _, len] | [kind, object, key, _, len, Value::None]) =
            *self.heap.items(tuple)
        else {
            return Err(self.malformed("a persistent object is not a storage as PyTorch describes one"));
        };
        match (kind, object, key, len) {
            (
                Value::Text("storage"),
                Value::Global(Global::Storage(dtype)),
                Value::Text(key),
                Value::Int(len @ 0..),
            ) => Ok(Storage { key, dtype, len: len.unsigned_abs() }),
            _ => Err(self.malformed("a storage is not described as PyTorch does")),
        }
    }

    /// "Calls" one of the known objects: makes a dict, or describes a tensor.
    pub(super) fn reduce(&mut self) -> Result<(), PickleError> {
        let arguments = self.pop_tuple()?;
        let called = self.pop()?;
        let value = match (called, self.heap.items(arguments)) {
            (Value::Global(Global::OrderedDict), []) => Value::Dict(self.heap.container(Vec::new())?),
            (Value::Global(Global::RebuildTensor), arguments) => {
                let tensor = self.tensor(arguments);
                let tensor =
                    tensor.ok_or_else(|| self.malformed("a tensor is not described as PyTorch does"))?;
                Value::Tensor(self.heap.tensor(tensor)?)
            }
            (
                Value::Global(Global::RebuildParameter),
                [tensor @ Value::Tensor(_), Value::Bool(_), Value::Dict(_)],
            ) => *tensor,
            (called, arguments) => {
                let reason = format!("{} is called with {} arguments", called.kind(), arguments.len());
                return Err(self.malformed(reason));
            }
        };
        self.push(value)
    }

    /// `(storage, offset, size, stride, requires_grad, hooks)`, then metadata that
    /// would change the numbers (a lazy negation, say) and must be empty.
    fn tensor(&self, arguments: &[Value<'a>]) -> Option<Tensor<'a>> {
        let is_empty = |value: &Value<'a>| match *value {
            Value::None => true,
            Value::Dict(dict) => self.heap.items(dict).is_empty(),
            _ => false,
        };
        let [
            Value::Storage(storage),
            Value::Int(offset @ 0..),
            Value::Tuple(shape),
            Value::Tuple(strides),
            Value::Bool(_),
            hooks_and_metadata @ ..,
        ] = arguments
        else {
            return None;
        };
        if !(1..=2).contains(&hooks_and_metadata.len()) || !hooks_and_metadata.iter().all(is_empty) {
            return None;
        }
        let sizes = |tuple: usize| -> Option<Vec<u64>> {
            let size =
                |value: &Value<'a>| if let Value::Int(n) = value { u64::try_from(*n).ok() } else { None };
            self.heap.items(tuple).iter().map(size).collect()
        };
        Some(Tensor {
            storage: self.heap.storage_at(*storage)?,
            offset: offset.unsigned_abs(),
            shape: sizes(*shape)?,
            strides: sizes(*strides)?,
        })
    }

    /// Attributes of a dict, such as the `_metadata` of a state dict: versions of
    /// modules, which say nothing about the tensors.
    pub(super) fn build(&mut self) -> Result<(), PickleError> {
        let state = self.pop()?;
        match (self.top()?, state) {
            (Value::Dict(_), Value::Dict(_)) => Ok(()),
            (object, state) => {
                Err(self.malformed(format!("{} is set as the state of {}", state.kind(), object.kind())))
            }
        }
    }
}
