use safetensors::{Dtype, tensor::TensorView};

use super::*;
use crate::{
    backbone::{Architecture, LinearSite, Targets},
    head::ClassificationHead,
    method::{
        BottleneckConfig, HadamardConfig, Ia3Config, LoraConfig, PrefixConfig, PromptConfig, PromptPlace,
        ReftConfig, ReplaceConfig, Scaling, UnionConfig, VeraConfig, VeraScaling,
    },
};

const MINILM: BackboneShape = BackboneShape {
    hidden_size: 384,
    num_layers: 6,
    num_heads: 12,
    intermediate_size: 1536,
    vocab_size: 30522,
    max_positions: 512,
    token_types: 2,
    ..BackboneShape::EMPTY
};
const BERT_BASE: BackboneShape = BackboneShape {
    hidden_size: 768,
    num_layers: 12,
    num_heads: 12,
    intermediate_size: 3072,
    vocab_size: 30522,
    max_positions: 512,
    token_types: 2,
    ..BackboneShape::EMPTY
};

fn count(method: &Method, shape: &BackboneShape) -> usize {
    method_slots(method, shape).iter().filter(|slot| slot.trainable).map(Slot::len).sum()
}

/// Trainable numbers on bert-base and on MiniLM.
fn counts(method: impl Fn(&BackboneShape) -> Method) -> (usize, usize) {
    let on = |shape| {
        let method = method(shape);
        method.validate(shape).expect("fits");
        count(&method, shape)
    };
    (on(&BERT_BASE), on(&MINILM))
}

fn prefix(length: usize, inner: Option<usize>, use_gating: bool) -> Method {
    Method::Prefix(PrefixConfig { bottleneck_size: inner, use_gating, ..PrefixConfig::flat(length) })
}

#[test]
fn bottlenecks_have_as_many_parameters_as_in_the_python_libraries() {
    use BottleneckConfig as Bn;
    let scaled = || Bn { scaling: Scaling::Learned, ..Bn::parallel(2.0) };
    let table: [(Bn, (usize, usize)); 13] = [
        (Bn::pfeiffer(16.0), (894_528, 113_040)),
        (Bn::pfeiffer(2.0), (7_091_712, 888_192)),
        (Bn::pfeiffer(12.0), (1_189_632, 149_952)),
        (Bn::pfeiffer(64.0), (230_544, 29_988)),
        (Bn::houlsby(16.0), (1_789_056, 226_080)),
        (Bn::houlsby(12.0), (2_379_264, 299_904)),
        (Bn::parallel(2.0), (7_091_712, 888_192)),
        (scaled(), (7_091_724, 888_198)),
        (Bn::pfeiffer(16.0).invertible(2.0), (1_190_592, 187_344)),
        (Bn::houlsby(16.0).invertible(2.0), (2_085_120, 300_384)),
        (Bn::adapter_plus(96.0), (165_984, 23_064)),
        (Bn::compacter(32.0), (57_088, 14_320)),
        (Bn::compacter_plus_plus(32.0), (28_576, 7_192)),
    ];
    for (config, expected) in table {
        let method = Method::Bottleneck(config);
        assert_eq!(counts(|_| method.clone()), expected, "{}", method.summary());
    }
}

