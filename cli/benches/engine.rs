//! Milliseconds of training steps and forward passes of one case: what `tests/benches/engine` runs beside PyTorch.
//!
//! `checkpointed` is a step that computes blocks twice instead of keeping what is inside of them, `above` one with the
//! adapter in the upper third of the layers, from the second epoch on: what the layers below give is there already. `read` and `write` are a prompt and single tokens of a language model.
//!
//! `cargo bench -p hub-cli --bench engine -- train DIR lora 32 64 12 exact` does two steps more than it is told
//! and prints those after them, with the most memory that the process had, as JSON. One more word names a device: with
//! `cuda`, in a build with that feature, the memory is the GPU's. On a language model a step learns every next token.
#![expect(clippy::print_stdout, reason = "numbers for whoever runs it")]

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fs,
    path::Path,
    sync::Arc,
    time::Instant,
};

use hub_client::{
    Tensor,
    backbones::{Backbone, Compute, DeviceChoice, HeadInputs},
    composition::Composition,
    generation::Cache,
    heads::Prediction,
    model::{Batch, Mode, Passed, StitchedModel},
    ops::{Arithmetic, FrozenLinear, Recording, cross_entropy_rows},
    training::adamw::{AdamW, AdamWConfig, Gradients},
};
use hub_formats::checkpoint::{AdapterFolder, AdapterToWrite, BaseFolder, write_adapter};
use hub_schemas::{
    head::{ClassificationHead, Head},
    layout::native_format,
    method::{BottleneckConfig, LoraConfig, Method},
};
use serde_json::json;

#[global_allocator]
static ALLOCATOR: hub_kernels::memory::Allocator = hub_kernels::memory::Allocator;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Runs whose time is not counted.
const WARM_UP: usize = 2;

/// Token ids from here on are words in every vocabulary that is measured.
const FIRST_WORD: usize = 1000;

struct Case {
    what: String,
    compute: Compute,
    backbone: Arc<Backbone>,
    base: BaseFolder,
    method: Option<Method>,
    rows: usize,
    length: usize,
    repeats: usize,
}

fn main() -> Outcome<()> {
    hub_kernels::memory::keep();
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let [what, base, method, rows, length, repeats, arithmetic, device @ ..] = arguments.as_slice() else {
        return Err(
            "give: train|checkpointed|above|infer|mixed|read|write|product DIR lora|pfeiffer|none ROWS LENGTH REPEATS exact|bf16 [cuda]"
                .into(),
        );
    };
    let device: DeviceChoice = device.first().map_or("cpu", String::as_str).parse()?;
    let arithmetic = if arithmetic == "bf16" { Arithmetic::Bf16 } else { Arithmetic::Exact };
    let base = BaseFolder::open(Path::new(base))?;
    let layers = base.config().shape.num_layers;
    let method = match method.as_str() {
        "lora" => Some(Method::Lora(LoraConfig::query_value(8, 16.0, layers))),
        "pfeiffer" => Some(Method::Bottleneck(BottleneckConfig::pfeiffer(16.0))),
        _ => None,
    };
    let upper: BTreeSet<usize> = (layers - layers / 3..layers).collect();
    let method = match (method, what.as_str()) {
        (Some(method), "above") => method.in_layers(&upper, &base.config().shape),
        (method, _) => method,
    };
    let compute = Compute::open(device, arithmetic)?;
    let case = Case {
        what: what.clone(),
        backbone: Arc::new(Backbone::load_for(&base, &compute)?),
        compute,
        base,
        method,
        rows: rows.parse()?,
        length: length.parse()?,
        repeats: repeats.parse()?,
    };
    let times = case.times()?;
    let memory = match case.compute.memory_taken() {
        Some(bytes) => bytes as f64 / 1e6,
        None => peak_megabytes()?,
    };
    println!(
        "{}",
        json!({ "milliseconds": times[WARM_UP..], "peak_mb": memory, "device": case.compute.title() })
    );
    Ok(())
}

