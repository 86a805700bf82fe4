use super::*;
use crate::{
    backbone::{Architecture, BackboneShape},
    head::{
        ClassificationHead, EmbeddingHead, MultipleChoiceHead, Pooling, QuestionAnsweringHead, TaggingHead,
    },
    layout::{HEAD_CONFIG, HEAD_WEIGHTS, required_files, weights_files},
    method::{Activation, LoraConfig, Method},
};

const SHAPE: BackboneShape = BackboneShape {
    hidden_size: 8,
    num_layers: 1,
    num_heads: 2,
    intermediate_size: 16,
    vocab_size: 30,
    max_positions: 0,
    token_types: 0,
    ..BackboneShape::EMPTY
};

/// `name shape` of every tensor of the head's file, or of the head in PEFT's file.
fn names(format: Format, head: &Head) -> Result<String, String> {
    let method = match format {
        Format::Peft => Method::Lora(LoraConfig::query_value(2, 2.0, 0)),
        Format::Adapters | Format::Hub => Method::LastLayer,
    };
    let subject = Subject {
        architecture: Architecture::Bert,
        shape: &SHAPE,
        method: &method,
        head: Some(head),
        name: "n",
        prefixed: true,
    };
    let files = weights_files(format, &subject).map_err(|e| e.to_string())?;
    let tensors: Vec<_> = files.into_iter().flat_map(|file| file.tensors).collect();
    let slots: Vec<_> = head_slots(head, SHAPE.hidden_size).into_iter().map(|s| (s.name, s.shape)).collect();
    assert_eq!(slots, tensors.iter().map(|t| (t.slot.clone(), t.shape.clone())).collect::<Vec<_>>());
    Ok(tensors.iter().map(|t| format!("{} {:?}", t.disk, t.shape)).collect::<Vec<_>>().join("\n"))
}

fn causal(layers: usize, activation: Option<Activation>, layer_norm: bool) -> Head {
    Head::CausalLm(LanguageModelHead {
        layers,
        activation,
        layer_norm,
        bias: false,
        ..LanguageModelHead::causal(30, 8)
    })
}

