//! `hub forward`.

use std::{convert::Infallible, path::PathBuf, str::FromStr};

use clap::Args;

use super::{compute::ComputeArgs, stitch::Layers};

/// Arguments of `hub forward`.
#[derive(Debug, Args)]
#[command(after_help = "\
The inputs carry the argument names of Hugging Face models: `input_ids`, `attention_mask` and
`token_type_ids`, each [batch, tokens] or, for multiple choice, [batch, choices, tokens], and
`pixel_values` [batch, colours, height, width] in F32 for backbones of images or `input_features`
[batch, filters, frames] of recordings, `decoder_input_ids` and `decoder_attention_mask` for a decoder behind the
encoder (of Whisper the encoder alone runs without them), `word_starts` for dependency parsing, `task_ids` [batch]
for `MultiTask`, `image_features` [batch, features] in F32 for an adapter that reads images: of another backbone's last
hidden state the first position, and behind it the mean of the others. The outputs are `last_hidden_state`, and `logits` where the
adapter or the base checkpoint has a head, in single precision. Question answering adds
`start_logits` and `end_logits`, an embedding `sentence_embedding`; dependency parsing gives
`arc_preds` and `rel_preds` instead.")]
pub(crate) struct ForwardArgs {
    /// Folder of the backbone
    #[arg(long, value_name = "DIR")]
    pub(crate) base: PathBuf,
    /// Folder of an adapter, with the name that `--compose` calls it by, or of a setup that `adapters` saved; may be repeated
    #[arg(long = "adapter", value_name = "[NAME=]DIR")]
    pub(crate) adapters: Vec<NamedFolder>,
    /// Folder of fusion weights; may be repeated
    #[arg(long, value_name = "DIR")]
    pub(crate) fusion: Vec<PathBuf>,
    /// How the adapters work together, as in `Stack(a, b)`
    #[arg(long, value_name = "EXPR")]
    pub(crate) compose: Option<String>,
    /// Layers that run without adapters, as in `0-4` or `0,2` (AdapterDrop)
    #[arg(long, value_name = "LAYERS", default_value_t)]
    pub(crate) skip_layers: Layers,
    /// Task of each row for `MultiTask`, by name or number, as in `a,b,a`; by default the input `task_ids`
    #[arg(long, value_name = "TASKS", value_delimiter = ',')]
    pub(crate) task_ids: Vec<String>,
    /// In what it is computed
    #[command(flatten)]
    pub(crate) compute: ComputeArgs,
    /// Tensors to read
    #[arg(long, value_name = "FILE")]
    pub(crate) inputs: PathBuf,
    /// Tensors to write
    #[arg(long, value_name = "FILE")]
    pub(crate) outputs: PathBuf,
    /// Use a backbone with other weights than the adapter was trained on
    #[arg(long)]
    pub(crate) force: bool,
}

/// A folder, and what to call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedFolder {
    /// Its name; that of the adapter inside when absent.
    pub(crate) name: Option<String>,
    /// The folder.
    pub(crate) folder: PathBuf,
}

impl FromStr for NamedFolder {
    type Err = Infallible;
    fn from_str(text: &str) -> Result<Self, Infallible> {
        let is_name = |name: &str| {
            !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
        };
        Ok(match text.split_once('=') {
            Some((name, folder)) if is_name(name) => {
                Self { name: Some(name.to_owned()), folder: folder.into() }
            }
            _ => Self { name: None, folder: text.into() },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_before_an_equals_sign_and_a_path_may_hold_one() {
        let parse = |text: &str| text.parse::<NamedFolder>().map(|f| (f.name, f.folder));
        assert_eq!(parse("a=dir"), Ok((Some("a".into()), "dir".into())));
        assert_eq!(parse("dir"), Ok((None, "dir".into())));
        assert_eq!(parse("./x=y/dir"), Ok((None, "./x=y/dir".into())));
    }
}
