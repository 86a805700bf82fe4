//! A LoRA out of a fine-tuned backbone.

use std::collections::BTreeMap;

use hub_formats::checkpoint::{BaseFolder, TensorFile};
use hub_schemas::backbone::{Architecture, LinearSite, Module, Targets};

use super::{
    super::{
        Delta, ExtractOptions, Factors, MergeError, Normalise, average_tensors, bake, extract, extract_layer,
        linear_layers,
    },
    baking::{base, tiny, with_tensors},
    delta, distance, noise,
};

fn options(rank: usize) -> ExtractOptions {
    ExtractOptions {
        rank,
        targets: Targets::everywhere(&Architecture::Bert.linear_sites(), 2),
        keep_others: true,
    }
}

#[test]
fn an_update_of_low_rank_is_found_exactly_and_another_as_well_as_its_report_says() {
    let base = noise(20, 30, 1);
    let update = Factors::new(noise(3, 30, 2), noise(20, 3, 3), 0.5).expect("factors");
    let tuned = base.clone().plus(&delta(&update), 1.0).expect("adds");
    let (found, report) = extract_layer("q", &base, &tuned, 3).expect("extracts");
    assert!(distance(&delta(&found), &delta(&update)) < 1e-12);
    assert!((report.retained() - 1.0).abs() < 1e-12 && report.rank_for(0.999_999) == 3);
    assert!((report.norm() - delta(&update).norm()).abs() < 1e-12);

    let (found, report) = extract_layer("q", &base, &tuned, 2).expect("extracts");
    let lost = delta(&update).plus(&delta(&found), -1.0).expect("subtracts").norm() / delta(&update).norm();
    assert!(report.retained() < 1.0);
    assert!((lost * lost - (1.0 - report.retained())).abs() < 1e-12);
    assert_eq!(report.retained_at(0).to_bits(), 0.0_f64.to_bits());
}

#[test]
fn nothing_tuned_is_nothing_extracted() {
    let base = noise(4, 5, 1);
    let (found, report) = extract_layer("q", &base, &base, 2).expect("extracts");
    assert!(delta(&found).norm() < 1e-300);
    assert!((report.retained() - 1.0).abs() < f64::EPSILON && report.rank_for(0.9) == 0);
    for rank in [0, 5] {
        let refused = extract_layer("q", &base, &base, rank).expect_err("is refused");
        assert_eq!(refused.to_string(), format!("the rank is {rank}; it must lie between 1 and 4"));
    }
}

#[test]
fn what_was_baked_in_is_extracted_again_and_what_a_lora_can_not_express_is_reported() {
    let dir = tempfile::tempdir().expect("a folder");
    let base = base();
    let update = Factors::new(noise(2, 16, 4), noise(32, 2, 5), 1.0).expect("factors");
    let deltas = [("layers.1.ffn_up.weight".to_owned(), Delta::LowRank(vec![update.clone()]))].into();
    bake(&base, &deltas, &[], &dir.path().join("baked")).expect("bakes");
    // Fine-tuning changes a bias too, and brings a classifier.
    let changed = "encoder.layer.0.attention.self.key.bias";
    with_tensors(&dir.path().join("baked"), &dir.path().join("tuned"), |name, tensor| {
        if name == changed {
            let one = [(name.to_owned(), tensor.clone())].into();
            let parts: [(&BTreeMap<_, _>, f64); 1] = [(&one, 1.5)];
            *tensor = average_tensors(&parts, Normalise::Not).expect("scales")[name].clone();
        }
    });
    let tuned = BaseFolder::open(&dir.path().join("tuned")).expect("opens");

    let found = extract(&base, &tuned, &options(2)).expect("extracts");
    assert_eq!(found.layers.len(), 12);
    for (layer, factors) in &found.layers {
        if layer == "layers.1.ffn_up" {
            // As well as single precision holds the baked weight.
            assert!(distance(&delta(factors), &delta(&update)) < 1e-6);
        } else {
            assert!(delta(factors).norm() < 1e-300, "{layer}");
        }
    }
    assert_eq!(found.reports.len(), 12);
    let [other] = found.others.as_slice() else { panic!("{:?}", found.others) };
    assert_eq!((other.name.as_str(), other.checkpoint_name.as_str()), ("layers.0.key.bias", changed));
    assert!(other.largest > 0.0 && other.norm >= other.largest);
    assert_eq!(other.tensor.as_ref().map(|t| t.shape.clone()), Some(vec![16]));
    assert!(found.only_in_tuned.is_empty());
    found.write_others(&dir.path().join("others.safetensors")).expect("writes");
    let others = TensorFile::open(&dir.path().join("others.safetensors")).expect("is safetensors");
    assert_eq!(others.header.tensors.keys().collect::<Vec<_>>(), [changed]);
    let brief =
        extract(&base, &tuned, &ExtractOptions { keep_others: false, ..options(2) }).expect("extracts");
    assert!(brief.others[0].tensor.is_none());

    // A weight that is not selected counts as not expressed.
    let queries = ExtractOptions { targets: Targets::everywhere(&[LinearSite::Query], 2), ..options(2) };
    let found = extract(&base, &tuned, &queries).expect("extracts");
    assert_eq!(found.layers.len(), 2);
    assert!(found.others.iter().any(|other| other.name == "layers.1.ffn_up.weight"));
}

#[test]
fn a_classifier_of_the_tuned_checkpoint_is_named_and_other_dimensions_are_refused() {
    let tuned = BaseFolder::open(&tiny("tiny-bert-classifier")).expect("opens");
    let found = extract(&base(), &tuned, &options(4)).expect("extracts");
    assert_eq!(found.only_in_tuned, ["classifier.bias", "classifier.weight"]);

    let refused = extract(&base(), &tuned, &options(17)).expect_err("is refused");
    assert_eq!(refused.to_string(), "the rank is 17; it must lie between 1 and 16");
    let only = |targets| extract(&base(), &tuned, &ExtractOptions { targets, ..options(1) });
    assert!(matches!(only(Targets::default()), Err(MergeError::NoLayer)));
    for module in ["layers.2.query", "layers.0.ffn.norm", "embeddings.word"] {
        let module: Module = module.parse().expect("a module");
        assert!(matches!(only([module].into_iter().collect()), Err(MergeError::NoModule(_))), "{module}");
    }
    // The pooler is a linear layer like any other, where both have it.
    let every = linear_layers(&base(), &tuned);
    assert_eq!((every.len(), every.contains(Module::Pooler)), (13, true));
    let found = only(every).expect("extracts");
    assert!(found.layers.contains_key("pooler") && found.others.iter().all(|o| o.name != "pooler.weight"));

    let dir = tempfile::tempdir().expect("a folder");
    let config = std::fs::read_to_string(tiny("tiny-bert").join("config.json")).expect("reads");
    let config = config.replace("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1");
    std::fs::write(dir.path().join("config.json"), config).expect("writes");
    std::fs::copy(tiny("tiny-bert").join("model.safetensors"), dir.path().join("model.safetensors"))
        .expect("copies");
    let small = BaseFolder::open(dir.path()).expect("opens");
    let refused = extract(&base(), &small, &options(1)).expect_err("is refused").to_string();
    assert!(refused.contains("can't be a fine-tuned"), "{refused}");
}
