//! Which classification head is trained.

use hub_schemas::{
    backbone::Architecture,
    head::{ClassificationHead, Head, Pooling},
    layout::{Format, HeadSizes, HeadTask, ModelClass, native_format},
    method::Method,
};

use crate::architectures::TransformerConfig;

/// What a person says about the head; what is left open follows from method and backbone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeadChoice {
    /// What it reads.
    pub pooling: Option<Pooling>,
    /// Its linear layers.
    pub layers: Option<usize>,
}

impl HeadChoice {
    /// The head. What PEFT writes has the head of the model class of `transformers`, which
    /// differs from architecture to architecture: nothing else would load there.
    pub(super) fn resolve(self, method: &Method, config: &TransformerConfig, num_labels: usize) -> Head {
        let architecture = config.architecture;
        if self == Self::default() && native_format(method) == Format::Peft {
            let (vocab_size, hidden_size) = (config.shape.vocab_size, config.shape.hidden_size);
            let embedding_size = config.shape.table_width();
            let projection = config.encoder.head_projection;
            let sizes =
                HeadSizes { outputs: num_labels, vocab_size, hidden_size, embedding_size, projection };
            let class = ModelClass::new(architecture, HeadTask::SequenceClassification);
            return class.head_with_pooler(class.head(sizes, config.activation));
        }
        let pooling = self.pooling.unwrap_or_else(|| default_pooling(method, architecture));
        Head::Classification(ClassificationHead {
            layers: self.layers.unwrap_or(1),
            pooling,
            ..ClassificationHead::flexible(num_labels)
        })
    }
}

fn default_pooling(method: &Method, architecture: Architecture) -> Pooling {
    match method {
        // The head is trained on the frozen backbone, whose pooler served another task.
        Method::LastLayer | Method::Hadamard(_) => Pooling::Mean,
        _ if architecture.is_decoder() => Pooling::Last,
        _ if architecture.reads_images() => Pooling::First,
        _ if architecture.reads_audio() => Pooling::Mean,
        _ => Pooling::Pooler,
    }
}
