//! The gradient of every trainable tensor of every method, and that nothing else has one.
//!
//! `DoRA` is the exception that its paper states (section 4.3): the norm of the updated
//! rows counts as a constant in the backward pass. Its loss is compared with that norm
//! held: the magnitude moves with it, so that their quotient stays.

use candle_core::{D, DType, Tensor};
use hub_client::model::StitchedModel;
use hub_schemas::{
    backbone::{Architecture, BackboneShape, LinearSite, Module, SubLayer, Table, Targets},
    head::{ClassificationHead, Head},
    layout::method_slots,
    method::{
        Activation, AdaLoraConfig, BeftConfig, BoftConfig, BottleneckConfig, C3aConfig, DeftConfig,
        DeftDecomposition, DeloraConfig, Dora, GloraConfig, GloraPath, GraloraConfig, HadamardConfig,
        HadamardPosition, HiraConfig, Hooked, HookedAt, HookedNorm, HookedResidual, HraConfig, Ia3Config,
        InnerResidual, LohaConfig, LokrConfig, LoraConfig, LoraPattern, Method, MissConfig, MissForm,
        MultiTaskLora, OftBlocks, OftConfig, PhmConfig, PrefixConfig, PromptConfig, PromptPlace,
        RandLoraConfig, RankPattern, ReftConfig, ReplaceConfig, RoadConfig, RoadVariant, Scaling,
        ShiraConfig, UnionConfig, VbLoraConfig, VeraConfig, VeraScaling,
    },
};
use hub_tests::golden::Golden;

use super::gradients::{check_holding, fresh, loss};

use BottleneckConfig as Bn;

const LAYERS: usize = 2;

/// The dimensions of the golden backbone.
fn shape() -> BackboneShape {
    fresh(&Method::LastLayer, None).backbone().config().shape
}

/// A head that reads the pooler, so that nothing of the backbone is left out.
fn head() -> Head {
    Head::Classification(ClassificationHead::pooled(3))
}

fn check_all(methods: impl IntoIterator<Item = Method>) {
    for method in methods {
        check_holding(&method, Some(&head()), &|_, _| {});
    }
}

fn all_sites() -> Targets {
    Targets::everywhere(&Architecture::Bert.linear_sites(), LAYERS)
}

#[test]
fn of_bottlenecks() {
    let smooth = |config: Bn| Bn { non_linearity: Activation::Gelu, ..config };
    let pfeiffer = smooth(Bn::pfeiffer(4.0));
    let houlsby = Bn::houlsby(4.0);
    let configs = [
        Bn::pfeiffer(4.0),
        houlsby.clone(),
        Bn { ln_before: true, ln_after: true, dropout: 0.2, ..houlsby },
        Bn { use_gating: true, scaling: Scaling::Fixed(0.5), ..pfeiffer.clone() },
        Bn { residual_before_ln: InnerResidual::PostAdd, leave_out: vec![1], ..pfeiffer.clone() },
        Bn { residual_before_ln: InnerResidual::AdapterInput, original_ln_after: false, ..pfeiffer.clone() },
        Bn { adapter_residual_before_ln: true, ln_after: true, ..pfeiffer.clone() },
        Bn::parallel(4.0),
        Bn { scaling: Scaling::Learned, ..Bn::parallel(4.0) },
        Bn::adapter_plus(4.0),
        pfeiffer.invertible(2.0),
        Bn { non_linearity: Activation::Prelu, ..Bn::houlsby(4.0) }.invertible(2.0),
    ];
    check_all(configs.map(Method::Bottleneck));
}

#[test]
fn of_bottlenecks_on_projections() {
    let at = |residual, norm| HookedAt { residual, norm };
    let hooked = |attention, ffn| Some(Hooked { attention, ffn });
    let around = Bn { original_ln_before: true, ..Bn::houlsby(4.0) };
    let carried = at(HookedResidual::Carried, Some(HookedNorm::Ffn));
    let inner = at(HookedResidual::Input, Some(HookedNorm::Attention));
    check_all(
        [
            Bn { hooked: hooked(carried, inner), ..around.clone() },
            Bn { hooked: hooked(at(HookedResidual::Nothing, None), carried), ..Bn::houlsby(4.0) },
            Bn { hooked: hooked(carried, inner), ..Bn::parallel(4.0) },
            Bn { hooked: hooked(inner, carried), residual_before_ln: InnerResidual::PostAdd, ..around },
        ]
        .map(Method::Bottleneck),
    );
}

