//! The numbers that steer a training run.

use std::collections::BTreeMap;

use hub_schemas::method::Method;
use serde_json::{Value, json};

use super::TrainingError;
use crate::{metrics::Metric, ops::Arithmetic, tasks::Task};

/// Epochs of a head on its own: its features are computed once and each costs little.
const LAST_LAYER_EPOCHS: u64 = 20;

/// Hyper-parameters. Together with the data and the backbone they decide every byte of the result.
#[derive(Debug, Clone, PartialEq)]
pub struct HyperParameters {
    /// Seed of initial weights, data order, dropout and split.
    pub seed: u64,
    /// Passes over the data.
    pub epochs: u64,
    /// Steps in all, instead of epochs.
    pub steps: Option<u64>,
    /// Examples per step.
    pub batch_size: usize,
    /// Parts in which the examples of a step are computed, one after the other: their gradients are added. Each part
    /// draws the same dropout masks.
    pub accumulate: usize,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Share of the steps over which the learning rate rises.
    pub warmup: f64,
    /// Weight decay per unit of learning rate.
    pub weight_decay: f64,
    /// Largest norm of the gradient.
    pub clip_norm: f64,
    /// Longest text, in tokens.
    pub max_length: usize,
    /// Share of the data set aside for validation when no file is named.
    pub validation_share: f64,
    /// Evaluations without improvement after which training stops.
    pub patience: Option<u64>,
    /// Steps between evaluations; half an epoch when absent.
    pub evaluate_every: Option<u64>,
    /// What makes a checkpoint the best; the most telling metric of the task when absent.
    pub selection: Option<Metric>,
    /// Tokens by which windows of a long passage overlap (question answering).
    pub doc_stride: usize,
    /// In every step a random number of the first layers runs without the adapter (Rücklé et
    /// al. 2021).
    pub adapter_drop: bool,
    /// What products with frozen weights are computed in.
    pub arithmetic: Arithmetic,
    /// Bytes of what frozen blocks give that are kept between epochs at most; with 0 they run in every step.
    pub keep_states: u64,
    /// Whether a step keeps what goes from block to block alone and computes what is inside of them a second time for
    /// the backward.
    pub recompute: bool,
}

/// What is kept of frozen blocks where nobody says otherwise: 4 GB.
const KEEP_STATES: u64 = 4_000_000_000;

impl HyperParameters {
    /// What works for a method without tuning. LoRA's update starts at zero and is
    /// scaled by `alpha / r`, so it bears a higher rate than a bottleneck.
    pub fn defaults(method: &Method) -> Self {
        let learning_rate = match method {
            Method::Lora(_)
            | Method::Loha(_)
            | Method::Oft(_)
            | Method::Reft(_)
            | Method::Delora(_)
            | Method::Gralora(_)
            | Method::Hra(_)
            | Method::Miss(_)
            | Method::Shira(_)
            | Method::Deft(_) => 2e-3,
            // The gate has to leave zero before anything else has a gradient.
            Method::LlamaAdapter(_) => 9e-3,
            // On MiniLM-L6 and half the movie reviews: 0.76 at 1e-2, 0.81 at this.
            Method::Vera(_) => 3e-2,
            // Few numbers that start far from where they are needed, or are multiplied by small
            // ones. The same measurement: P-tuning gets 0.50 right at 1e-3 and 0.76 at this, LoKr gets 0.73 right at 2e-3 and 0.82 at this, BOFT 0.75
            // and 0.83.
            Method::AdaLora(_)
            | Method::Lokr(_)
            | Method::Boft(_)
            | Method::Ia3(_)
            | Method::Prompt(_)
            | Method::Beft(_)
            | Method::C3a(_)
            | Method::Hira(_)
            | Method::RandLora(_)
            | Method::Road(_)
            | Method::VbLora(_)
            | Method::Glora(_) => 1e-2,
            // The values start as the identity and what they mix is trained already.
            Method::Composition(_) => 5e-4,
            // The whole backbone moves: a rate that would suit an adapter destroys it. On MiniLM-L6
            // and the movie reviews 60 steps at 2e-4 beat 5e-5; between them, for longer runs.
            Method::Replace(config) if config.selection == "full" => 1e-4,
            // Same data and steps: biases learn at 5e-3 (accuracy 0.74) what they do not at 1e-3
            // (0.60). Norms are as few and start as near; at 1e-3 they do not learn either (0.57).
            Method::Replace(_) => 5e-3,
            // A prefix of random keys disturbs what it is to steer: at 2e-3 one of two seeds learns.
            Method::Bottleneck(_)
            | Method::Prefix(_)
            | Method::Union(_)
            | Method::Tokens(_)
            | Method::Hadamard(_)
            | Method::LastLayer => 1e-3,
        };
        Self {
            seed: 0,
            epochs: if *method == Method::LastLayer { LAST_LAYER_EPOCHS } else { 3 },
            steps: None,
            batch_size: 32,
            accumulate: 1,
            learning_rate,
            warmup: 0.06,
            weight_decay: 0.01,
            clip_norm: 1.0,
            max_length: 256,
            validation_share: 0.1,
            patience: None,
            evaluate_every: None,
            selection: None,
            doc_stride: Task::STRIDE,
            adapter_drop: false,
            arithmetic: Arithmetic::Exact,
            keep_states: KEEP_STATES,
            recompute: false,
        }
    }

