//! Where a model is computed.

use super::world::World;

#[test]
fn a_build_for_cpus_says_that_it_has_no_gpu() {
    let world = World::new();
    let train = ["train", "--base", "tiny-bert", "--data", "reviews.csv", "--steps", "2", "-o", "out"];
    let said = |device: &str| {
        let (code, _, stderr) = world.run(&[&train[..], &["--device", device]].concat());
        format!("{code}\n{stderr}")
    };
    insta::assert_snapshot!(said("cuda:1"), @r"
    1
    error: `cuda:1` needs a build with CUDA, and this is one for CPUs

    hint: docs/gpu.md says how to build one with CUDA; without `--device` this one computes on the CPU
    ");
    insta::assert_snapshot!(said("gpu"), @r"
    2
    error: invalid value 'gpu' for '--device <DEVICE>': `gpu` is no device; there are: auto, cpu, cuda, cuda:1 and so on

    For more information, try '--help'.
    ");
    world.succeed(&[&train[..], &["--device", "auto"]].concat());
    world.succeed(&["run", "./out", "--base", "tiny-bert", "--device", "cpu", "a great film"]);
}