#[test]
fn of_hypercomplex_bottlenecks() {
    let with = |phm| Bn { phm: Some(phm), ..Bn::compacter(2.0) };
    let standard = PhmConfig { phm_dim: 2, ..PhmConfig::default() };
    let configs = [
        Bn::compacter(2.0),
        Bn::compacter_plus_plus(2.0),
        Bn { non_linearity: Activation::Prelu, ..Bn::compacter_plus_plus(2.0) },
        with(PhmConfig { factorized_w: false, shared_phm_rule: false, ..standard.clone() }),
        with(PhmConfig { shared_w: true, phm_rank: 2, ..standard.clone() }),
        with(PhmConfig { factorized_phm_rule: true, phm_bias: false, ..standard }),
    ];
    check_all(configs.map(Method::Bottleneck));
}

#[test]
fn of_low_rank_updates() {
    let every = LoraConfig { lora_dropout: 0.1, ..LoraConfig::on(2, 4.0, all_sites()) };
    let outside = [Module::Embedding(Table::Word), Module::Embedding(Table::Position), Module::Pooler];
    let pattern =
        LoraPattern { module: Module::Linear { layer: 1, site: LinearSite::Key }, r: 3, lora_alpha: 1.0 };
    let tasks = MultiTaskLora { up_projections: 3, sharpness: 0.5 };
    let configs = [
        every.clone(),
        LoraConfig { use_rslora: true, lora_bias: true, ..every.clone() },
        LoraConfig { use_gating: true, ..LoraConfig::query_value(2, 4.0, LAYERS) },
        LoraConfig { multi_task: Some(tasks), ..LoraConfig::query_value(2, 4.0, LAYERS) },
        LoraConfig { patterns: vec![pattern], ..every },
        LoraConfig::on(2, 4.0, outside.into_iter().collect()),
    ];
    check_all(configs.map(Method::Lora));
}

#[test]
fn of_products_of_products() {
    let (targets, patterns) = (all_sites(), Vec::new());
    let (r, alpha) = (2, 3.0);
    let (lora_alpha, lora_dropout, pruned) = (3.0, 0.1, Vec::new());
    let lokr = |decompose_both, decompose_factor| {
        let (targets, patterns) = (targets.clone(), patterns.clone());
        Method::Lokr(LokrConfig { r, alpha, targets, decompose_both, decompose_factor, patterns })
    };
    check_all([
        Method::AdaLora(AdaLoraConfig {
            init_r: 3,
            lora_alpha,
            lora_dropout,
            targets: all_sites(),
            target_r: None,
            pruned,
        }),
        Method::Loha(LohaConfig { r, alpha, targets: all_sites(), patterns: Vec::new() }),
        lokr(false, None),
        lokr(false, Some(2)),
        lokr(true, None),
    ]);
}

#[test]
fn of_rotations() {
    let oft = |blocks, block_share, neumann_terms, eps| {
        Method::Oft(OftConfig { targets: all_sites(), blocks, block_share, neumann_terms, eps })
    };
    let boft = |blocks, factors| Method::Boft(BoftConfig { targets: all_sites(), blocks, factors });
    check_all([
        oft(OftBlocks::Size(4), false, None, None),
        oft(OftBlocks::Size(4), true, Some(5), None),
        oft(OftBlocks::Count(2), false, Some(3), None),
        boft(OftBlocks::Size(4), 1),
        boft(OftBlocks::Count(4), 2),
    ]);
}

#[test]
fn of_elements_and_shards() {
    let (targets, dropout) = (all_sites(), 0.1);
    let miss = |form, r| {
        let targets = targets.clone();
        Method::Miss(MissConfig { r, form, targets, dropout })
    };
    check_all([
        Method::Beft(BeftConfig { targets: all_sites() }),
        Method::C3a(C3aConfig { block_size: 4, targets: all_sites(), patterns: Vec::new() }),
        Method::Shira(ShiraConfig { r: 1, targets: all_sites() }),
        miss(MissForm::Shared, 5),
        miss(MissForm::Mini(4), 4),
        miss(MissForm::Bat, 4),
    ]);
}

