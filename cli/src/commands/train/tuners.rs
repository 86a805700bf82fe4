//! What the flags of `hub train` mean for the methods that PEFT alone has, by its defaults where they fit.
//!
//! PEFT's sizes of blocks and vectors are made for wide layers; here they are the largest that divide what is adapted.

use hub_schemas::{
    backbone::{Architecture, BackboneShape, LinearSite, Targets},
    method::{
        BeftConfig, C3aConfig, DeftConfig, DeftDecomposition, DeloraConfig, GloraConfig, GloraPath,
        GraloraConfig, HiraConfig, HraConfig, Method, MissConfig, MissForm, RandLoraConfig, RoadConfig,
        RoadVariant, ShiraConfig, VbLoraConfig,
    },
};

use super::method::targets;
use crate::args::train::{MethodArgs, MethodName as M};

/// Outputs of a group of `RoAd`, and length of VB-LoRA's vectors: PEFT's defaults.
const GROUP: usize = 64;
const VECTOR: usize = 256;
/// Rows of C3A's blocks: a smaller block has more numbers to learn.
const BLOCK: usize = 128;

pub(super) fn method(args: &MethodArgs, architecture: Architecture, shape: &BackboneShape) -> Method {
    let targets = targets_of(args, architecture, shape);
    let r = |default| args.rank.unwrap_or(default);
    let (dropout, patterns) = (0.0, Vec::new());
    // A divisor of everything that the adapted layers take and give.
    let fitting = |most| largest_divisor(&targets, shape, most);
    match args.method {
        M::C3a => Method::C3a(C3aConfig { block_size: fitting(BLOCK), targets, patterns: Vec::new() }),
        M::Delora => {
            Method::Delora(DeloraConfig { r: r(8), delora_lambda: 15.0, targets, dropout, patterns })
        }
        M::Gralora => {
            let (r, alpha) = (r(32), args.alpha.unwrap_or(64.0));
            Method::Gralora(GraloraConfig { r, hybrid_r: 0, alpha, gralora_k: 2, targets, dropout })
        }
        M::Hira => Method::Hira(HiraConfig { r: r(32), targets, dropout, patterns }),
        M::Hra => Method::Hra(HraConfig { r: r(8), gram_schmidt: false, targets }),
        M::Miss => Method::Miss(MissConfig { r: r(fitting(64)), form: MissForm::Shared, targets, dropout }),
        M::RandLora => {
            let randlora_alpha = args.alpha.unwrap_or(20.0 * r(32) as f64);
            Method::RandLora(RandLoraConfig { r: r(32), randlora_alpha, targets, dropout })
        }
        M::Road => {
            let group_size = fitting(GROUP);
            Method::Road(RoadConfig { variant: RoadVariant::One, group_size, targets })
        }
        M::Shira => Method::Shira(ShiraConfig { r: r(smallest(&targets, shape).min(128) / 4), targets }),
        M::VbLora => {
            let (num_vectors, vector_length) = (256, fitting(VECTOR));
            let (topk, only_topk) = (2, false);
            Method::VbLora(VbLoraConfig {
                r: r(4),
                num_vectors,
                vector_length,
                topk,
                only_topk,
                targets,
                dropout,
            })
        }
        M::Glora => Method::Glora(GloraConfig {
            r: r(8),
            config_a_b: GloraPath::Lora,
            config_c: GloraPath::Lora,
            config_d_e: GloraPath::Constant,
            targets,
            without_bias: Targets::default(),
        }),
        M::Deft => {
            let (decomposition, alpha) = (DeftDecomposition::Relu, args.alpha);
            Method::Deft(DeftConfig { r: r(8), decomposition, alpha, para: false, targets, dropout })
        }
        _ => Method::Beft(BeftConfig { targets }),
    }
}

/// BEFT's bias belongs to the values, where they have a layer of their own.
fn targets_of(args: &MethodArgs, architecture: Architecture, shape: &BackboneShape) -> Targets {
    let value = [LinearSite::Value];
    let is_beft = args.method == M::Beft && args.targets.is_empty();
    if is_beft && architecture.linear_sites().contains(&value[0]) {
        return Targets::everywhere(&value, shape.num_layers);
    }
    targets(args, architecture, shape)
}

/// The smallest number of inputs or outputs: a quarter of it is a rank with half of a square layer's elements.
fn smallest(targets: &Targets, shape: &BackboneShape) -> usize {
    let sizes = targets.iter().map(|module| shape.module_dims(module));
    sizes.map(|(inputs, outputs)| inputs.min(outputs)).min().unwrap_or_default()
}

/// The largest number up to `most` that divides inputs and outputs of every target.
fn largest_divisor(targets: &Targets, shape: &BackboneShape, most: usize) -> usize {
    let dims = targets.iter().map(|module| shape.module_dims(module));
    let sizes: Vec<usize> = dims.flat_map(|(inputs, outputs)| [inputs, outputs]).collect();
    (1..=most).rev().find(|size| sizes.iter().all(|n| n.is_multiple_of(*size))).unwrap_or(1)
}