impl Case {
    fn times(&self) -> Outcome<Vec<f64>> {
        let batch = self.batch()?;
        match self.what.as_str() {
            "train" | "checkpointed" => self.steps(&batch),
            "above" => {
                let model = self.model(0)?;
                let blocks = model.frozen_blocks();
                let state = model.pass(&batch, blocks)?;
                self.steps(&Batch { passed: Some(Passed { state, blocks }), ..batch })
            }
            "infer" => self.passes(&self.model(0)?, &batch),
            "mixed" => self.passes(&self.mixed()?, &batch),
            "read" => self.reads(),
            "write" => self.writes(),
            "product" => self.products(),
            other => Err(format!("`{other}` is not measured").into()),
        }
    }

    fn batch(&self) -> Outcome<Batch> {
        let count = self.rows * self.length;
        let ids: Vec<u32> = (0..count).map(|i| (FIRST_WORD + i * 7919 % 20_011) as u32).collect();
        let input_ids = Tensor::from_vec(ids, (self.rows, self.length), &self.compute.device)?;
        if self.is_decoder() {
            return Ok(Batch::unpadded(input_ids)?);
        }
        let token_type_ids = Some(input_ids.zeros_like()?);
        Ok(Batch { token_type_ids, ..Batch::unpadded(input_ids)? })
    }

    fn is_decoder(&self) -> bool {
        self.base.config().architecture.is_decoder()
    }

    fn head() -> Head {
        Head::Classification(ClassificationHead::pooled(2))
    }

    fn model(&self, seed: u64) -> Outcome<StitchedModel> {
        Ok(match &self.method {
            None => StitchedModel::plain(self.backbone.clone())?,
            Some(method) if self.is_decoder() => {
                StitchedModel::fresh(self.backbone.clone(), method, None, seed)?.under_head_of_base()?
            }
            Some(method) => StitchedModel::fresh(self.backbone.clone(), method, Some(&Self::head()), seed)?,
        })
    }

    /// A class for every row; on a language model the next token of every token but the last.
    fn lesson(&self, batch: &Batch) -> Outcome<(Batch, Vec<u32>)> {
        if !self.is_decoder() {
            return Ok((batch.clone(), (0..self.rows as u32).map(|row| row % 2).collect()));
        }
        let ids = batch.input_ids.to_vec2::<u32>()?;
        let labels = ids.iter().flat_map(|row| row[1..].to_vec()).collect();
        let asked: Vec<u32> =
            (0..(self.rows * self.length) as u32).filter(|at| (at + 1) % self.length as u32 != 0).collect();
        let positions = Some(Tensor::new(asked, &self.compute.device)?);
        Ok((
            Batch { head_inputs: HeadInputs { positions, ..HeadInputs::default() }, ..batch.clone() },
            labels,
        ))
    }

    fn steps(&self, batch: &Batch) -> Outcome<Vec<f64>> {
        let model = self.model(0)?;
        let (batch, labels) = self.lesson(batch)?;
        let mut optimiser = AdamW::new(AdamWConfig::default());
        let mut step = |number: usize| {
            let recording = Recording::begin();
            let mode = Mode::Train { seed: 0, step: number as u64 };
            let (output, cut) = match self.what.as_str() {
                "checkpointed" => {
                    let (output, cut) = model.forward_in_pieces(batch.clone(), mode)?;
                    (output, Some(cut))
                }
                _ => (model.forward(&batch, mode)?, None),
            };
            let losses = match output.prediction.as_ref().ok_or("no head")? {
                Prediction::Words(words) => words.losses(&labels)?,
                prediction => {
                    let scores = prediction.logits().ok_or("no scores")?;
                    let classes = *scores.dims().last().ok_or("no classes")?;
                    cross_entropy_rows(&scores.reshape(((), classes))?, &labels)?
                }
            };
            let loss = losses.mean_all()?;
            let gradients = Gradients::of_loss(recording, &loss, cut.as_ref(), &model.parameters().iter())?;
            gradients.check_complete(model.parameters().iter())?;
            optimiser.step(model.parameters().iter(), &gradients, 1e-4)?;
            Outcome::Ok(())
        };
        (0..WARM_UP + self.repeats).map(|number| self.time(|| step(number))).collect()
    }