#[test]
fn of_factors_of_the_weight() {
    let (targets, dropout) = (all_sites(), 0.1);
    let pattern = RankPattern { module: Module::Linear { layer: 1, site: LinearSite::Key }, r: 3 };
    let patterns = vec![pattern];
    let tables = [Module::Embedding(Table::Word), Module::Pooler].into_iter().chain(targets.iter()).collect();
    let glora = |config_a_b, config_c, config_d_e| {
        let (targets, without_bias) = (targets.clone(), Targets::default());
        Method::Glora(GloraConfig { r: 2, config_a_b, config_c, config_d_e, targets, without_bias })
    };
    check_all([
        Method::Delora(DeloraConfig {
            r: 2,
            delora_lambda: 2.0,
            targets: targets.clone(),
            dropout,
            patterns: patterns.clone(),
        }),
        Method::Gralora(GraloraConfig {
            r: 4,
            hybrid_r: 2,
            alpha: 6.0,
            gralora_k: 2,
            targets: targets.clone(),
            dropout,
        }),
        Method::Hira(HiraConfig { r: 2, targets: tables, dropout, patterns }),
        glora(GloraPath::Lora, GloraPath::Lora, GloraPath::Constant),
        glora(GloraPath::Vector, GloraPath::Vector, GloraPath::Vector),
        glora(GloraPath::Constant, GloraPath::None, GloraPath::None),
    ]);
}

#[test]
fn of_projections_and_reflections() {
    let (targets, dropout) = (all_sites(), 0.1);
    let deft = |decomposition, para| {
        let targets = targets.clone();
        Method::Deft(DeftConfig { r: 2, decomposition, alpha: Some(3.0), para, targets, dropout })
    };
    let hra = |r, gram_schmidt| Method::Hra(HraConfig { r, gram_schmidt, targets: all_sites() });
    let road = |variant| Method::Road(RoadConfig { variant, group_size: 4, targets: all_sites() });
    check_all([
        deft(DeftDecomposition::Relu, false),
        deft(DeftDecomposition::Qr, false),
        deft(DeftDecomposition::Qr, true),
        hra(4, false),
        hra(3, true),
        road(RoadVariant::One),
        road(RoadVariant::Two),
        road(RoadVariant::Four),
    ]);
}

#[test]
fn of_what_all_layers_share() {
    let (targets, dropout) = (all_sites(), 0.1);
    check_all([
        Method::RandLora(RandLoraConfig { r: 3, randlora_alpha: 4.0, targets: targets.clone(), dropout }),
        Method::VbLora(VbLoraConfig {
            r: 2,
            num_vectors: 5,
            vector_length: 4,
            topk: 2,
            only_topk: false,
            targets,
            dropout,
        }),
    ]);
}

fn vera(scaling: VeraScaling) -> VeraConfig {
    VeraConfig {
        r: 3,
        targets: Targets::everywhere(&[LinearSite::Query, LinearSite::Value], LAYERS),
        d_initial: 0.1,
        b_initial: 0.0,
        dropout: 0.1,
        scaling,
        alpha: None,
        dora: None,
        use_gating: false,
    }
}

#[test]
fn of_diagonals_around_random_matrices() {
    let diagonal = VeraConfig { targets: all_sites(), ..vera(VeraScaling::Diagonal) };
    let matrix = VeraConfig { alpha: Some(2.0), ..vera(VeraScaling::Matrix) };
    check_all([diagonal, VeraConfig { use_gating: true, ..matrix.clone() }, matrix].map(Method::Vera));
}

