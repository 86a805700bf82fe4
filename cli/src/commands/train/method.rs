//! From `--method` and its flags to a typed configuration.

use hub_schemas::{
    backbone::{Architecture, BackboneShape, LinearSite, Targets},
    layout::prompt_join,
    method::{
        AdaLoraConfig, BoftConfig, BottleneckConfig, Dora, HadamardConfig, Ia3Config, LlamaAdapterConfig,
        LohaConfig, LokrConfig, LoraConfig, Method, OftBlocks, OftConfig, PrefixConfig, PromptConfig,
        PromptGate, PromptPlace, ReftConfig, ReplaceConfig, Scaling, UnionConfig, VeraConfig, VeraScaling,
    },
};

use crate::{
    args::train::{MethodArgs, MethodName, PoolingName},
    failure::UserError,
};

/// A flag, whether it was given, and the methods that it means something to.
struct Flag {
    name: &'static str,
    given: bool,
    methods: &'static [&'static [MethodName]],
}

use BottleneckConfig as Bn;
use MethodName as M;

const BOTTLENECKS: &[&[MethodName]] = &[&[
    M::Pfeiffer,
    M::PfeifferInv,
    M::Houlsby,
    M::Parallel,
    M::ScaledParallel,
    M::AdapterPlus,
    M::Compacter,
    M::CompacterPlusPlus,
    M::Mam,
    M::Unipelt,
]];
/// Changes of some rank to chosen linear layers.
const UPDATES: &[MethodName] = &[
    M::Lora,
    M::Dora,
    M::AdaLora,
    M::Loha,
    M::Lokr,
    M::Vera,
    M::Delora,
    M::Gralora,
    M::Hira,
    M::Hra,
    M::Miss,
    M::RandLora,
    M::Shira,
    M::VbLora,
    M::Glora,
    M::Deft,
];
const RANKED: &[&[MethodName]] = &[UPDATES, &[M::Loreft, M::Noreft, M::Direft, M::Unipelt]];
const TARGETED: &[&[MethodName]] = &[UPDATES, &[M::Oft, M::Boft, M::Beft, M::C3a, M::Road]];
const SCALED: &[&[MethodName]] =
    &[&[M::Lora, M::Dora, M::AdaLora, M::Loha, M::Lokr, M::Gralora, M::RandLora, M::Deft]];
const PROMPTED: &[&[MethodName]] = &[&[
    M::Prefix,
    M::PrefixFlat,
    M::Prompt,
    M::PTuning,
    M::LlamaAdapter,
    M::LlamaAdapterHeads,
    M::Mam,
    M::Unipelt,
]];