#[test]
fn every_other_method_has_as_many_parameters_as_in_the_python_libraries() {
    use LinearSite::{FfnDown, FfnUp, Key, Query, Value};
    let lora = |r, sites: &'static [LinearSite]| {
        counts(move |s| Method::Lora(LoraConfig::on(r, 8.0, Targets::everywhere(sites, s.num_layers))))
    };
    assert_eq!(lora(8, &[Query, Value]), (294_912, 73_728));
    assert_eq!(lora(16, &[Query, Value]), (589_824, 147_456));
    assert_eq!(lora(8, &[Query, Key, Value, FfnUp, FfnDown]), (1_179_648, 294_912));
    let dora = |s: &BackboneShape| {
        let lora = LoraConfig::query_value(8, 8.0, s.num_layers);
        Method::Lora(LoraConfig { dora: Some(crate::method::Dora::Scaled), ..lora })
    };
    assert_eq!(counts(dora), (313_344, 78_336));
    let ia3 = |s: &BackboneShape| {
        let outputs = Targets::everywhere(&[Key, Value, FfnUp], s.num_layers);
        Method::Ia3(Ia3Config {
            outputs,
            inputs: Targets::default(),
            use_gating: false,
            alpha: 1.0,
            fused: Vec::new(),
        })
    };
    assert_eq!(counts(ia3), (55_296, 13_824));
    let vera = |scaling| {
        counts(move |s| {
            let targets = Targets::everywhere(&[Query, Value], s.num_layers);
            let (d_initial, b_initial, dropout) = (0.1, 0.0, 0.0);
            let (alpha, dora, use_gating, r) = (None, None, false, 8);
            let config =
                VeraConfig { r, targets, d_initial, b_initial, dropout, scaling, alpha, dora, use_gating };
            Method::Vera(config)
        })
    };
    assert_eq!(vera(VeraScaling::Diagonal), (18_624, 4_704));
    assert_eq!(vera(VeraScaling::Matrix), (14_157_312, 1_770_240));
    assert_eq!(counts(|_| prefix(30, Some(512), false)), (9_872_384, 2_572_544));
    assert_eq!(counts(|_| prefix(30, None, false)), (552_960, 138_240));
    let place = PromptPlace::AfterEmbeddings;
    let prompt = PromptConfig::new(10, place);
    assert_eq!(counts(|_| Method::Prompt(prompt.clone())), (7_680, 3_840));
    assert_eq!(counts(|_| Method::Reft(ReftConfig::loreft(1))), (36_888, 9_228));
    assert_eq!(counts(|_| Method::LastLayer), (0, 0));
}

#[test]
fn what_neither_library_has_has_as_many_parameters_as_the_papers_and_checkpoints_say() {
    let hadamard = HadamardConfig::standard();
    assert_eq!(counts(|_| Method::Hadamard(hadamard.clone())), (36_864, 9_216));
    let bare = HadamardConfig { norms: Vec::new(), ..hadamard.clone() };
    assert_eq!(counts(|_| Method::Hadamard(bare.clone())), (18_432, 4_608));
    // The paper's 0.022 % of BERT-base: four layers less.
    let fewer = HadamardConfig { layers: Some((4..12).collect()), ..hadamard };
    let count: usize = Method::Hadamard(fewer).slots(&BERT_BASE).iter().map(Slot::len).sum();
    assert_eq!(count, 24_576);
    assert_eq!(
        counts(|s| Method::Replace(ReplaceConfig::full(Architecture::Bert, s, true))),
        (109_482_240, 22_713_216)
    );
    // Per layer 11 h, and h for the norm of the embeddings; with the pooler h more.
    assert_eq!(
        counts(|s| Method::Replace(ReplaceConfig::bitfit(Architecture::Bert, s, false))),
        (102_144, 25_728)
    );
    assert_eq!(
        counts(|s| Method::Replace(ReplaceConfig::bitfit(Architecture::Bert, s, true))),
        (102_912, 26_112)
    );
    assert_eq!(
        counts(|s| Method::Replace(ReplaceConfig::layer_norm(Architecture::Bert, s))),
        (38_400, 9_984)
    );
}

#[test]
fn unions_have_as_many_parameters_as_in_the_python_libraries() {
    let mam = |_: &BackboneShape| {
        let parts = vec![prefix(30, Some(800), false), Method::Bottleneck(BottleneckConfig::parallel(2.0))];
        Method::Union(UnionConfig { parts })
    };
    assert_eq!(counts(mam), (22_493_984, 4_898_720));
    let unipelt = |s: &BackboneShape| {
        let bottleneck = BottleneckConfig { use_gating: true, ..BottleneckConfig::pfeiffer(16.0) };
        let lora = LoraConfig { use_gating: true, ..LoraConfig::query_value(8, 2.0, s.num_layers) };
        let parts = vec![prefix(10, Some(512), true), Method::Bottleneck(bottleneck), Method::Lora(lora)];
        Method::Union(UnionConfig { parts })
    };
    assert_eq!(counts(unipelt), (11_083_376, 2_760_872));
}