#[test]
fn of_decomposed_weights_with_the_norm_held() {
    let lora = LoraConfig { lora_dropout: 0.1, ..LoraConfig::on(2, 3.0, all_sites()) };
    let methods = [
        Method::Lora(LoraConfig { dora: Some(Dora::Scaled), ..lora.clone() }),
        Method::Lora(LoraConfig { dora: Some(Dora::Unscaled), ..lora }),
        Method::Vera(VeraConfig { dora: Some(Dora::Scaled), ..vera(VeraScaling::Diagonal) }),
        Method::Vera(VeraConfig {
            dora: Some(Dora::Unscaled),
            alpha: Some(1.5),
            ..vera(VeraScaling::Matrix)
        }),
    ];
    for method in methods {
        let start = fresh(&method, Some(&head()));
        let hold = |model: &StitchedModel, slot: &str| {
            let Some((module, part)) = slot.rsplit_once('.') else { return };
            if part == "magnitude" || model.parameters().get(&format!("{module}.magnitude")).is_none() {
                return;
            }
            let ratio =
                (row_norms(&method, model, module) / row_norms(&method, &start, module)).expect("a ratio");
            let magnitude = model.parameters().get(&format!("{module}.magnitude")).expect("a magnitude");
            magnitude.set(&(magnitude.as_tensor() * ratio).expect("a product")).expect("sets");
        };
        check_holding(&method, Some(&head()), &hold);
    }
}

/// `‖W + f ΔW‖` of every row.
fn row_norms(method: &Method, model: &StitchedModel, module: &str) -> Tensor {
    let own =
        |part: &str| model.parameters().get(&format!("{module}.{part}")).map(|v| v.as_tensor().detach());
    let weight = model.backbone().tensor(&format!("{module}.weight")).expect("reads").expect("a weight");
    let product = |factors: &[Tensor]| {
        factors
            .iter()
            .skip(1)
            .fold(factors[0].clone(), |product, next| product.matmul(next).expect("a product"))
    };
    let (update, dora, factor) = match method {
        Method::Lora(config) => {
            let factors = [own("lora_b").expect("B"), own("lora_a").expect("A")];
            (product(&factors), config.dora, config.lora_alpha / config.r as f64)
        }
        Method::Vera(config) => {
            let diagonal = |t: Tensor| match t.rank() {
                1 => {
                    let eye = Tensor::eye(t.elem_count(), DType::F64, t.device()).expect("an identity");
                    eye.broadcast_mul(&t).expect("a diagonal")
                }
                _ => t,
            };
            let shared = |part: &str| model.parameters().frozen()[&format!("shared.{part}")].clone();
            let (d, b) = (own("lambda_d").map(diagonal), own("lambda_b").map(diagonal));
            let factors = [b.expect("Λ_b"), shared("vera_b"), d.expect("Λ_d"), shared("vera_a")];
            (product(&factors), config.dora, config.alpha.map_or(1.0, |alpha| alpha / config.r as f64))
        }
        _ => panic!("{} has no magnitudes", method.summary()),
    };
    let factor = if dora == Some(Dora::Scaled) { factor } else { 1.0 };
    let updated = (weight + (update * factor).expect("scaled")).expect("a sum");
    updated.sqr().and_then(|w| w.sum(D::Minus1)).and_then(|s| s.sqrt()).expect("norms")
}

fn ia3(use_gating: bool) -> Ia3Config {
    let outputs = [LinearSite::Key, LinearSite::Value, LinearSite::FfnUp];
    Ia3Config {
        outputs: Targets::everywhere(&outputs, LAYERS),
        inputs: Targets::default(),
        use_gating,
        alpha: 1.0,
        fused: Vec::new(),
    }
}

#[test]
fn of_factors() {
    let inputs = Targets::everywhere(&[LinearSite::FfnDown], LAYERS);
    let key_value = Targets::everywhere(&[LinearSite::Key, LinearSite::Value], LAYERS);
    check_all(
        [
            ia3(false),
            Ia3Config { alpha: 2.0, ..ia3(true) },
            Ia3Config { inputs, outputs: key_value, ..ia3(false) },
        ]
        .map(Method::Ia3),
    );
    let hadamard = HadamardConfig::standard();
    check_all(
        [
            hadamard.clone(),
            HadamardConfig { position: HadamardPosition::Context, norms: Vec::new(), ..hadamard.clone() },
            HadamardConfig { norms: SubLayer::USUAL.to_vec(), layers: Some(vec![1]), ..hadamard },
        ]
        .map(Method::Hadamard),
    );
}

