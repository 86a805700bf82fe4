//! What each rule promises, whatever the numbers.

use super::{
    super::{
        Factors, LoraLayers, Matrix, MergeError, MergeKind, MergeOptions, Svd, merge_lora,
        merge_lora_adapters,
    },
    delta, distance, lora, noise,
};

const TINY: f64 = 1e-12;

fn merged(kind: MergeKind, parts: &[(&Factors, f64)], options: &MergeOptions) -> Factors {
    merge_lora(kind, parts, options).expect("merges")
}

fn refused(kind: MergeKind, parts: &[(&Factors, f64)], options: &MergeOptions) -> String {
    merge_lora(kind, parts, options).expect_err("is refused").to_string()
}

fn dense(density: f64) -> MergeOptions {
    MergeOptions { density: Some(density), ..MergeOptions::default() }
}

/// `Σ wᵢ ΔWᵢ`.
fn exact(parts: &[(&Factors, f64)]) -> Matrix {
    parts.iter().fold(Matrix::zeros(7, 9), |sum, (f, w)| sum.plus(&delta(f), *w).expect("adds"))
}

#[test]
fn cat_is_exact_for_any_ranks_scalings_and_signs() {
    let (a, b, c) = (lora(2, 1.5, 1), lora(4, 0.5, 2), lora(1, -3.0, 3));
    let parts = [(&a, 0.7), (&b, -1.2), (&c, 2.0)];
    let cat = merged(MergeKind::Cat, &parts, &MergeOptions::default());
    assert_eq!(cat.rank(), 7);
    assert!(distance(&delta(&cat), &exact(&parts)) < TINY);
}

#[test]
fn svd_at_the_full_rank_is_exact_and_below_it_the_best() {
    let (a, b) = (lora(2, 1.5, 1), lora(3, 0.5, 2));
    let parts = [(&a, 0.7), (&b, -1.2)];
    let at =
        |rank| merged(MergeKind::Svd, &parts, &MergeOptions { rank: Some(rank), ..MergeOptions::default() });
    assert!(distance(&delta(&at(5)), &exact(&parts)) < TINY);
    assert!(distance(&delta(&at(7)), &exact(&parts)) < TINY);
    // Beyond the rank of any 7 x 9 matrix there are zeros.
    assert_eq!(at(12).rank(), 12);
    assert!(distance(&delta(&at(12)), &exact(&parts)) < TINY);
    // The error is the root of the sum of the squares of what was cut off (Eckart & Young 1936).
    let sigma = Svd::of(&exact(&parts)).expect("decomposes").singular_values().to_vec();
    for rank in 1..5 {
        let error = exact(&parts).plus(&delta(&at(rank)), -1.0).expect("subtracts").norm();
        let cut: f64 = sigma[rank..].iter().map(|s| s * s).sum();
        assert!((error - cut.sqrt()).abs() < TINY, "rank {rank}");
    }
}

#[test]
fn a_product_is_decomposed_without_forming_it() {
    for (outputs, inputs, rank) in [(40, 30, 4), (30, 40, 4), (6, 50, 6), (5, 4, 9)] {
        let (b, a) = (noise(outputs, rank, 5), noise(rank, inputs, 6));
        let thin = Svd::of_product(&b, &a).expect("decomposes");
        let whole = Svd::of(&b.times(&a).expect("multiplies")).expect("decomposes");
        for (thin, whole) in thin.singular_values().iter().zip(whole.singular_values()) {
            assert!((thin - whole).abs() < TINY * 10.0);
        }
        let (thin, whole) = (thin.truncated(3), whole.truncated(3));
        // The convention on signs makes even the factors equal.
        assert!(distance(thin.a(), whole.a()) < 1e-10 && distance(thin.b(), whole.b()) < 1e-10);
    }
}

#[test]
fn linear_of_one_adapter_changes_nothing_and_a_negative_weight_turns_it_around() {
    let a = lora(3, 2.0, 1);
    for (weight, kind) in [(1.0, MergeKind::Linear), (-1.0, MergeKind::Linear), (-0.3, MergeKind::Cat)] {
        let merged = merged(kind, &[(&a, weight)], &MergeOptions::default());
        assert!(distance(&delta(&merged), &delta(&a).scaled(weight)) < TINY);
    }
}

#[test]
fn an_adapter_minus_itself_is_nothing() {
    let (a, same) = (lora(3, 2.0, 1), lora(3, 2.0, 1));
    for kind in [MergeKind::Cat, MergeKind::Svd, MergeKind::LinearOnlyNegateB] {
        let merged = merged(kind, &[(&a, 1.0), (&same, -1.0)], &MergeOptions::default());
        assert!(delta(&merged).norm() < TINY, "{kind}");
    }
    // Both factors turn around together, and the update stays: why `adapters` has another rule.
    let kept = merged(MergeKind::Average, &[(&a, -1.0)], &MergeOptions::default());
    assert!(distance(&delta(&kept), &delta(&a)) < TINY);
}

