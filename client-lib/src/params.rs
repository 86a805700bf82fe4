//! Trainable tensors by slot.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{DType, Device, Result, Tensor, Var};
use hub_formats::checkpoint::SlotData;
use hub_schemas::layout::Slot;

use crate::{init::Initialiser, orthonormal::orthonormalise};

/// The trainable tensors of a model, ordered by slot name.
///
/// Layers hold clones of these tensors; a clone shares its storage with the
/// variable, so an optimiser step is seen by the next forward pass.
#[derive(Debug, Clone, Default)]
pub struct Parameters {
    trained: BTreeMap<String, Var>,
    /// Drawn once, or given, and saved with the others.
    frozen: BTreeMap<String, Tensor>,
    /// Trained matrices whose rows stay orthonormal.
    orthonormal: BTreeSet<String>,
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
            let tensor = match start(slot)? {
                Some(positions) if slot.positions => positions,
                Some(tensor) => tensor.to_dtype(dtype)?.contiguous()?.copy()?,
                None => {
                    let values = initialiser.draw(slot, seed);
                    Tensor::from_vec(values, slot.shape.clone(), device)?.to_dtype(dtype)?
                }
            };
            if *initialiser == Initialiser::Orthonormal {
                parameters.orthonormal.insert(slot.name.clone());
            }
            if slot.trainable {
                parameters.trained.insert(slot.name.clone(), Var::from_tensor(&tensor)?);
            } else {
                parameters.frozen.insert(slot.name.clone(), tensor);
            }
        }
        Ok(parameters)
    }

    /// Every slot with its variable, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Var)> + Clone {
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

    /// The same with more tensors that are saved with the others but not trained.
    pub(crate) fn with_frozen(mut self, tensors: BTreeMap<String, Tensor>) -> Self {
        self.frozen.extend(tensors);
        self
    }

    /// What is saved with the trained tensors but not trained, by slot.
    pub fn frozen(&self) -> &BTreeMap<String, Tensor> {
        &self.frozen
    }

    /// Makes the rows of orthonormal matrices orthonormal again, after a step of the
    /// optimiser has moved them.
    pub fn retract(&self) -> Result<()> {
        for (_, var) in self.trained.iter().filter(|(slot, _)| self.orthonormal.contains(*slot)) {
            let mut rows = var.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
            orthonormalise(&mut rows, var.dim(1)?);
            var.set(&Tensor::from_vec(rows, var.shape(), var.device())?.to_dtype(var.dtype())?)?;
        }
        Ok(())
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

/// A tensor as it is written to disk: single precision, positions as whole numbers.
pub fn slot_data(tensor: &Tensor) -> Result<SlotData> {
    if tensor.dtype() == DType::U32 {
        let positions = tensor.to_device(&Device::Cpu)?.flatten_all()?.to_vec1::<u32>()?;
        return Ok(SlotData::of_positions(tensor.dims().to_vec(), &positions));
    }
    let values = tensor.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    Ok(SlotData::from_f32(tensor.dims().to_vec(), &values))
}