#[test]
fn of_prefixes_and_prompts() {
    let flat = PrefixConfig::flat(3);
    let network = PrefixConfig { bottleneck_size: Some(4), dropout: 0.1, ..flat.clone() };
    let gated = PrefixConfig { use_gating: true, leave_out: vec![0], ..flat.clone() };
    let apart = PrefixConfig { shared_gating: false, ..gated.clone() };
    let shifted = PrefixConfig { shifts_positions: true, drops_token_types: true, ..flat.clone() };
    check_all([flat, network, gated, apart, shifted].map(Method::Prefix));
    let prompt = |place| PromptConfig::new(2, place);
    check_all(
        [PromptPlace::AfterEmbeddings, PromptPlace::AfterFirstToken, PromptPlace::Words]
            .map(prompt)
            .map(Method::Prompt),
    );
    // P-tuning: what a small network makes of a prompt (Liu et al. 2021).
    check_all([Method::Prompt(PromptConfig { encoder_hidden_size: Some(5), ..prompt(PromptPlace::Words) })]);
}

#[test]
fn of_interventions() {
    let loreft = ReftConfig { suffix_positions: 1, ..ReftConfig::loreft(2) };
    let noreft = ReftConfig { orthogonality: false, ..loreft.clone() };
    check_all(
        [
            ReftConfig { tied_weights: true, ..loreft.clone() },
            loreft,
            ReftConfig { subtract_projection: false, ..noreft.clone() },
            ReftConfig { non_linearity: Some(Activation::Gelu), layers: Some(vec![0]), ..noreft.clone() },
            noreft,
        ]
        .map(Method::Reft),
    );
}

#[test]
fn of_the_backbone_where_it_is_what_is_trained() {
    let shape = shape();
    check_all(
        [
            ReplaceConfig::bitfit(Architecture::Bert, &shape, true),
            ReplaceConfig::layer_norm(Architecture::Bert, &shape),
            ReplaceConfig::full(Architecture::Bert, &shape, true),
        ]
        .map(Method::Replace),
    );
}

#[test]
fn of_unions() {
    let prefix = |use_gating| Method::Prefix(PrefixConfig { use_gating, ..PrefixConfig::flat(2) });
    let mam = vec![prefix(false), Method::Bottleneck(Bn::parallel(4.0))];
    let unipelt = vec![
        prefix(true),
        Method::Bottleneck(Bn { use_gating: true, ..Bn::pfeiffer(4.0) }),
        Method::Lora(LoraConfig { use_gating: true, ..LoraConfig::query_value(2, 2.0, LAYERS) }),
    ];
    check_all([mam, unipelt].map(|parts| Method::Union(UnionConfig { parts })));
}

/// candle computes both gradients of a matrix product, wanted or not; a frozen layer
/// computes that of its input only. Gradients of intermediate results are kept too, but
/// none of them has the shape of a weight.
#[test]
fn never_of_what_is_frozen() {
    let shape = shape();
    let methods = [
        Method::Bottleneck(Bn::houlsby(4.0)),
        Method::Bottleneck(Bn::compacter(2.0)),
        Method::Lora(LoraConfig::on(2, 4.0, all_sites())),
        Method::Lora(LoraConfig { dora: Some(Dora::Scaled), ..LoraConfig::on(2, 4.0, all_sites()) }),
        Method::Vera(vera(VeraScaling::Diagonal)),
        Method::Ia3(ia3(false)),
        Method::Hadamard(HadamardConfig::standard()),
        Method::Prefix(PrefixConfig::flat(3)),
        Method::Reft(ReftConfig::loreft(1)),
        Method::Replace(ReplaceConfig::bitfit(Architecture::Bert, &shape, true)),
        Method::Replace(ReplaceConfig::layer_norm(Architecture::Bert, &shape)),
    ];
    let frozen = [vec![16, 16], vec![32, 16], vec![16, 32], vec![20, 16]];
    for method in methods {
        let model = fresh(&method, Some(&head()));
        let own: Vec<Vec<usize>> = method_slots(&method, &shape).into_iter().map(|slot| slot.shape).collect();
        let grads = loss(&model, &Golden::read()).and_then(|l| l.backward()).expect("backward");
        let kept = grads.get_ids().filter_map(|id| grads.get_id(*id)).map(|grad| grad.dims().to_vec());
        let found: Vec<Vec<usize>> =
            kept.filter(|dims| frozen.contains(dims) && !own.contains(dims)).collect();
        assert!(found.is_empty(), "{}: gradients of the shapes {found:?}", method.summary());
    }
}