    /// The same for the head alone, on the frozen backbone: the first of two stages. It is
    /// small and its features are computed once, so that many epochs cost seconds.
    #[must_use]
    pub fn of_head(&self) -> Self {
        let defaults = Self::defaults(&Method::LastLayer);
        Self {
            epochs: defaults.epochs,
            learning_rate: defaults.learning_rate,
            patience: None,
            evaluate_every: None,
            ..self.clone()
        }
    }

    /// Refuses values with which nothing can be trained.
    pub fn validate(&self) -> Result<(), TrainingError> {
        let refuse = |name, value: String, rule| Err(TrainingError::Option { name, value, rule });
        let positive = |number: f64| number > 0.0 && number.is_finite();
        if self.seed >= 1 << 53 {
            return refuse("--seed", self.seed.to_string(), "below 2^53");
        }
        if self.epochs == 0 {
            return refuse("--epochs", "0".into(), "at least 1");
        }
        if self.steps == Some(0) {
            return refuse("--steps", "0".into(), "at least 1");
        }
        if !(1..=65536).contains(&self.batch_size) {
            return refuse("--batch-size", self.batch_size.to_string(), "from 1 to 65536");
        }
        if !(1..=self.batch_size).contains(&self.accumulate) {
            return refuse("--accumulate", self.accumulate.to_string(), "from 1 to the size of a batch");
        }
        if !positive(self.learning_rate) {
            return refuse("--lr", self.learning_rate.to_string(), "a positive number");
        }
        if !(0.0..1.0).contains(&self.warmup) {
            return refuse("--warmup", self.warmup.to_string(), "a share: at least 0 and below 1");
        }
        if !(self.weight_decay >= 0.0 && self.weight_decay.is_finite()) {
            return refuse("--weight-decay", self.weight_decay.to_string(), "zero or a positive number");
        }
        if self.patience == Some(0) || self.evaluate_every == Some(0) {
            let name = if self.patience == Some(0) { "--patience" } else { "--evaluate-every" };
            return refuse(name, "0".into(), "at least 1");
        }
        Ok(())
    }

    /// Steps per epoch, steps in all, and steps between evaluations, for so many examples.
    pub fn plan(&self, examples: usize) -> Plan {
        let per_epoch = examples.div_ceil(self.batch_size).max(1) as u64;
        let total = self.steps.unwrap_or(per_epoch * self.epochs);
        Plan { per_epoch, total, between: self.evaluate_every.unwrap_or_else(|| per_epoch.div_ceil(2)) }
    }

    /// How many examples are computed at once.
    pub fn at_once(&self) -> usize {
        self.batch_size.div_ceil(self.accumulate).max(1)
    }

    /// What makes a checkpoint the best: the loss where nobody has decided.
    pub fn selection(&self) -> Metric {
        self.selection.unwrap_or(Metric::Loss)
    }

    /// What the manifest says about them.
    pub fn record(&self, plan: &Plan) -> BTreeMap<String, Value> {
        let mut record: BTreeMap<String, Value> = [
            ("batch_size", json!(self.batch_size)),
            ("clip_norm", json!(self.clip_norm)),
            ("evaluate_every", json!(plan.between)),
            ("learning_rate", json!(self.learning_rate)),
            ("max_length", json!(self.max_length)),
            ("optimizer", json!("adamw")),
            ("schedule", json!("linear")),
            ("selection", json!(self.selection())),
            ("steps", json!(plan.total)),
            ("warmup", json!(self.warmup)),
            ("weight_decay", json!(self.weight_decay)),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        if self.adapter_drop {
            record.insert("adapter_drop".to_owned(), json!(true));
        }
        if self.accumulate > 1 {
            record.insert("accumulate".to_owned(), json!(self.accumulate));
        }
        if self.arithmetic == Arithmetic::Bf16 {
            record.insert("precision".to_owned(), json!("bf16"));
        }
        record.extend(self.patience.map(|patience| ("patience".to_owned(), json!(patience))));
        record
    }
}

/// How many steps, of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Steps per pass over the data.
    pub per_epoch: u64,
    /// Steps in all.
    pub total: u64,
    /// Steps between evaluations.
    pub between: u64,
}

#[cfg(test)]
mod tests {
    use hub_schemas::method::LoraConfig;

    use super::*;

    #[test]
    fn steps_replace_epochs() {
        let options = HyperParameters::defaults(&Method::LastLayer);
        assert_eq!(options.plan(100), Plan { per_epoch: 4, total: 80, between: 2 });
        let options = HyperParameters { steps: Some(5), evaluate_every: Some(3), ..options };
        assert_eq!(options.plan(100), Plan { per_epoch: 4, total: 5, between: 3 });
    }

    #[test]
    fn nonsense_is_refused_by_the_name_of_its_flag() {
        let defaults = HyperParameters::defaults(&Method::Lora(LoraConfig::query_value(8, 16.0, 6)));
        assert!(defaults.validate().is_ok());
        let message = |options: HyperParameters| options.validate().expect_err("refused").to_string();
        let messages = [
            message(HyperParameters { learning_rate: f64::NAN, ..defaults.clone() }),
            message(HyperParameters { batch_size: 0, ..defaults.clone() }),
            message(HyperParameters { warmup: 1.0, ..defaults }),
        ];
        insta::assert_snapshot!(messages.join("\n"), @r"
        `--lr` is NaN; it must be a positive number
        `--batch-size` is 0; it must be from 1 to 65536
        `--warmup` is 1; it must be a share: at least 0 and below 1
        ");
    }
}
