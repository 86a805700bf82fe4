//! Files of words in columns and of questions about passages.

use std::path::Path;

use super::*;

fn read(name: &str, content: &str, options: &ColumnOptions) -> Result<DataFile, DataError> {
    DataFile::parse(Path::new(name), name.to_owned(), content.as_bytes(), None, options)
}

fn sentences(file: &DataFile) -> Vec<String> {
    let pairs =
        |e: &Example| e.texts.iter().zip(e.labels()).map(|(w, t)| format!("{w}/{t}")).collect::<Vec<_>>();
    file.examples.iter().map(|e| pairs(e).join(" ")).collect()
}

#[test]
fn a_conll_file_has_its_word_first_and_its_tag_last() {
    let content = "-DOCSTART- -X- O O\n\n# id 1 of it\nEU NNP I-NP B-ORG\nrejects VBZ I-VP O\n\n\t\n#\tO\nPeter\tB-PER\r\n";
    let file = read("a.conll", content, &ColumnOptions::default()).expect("readable");
    assert_eq!(file.kind, TaskKind::Tagging);
    assert_eq!(sentences(&file), ["EU/B-ORG rejects/O", "#/O Peter/B-PER"]);
    assert_eq!(file.examples[1].line, 8);
    let second = ColumnOptions { label: "2".parse().ok(), ..ColumnOptions::default() };
    let file = read("a.conll", "EU NNP I-NP B-ORG\n", &second).expect("readable");
    assert_eq!(sentences(&file), ["EU/NNP"]);
}

#[test]
fn a_conllu_file_has_universal_tags_of_the_words_that_are_written() {
    let rest = "_\t_\t0\troot\t_\t_";
    let content = format!(
        "# text = Vámonos ya\n1-2\tVámonos\t_\t_\t{rest}\n1\tVamos\t_\tVERB\t{rest}\n2\tnos\t_\tPRON\t{rest}\n2.1\tya\t_\tX\t{rest}\n\n1\tya\t_\tADV\t{rest}\n"
    );
    let file = read("a.conllu", &content, &ColumnOptions::default()).expect("readable");
    assert_eq!(sentences(&file), ["Vamos/VERB nos/PRON", "ya/ADV"]);
    let relation = ColumnOptions { label: "deprel".parse().ok(), ..ColumnOptions::default() };
    assert_eq!(sentences(&read("a.conllu", &content, &relation).expect("readable"))[1], "ya/root");
}

#[test]
fn words_and_tags_of_json_stand_in_lists() {
    let content = "{\"tokens\": [\"a\", \"film\"], \"ner_tags\": [\"O\", \"B-x\"]}\n";
    let file = read("a.jsonl", content, &ColumnOptions::default()).expect("readable");
    assert_eq!((file.kind, sentences(&file)), (TaskKind::Tagging, vec!["a/O film/B-x".to_owned()]));
}

#[test]
fn questions_have_answers_in_characters_or_none() {
    let content = r#"{"version": "v2.0", "data": [{"title": "T", "paragraphs": [{"context": "Größe ist 3 m", "qas": [
        {"id": "1", "question": " Wie groß? ", "answers": [{"text": "3 m", "answer_start": 10}], "is_impossible": false},
        {"id": "2", "question": "Wann?", "answers": [], "plausible_answers": [], "is_impossible": true}]}]}]}"#;
    let file = read("a.json", content, &ColumnOptions::default()).expect("readable");
    assert_eq!(file.kind, TaskKind::QuestionAnswering);
    assert_eq!(file.examples[0].texts, ["Wie groß?", "Größe ist 3 m"]);
    let spans = vec![Span { start: 10, text: "3 m".to_owned() }];
    assert_eq!(file.examples[0].answer, Answer::Spans(spans));
    assert_eq!(file.examples[1].answer, Answer::Spans(Vec::new()));
    assert_eq!(file.examples[1].source.as_deref(), Some("T"));
}

