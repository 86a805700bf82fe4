//! What the backbone reads of a batch under the heads of a model.

use std::borrow::Cow;

use hub_schemas::head::Head;

use super::{Batch, StitchedModel};
use crate::{backbones::DecoderInputs, heads::LoadedHead};

impl StitchedModel {
    /// The batch as the backbone reads it. Under heads that write nothing T5's decoder reads the input, one token further
    /// back, where it is given nothing else, as in `adapters`.
    pub(super) fn reading<'b>(&self, batch: &'b Batch) -> candle_core::Result<Cow<'b, Batch>> {
        let config = self.backbone.config();
        let writes = |head: &LoadedHead| matches!(head.config(), Head::Seq2SeqLm(_));
        let mut heads =
            self.head.iter().chain(self.groups.iter().filter_map(|(_, head)| head.as_ref())).peekable();
        let is_read = heads.peek().is_some() && !heads.any(writes);
        let reads_alone = config.architecture.has_distances() && config.shape.decoder_layers.is_some();
        match config.seq2seq.start_token.filter(|_| is_read && reads_alone && batch.decoder.is_none()) {
            None => Ok(Cow::Borrowed(batch)),
            Some(start) => {
                let decoder = Some(DecoderInputs::shifted(&batch.input_ids, start)?);
                Ok(Cow::Owned(Batch { decoder, ..batch.clone() }))
            }
        }
    }
}
