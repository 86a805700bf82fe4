//! A backbone's tensors by canonical name, converted to the working precision.

use std::{fs::File, sync::Arc};

use candle_core::{DType, Device, Result, Tensor};
use hub_formats::{
    architectures::{NormKind, TransformerConfig},
    checkpoint::{BaseFolder, Blocks, SharedBytes, SlotData, TensorFile},
};
use hub_kernels::mapped::Mapped;
use hub_schemas::{backbone::Module, layout::Dtype};

use super::Linear;
use crate::ops::{Arithmetic, FrozenLinear, HalfMatrix, MappedMatrix, Norm};

/// Reads tensors of a backbone folder onto a device.
pub(super) struct Weights<'a> {
    pub(super) folder: &'a BaseFolder,
    pub(super) dtype: DType,
    /// Of the products with frozen weights.
    pub(super) arithmetic: Arithmetic,
    pub(super) device: &'a Device,
    /// The files, as far as they are read where they lie.
    maps: Vec<Option<Arc<Mapped>>>,
}

impl<'a> Weights<'a> {
    pub(super) fn new(
        folder: &'a BaseFolder,
        dtype: DType,
        arithmetic: Arithmetic,
        device: &'a Device,
    ) -> Self {
        // What can't be mapped is read.
        let map = |file: &TensorFile| {
            let is_read_there =
                device.is_cpu() && (file.is_quantised() || file.is_plain() && dtype == DType::F32);
            let file = is_read_there.then(|| File::open(file.path()).ok()).flatten()?;
            Mapped::new(&file).ok().map(Arc::new)
        };
        Self { folder, dtype, arithmetic, device, maps: folder.files().iter().map(map).collect() }
    }

    /// The matrix with this canonical name where it lies in its file.
    fn mapped(&self, canonical: &str) -> Option<MappedMatrix> {
        let (file, info) = self.folder.tensor(canonical)?;
        let map = self.maps[file].as_ref().filter(|_| self.folder.files()[file].is_plain())?;
        let (&[rows, columns], Dtype::F32) = (&*info.shape, info.dtype) else { return None };
        MappedMatrix::new(map.clone(), info.start..info.end, (rows, columns))
    }

    /// The same of a matrix in half precision.
    fn half(&self, canonical: &str) -> Option<HalfMatrix> {
        let (file, info) = self.folder.tensor(canonical)?;
        let map = self.maps[file].as_ref().filter(|_| self.folder.files()[file].is_plain())?;
        let &[rows, columns] = &*info.shape else { return None };
        HalfMatrix::new(&(map.clone() as SharedBytes), info.start..info.end, info.dtype, (rows, columns))
    }

    /// The tensor with this canonical name.
    pub(super) fn get(&self, canonical: &str) -> Result<Tensor> {
        match self.optional(canonical)? {
            Some(tensor) => Ok(tensor),
            // `BaseFolder::open` has checked that every mandatory tensor is there.
            None => candle_core::bail!("the backbone has no tensor `{canonical}`"),
        }
    }

    /// The tensor with this canonical name, when the checkpoint has it.
    pub(super) fn optional(&self, canonical: &str) -> Result<Option<Tensor>> {
        let Some((file, info)) = self.folder.tensor(canonical) else { return Ok(None) };
        let data = self.folder.files()[file].read(info).map_err(candle_core::Error::wrap)?;
        tensor(&data, self.device)?.to_dtype(self.dtype).map(Some)
    }

    /// The tensor with this canonical name as it is stored, where that is quantised.
    fn blocks(&self, canonical: &str) -> Result<Option<Blocks>> {
        // Restoring rows is written for the CPU; elsewhere the numbers are kept.
        let Some((file, info)) = self.folder.tensor(canonical).filter(|_| self.device.is_cpu()) else {
            return Ok(None);
        };
        let (map, file) = (self.maps[file].clone(), &self.folder.files()[file]);
        match map.and_then(|map| file.blocks_in(&(map as SharedBytes), info)) {
            Some(blocks) => Ok(Some(blocks)),
            None => file.blocks(info).map_err(candle_core::Error::wrap),
        }
    }

