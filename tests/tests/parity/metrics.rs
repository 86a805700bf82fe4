//! Metrics equal those of scipy, scikit-learn, seqeval, the scripts of SQuAD and of CoNLL 2018, rouge-score and sacreBLEU on the same
//! predictions.

use anyhow::Result;
use hub_client::metrics::{
    Attached, Attachment, Confusion, Counts, Rouge, WordErrors, answer_f1, bleu, entity_counts, exact_match,
    pearson, spearman,
};
use hub_tests::golden::fixtures;
use serde::Deserialize;

const BAR: f64 = 1e-12;

#[derive(Deserialize)]
struct Cases {
    numbers: Vec<Numbers>,
    labels: Vec<Labels>,
    tags: Vec<Tags>,
    answers: Vec<Answered>,
}

#[derive(Deserialize)]
struct Numbers {
    x: Vec<f64>,
    y: Vec<f64>,
    pearson: f64,
    spearman: f64,
}

#[derive(Deserialize)]
struct Labels {
    truth: Vec<u32>,
    guess: Vec<u32>,
    accuracy: f64,
    macro_f1: f64,
    mcc: f64,
}

#[derive(Deserialize)]
struct Tags {
    truth: Vec<Vec<String>>,
    guess: Vec<Vec<String>>,
    precision: f64,
    recall: f64,
    f1: f64,
}

#[derive(Deserialize)]
struct Answered {
    prediction: String,
    answers: Vec<String>,
    f1: f64,
    exact_match: f64,
}

#[derive(Deserialize)]
struct Transcripts {
    written: Vec<String>,
    right: Vec<String>,
    wer: f64,
    plain: f64,
}

fn cases() -> Result<Cases> {
    Ok(serde_json::from_slice(&std::fs::read(fixtures().join("metrics/cases.json"))?)?)
}

fn same(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() < BAR, "{what}: {found} is not {expected}");
}

#[test]
fn correlations_are_those_of_scipy_ties_included() -> Result<()> {
    for case in cases()?.numbers {
        same(pearson(&case.x, &case.y), case.pearson, "Pearson");
        same(spearman(&case.x, &case.y), case.spearman, "Spearman");
    }
    Ok(())
}

#[test]
fn scores_of_labels_are_those_of_scikit_learn() -> Result<()> {
    for case in cases()?.labels {
        let mut confusion = Confusion::default();
        case.truth.iter().zip(&case.guess).for_each(|(truth, guess)| confusion.add(*truth, *guess));
        same(confusion.accuracy(), case.accuracy, "accuracy");
        same(confusion.macro_f1(), case.macro_f1, "macro F1");
        same(confusion.mcc(), case.mcc, "MCC");
    }
    Ok(())
}

#[test]
fn scores_of_entities_are_those_of_seqeval() -> Result<()> {
    for case in cases()?.tags {
        let sentences = case.truth.iter().zip(&case.guess);
        let counts = entity_counts(sentences.map(|(truth, guess)| (truth.as_slice(), guess.as_slice())));
        let all = counts.into_values().fold(Counts::default(), Counts::plus);
        same(all.precision(), case.precision, "precision");
        same(all.recall(), case.recall, "recall");
        same(all.f1(), case.f1, "F1");
    }
    Ok(())
}

#[test]
fn scores_of_answers_are_those_of_the_script_of_squad() -> Result<()> {
    for case in cases()?.answers {
        let answers: Vec<&str> = case.answers.iter().map(String::as_str).collect();
        same(answer_f1(&case.prediction, &answers), case.f1, &case.prediction);
        same(exact_match(&case.prediction, &answers), case.exact_match, &case.prediction);
    }
    Ok(())
}

#[derive(Deserialize)]
struct Trees {
    gold: Vec<Vec<(usize, String)>>,
    system: Vec<Vec<(usize, String)>>,
    uas: f64,
    las: f64,
}

#[test]
fn scores_of_trees_are_those_of_the_evaluation_of_conll_2018() -> Result<()> {
    let trees: Vec<Trees> = serde_json::from_slice(&std::fs::read(fixtures().join("metrics/trees.json"))?)?;
    assert!(trees.len() > 30);
    for Trees { gold, system, uas, las } in trees {
        let mut attachment = Attachment::default();
        for (gold, system) in gold.iter().zip(&system) {
            fn arc((head, relation): &(usize, String)) -> Attached<'_> {
                (*head, relation)
            }
            attachment.add(gold.iter().map(arc), system.iter().map(|word| Some(arc(word))));
        }
        same(attachment.uas(), uas, "UAS");
        same(attachment.las(), las, "LAS");
    }
    Ok(())
}

#[test]
fn word_error_rates_are_those_of_jiwer() -> Result<()> {
    let bytes = std::fs::read(fixtures().join("metrics/transcripts.json"))?;
    let corpora: Vec<Transcripts> = serde_json::from_slice(&bytes)?;
    assert!(corpora.len() > 30);
    for Transcripts { written, right, wer, plain } in corpora {
        let rate = |errors: fn(&str, &str) -> WordErrors| {
            written.iter().zip(&right).map(|(a, b)| errors(a, b)).sum::<WordErrors>().rate()
        };
        same(rate(WordErrors::of), wer, "the rate");
        same(rate(WordErrors::of_plain), plain, "the rate of plain words");
    }
    Ok(())
}

#[derive(Deserialize)]
struct Generated {
    pairs: Vec<Pair>,
    corpora: Vec<Corpus>,
}

#[derive(Deserialize)]
struct Pair {
    written: String,
    right: String,
    rouge1: f64,
    rouge2: f64,
    #[serde(rename = "rougeL")]
    rouge_l: f64,
}

#[derive(Deserialize)]
struct Corpus {
    written: Vec<String>,
    right: Vec<String>,
    bleu: f64,
}

fn generated() -> Result<Generated> {
    Ok(serde_json::from_slice(&std::fs::read(fixtures().join("metrics/generated.json"))?)?)
}

#[test]
fn rouge_of_a_written_text_is_that_of_rouge_score() -> Result<()> {
    for Pair { written, right, rouge1, rouge2, rouge_l: longest } in generated()?.pairs {
        let found = Rouge::of(&written, &right);
        same(found.one, rouge1, &written);
        same(found.two, rouge2, &written);
        same(found.longest, longest, &written);
    }
    Ok(())
}

#[test]
fn bleu_of_a_corpus_is_that_of_sacrebleu() -> Result<()> {
    for Corpus { written, right, bleu: expected } in generated()?.corpora {
        let written: Vec<&str> = written.iter().map(String::as_str).collect();
        let right: Vec<&str> = right.iter().map(String::as_str).collect();
        assert!((bleu(&written, &right) - expected).abs() < 1e-9, "{written:?}");
    }
    Ok(())
}
