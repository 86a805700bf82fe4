//! A backbone with another stack of its own blocks: PEFT's `layer_replication`, after Kim et al., "SOLAR 10.7B: Scaling
//! Large Language Models with Simple yet Effective Depth Up-Scaling" (2023).

use candle_core::Result;

use super::Backbone;

impl Backbone {
    /// The same weights with these blocks, in this order: a block may stand there several times, under another number
    /// each time, and shares its tensors.
    ///
    /// Refuses blocks that there are not, and stacks in which what a block does depends on its number.
    pub fn replicated(&self, layers: &[usize]) -> Result<Self> {
        let shape = self.config.shape;
        let own: Vec<usize> = (0..shape.num_layers).collect();
        let depends = self.decoder.is_some()
            || self.config.encoder.local.is_some()
            || self.config.decoder.window.is_some()
            || self.applied_blocks() != own;
        if depends {
            candle_core::bail!(
                "layers of {} backbones can't be replicated: what one computes depends on where it stands",
                self.config.architecture
            );
        }
        let block = |(index, &layer): (usize, &usize)| match self.blocks.get(layer) {
            Some(block) => Ok(block.numbered(index)),
            None => candle_core::bail!("layer {layer} is to be replicated; there are {}", self.blocks.len()),
        };
        let mut replicated = self.clone();
        replicated.blocks = layers.iter().enumerate().map(block).collect::<Result<_>>()?;
        replicated.config.shape.num_layers = layers.len();
        Ok(replicated)
    }
}