    /// A tensor outside the backbone by its name on disk.
    pub(super) fn extra(&self, name: &str) -> Result<Option<Tensor>> {
        let Some((file, info)) = self.folder.extra_tensor(name) else { return Ok(None) };
        let data = self.folder.files()[file].read(info).map_err(candle_core::Error::wrap)?;
        tensor(&data, self.device)?.to_dtype(self.dtype).map(Some)
    }

    pub(super) fn norm(&self, canonical: &str, config: &TransformerConfig) -> Result<Norm> {
        let weight = self.get(&format!("{canonical}.weight"))?;
        match config.norm_kind {
            // `BaseFolder::open` has checked that a bias is there where one has to be.
            NormKind::Layer => match self.optional(&format!("{canonical}.bias"))? {
                Some(bias) => Norm::new(&weight, &bias, config.norm_eps),
                None => Norm::new(&weight, &weight.zeros_like()?, config.norm_eps),
            },
            NormKind::Rms => Norm::rms(&weight, config.norm_eps),
            NormKind::RmsFromOne => Norm::rms_from_one(&weight, config.norm_eps),
        }
    }

    /// The norm at a module, where a backbone of this shape has it.
    pub(super) fn norm_of(&self, module: Module, config: &TransformerConfig) -> Result<Option<Norm>> {
        let is_there = config.shape.has(config.architecture, module);
        is_there.then(|| self.norm(&module.to_string(), config)).transpose()
    }

    /// A linear layer with this canonical name, its weight as `[out, in]`.
    pub(super) fn linear(&self, canonical: &str, config: &TransformerConfig, bias: bool) -> Result<Linear> {
        let name = format!("{canonical}.weight");
        let bias = bias.then(|| self.get(&format!("{canonical}.bias"))).transpose()?;
        if config.architecture.transposes_weights() {
            return self.frozen(self.get(&name)?.t()?, bias);
        }
        match self.stored(&name, bias.clone())? {
            Some(layer) => Ok(layer),
            None => self.frozen(self.get(&name)?, bias),
        }
    }

    /// A table of which rows are looked up, and which may be the output layer of a language model.
    pub(super) fn table(&self, canonical: &str) -> Result<Option<Linear>> {
        match self.stored(canonical, None)? {
            None => self.optional(canonical)?.map(|table| self.frozen(table, None)).transpose(),
            layer => Ok(layer),
        }
    }

    /// A linear layer on a matrix that is used as the file has it: in its blocks, or where it lies.
    fn stored(&self, canonical: &str, bias: Option<Tensor>) -> Result<Option<Linear>> {
        let layer = if let Some(blocks) = self.blocks(canonical)? {
            FrozenLinear::quantised(blocks, bias, self.dtype)?
        } else if let Some(weight) = self.mapped(canonical) {
            FrozenLinear::mapped(weight, bias)?
        } else if let Some(weight) = self.half(canonical) {
            FrozenLinear::half(weight, bias)?
        } else {
            return Ok(None);
        };
        self.computing(layer).map(Some)
    }

    /// A linear layer of these tensors.
    pub(super) fn frozen(&self, weight: Tensor, bias: Option<Tensor>) -> Result<Linear> {
        self.computing(FrozenLinear::new(weight, bias)?)
    }

    fn computing(&self, layer: FrozenLinear) -> Result<Linear> {
        layer.computing_in(self.arithmetic).map(Linear::frozen)
    }
}

/// A candle tensor from bytes of a weights file.
pub(crate) fn tensor(data: &SlotData, device: &Device) -> Result<Tensor> {
    let dtype = match data.dtype {
        Dtype::F64 => DType::F64,
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::U32 => DType::U32,
        other => candle_core::bail!("weights of type {other:?} can't be used"),
    };
    // Nothing can't be copied onto a GPU.
    let device = if data.bytes.is_empty() { &Device::Cpu } else { device };
    Tensor::from_raw_buffer(&data.bytes, dtype, &data.shape, device)
}
