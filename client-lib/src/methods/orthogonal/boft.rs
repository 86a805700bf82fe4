//! BOFT (Liu et al. 2024): `y = s ⊙ W (x R) + b`, `R` a product of butterfly factors.
//! Equal to PEFT 0.21.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};
use hub_schemas::{backbone::BackboneShape, layout::Slot, method::BoftConfig};

use super::{
    super::{
        on_linears::{Transform, Transforming, at_each},
        take,
    },
    blocks::{cayley, rotate},
};
use crate::{backbones::LinearInput, init::Initialiser};

/// The factors of one layer.
#[derive(Debug)]
pub(in crate::methods) struct Butterfly {
    /// `[factors, n, k, k]`, made skew-symmetric when used.
    blocks: Tensor,
    /// `[out, 1]`
    scale: Tensor,
    /// Of each factor the order of its columns and back, u32 `[in]` each.
    orders: Vec<Option<(Tensor, Tensor)>>,
}

pub(in crate::methods) fn load(
    config: &BoftConfig,
    shape: &BackboneShape,
    tensors: &BTreeMap<String, Tensor>,
) -> Result<Transforming<Butterfly>> {
    let factors = at_each(config.targets.iter(), |module| {
        let blocks = take(tensors, &format!("{module}.boft_r"))?;
        let inputs = shape.module_dims(module).0;
        let size = config.block_size(inputs);
        let order = |factor: usize| {
            if config.factors == 1 {
                return Ok(None);
            }
            let order = butterfly_order(inputs, (inputs / size) >> factor, size / 2);
            let mut back = vec![0; inputs];
            order.iter().enumerate().for_each(|(at, &from)| back[from as usize] = at as u32);
            let tensor = |order: Vec<u32>| Tensor::from_vec(order, inputs, blocks.device());
            Ok(Some((tensor(order)?, tensor(back)?)))
        };
        let orders = (0..config.factors).map(order).collect::<Result<_>>()?;
        Ok(Butterfly { scale: take(tensors, &format!("{module}.boft_s"))?, blocks, orders })
    });
    factors.map(Transforming)
}

/// The order of columns in which a factor's blocks lie side by side: in each of `groups`
/// groups the even pieces of `piece` columns come first, then the odd ones.
fn butterfly_order(width: usize, groups: usize, piece: usize) -> Vec<u32> {
    let group = width / groups;
    let pieces = group / piece;
    let sorted = (0..pieces).step_by(2).chain((1..pieces).step_by(2));
    let inside: Vec<usize> = sorted.flat_map(|p| p * piece..(p + 1) * piece).collect();
    (0..groups).flat_map(|g| inside.iter().map(move |i| (g * group + i) as u32)).collect()
}

impl Transform for Butterfly {
    fn transform(&self, at: &LinearInput<'_>) -> Result<Tensor> {
        let mut x = at.x.clone();
        // The factors stand in the product last to first.
        for (index, order) in self.orders.iter().enumerate().rev() {
            let blocks = self.blocks.get(index)?;
            let skew = ((&blocks - blocks.transpose(1, 2)?)? * 0.5)?;
            let blocks = cayley(&skew)?;
            x = match order {
                None => rotate(&x, &blocks)?,
                Some((order, back)) => {
                    rotate(&x.contiguous()?.index_select(back, 2)?, &blocks)?.index_select(order, 2)?
                }
            };
        }
        let y = at.linear.forward_without_bias(&x)?.broadcast_mul(&self.scale.squeeze(1)?)?;
        match at.linear.bias() {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        }
    }
}

/// No rotation, no scaling.
pub(in crate::methods) fn initialiser(slot: &Slot) -> Initialiser {
    Initialiser::Constant(if slot.part == "boft_s" { 1.0 } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use super::butterfly_order;

    #[test]
    fn even_pieces_come_before_odd_ones() {
        assert_eq!(butterfly_order(8, 2, 1), [0, 2, 1, 3, 4, 6, 5, 7]);
        assert_eq!(butterfly_order(8, 1, 2), [0, 1, 4, 5, 2, 3, 6, 7]);
    }
}
