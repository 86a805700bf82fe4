//! The Python objects that a state dict may name: a closed list.

use hub_schemas::layout::Dtype;

use super::{PickleError, error::shown};

/// What a pickle may refer to. None of it runs; `machine` says what calling one means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    /// `collections.OrderedDict`
    OrderedDict,
    /// `torch._utils._rebuild_tensor_v2`
    RebuildTensor,
    /// `torch._utils._rebuild_parameter`
    RebuildParameter,
    /// `torch.FloatStorage` and its siblings: an element type.
    Storage(Dtype),
}

impl Global {
    /// The object of this name, or a refusal that names it.
    pub(super) fn named(module: &str, name: &str) -> Result<Self, PickleError> {
        match (module, name) {
            ("collections", "OrderedDict") => Ok(Self::OrderedDict),
            ("torch._utils", "_rebuild_tensor_v2") => Ok(Self::RebuildTensor),
            ("torch._utils", "_rebuild_parameter") => Ok(Self::RebuildParameter),
            ("torch", "DoubleStorage") => Ok(Self::Storage(Dtype::F64)),
            ("torch", "FloatStorage") => Ok(Self::Storage(Dtype::F32)),
            ("torch", "HalfStorage") => Ok(Self::Storage(Dtype::F16)),
            ("torch", "BFloat16Storage") => Ok(Self::Storage(Dtype::BF16)),
            ("torch", "LongStorage") => Ok(Self::Storage(Dtype::I64)),
            ("torch", "IntStorage") => Ok(Self::Storage(Dtype::I32)),
            ("torch", "ShortStorage") => Ok(Self::Storage(Dtype::I16)),
            ("torch", "CharStorage") => Ok(Self::Storage(Dtype::I8)),
            ("torch", "ByteStorage") => Ok(Self::Storage(Dtype::U8)),
            ("torch", "BoolStorage") => Ok(Self::Storage(Dtype::BOOL)),
            (module, name) => Err(PickleError::Global(shown(&format!("{module}.{name}")))),
        }
    }
}