/// The configuration that `args` ask for on a backbone of this kind.
pub(super) fn method(
    args: &MethodArgs,
    architecture: Architecture,
    shape: &BackboneShape,
) -> Result<Method, UserError> {
    refuse_misplaced(args)?;
    let factor = |default| args.reduction_factor.unwrap_or(default);
    let bottleneck = |config| Ok(Method::Bottleneck(config));
    match args.method {
        M::Pfeiffer => bottleneck(Bn::pfeiffer(factor(16.0))),
        M::PfeifferInv => bottleneck(Bn::pfeiffer(factor(16.0)).invertible(2.0)),
        M::Houlsby => bottleneck(Bn::houlsby(factor(16.0))),
        M::Parallel => bottleneck(Bn::parallel(factor(2.0))),
        M::ScaledParallel => bottleneck(Bn { scaling: Scaling::Learned, ..Bn::parallel(factor(2.0)) }),
        M::AdapterPlus => bottleneck(Bn::adapter_plus(factor(96.0))),
        M::Compacter => bottleneck(Bn::compacter(factor(32.0))),
        M::CompacterPlusPlus => bottleneck(Bn::compacter_plus_plus(factor(32.0))),
        M::Lora => Ok(Method::Lora(lora(args, architecture, shape))),
        M::Dora => {
            Ok(Method::Lora(LoraConfig { dora: Some(Dora::Scaled), ..lora(args, architecture, shape) }))
        }
        M::AdaLora => Ok(Method::AdaLora(adalora(args, architecture, shape))),
        M::Loha => {
            let (r, alpha, targets) = product(args, architecture, shape);
            Ok(Method::Loha(LohaConfig { r, alpha, targets, patterns: Vec::new() }))
        }
        M::Lokr => {
            let (r, alpha, targets) = product(args, architecture, shape);
            let (decompose_both, decompose_factor, patterns) = (false, None, Vec::new());
            Ok(Method::Lokr(LokrConfig { r, alpha, targets, decompose_both, decompose_factor, patterns }))
        }
        M::Vera => Ok(Method::Vera(vera(args, architecture, shape))),
        M::Oft => Ok(Method::Oft(oft(targets(args, architecture, shape)))),
        M::Boft => Ok(Method::Boft(BoftConfig {
            targets: targets(args, architecture, shape),
            blocks: OftBlocks::Size(4),
            factors: 1,
        })),
        M::Beft
        | M::C3a
        | M::Delora
        | M::Gralora
        | M::Hira
        | M::Hra
        | M::Miss
        | M::RandLora
        | M::Road
        | M::Shira
        | M::VbLora
        | M::Glora
        | M::Deft => Ok(super::tuners::method(args, architecture, shape)),
        M::Ia3 => Ok(Method::Ia3(ia3(architecture, shape))),
        M::Prefix => Ok(Method::Prefix(prefix(args, 30, Some(512)).of_library(architecture, shape))),
        M::PrefixFlat => Ok(Method::Prefix(prefix(args, 30, None).of_library(architecture, shape))),
        M::Prompt => Ok(Method::Prompt(PromptConfig::new(
            args.prompt_length.unwrap_or(10),
            PromptPlace::of_library(architecture),
        ))),
        M::PTuning => Ok(Method::Prompt(PromptConfig {
            encoder_hidden_size: Some(shape.hidden_size),
            ..PromptConfig::new(args.prompt_length.unwrap_or(10), PromptPlace::Words)
        })),
        M::LlamaAdapter => {
            Ok(Method::LlamaAdapter(llama_adapter(args, PromptGate::Scalar, architecture, shape)))
        }
        M::LlamaAdapterHeads => {
            Ok(Method::LlamaAdapter(llama_adapter(args, PromptGate::HeadTanh, architecture, shape)))
        }
        M::Loreft => Ok(Method::Reft(ReftConfig { orthogonality: true, ..reft(args, true) })),
        M::Noreft => Ok(Method::Reft(reft(args, true))),
        M::Direft => Ok(Method::Reft(reft(args, false))),
        M::Mam => {
            let parallel = Method::Bottleneck(Bn::parallel(factor(2.0)));
            let parts = vec![Method::Prefix(prefix(args, 30, Some(800))), parallel];
            Ok(Method::Union(UnionConfig { parts }))
        }
        M::Unipelt => Ok(unipelt(args, shape, factor(16.0))),
        M::Hadamard => Ok(Method::Hadamard(HadamardConfig::standard())),
        M::Bitfit => Ok(Method::Replace(ReplaceConfig::bitfit(architecture, shape, reads_pooler(args)))),
        M::LayerNorm => Ok(Method::Replace(ReplaceConfig::layer_norm(architecture, shape))),
        M::Full => Ok(Method::Replace(ReplaceConfig::full(architecture, shape, reads_pooler(args)))),
        M::LastLayer => Ok(Method::LastLayer),
    }
}

fn refuse_misplaced(args: &MethodArgs) -> Result<(), UserError> {
    let flags = [
        Flag { name: "--reduction-factor", given: args.reduction_factor.is_some(), methods: BOTTLENECKS },
        Flag { name: "--rank", given: args.rank.is_some(), methods: RANKED },
        Flag { name: "--alpha", given: args.alpha.is_some(), methods: SCALED },
        Flag { name: "--targets", given: !args.targets.is_empty(), methods: TARGETED },
        Flag { name: "--prompt-length", given: args.prompt_length.is_some(), methods: PROMPTED },
    ];
    let means = |flag: &Flag| flag.methods.iter().any(|group| group.contains(&args.method));
    let misplaced = flags.iter().find(|flag| flag.given && !means(flag));
    let Some(Flag { name, methods, .. }) = misplaced else { return Ok(()) };
    let methods: Vec<String> =
        methods.iter().copied().flatten().map(|m| format!("`{}`", m.as_str())).collect();
    let reason = format!("`{name}` has no meaning for this method; it belongs to {}", methods.join(", "));
    Err(UserError::new(reason))
}

/// One set, one spelling: the order of flags must not change the digest.
pub(super) fn targets(args: &MethodArgs, architecture: Architecture, shape: &BackboneShape) -> Targets {
    if !args.targets.is_empty() {
        return Targets::everywhere(&args.targets, shape.num_layers);
    }
    let sites = architecture.default_targets();
    // What PEFT's default names has the same name where a decoder attends to an encoder.
    let crossed: Vec<LinearSite> = sites.iter().filter_map(|site| site.cross()).collect();
    let decoder = shape.variant().decoder_from.map_or(0..0, |first| first..shape.num_layers);
    let own = Targets::everywhere(&sites, shape.num_layers);
    own.iter().chain(Targets::in_layers(&crossed, decoder).iter()).collect()
}

