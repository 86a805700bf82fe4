//! What the real libraries computed; `tests/fixtures/merging/make.py` says how.

use std::{collections::BTreeMap, path::Path};

use hub_formats::checkpoint::SlotData;
use hub_schemas::layout::Dtype;
use serde_json::Value;

use super::{
    super::{
        Factors, LoraLayers, MajoritySign, Matrix, MergeKind, MergeOptions, Normalise, average_tensors,
        clamp::clamped, merge_lora, merge_lora_adapters, numbers,
    },
    delta, distance,
};

/// The file is in double precision; nothing here is badly conditioned.
const TOLERANCE: f64 = 1e-12;

fn golden() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/merging/golden.json");
    serde_json::from_slice(&std::fs::read(path).expect("the golden file is there")).expect("JSON")
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().expect("a list")
}

fn numbers_of(value: &Value) -> Vec<f64> {
    list(value).iter().map(|v| v.as_f64().expect("a number")).collect()
}

fn matrix(value: &Value) -> Matrix {
    let rows: Vec<Vec<f64>> = list(value).iter().map(numbers_of).collect();
    Matrix::new(rows.len(), rows.first().map_or(0, Vec::len), rows.concat()).expect("a matrix")
}

fn factors(value: &Value, scaling: f64) -> Factors {
    Factors::new(matrix(&value["a"]), matrix(&value["b"]), scaling).expect("factors")
}

fn options(case: &Value) -> MergeOptions {
    MergeOptions {
        density: case["density"].as_f64(),
        majority_sign: match case["majority_sign_method"].as_str() {
            None => MajoritySign::Total,
            Some(word) => word.parse().expect("a way to elect signs"),
        },
        rank: case["svd_rank"].as_u64().map(|rank| rank as usize),
        normalise: case["normalise"].as_bool().unwrap_or_default(),
        ..MergeOptions::default()
    }
}

#[test]
fn every_rule_equals_peft() {
    let golden = golden();
    let layers_of = |name: &str| -> LoraLayers {
        let layers = golden["loras"][name].as_object().expect("layers");
        let read = |v: &Value| factors(v, v["scaling"].as_f64().expect("a scaling"));
        layers.iter().map(|(layer, value)| (layer.clone(), read(value))).collect()
    };
    let mut kinds: BTreeMap<MergeKind, usize> = BTreeMap::new();
    for case in list(&golden["peft"]) {
        let kind: MergeKind = case["kind"].as_str().expect("a rule").parse().expect("known");
        let names = list(&case["adapters"]).iter().map(|v| v.as_str().expect("a name"));
        let adapters: Vec<LoraLayers> = names.map(layers_of).collect();
        let parts: Vec<(&LoraLayers, f64)> = adapters.iter().zip(numbers_of(&case["weights"])).collect();
        let merged = merge_lora_adapters(kind, &parts, &options(case)).expect("merges");
        let expected = case["expected"].as_object().expect("layers");
        assert!(merged.keys().eq(expected.keys()), "{kind}");
        for (layer, ours) in &merged {
            let theirs = &expected[layer];
            let off = distance(&delta(ours), &matrix(&theirs["delta"]));
            assert!(off <= TOLERANCE, "{kind} at {layer} is off by {off:e}: {case}");
            // PEFT fills smaller ranks up with zeros.
            assert!(ours.rank() as u64 <= theirs["rank"].as_u64().expect("a rank"), "{kind}");
            assert!((ours.scaling() - 1.0).abs() < f64::EPSILON);
        }
        *kinds.entry(kind).or_default() += 1;
    }
    let of_peft = MergeKind::ALL.into_iter().filter(|kind| !kind.is_average());
    assert!(of_peft.clone().eq(kinds.into_keys()), "a rule without a golden case");
}

#[test]
fn clamping_equals_peft_for_the_same_singular_vectors() {
    for case in list(&golden()["clamp"]) {
        let quantile = case["quantile"].as_f64().expect("a quantile");
        let ours = clamped(&factors(&case["before"], 1.0), quantile).expect("clamps");
        let theirs = factors(&case["after"], 1.0);
        assert!(distance(ours.a(), theirs.a()) <= TOLERANCE);
        assert!(distance(ours.b(), theirs.b()) <= TOLERANCE);
    }
}

#[test]
fn averages_of_any_method_equal_ia3_in_peft_and_bottlenecks_in_adapters() {
    let flat = |value: &Value| -> (Vec<usize>, Vec<f64>) {
        match list(value).first() {
            Some(Value::Array(_)) => (matrix(value).shape(), matrix(value).into_data()),
            _ => (vec![list(value).len()], numbers_of(value)),
        }
    };
    let tensors = |value: &Value| -> BTreeMap<String, SlotData> {
        let named = value.as_object().expect("tensors").iter().map(|(name, value)| {
            let (shape, values) = flat(value);
            (name.clone(), numbers::from_doubles(shape, &values, Dtype::F64, name).expect("packs"))
        });
        named.collect()
    };
    let golden = golden();
    assert_eq!(list(&golden["tensors"]).len(), 3);
    for case in list(&golden["tensors"]) {
        let adapters: Vec<_> = list(&case["adapters"]).iter().map(tensors).collect();
        let parts: Vec<_> = adapters.iter().zip(numbers_of(&case["weights"])).collect();
        let normalise = if case["normalise"] == true { Normalise::ToOne } else { Normalise::Not };
        let merged = average_tensors(&parts, normalise).expect("averages");
        let expected = tensors(&case["expected"]);
        assert!(merged.keys().eq(expected.keys()));
        for (name, ours) in &merged {
            let doubles = |tensor| numbers::to_doubles(tensor, name).expect("doubles");
            for (a, b) in doubles(ours).iter().zip(doubles(&expected[name])) {
                assert!((a - b).abs() <= TOLERANCE, "{name}: {a} and theirs {b}");
            }
        }
    }
}

#[test]
fn the_averages_for_lora_equal_adapters() {
    let golden = golden();
    let golden = &golden["adapters_lora"];
    let scaling = golden["scaling"].as_f64().expect("a scaling");
    let adapters: Vec<Factors> = list(&golden["adapters"]).iter().map(|v| factors(v, scaling)).collect();
    for case in list(&golden["cases"]) {
        let kind = match case["strategy"].as_str().expect("a strategy") {
            "linear" => MergeKind::Average,
            other => other.parse().expect("known"),
        };
        let parts: Vec<(&Factors, f64)> = adapters.iter().zip(numbers_of(&case["weights"])).collect();
        let merged = merge_lora(kind, &parts, &options(case)).expect("merges");
        let product = merged.b().times(merged.a()).expect("multiplies");
        let off = distance(&product, &matrix(&case["product"]));
        assert!(off <= TOLERANCE, "{kind} is off by {off:e}: {case}");
        assert!((merged.scaling() - scaling).abs() < f64::EPSILON);
    }
}