#[test]
fn the_head_has_as_many_parameters_as_in_the_python_library() {
    let head = Head::Classification(ClassificationHead::flexible(2));
    assert_eq!(head_slots(&head, 768).iter().map(Slot::len).sum::<usize>(), 592_130);
}

fn subject<'a>(method: &'a Method, head: Option<&'a Head>) -> Subject<'a> {
    Subject { architecture: Architecture::Bert, shape: &MINILM, method, head, name: "sst", prefixed: true }
}

#[test]
fn every_slot_has_exactly_one_name_on_disk() {
    let flexible = Head::Classification(ClassificationHead::flexible(2));
    let pooled = Head::Classification(ClassificationHead::pooled(2));
    let gated = BottleneckConfig {
        use_gating: true,
        ln_before: true,
        ln_after: true,
        ..BottleneckConfig::houlsby(8.0)
    };
    let cases = [
        (Format::Adapters, Method::Bottleneck(gated), &flexible),
        (Format::Adapters, Method::Lora(LoraConfig::query_value(8, 8.0, 6)), &flexible),
        (Format::Peft, Method::Lora(LoraConfig::query_value(8, 8.0, 6)), &pooled),
        (Format::Adapters, Method::LastLayer, &flexible),
    ];
    for (format, method, head) in cases {
        let mut expected = method_slots(&method, &MINILM);
        expected.extend(head_slots(head, MINILM.hidden_size));
        let mut expected: Vec<_> = expected.into_iter().map(|s| (s.name, s.shape)).collect();
        let files = weights_files(format, &subject(&method, Some(head))).expect("expressible");
        let mut found: Vec<_> =
            files.into_iter().flat_map(|f| f.tensors).map(|t| (t.slot, t.shape)).collect();
        expected.sort();
        found.sort();
        assert_eq!(found, expected);
    }
}