/// PEFT's defaults: in decoders the input of the last projection is scaled, in encoders the
/// output of the first.
fn ia3(architecture: Architecture, shape: &BackboneShape) -> Ia3Config {
    let everywhere = |sites: &[LinearSite]| Targets::everywhere(sites, shape.num_layers);
    let (outputs, inputs) = match architecture {
        Architecture::Gpt2 => (everywhere(&[LinearSite::QueryKeyValue]), everywhere(&[LinearSite::FfnDown])),
        decoder if decoder.is_decoder() => {
            (everywhere(&[LinearSite::Key, LinearSite::Value]), everywhere(&[LinearSite::FfnDown]))
        }
        _ => (everywhere(&[LinearSite::Key, LinearSite::Value, LinearSite::FfnUp]), Targets::default()),
    };
    Ia3Config { outputs, inputs, use_gating: false, alpha: 1.0, fused: Vec::new() }
}

/// Prompts in all layers but the two lowest, as the authors have it for 32.
fn llama_adapter(
    args: &MethodArgs,
    gate: PromptGate,
    architecture: Architecture,
    shape: &BackboneShape,
) -> LlamaAdapterConfig {
    LlamaAdapterConfig {
        adapter_len: args.prompt_length.unwrap_or(10),
        adapter_layers: shape.num_layers.saturating_sub(2).max(1),
        gate,
        join: prompt_join(gate, architecture),
        image: None,
    }
}

fn lora(args: &MethodArgs, architecture: Architecture, shape: &BackboneShape) -> LoraConfig {
    let rank = args.rank.unwrap_or(8);
    LoraConfig::on(rank, args.alpha.unwrap_or(2.0 * rank as f64), targets(args, architecture, shape))
}

/// Half as many singular values again as in the end are kept, as by PEFT's defaults.
fn adalora(args: &MethodArgs, architecture: Architecture, shape: &BackboneShape) -> AdaLoraConfig {
    let target_r = args.rank.unwrap_or(8);
    let init_r = (target_r * 3).div_ceil(2);
    AdaLoraConfig {
        init_r,
        lora_alpha: args.alpha.unwrap_or(2.0 * init_r as f64),
        lora_dropout: 0.0,
        targets: targets(args, architecture, shape),
        target_r: Some(target_r),
        pruned: Vec::new(),
    }
}

/// Rank, alpha and layers of an update that is a product of products, by PEFT's defaults.
fn product(args: &MethodArgs, architecture: Architecture, shape: &BackboneShape) -> (usize, f64, Targets) {
    (args.rank.unwrap_or(8), args.alpha.unwrap_or(8.0), targets(args, architecture, shape))
}

/// PEFT's defaults: blocks of 32, the inverse as a series of five terms.
const fn oft(targets: Targets) -> OftConfig {
    OftConfig { targets, blocks: OftBlocks::Size(32), block_share: false, neumann_terms: Some(5), eps: None }
}

/// As in the paper and in PEFT, with the random matrices in the file.
fn vera(args: &MethodArgs, architecture: Architecture, shape: &BackboneShape) -> VeraConfig {
    VeraConfig {
        r: args.rank.unwrap_or(8),
        targets: targets(args, architecture, shape),
        d_initial: 0.1,
        b_initial: 0.0,
        dropout: 0.0,
        scaling: VeraScaling::Diagonal,
        alpha: None,
        dora: None,
        use_gating: false,
    }
}

fn prefix(args: &MethodArgs, length: usize, bottleneck_size: Option<usize>) -> PrefixConfig {
    PrefixConfig { bottleneck_size, ..PrefixConfig::flat(args.prompt_length.unwrap_or(length)) }
}

/// Whether a head on a model that is trained with it reads the pooler.
fn reads_pooler(args: &MethodArgs) -> bool {
    matches!(args.pooling, None | Some(PoolingName::Pooler))
}

fn reft(args: &MethodArgs, subtract_projection: bool) -> ReftConfig {
    ReftConfig {
        orthogonality: false,
        tied_weights: true,
        subtract_projection,
        ..ReftConfig::loreft(args.rank.unwrap_or(1))
    }
}

/// Gated prefix, bottleneck and LoRA (Mao et al. 2022).
fn unipelt(args: &MethodArgs, shape: &BackboneShape, factor: f64) -> Method {
    let prefix = PrefixConfig { use_gating: true, ..prefix(args, 10, Some(512)) };
    let bottleneck = BottleneckConfig { use_gating: true, ..BottleneckConfig::pfeiffer(factor) };
    let rank = args.rank.unwrap_or(8);
    let lora = LoraConfig { use_gating: true, ..LoraConfig::query_value(rank, 2.0, shape.num_layers) };
    let parts = vec![Method::Prefix(prefix), Method::Bottleneck(bottleneck), Method::Lora(lora)];
    Method::Union(UnionConfig { parts })
}