#[test]
fn task_arithmetic_adds_and_subtracts_updates() {
    let (a, b) = (lora(2, 1.0, 1), lora(2, 1.0, 2));
    let options = MergeOptions { rank: Some(4), ..MergeOptions::default() };
    let difference = merged(MergeKind::Svd, &[(&a, 1.0), (&b, -1.0)], &options);
    let back = merged(MergeKind::Svd, &[(&difference, 1.0), (&b, 1.0)], &options);
    assert!(distance(&delta(&back), &delta(&a)) < TINY);
}

#[test]
fn ties_that_keeps_all_of_agreeing_adapters_is_their_mean() {
    let a = lora(2, 1.0, 1);
    let twice = Factors::new(a.a().clone().scaled(2.0), a.b().clone().scaled(3.0), 1.0).expect("factors");
    let ties = merged(MergeKind::Ties, &[(&a, 1.0), (&twice, 1.0)], &dense(1.0));
    assert!(distance(ties.a(), &a.a().clone().scaled(1.5)) < TINY);
    assert!(distance(ties.b(), &a.b().clone().scaled(2.0)) < TINY);
    let options = MergeOptions { rank: Some(7), ..dense(1.0) };
    let ties = merged(MergeKind::TiesSvd, &[(&a, 1.0), (&twice, 1.0)], &options);
    assert!(distance(&delta(&ties), &delta(&a).scaled(3.5)) < TINY);
}

#[test]
fn rules_that_drop_nothing_equal_those_that_do_not_drop() {
    let (a, b) = (lora(3, 2.0, 1), lora(3, 0.5, 2));
    let parts = [(&a, 0.7), (&b, -0.4)];
    for (random, plain) in [
        (MergeKind::DareLinear, MergeKind::Linear),
        (MergeKind::DareLinearSvd, MergeKind::Svd),
        (MergeKind::MagnitudePrune, MergeKind::Linear),
        (MergeKind::MagnitudePruneSvd, MergeKind::Svd),
    ] {
        let plain = merged(plain, &parts, &MergeOptions::default());
        let random = merged(random, &parts, &dense(1.0));
        assert!(distance(&delta(&random), &delta(&plain)) < TINY);
    }
    let ties = merged(MergeKind::Ties, &parts, &dense(1.0));
    assert!(distance(&delta(&merged(MergeKind::DareTies, &parts, &dense(1.0))), &delta(&ties)) < TINY);
}

#[test]
fn dare_keeps_its_share_and_its_expectation_and_the_seed_decides() {
    let a = Factors::new(noise(20, 300, 1), noise(200, 20, 2), 1.0).expect("factors");
    let dropped = |seed| {
        let options = MergeOptions { seed, ..dense(0.3) };
        merged(MergeKind::DareLinear, &[(&a, 1.0)], &options)
    };
    let kept = |m: &Matrix| m.data().iter().filter(|v| **v != 0.0).count() as f64 / m.data().len() as f64;
    let first = dropped(1);
    // Five standard deviations of a share of 4000 elements are 0.036.
    assert!((kept(first.a()) - 0.3).abs() < 0.036 && (kept(first.b()) - 0.3).abs() < 0.036);
    for (dropped, original) in first.a().data().iter().zip(a.a().data()) {
        assert!(*dropped == 0.0 || (dropped - original / 0.3).abs() < TINY);
    }
    assert_eq!(dropped(1), first);
    assert_ne!(dropped(2), first);
    let mean =
        (0..400).fold(Matrix::zeros(20, 300), |m, s| m.plus(dropped(s).a(), 1.0 / 400.0).expect("adds"));
    assert!(distance(&mean, a.a()) < 0.45, "off by {}", distance(&mean, a.a()));
}

#[test]
fn clamping_limits_both_factors_to_their_quantile() {
    let (a, b) = (lora(3, 2.0, 1), lora(3, 0.5, 2));
    let parts = [(&a, 1.0), (&b, 1.0)];
    let options = MergeOptions { clamp: Some(0.9), ..MergeOptions::default() };
    let plain = merged(MergeKind::Svd, &parts, &MergeOptions::default());
    let clamped = merged(MergeKind::Svd, &parts, &options);
    let largest =
        |f: &Factors| f.a().data().iter().chain(f.b().data()).fold(0.0, |m, v| f64::max(m, v.abs()));
    assert!(largest(&clamped) < largest(&plain));
    let all = MergeOptions { clamp: Some(1.0), ..MergeOptions::default() };
    assert!(largest(&merged(MergeKind::Svd, &parts, &all)) <= largest(&plain));
}

