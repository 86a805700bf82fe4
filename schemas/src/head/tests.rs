use serde_json::json;

use super::*;
use crate::method::Activation;

fn parse(json: serde_json::Value) -> Head {
    serde_json::from_value(json).expect("a head")
}

#[test]
fn a_classification_head_of_the_first_version_is_read_and_written_as_it_was() {
    let json = json!({
        "type": "classification", "num_labels": 3, "layers": 2, "activation": "tanh", "pooling": "first",
        "dropout": 0.1
    });
    let head = parse(json.clone());
    assert_eq!(head, Head::Classification(ClassificationHead::flexible(3)));
    assert_eq!(serde_json::to_value(&head).expect("serialises"), json);
}

#[test]
fn every_head_survives_its_json() {
    let heads = [
        Head::Classification(ClassificationHead {
            bias: false,
            activation: None,
            ..ClassificationHead::pooled(2)
        }),
        Head::MultiLabelClassification(ClassificationHead::flexible(5)),
        Head::Regression(ClassificationHead { pooling: Pooling::Mean, ..ClassificationHead::flexible(1) }),
        Head::Tagging(TaggingHead::single(9)),
        Head::MultipleChoice(MultipleChoiceHead::flexible(4)),
        Head::QuestionAnswering(QuestionAnsweringHead::single()),
        Head::DependencyParsing(DependencyParsingHead { num_labels: 3, dropout: 0.1 }),
        Head::MaskedLm(LanguageModelHead::masked(100, 8)),
        Head::CausalLm(LanguageModelHead {
            activation: None,
            layers: 1,
            ..LanguageModelHead::causal(100, 8)
        }),
        Head::Embedding(EmbeddingHead::of(Pooling::Mean)),
    ];
    for head in heads {
        let json = serde_json::to_value(&head).expect("serialises");
        assert_eq!(json["type"], head.kind());
        assert_eq!(parse(json), head);
        let labels: Vec<String> = (0..head.num_labels()).map(|i| format!("label {i}")).collect();
        assert_eq!(head.validate(&labels), Ok(()), "{}", head.kind());
        assert_eq!(head.validate(&head.default_labels()), Ok(()), "{}", head.kind());
    }
}

#[test]
fn heads_that_can_not_be_are_refused_with_the_number_in_question() {
    let message = |head: Head, labels: usize| {
        let labels: Vec<String> = (0..labels).map(|i| i.to_string()).collect();
        head.validate(&labels).expect_err("refused").to_string()
    };
    let stack = ClassificationHead::flexible(2);
    let table = LanguageModelHead::masked(0, 8);
    let messages = [
        message(Head::Classification(ClassificationHead::flexible(1)), 1),
        message(Head::MultiLabelClassification(ClassificationHead::flexible(0)), 0),
        message(Head::Tagging(TaggingHead::single(usize::MAX)), 1),
        message(Head::Classification(ClassificationHead { layers: 0, ..stack.clone() }), 2),
        message(Head::Classification(ClassificationHead { dropout: f64::NAN, ..stack.clone() }), 2),
        message(Head::Classification(stack), 3),
        message(Head::QuestionAnswering(QuestionAnsweringHead::single()), 3),
        message(Head::MaskedLm(table.clone()), 0),
        message(Head::CausalLm(LanguageModelHead { vocab_size: 9, embedding_size: 1 << 40, ..table }), 0),
        message(Head::Embedding(EmbeddingHead::of(Pooling::First)), 2),
    ];
    insta::assert_snapshot!(messages.join("\n"), @r"
    the head has 1 labels; a `classification` head has 2 to 100000
    the head has 0 labels; a `multi-label-classification` head has 1 to 100000
    the head has 18446744073709551615 labels; a `tagging` head has 1 to 100000
    the head has 0 layers; 1 to 8 are possible
    the head's `dropout` is NaN; it must lie in 0 ≤ p < 1
    3 label names are given for 2 labels
    3 label names are given for 2 labels
    the head's `vocab_size` is 0; it must lie between 1 and 4194304
    the head's `embedding_size` is 1099511627776; it must lie between 1 and 65536
    2 label names are given for 0 labels
    ");
}

#[test]
fn dropout_and_a_single_layers_activation_do_not_count_in_inference() {
    let one = ClassificationHead::pooled(2).stack();
    assert!(one.same_in_inference(&LinearStack { activation: None, dropout: 0.0, ..one }));
    let two = LinearStack { layers: 2, ..one };
    assert!(!two.same_in_inference(&LinearStack { activation: Some(Activation::Relu), ..two }));
    assert!(!one.same_in_inference(&LinearStack { bias: false, ..one }));
}