#[test]
fn flexible_heads_are_named_by_their_place_among_the_librarys_modules() {
    let linear = ClassificationHead { activation: None, bias: false, ..ClassificationHead::flexible(3) };
    let heads = [
        Head::MultiLabelClassification(ClassificationHead { layers: 3, ..ClassificationHead::flexible(4) }),
        Head::Classification(linear),
        Head::MultipleChoice(MultipleChoiceHead::pooled(4)),
        Head::Tagging(TaggingHead::single(5)),
        Head::QuestionAnswering(QuestionAnsweringHead::single()),
        Head::DependencyParsing(DependencyParsingHead { num_labels: 3, dropout: 0.0 }),
        Head::MaskedLm(LanguageModelHead { layers: 3, ..LanguageModelHead::masked(30, 8) }),
        causal(1, None, false),
        causal(2, None, true),
        causal(2, Some(Activation::Gelu), false),
    ];
    let listing = heads.map(|head| {
        let names = names(Format::Adapters, &head).expect("expressible");
        format!("{}\n{names}", head.kind())
    });
    insta::assert_snapshot!(listing.join("\n\n"), @r"
    multi-label-classification
    heads.n.1.weight [8, 8]
    heads.n.1.bias [8]
    heads.n.4.weight [8, 8]
    heads.n.4.bias [8]
    heads.n.7.weight [4, 8]
    heads.n.7.bias [4]

    classification
    heads.n.1.weight [8, 8]
    heads.n.1.bias [8]
    heads.n.3.weight [3, 8]

    multiple-choice
    heads.n.1.weight [1, 8]
    heads.n.1.bias [1]

    tagging
    heads.n.1.weight [5, 8]
    heads.n.1.bias [5]

    question-answering
    heads.n.1.weight [2, 8]
    heads.n.1.bias [2]

    dependency-parsing
    heads.n.biaffine_arcs.weight [1, 9, 8]
    heads.n.biaffine_rels.weight [3, 9, 9]

    masked-lm
    heads.n.0.weight [8, 8]
    heads.n.0.bias [8]
    heads.n.2.weight [8]
    heads.n.2.bias [8]
    heads.n.3.weight [8, 8]
    heads.n.3.bias [8]
    heads.n.5.weight [8]
    heads.n.5.bias [8]
    heads.n.6.weight [30, 8]
    heads.n.6.bias [30]

    causal-lm
    heads.n.0.weight [30, 8]

    causal-lm
    heads.n.0.weight [8, 8]
    heads.n.0.bias [8]
    heads.n.1.weight [8]
    heads.n.1.bias [8]
    heads.n.2.weight [30, 8]

    causal-lm
    heads.n.0.weight [8, 8]
    heads.n.0.bias [8]
    heads.n.2.weight [30, 8]
    ");
}

#[test]
fn peft_saves_the_head_of_the_model_class_it_wrapped() {
    let heads = [
        Head::Classification(ClassificationHead::pooled(3)),
        Head::Regression(ClassificationHead::pooled(1)),
        Head::Tagging(TaggingHead::single(5)),
        Head::QuestionAnswering(QuestionAnsweringHead::single()),
        Head::Classification(ClassificationHead::flexible(3)),
        Head::Tagging(TaggingHead { layers: 2, ..TaggingHead::single(5) }),
        Head::MaskedLm(LanguageModelHead::masked(30, 8)),
        Head::DependencyParsing(DependencyParsingHead { num_labels: 3, dropout: 0.0 }),
    ];
    let listing = heads.map(|head| names(Format::Peft, &head).unwrap_or_else(|refusal| refusal));
    insta::assert_snapshot!(listing.join("\n\n"), @r"
    base_model.model.classifier.weight [3, 8]
    base_model.model.classifier.bias [3]

    base_model.model.classifier.weight [1, 8]
    base_model.model.classifier.bias [1]

    base_model.model.classifier.weight [5, 8]
    base_model.model.classifier.bias [5]

    base_model.model.qa_outputs.weight [2, 8]
    base_model.model.qa_outputs.bias [2]

    the peft format can't hold a `classification` head other than that of `transformers`

    the peft format can't hold a `tagging` head other than that of `transformers`

    the peft format can't hold a `masked-lm` head

    the peft format can't hold a `dependency-parsing` head
    ");
}

#[test]
fn every_model_class_has_its_own_names() {
    let listing = [
        "BertForSequenceClassification",
        "BertForMaskedLM",
        "BertLMHeadModel",
        "RobertaForSequenceClassification",
        "RobertaForTokenClassification",
        "RobertaForMaskedLM",
        "XLMRobertaForCausalLM",
    ]
    .map(|text| {
        let class: ModelClass = text.parse().expect("a class");
        assert_eq!(class.to_string(), text);
        let sizes = HeadSizes {
            projection: None,
            weighs_layers: false,
            outputs: 3,
            vocab_size: SHAPE.vocab_size,
            hidden_size: SHAPE.hidden_size,
            embedding_size: SHAPE.hidden_size,
        };
        let head = class.head(sizes, Activation::Gelu);
        let tensors = class.tensors(&head, SHAPE.hidden_size);
        assert!(tensors.iter().any(|tensor| tensor.disk == class.output_weight()));
        let names = tensors.into_iter().map(|tensor| {
            let all = std::iter::once(tensor.disk).chain(tensor.aliases);
            format!("{} {:?}", all.collect::<Vec<_>>().join(" or "), tensor.shape)
        });
        format!("{text}: {}\n{}", head.kind(), names.collect::<Vec<_>>().join("\n"))
    });
    insta::assert_snapshot!(listing.join("\n\n"), @r"
    BertForSequenceClassification: classification
    classifier.weight [3, 8]
    classifier.bias [3]

    BertForMaskedLM: masked-lm
    cls.predictions.transform.dense.weight [8, 8]
    cls.predictions.transform.dense.bias [8]
    cls.predictions.transform.LayerNorm.weight or cls.predictions.transform.LayerNorm.gamma [8]
    cls.predictions.transform.LayerNorm.bias or cls.predictions.transform.LayerNorm.beta [8]
    cls.predictions.decoder.weight [30, 8]
    cls.predictions.bias or cls.predictions.decoder.bias [30]

    BertLMHeadModel: causal-lm
    cls.predictions.transform.dense.weight [8, 8]
    cls.predictions.transform.dense.bias [8]
    cls.predictions.transform.LayerNorm.weight or cls.predictions.transform.LayerNorm.gamma [8]
    cls.predictions.transform.LayerNorm.bias or cls.predictions.transform.LayerNorm.beta [8]
    cls.predictions.decoder.weight [30, 8]
    cls.predictions.bias or cls.predictions.decoder.bias [30]

    RobertaForSequenceClassification: classification
    classifier.dense.weight [8, 8]
    classifier.dense.bias [8]
    classifier.out_proj.weight [3, 8]
    classifier.out_proj.bias [3]

    RobertaForTokenClassification: tagging
    classifier.weight [3, 8]
    classifier.bias [3]

    RobertaForMaskedLM: masked-lm
    lm_head.dense.weight [8, 8]
    lm_head.dense.bias [8]
    lm_head.layer_norm.weight or lm_head.layer_norm.gamma [8]
    lm_head.layer_norm.bias or lm_head.layer_norm.beta [8]
    lm_head.decoder.weight [30, 8]
    lm_head.bias or lm_head.decoder.bias [30]

    XLMRobertaForCausalLM: causal-lm
    lm_head.dense.weight [8, 8]
    lm_head.dense.bias [8]
    lm_head.layer_norm.weight or lm_head.layer_norm.gamma [8]
    lm_head.layer_norm.bias or lm_head.layer_norm.beta [8]
    lm_head.decoder.weight [30, 8]
    lm_head.bias or lm_head.decoder.bias [30]
    ");
    let unknown = "BertForNextSentencePrediction".parse::<ModelClass>().expect_err("unknown");
    insta::assert_snapshot!(unknown, @"the class `BertForNextSentencePrediction` has no head that this version knows");
}

#[test]
fn a_head_without_tensors_needs_its_configuration_only() {
    let head = Head::Embedding(EmbeddingHead::of(Pooling::Mean));
    for format in [Format::Peft, Format::Adapters] {
        assert_eq!(names(format, &head), Ok(String::new()));
        let files = required_files(format, &Method::LastLayer, Some(&head));
        assert!(files.contains(&HEAD_CONFIG) && !files.contains(&HEAD_WEIGHTS), "{format}: {files:?}");
    }
}

#[test]
fn adapters_has_no_regression_with_several_outputs() {
    let refusal = names(Format::Adapters, &Head::Regression(ClassificationHead::pooled(2)));
    insta::assert_snapshot!(refusal.expect_err("refused"), @"the adapters format can't hold a `regression` head with several outputs");
}

#[test]
fn llama_that_answers_calls_its_backbone_otherwise() {
    let method = Method::Lora(LoraConfig::query_value(2, 2.0, 1));
    let head = Head::QuestionAnswering(QuestionAnsweringHead::single());
    let names = |architecture| {
        let subject = Subject {
            architecture,
            shape: &SHAPE,
            method: &method,
            head: Some(&head),
            name: "n",
            prefixed: true,
        };
        let class = ModelClass::with_head(architecture, &head).expect("a class");
        let mut files = weights_files(Format::Peft, &subject).expect("files");
        let file = files.remove(0).around(class);
        file.tensors.into_iter().map(|tensor| tensor.disk).take(2).collect::<Vec<_>>()
    };
    insta::assert_snapshot!(names(Architecture::Llama).join("\n"), @"
    base_model.model.transformer.layers.0.self_attn.q_proj.lora_A.weight
    base_model.model.transformer.layers.0.self_attn.q_proj.lora_B.weight
    ");
    insta::assert_snapshot!(names(Architecture::Mistral).join("\n"), @"
    base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight
    base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight
    ");
}

#[test]
fn whole_models_are_saved_for_the_heads_of_five_classes() {
    let all = Architecture::ALL
        .into_iter()
        .flat_map(|architecture| HeadTask::ALL.map(|task| ModelClass::new(architecture, task)));
    let mut whole: Vec<String> = all.filter(|c| c.is_saved_whole()).map(|c| c.to_string()).collect();
    whole.sort();
    let expected = [
        "MT5ForSequenceClassification",
        "MT5ForTokenClassification",
        "T5ForSequenceClassification",
        "T5ForTokenClassification",
        "WhisperForAudioClassification",
    ];
    assert_eq!(whole, expected);
}