#[test]
fn questions_about_one_article_stay_together() {
    let article = |number: usize| {
        format!(
            r#"{{"title": "T{number}", "paragraphs": [{{"context": "a b", "qas": [
            {{"question": "q{number}", "answers": [{{"text": "a", "answer_start": 0}}]}},
            {{"question": "r{number}", "answers": [{{"text": "b", "answer_start": 2}}]}}]}}]}}"#
        )
    };
    let articles: Vec<String> = (0..20).map(article).collect();
    let content = format!("{{\"data\": [{}]}}", articles.join(","));
    let file = read("a.json", &content, &ColumnOptions::default()).expect("readable");
    let (training, validation) = split(&file, 0.2, 3).expect("splits");
    assert_eq!((training.len(), validation.len()), (32, 8));
    assert!(validation.iter().all(|v| training.iter().all(|t| t.source != v.source)));
}

#[test]
fn kinds_of_tables_are_told_by_what_stands_in_them() {
    let kind =
        |name: &str, content: &str| read(name, content, &ColumnOptions::default()).expect("readable").kind;
    assert_eq!(kind("a.csv", "sentence1,sentence2,score\na,b,4.5\nc,d,2\n"), TaskKind::Regression);
    assert_eq!(kind("a.csv", "text,label\na,4\nc,2\n"), TaskKind::Classification);
    assert_eq!(kind("a.jsonl", "{\"text\": \"a\", \"labels\": [\"x\"]}\n"), TaskKind::MultiLabel);
    let pair =
        read("a.csv", "premise,hypothesis,label\na,b,x\n", &ColumnOptions::default()).expect("readable");
    assert_eq!(pair.examples[0].texts, ["a", "b"]);
}

#[test]
fn prompts_and_their_answers_are_found_by_the_names_of_their_columns() {
    let pair = |file: &DataFile| match (&file.examples[0].texts[..], &file.examples[0].answer) {
        ([prompt], Answer::Text(answer)) => (prompt.clone(), answer.clone()),
        other => panic!("no prompt with an answer: {other:?}"),
    };
    let read = |name: &str, content: &str, kind| {
        let path = Path::new(name);
        let options = ColumnOptions::default();
        DataFile::parse(path, name.to_owned(), content.as_bytes(), kind, &options).expect("readable")
    };
    let csv = read("a.csv", "id,completion,prompt\n1,Paris,\"the capital, of France?\"\n2,,x\n", None);
    assert_eq!(
        (csv.kind, pair(&csv)),
        (TaskKind::CausalLm, ("the capital, of France?".into(), "Paris".into()))
    );
    assert_eq!(csv.notices.last(), Some(&Notice::Skipped { blank_texts: 0, blank_labels: 1 }));
    let alpaca = "{\"instruction\": \"shorten\", \"input\": \"a long text\", \"output\": \"a text\"}\n";
    assert_eq!(pair(&read("a.jsonl", alpaca, None)), ("shorten\n\na long text".into(), "a text".into()));
    // Two columns without telling names are what they are asked for.
    let kind = Some(TaskKind::Seq2SeqLm);
    assert_eq!(
        pair(&read("a.tsv", "long one\tshort\nother\to\n", kind)),
        ("long one".into(), "short".into())
    );
    let texts = read("a.jsonl", "{\"text\": \"whole\", \"id\": 1}\n", Some(TaskKind::CausalLm));
    assert_eq!(
        (&texts.examples[0].texts[0], &texts.examples[0].answer),
        (&"whole".to_owned(), &Answer::Unknown)
    );
}

#[test]
fn what_texts_are_for_depends_on_the_base_model() {
    let kinds = [Architecture::Bert, Architecture::Llama, Architecture::T5];
    assert_eq!(
        kinds.map(|base| TaskKind::MaskedLm.on(base).as_str()),
        ["masked-lm", "causal-lm", "masked-lm"]
    );
    assert_eq!(
        kinds.map(|base| TaskKind::CausalLm.on(base).as_str()),
        ["causal-lm", "causal-lm", "seq2seq-lm"]
    );
    assert_eq!(TaskKind::Classification.on(Architecture::T5), TaskKind::Classification);
}