    fn passes(&self, model: &StitchedModel, batch: &Batch) -> Outcome<Vec<f64>> {
        let pass = || {
            model.forward(batch, Mode::Eval)?;
            Ok(())
        };
        (0..WARM_UP + self.repeats).map(|_| self.time(pass)).collect()
    }

    /// What a language model is asked: as many tokens as a row has.
    fn prompt(&self) -> Vec<u32> {
        (0..self.length).map(|i| (FIRST_WORD + i * 7919 % 20_011) as u32).collect()
    }

    /// A prompt, up to the scores of the token behind it.
    fn reads(&self) -> Outcome<Vec<f64>> {
        let (model, prompt) = (self.model(0)?, self.prompt());
        let read = || {
            model.next_token_scores(&prompt, &Cache::default())?;
            Ok(())
        };
        (0..WARM_UP + self.repeats).map(|_| self.time(read)).collect()
    }

    /// One token after the other behind a prompt, each the likeliest.
    fn writes(&self) -> Outcome<Vec<f64>> {
        let (model, cache) = (self.model(0)?, Cache::default());
        let mut scores = model.next_token_scores(&self.prompt(), &cache)?;
        let mut write = || {
            let (token, _) = scores
                .iter()
                .enumerate()
                .max_by(|(_, a), (_, b)| a.total_cmp(b))
                .ok_or("a model without words")?;
            scores = model.next_token_scores(&[token as u32], &cache)?;
            Ok(())
        };
        (0..WARM_UP + self.repeats).map(|_| self.time(&mut write)).collect()
    }

    /// The first product of a feed-forward network alone, for every token.
    fn products(&self) -> Outcome<Vec<f64>> {
        let shape = &self.base.config().shape;
        let random = |rows, columns| Tensor::randn(0_f32, 1.0, (rows, columns), &self.compute.device);
        let weight = random(shape.intermediate_size, shape.hidden_size)?;
        let linear = FrozenLinear::new(weight, None)?.computing_in(self.compute.arithmetic)?;
        let x = random(self.rows * self.length, shape.hidden_size)?;
        let product = || {
            linear.forward(&x)?;
            Ok(())
        };
        (0..WARM_UP + self.repeats).map(|_| self.time(product)).collect()
    }

    /// Milliseconds until the device has done the work.
    fn time(&self, work: impl FnOnce() -> Outcome<()>) -> Outcome<f64> {
        let start = Instant::now();
        work()?;
        self.compute.device.synchronize()?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    }

    /// Every row with an adapter of its own.
    fn mixed(&self) -> Outcome<StitchedModel> {
        let method = self.method.as_ref().ok_or("a mixed batch needs a method")?;
        let scratch = tempfile::tempdir()?;
        let model = self.base.model(None)?;
        let folder = |row: usize| {
            let (name, fresh) = (format!("a{row}"), self.model(row as u64)?);
            let slots = fresh.parameters().to_slots()?.into_iter().collect::<BTreeMap<_, _>>();
            let adapter = AdapterToWrite {
                format: native_format(method, self.base.config().architecture, &model.shape),
                method,
                head: Some(&Self::head()),
                class: None,
                labels: &["no".to_owned(), "yes".to_owned()],
                name: &name,
                base: &model,
                slots: &slots,
            };
            let at = scratch.path().join(&name);
            write_adapter(&at, &adapter)?;
            Outcome::Ok((name, AdapterFolder::open(&at)?))
        };
        let folders = (0..self.rows).map(folder).collect::<Outcome<Vec<_>>>()?;
        let named: Vec<_> = folders.iter().map(|(name, folder)| (name.clone(), folder)).collect();
        let members: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
        let sizes = vec!["1"; self.rows].join(", ");
        let expression = format!("BatchSplit({}, batch_sizes=[{sizes}])", members.join(", "));
        let composition: Composition = expression.parse()?;
        Ok(StitchedModel::compose(self.backbone.clone(), &named, &[], &composition)?)
    }
}

/// The most memory that this process had resident, in MB of a million bytes.
fn peak_megabytes() -> Outcome<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0 / 1e6)
}
