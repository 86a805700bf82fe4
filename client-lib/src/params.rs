//! Trainable tensors by slot.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Result, Tensor, Var};
use hub_schemas::layout::Slot;

use crate::{checkpoint::SlotData, init::Initialiser};

/// The trainable tensors of a model, ordered by slot name.
///
/// Layers hold clones of these tensors; a clone shares its storage with the
/// variable, so an optimiser step is seen by the next forward pass.
#[derive(Debug, Clone, Default)]
pub struct Parameters {
    trained: BTreeMap<String, Var>,
    /// Drawn once and saved with the others.
    frozen: BTreeMap<String, Tensor>,
}

impl Parameters {
    /// Fresh values, each a pure function of `seed` and its slot's name, unless `start`
    /// has a value for the slot.
    pub(crate) fn fresh(
        slots: &[(Slot, Initialiser)],
        start: impl Fn(&Slot) -> Result<Option<Tensor>>,
        seed: u64,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let mut parameters = Self::default();
        for (slot, initialiser) in slots {
            let tensor = if let Some(tensor) = start(slot)? {
                tensor.to_dtype(dtype)?.contiguous()?.copy()?
            } else {
                let values = initialiser.draw(slot, seed);
                Tensor::from_vec(values, slot.shape.clone(), device)?.to_dtype(dtype)?
            };
            if slot.trainable {
                parameters.trained.insert(slot.name.clone(), Var::from_tensor(&tensor)?);
            } else {
                parameters.frozen.insert(slot.name.clone(), tensor);
            }
        }
        Ok(parameters)
    }

    /// Every slot with its variable, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Var)> {
        self.trained.iter().map(|(slot, var)| (slot.as_str(), var))
    }

    /// The variable of one slot.
    pub fn get(&self, slot: &str) -> Option<&Var> {
        self.trained.get(slot)
    }

    /// Number of trainable numbers.
    pub fn count(&self) -> usize {
        self.trained.values().map(|v| v.elem_count()).sum()
    }

    /// The tensors, sharing storage with the variables.
    pub(crate) fn tensors(&self) -> BTreeMap<String, Tensor> {
        let trained = self.trained.iter().map(|(slot, var)| (slot.clone(), var.as_tensor().clone()));
        trained.chain(self.frozen.clone()).collect()
    }

    /// Copies of all values.
    pub fn snapshot(&self) -> Result<BTreeMap<String, Tensor>> {
        self.trained.iter().map(|(slot, var)| Ok((slot.clone(), var.as_tensor().detach().copy()?))).collect()
    }

    /// Sets every variable to its value in `values`.
    pub fn restore(&self, values: &BTreeMap<String, Tensor>) -> Result<()> {
        for (slot, var) in &self.trained {
            match values.get(slot) {
                Some(value) => var.set(value)?,
                None => candle_core::bail!("no value for the parameter `{slot}`"),
            }
        }
        Ok(())
    }

    /// All values as they are written to disk: single precision.
    pub fn to_slots(&self) -> Result<BTreeMap<String, SlotData>> {
        self.tensors().into_iter().map(|(slot, tensor)| Ok((slot, slot_data(&tensor)?))).collect()
    }
}

/// A tensor as it is written to disk: single precision.
pub fn slot_data(tensor: &Tensor) -> Result<SlotData> {
    let values = tensor.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    Ok(SlotData::from_f32(tensor.dims().to_vec(), &values))
}