#[test]
fn names_on_disk_are_those_the_python_libraries_write() {
    let lora = Method::Lora(LoraConfig::on(
        8,
        8.0,
        Targets::in_layers(&[LinearSite::Query, LinearSite::Value], [1]),
    ));
    let pfeiffer = Method::Bottleneck(BottleneckConfig {
        leave_out: vec![0, 1, 2, 3, 4],
        ..BottleneckConfig::pfeiffer(16.0)
    });
    let flexible = Head::Classification(ClassificationHead::flexible(2));
    let pooled = Head::Classification(ClassificationHead::pooled(2));
    let names = |format, method, head| {
        let files = weights_files(format, &subject(method, Some(head))).expect("expressible");
        files
            .iter()
            .flat_map(|f| f.tensors.iter().map(|t| format!("{}: {} {:?}", f.path, t.disk, t.shape)))
            .collect::<Vec<_>>()
            .join("\n")
    };
    insta::assert_snapshot!(names(Format::Peft, &lora, &pooled), @r"
    adapter_model.safetensors: base_model.model.bert.encoder.layer.1.attention.self.query.lora_A.weight [8, 384]
    adapter_model.safetensors: base_model.model.bert.encoder.layer.1.attention.self.query.lora_B.weight [384, 8]
    adapter_model.safetensors: base_model.model.bert.encoder.layer.1.attention.self.value.lora_A.weight [8, 384]
    adapter_model.safetensors: base_model.model.bert.encoder.layer.1.attention.self.value.lora_B.weight [384, 8]
    adapter_model.safetensors: base_model.model.classifier.weight [2, 384]
    adapter_model.safetensors: base_model.model.classifier.bias [2]
    ");
    insta::assert_snapshot!(names(Format::Adapters, &pfeiffer, &flexible), @r"
    adapter.safetensors: bert.encoder.layer.5.output.adapters.sst.adapter_down.0.weight [24, 384]
    adapter.safetensors: bert.encoder.layer.5.output.adapters.sst.adapter_down.0.bias [24]
    adapter.safetensors: bert.encoder.layer.5.output.adapters.sst.adapter_up.weight [384, 24]
    adapter.safetensors: bert.encoder.layer.5.output.adapters.sst.adapter_up.bias [384]
    model_head.safetensors: heads.sst.1.weight [384, 384]
    model_head.safetensors: heads.sst.1.bias [384]
    model_head.safetensors: heads.sst.4.weight [2, 384]
    model_head.safetensors: heads.sst.4.bias [2]
    ");
}

fn file_bytes(tensors: &[(&str, Vec<usize>)]) -> Vec<u8> {
    let data: Vec<Vec<u8>> = tensors.iter().map(|(_, s)| vec![0; 4 * s.iter().product::<usize>()]).collect();
    let views = tensors.iter().zip(&data).map(|((name, shape), data)| {
        (*name, TensorView::new(Dtype::F32, shape.clone(), data).expect("a view"))
    });
    safetensors::serialize(views, None).expect("serialises")
}

#[test]
fn a_misfitting_file_is_refused_with_the_tensor_and_both_shapes() {
    let spec = |name: &str| TensorSpec::new(name.into(), &Slot::new(Place::Shared, name, &[2, 3]));
    let file = WeightsFile { path: "x.safetensors", tensors: vec![spec("a"), spec("b")] };
    let check = |tensors: &[(&str, Vec<usize>)]| {
        let bytes = file_bytes(tensors);
        let header = TensorHeader::parse(&bytes, bytes.len() as u64).expect("well-formed");
        file.check(&header).map_err(|e| e.to_string())
    };
    assert_eq!(check(&[("a", vec![2, 3]), ("b", vec![2, 3])]), Ok(()));
    let messages = [
        check(&[("a", vec![2, 3])]),
        check(&[("a", vec![2, 3]), ("b", vec![3, 2])]),
        check(&[("a", vec![2, 3]), ("b", vec![2, 3]), ("c", vec![1])]),
    ];
    insta::assert_snapshot!(messages.map(|m| m.expect_err("a misfit")).join("\n"), @r"
    `x.safetensors` lacks the tensor `b` of shape [2, 3]
    the tensor `b` in `x.safetensors` has shape [3, 2]; the base model and the configuration make it [2, 3]
    `x.safetensors` has the tensor `c` of shape [1], which the adapter's configuration has no place for
    ");
}

#[test]
fn truncated_and_foreign_bytes_are_told_apart() {
    let bytes = file_bytes(&[("a", vec![2, 3])]);
    let parse = |bytes: &[u8], len: usize| TensorHeader::parse(bytes, len as u64);
    assert!(parse(&bytes, bytes.len()).is_ok());
    let header = usize::try_from(header_len(&bytes, bytes.len() as u64).expect("a header")).expect("small");
    assert_eq!(parse(&bytes[..header], bytes.len()), parse(&bytes, bytes.len()), "the header is enough");
    assert!(matches!(parse(&bytes[..5], 5), Err(HeaderError::Truncated { .. })));
    assert!(matches!(parse(&bytes[..20], 20), Err(HeaderError::Truncated { .. })));
    assert!(matches!(parse(&bytes, bytes.len() - 4), Err(HeaderError::Length { .. })));
    let pickle = b"\x80\x02}q\x00(X\x06\x00\x00\x00weight";
    assert!(matches!(parse(pickle, pickle.len()), Err(HeaderError::NotSafetensors(_))));
    let mut garbled = bytes.clone();
    garbled[9] = 0xff;
    assert!(matches!(parse(&garbled, garbled.len()), Err(HeaderError::Malformed(_))));
}
