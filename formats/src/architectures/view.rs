//! Which part of a checkpoint is the backbone.

/// Of a checkpoint whose encoder is a backbone of its own (Whisper), what is meant. Every other architecture has
/// one view: all there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum View {
    /// The encoder alone: what predicts.
    #[default]
    Encoder,
    /// The encoder with the decoder behind it: what writes.
    Whole,
}

impl View {
    /// The view with a decoder, or without one.
    pub const fn with_decoder(layers: Option<usize>) -> Self {
        if layers.is_some() { Self::Whole } else { Self::Encoder }
    }
}
