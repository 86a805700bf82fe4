//! Training: learns, repeats exactly, resumes exactly, and says what is wrong with the data.

#![allow(clippy::expect_used, reason = "a test that can't set itself up must fail")]

#[path = "training/accumulate.rs"]
mod accumulate;
#[path = "training/audio.rs"]
mod audio;
#[path = "training/checkpointing.rs"]
mod checkpointing;
#[path = "training/commands.rs"]
mod commands;
#[path = "training/counts.rs"]
mod counts;
#[path = "training/describing.rs"]
mod describing;
#[path = "training/determinism.rs"]
mod determinism;
#[path = "training/device.rs"]
mod device;
#[path = "training/embeddings.rs"]
mod embeddings;
#[path = "training/explain.rs"]
mod explain;
#[path = "training/frozen.rs"]
mod frozen;
#[path = "training/fusion.rs"]
mod fusion;
#[path = "training/generation.rs"]
mod generation;
#[path = "training/images.rs"]
mod images;
#[path = "training/interrupt.rs"]
mod interrupt;
#[path = "training/learning.rs"]
mod learning;
#[cfg(target_os = "linux")]
#[path = "training/memory.rs"]
mod memory;
#[path = "training/precision.rs"]
mod precision;
#[path = "training/quantised.rs"]
mod quantised;
#[path = "training/refusals.rs"]
mod refusals;
#[path = "training/sentences.rs"]
mod sentences;
#[path = "training/stack.rs"]
mod stack;
#[path = "training/structures.rs"]
mod structures;
#[path = "training/tasks.rs"]
mod tasks;
#[path = "training/transcripts.rs"]
mod transcripts;
#[path = "training/translation.rs"]
mod translation;
#[path = "training/world.rs"]
mod world;
#[path = "training/writing.rs"]
mod writing;
