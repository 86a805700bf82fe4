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
pub struct Parameters(BTreeMap<String, Var>);

impl Parameters {
    /// Fresh values for `slots`, each a pure function of `seed` and its slot's name.
    pub(crate) fn fresh(
        slots: &[Slot],
        initialiser: impl Fn(&Slot) -> Initialiser,
        seed: u64,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let fill = |slot: &Slot| {
            let values = initialiser(slot).draw(slot, seed);
            let tensor = Tensor::from_vec(values, slot.shape.clone(), device)?.to_dtype(dtype)?;
            Ok((slot.name.clone(), Var::from_tensor(&tensor)?))
        };
        slots.iter().map(fill).collect::<Result<_>>().map(Self)
    }

    /// Every slot with its variable, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Var)> {
        self.0.iter().map(|(slot, var)| (slot.as_str(), var))
    }

    /// The variable of one slot.
    pub fn get(&self, slot: &str) -> Option<&Var> {
        self.0.get(slot)
    }

    /// Number of trainable numbers.
    pub fn count(&self) -> usize {
        self.0.values().map(|v| v.elem_count()).sum()
    }

    /// The tensors, sharing storage with the variables.
    pub(crate) fn tensors(&self) -> BTreeMap<String, Tensor> {
        self.0.iter().map(|(slot, var)| (slot.clone(), var.as_tensor().clone())).collect()
    }

    /// Copies of all values.
    pub fn snapshot(&self) -> Result<BTreeMap<String, Tensor>> {
        self.0.iter().map(|(slot, var)| Ok((slot.clone(), var.as_tensor().detach().copy()?))).collect()
    }

    /// Sets every variable to its value in `values`.
    pub fn restore(&self, values: &BTreeMap<String, Tensor>) -> Result<()> {
        for (slot, var) in &self.0 {
            match values.get(slot) {
                Some(value) => var.set(value)?,
                None => candle_core::bail!("no value for the parameter `{slot}`"),
            }
        }
        Ok(())
    }

    /// All values as they are written to disk: single precision.
    pub fn to_slots(&self) -> Result<BTreeMap<String, SlotData>> {
        self.0.iter().map(|(slot, var)| Ok((slot.clone(), slot_data(var)?))).collect()
    }
}

/// A tensor as it is written to disk: single precision.
pub fn slot_data(tensor: &Tensor) -> Result<SlotData> {
    let values = tensor.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    Ok(SlotData::from_f32(tensor.dims().to_vec(), &values))
}