#[test]
fn adapters_on_different_layers_are_merged_on_all_of_them() {
    let one = LoraLayers::from([
        ("layers.0.query".to_owned(), lora(2, 1.0, 1)),
        ("layers.0.key".to_owned(), lora(2, 1.0, 2)),
    ]);
    let two = LoraLayers::from([("layers.0.query".to_owned(), lora(3, 1.0, 3))]);
    let parts = [(&one, 0.5), (&two, 2.0)];
    let cat = merge_lora_adapters(MergeKind::Cat, &parts, &MergeOptions::default()).expect("merges");
    assert_eq!(cat.values().map(Factors::rank).collect::<Vec<_>>(), [2, 5]);
    let expected = exact(&[(&one["layers.0.query"], 0.5), (&two["layers.0.query"], 2.0)]);
    assert!(distance(&delta(&cat["layers.0.query"]), &expected) < TINY);
    assert!(distance(&delta(&cat["layers.0.key"]), &delta(&one["layers.0.key"]).scaled(0.5)) < TINY);
    let refused = merge_lora_adapters(MergeKind::Average, &parts, &MergeOptions::default());
    assert_eq!(
        refused.expect_err("differ").to_string(),
        "adapter 2 lacks `layers.0.key`, which another adapter has"
    );
}

#[test]
fn what_a_rule_can_not_do_is_refused_with_the_numbers() {
    let (a, b) = (lora(3, 2.0, 1), lora(2, 0.5, 2));
    let plain = MergeOptions::default();
    let both = [(&a, 1.0), (&b, 1.0)];
    assert_eq!(refused(MergeKind::Cat, &[], &plain), "no adapter is given; merging takes at least one");
    assert_eq!(
        refused(MergeKind::Linear, &both, &plain),
        "`linear` merges A with A and B with B, so all ranks must be equal; they are [3, 2]"
    );
    assert_eq!(
        refused(MergeKind::DeltaWSvd, &both, &plain),
        "`lora_delta_w_svd` averages adapters of one configuration, but their scalings are [2.0, 0.5]"
    );
    for density in [0.0, -0.5, 1.5, f64::NAN] {
        let said = refused(MergeKind::Ties, &[(&a, 1.0)], &dense(density));
        assert_eq!(said, format!("the density is {density}; it must lie in 0 < density <= 1"));
    }
    assert_eq!(refused(MergeKind::TiesSvd, &both, &plain), "`ties_svd` needs a density");
    assert_eq!(refused(MergeKind::Cat, &both, &dense(0.5)), "`cat` takes no density");
    let rank = |rank| MergeOptions { rank: Some(rank), ..MergeOptions::default() };
    assert_eq!(refused(MergeKind::Svd, &both, &rank(0)), "the rank is 0; it must lie between 1 and 65536");
    assert!(refused(MergeKind::Cat, &both, &rank(3)).starts_with("`cat` takes no rank"));
    assert_eq!(
        refused(MergeKind::Cat, &[(&a, 1.0), (&b, f64::INFINITY)], &plain),
        "the weight of adapter 2 is inf; it must be a finite number"
    );
    let normalised = MergeOptions { normalise: true, ..MergeOptions::default() };
    assert_eq!(
        refused(MergeKind::Average, &[(&a, 1.0), (&a, -1.0)], &normalised),
        "the weights [1.0, -1.0] add up to 0; they can't be normalised to a sum of one"
    );
    let other = Factors::new(noise(3, 4, 1), noise(7, 3, 2), 1.0).expect("factors");
    assert_eq!(
        refused(MergeKind::Cat, &[(&a, 1.0), (&other, 1.0)], &plain),
        "the weight that adapter 2 updates: [7, 4] does not fit [7, 9]"
    );
    let bad =
        Factors::new(Matrix::zeros(1, 2), Matrix::new(2, 1, vec![0.0, f64::NAN]).expect("a matrix"), 1.0);
    assert!(matches!(bad, Err(MergeError::NotFinite { index: 1, .. })));
    assert!(matches!(
        Factors::new(noise(2, 3, 1), noise(3, 4, 1), 1.0),
        Err(MergeError::Factors { a: 2, b: 4 })
    ));
    // Numbers that are fine alone and too large together.
    let huge = lora(2, 1e300, 1);
    assert!(refused(MergeKind::Cat, &[(&huge, 1e300)], &plain).contains("is "));
}

#[test]
fn every_rule_has_a_name_that_reads_back() {
    for kind in MergeKind::ALL {
        assert_eq!(kind.to_string().parse::<MergeKind>(), Ok(kind));
    }
    assert!(
        "slerp"
            .parse::<MergeKind>()
            .expect_err("unknown")
            .to_string()
            .contains("these are: linear, cat, svd")
    );
}
