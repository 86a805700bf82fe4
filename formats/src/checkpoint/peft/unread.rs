//! Types of PEFT that this version does not read, with the reason where one is known: several keep a part of what they
//! compute out of the file, and only the library that drew it has it again.
//!
//! Looked at in PEFT 0.21.2.

use super::{super::fields::Fields, File};
use crate::checkpoint::CheckpointError;

/// What is read, as the message has it.
const READ: &str = "this version reads LORA, ADALORA, LOHA, LOKR, VERA, RANDLORA, VBLORA, OFT, BOFT, HRA, ROAD, BEFT, \
                    C3A, MISS, SHIRA, DELORA, GRALORA, HIRA, GLORA, DEFT, IA3, LN_TUNING, TRAINABLE_TOKENS, \
                    PROMPT_TUNING, P_TUNING, PREFIX_TUNING and ADAPTION_PROMPT";

/// What files of a type may be without.
struct Unsaved {
    kind: &'static str,
    what: &'static str,
    /// The switch for saving it and its default, and how the tensors are called then; `None` where it never is.
    saved_by: Option<(&'static str, bool, &'static str)>,
    /// Who alone has it again.
    again: &'static str,
}

/// PEFT draws all of these from a seed; UniLoRA by `NumPy`. PSOFT's factors are as good as drawn: a decomposition
/// leaves the signs of its vectors open, and what is learned stands between them.
const UNSAVED: [Unsaved; 7] = [
    Unsaved {
        kind: "FOURIERFT",
        what: "which frequencies its coefficients belong to",
        saved_by: None,
        again: "only PyTorch's generator can draw that again from `random_loc_seed`",
    },
    Unsaved {
        kind: "WAVEFT",
        what: "which wavelets its coefficients belong to",
        saved_by: None,
        again: "only PyTorch's generator can draw that again from `random_loc_seed`",
    },
    Unsaved {
        kind: "UNILORA",
        what: "which element of a matrix is which number of the shared vector",
        saved_by: Some(("save_indices", false, "unilora_indices")),
        again: "only NumPy's generator can draw that again from `proj_seed`",
    },
    Unsaved {
        kind: "PVERA",
        what: "what its shared random matrices are",
        saved_by: Some(("save_projection", true, "pvera_A")),
        again: "only PyTorch's generator can draw them again from `projection_prng_key`",
    },
    Unsaved {
        kind: "TINYLORA",
        what: "what its random projections are",
        saved_by: Some(("save_projection", true, "tinylora_P")),
        again: "only PyTorch's generator can draw them again from `projection_seed`",
    },
    Unsaved {
        kind: "FROD",
        what: "where its sparse matrices have numbers",
        saved_by: Some(("save_projection", true, "frod_s_indices")),
        again: "only PyTorch's generator can draw that again from `projection_prng_key`",
    },
    Unsaved {
        kind: "PSOFT",
        what: "what its outer factors are",
        saved_by: None,
        again: "they come from a decomposition of the base weights, whose signs are those of PyTorch's alone",
    },
];

/// The refusal of an adapter of the type `kind`.
pub(super) fn refused(
    fields: &mut Fields,
    kind: &str,
    file: &File<'_>,
) -> Result<CheckpointError, CheckpointError> {
    let names = || file.weights.header.tensors.keys();
    let mut reason = format!("is `{kind}`; {READ}");
    if let Some(unsaved) = UNSAVED.iter().find(|unsaved| unsaved.kind == kind) {
        let saved = match unsaved.saved_by {
            None => false,
            Some((switch, default, part)) => {
                fields.bool_or(switch, default)? || names().any(|name| name.contains(part))
            }
        };
        if !saved {
            reason = format!(
                "is `{kind}`, and the file does not say {}: {}; merge the adapter in PEFT (`merge_and_unload`), and the \
                 merged model is a backbone here",
                unsaved.what, unsaved.again
            );
        }
    }
    Ok(fields.wrong("peft_type", reason))
}
