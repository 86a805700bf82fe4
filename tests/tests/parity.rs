//! Numbers: the same as the reference libraries compute, on closed-form weights and on real ones.
#![allow(clippy::expect_used, reason = "a test that can't set itself up must fail")]

#[path = "parity/audio.rs"]
mod audio;
#[path = "parity/behind_the_blocks.rs"]
mod behind_the_blocks;
#[path = "parity/cases.rs"]
mod cases;
#[path = "parity/checkpoints.rs"]
mod checkpoints;
#[path = "parity/decoders.rs"]
mod decoders;
#[path = "parity/generation.rs"]
mod generation;
#[path = "parity/golden.rs"]
mod golden;
#[path = "parity/gradients.rs"]
mod gradients;
#[path = "parity/gradients_of_methods.rs"]
mod gradients_of_methods;
#[path = "parity/heads.rs"]
mod heads;
#[path = "parity/images.rs"]
mod images;
#[path = "parity/inputs.rs"]
mod inputs;
#[path = "parity/methods.rs"]
mod methods;
#[path = "parity/metrics.rs"]
mod metrics;
#[path = "parity/minilm.rs"]
mod minilm;
#[path = "parity/padding.rs"]
mod padding;
#[path = "parity/passed.rs"]
mod passed;
#[path = "parity/peft_types.rs"]
mod peft_types;
#[path = "parity/quantised.rs"]
mod quantised;
#[path = "parity/setups.rs"]
mod setups;
#[path = "parity/speech.rs"]
mod speech;
#[path = "parity/steps.rs"]
mod steps;
#[path = "parity/steps_of_heads.rs"]
mod steps_of_heads;
#[path = "parity/whole_models.rs"]
mod whole_models;
#[path = "parity/written.rs"]
mod written;
