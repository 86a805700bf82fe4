//! What a row gives does not depend on the rows beside it, nor on the padding that fills it up: on every backbone,
//! with every method, composition and head of the fixtures. Where a library's own arithmetic depends on its batch, a
//! flag says so, and a case with none of these flags has no excuse.

use std::{collections::BTreeMap, error::Error, ops::Range};

use candle_core::{DType, Device, Result, Tensor};
use hub_client::{
    backbones::{Batch, DecoderInputs, HeadInputs},
    model::Mode,
};
use hub_formats::{architectures::Positions, checkpoint::AdapterFolder};
use hub_schemas::{
    backbone::Architecture,
    head::{Head, Pooling},
    manifest::{CompositionRules, GatingMean},
    method::Method,
};

use super::cases::{Case, Loaded, all};

/// The largest difference in either precision, for numbers of up to 1; above, that part of the largest.
const BARS: [(DType, f64); 2] = [(DType::F64, 1e-10), (DType::F32, 1e-5)];

/// Rows that belong together, and which columns of the batch they fill.
struct Part<'a> {
    batch: &'a Batch,
    rows: Range<usize>,
    /// Of what is read, and of what a decoder behind it reads.
    columns: Vec<(usize, Range<usize>)>,
}

/// From the first to the last token of any of these rows.
fn filled(mask: &Tensor, rows: &Range<usize>) -> Result<(usize, Range<usize>)> {
    let mask = mask.narrow(0, rows.start, rows.len())?.to_vec2::<u32>()?;
    let width = mask.first().map_or(0, Vec::len);
    let start = mask.iter().filter_map(|row| row.iter().position(|&m| m == 1)).min().unwrap_or(0);
    let end =
        mask.iter().filter_map(|row| row.iter().rposition(|&m| m == 1)).max().map_or(width, |last| last + 1);
    Ok((width, start..end))
}

impl<'a> Part<'a> {
    /// `keeps_front` where a column is a position, be what stands in front of it padding; `keeps_ends` where the
    /// encoder's input and the decoder's have to be of one length.
    fn of(batch: &'a Batch, rows: Range<usize>, keeps_front: bool, keeps_ends: bool) -> Result<Self> {
        let decoder = batch.decoder.as_ref().map(|decoder| &decoder.attention_mask);
        let masks = [&batch.attention_mask].into_iter().chain(decoder);
        let mut columns = masks.map(|mask| filled(mask, &rows)).collect::<Result<Vec<_>>>()?;
        let last = columns.iter().map(|(_, own)| own.end).max().unwrap_or(0);
        for (_, own) in &mut columns {
            own.start = if keeps_front { 0 } else { own.start };
            own.end = if keeps_ends { last } else { own.end };
        }
        Ok(Self { batch, rows, columns })
    }

    /// These rows without the padding that only others need.
    fn alone(&self) -> Result<Batch> {
        let rows = |x: &Tensor| x.narrow(0, self.rows.start, self.rows.len())?.contiguous();
        let cut = |x: &Tensor, columns: &Range<usize>| rows(&x.narrow(1, columns.start, columns.len())?);
        let Batch { input_ids, attention_mask, token_type_ids, head_inputs, signal, decoder, .. } =
            self.batch;
        let [(_, own), behind @ ..] = self.columns.as_slice() else { candle_core::bail!("no columns") };
        let decoder = decoder.iter().zip(behind).map(|(decoder, (_, columns))| {
            Ok(DecoderInputs {
                input_ids: cut(&decoder.input_ids, columns)?,
                attention_mask: cut(&decoder.attention_mask, columns)?,
            })
        });
        let order = Tensor::arange(self.rows.start as u32, self.rows.end as u32, &Device::Cpu)?;
        let words = head_inputs.words.as_ref().and_then(|words| words.get(self.rows.clone())).map(|rows| {
            let moved = |word: &Range<usize>| word.start - own.start..word.end - own.start;
            rows.iter().map(|words| words.iter().map(moved).collect()).collect()
        });
        let tasks = head_inputs.tasks.as_ref().and_then(|tasks| tasks.get(self.rows.clone()));
        Ok(Batch {
            input_ids: cut(input_ids, own)?,
            attention_mask: cut(attention_mask, own)?,
            is_unmasked: false,
            token_type_ids: token_type_ids.as_ref().map(|types| cut(types, own)).transpose()?,
            head_inputs: HeadInputs { words, tasks: tasks.map(<[_]>::to_vec), ..head_inputs.clone() },
            signal: signal.as_ref().map(|signal| signal.select(&order)).transpose()?,
            decoder: decoder.collect::<Result<Vec<_>>>()?.pop(),
            ..self.batch.clone()
        })
    }

    /// What stands in an output of the whole batch where the one of these rows alone, of dimensions `alone`, has
    /// its values. Scores of choices have a row for all of them.
    fn within(&self, name: &str, whole: &Tensor, alone: &[usize]) -> Result<Tensor> {
        let (together, count) = (self.rows.len(), alone.first().copied().unwrap_or(0));
        let groups = self.batch.input_ids.dim(0)? / together;
        let each = if name.starts_with("logits") { 1 } else { together };
        let start = self.rows.start / together * each;
        // `Parallel` repeats all of them, one after the other for each member.
        let chosen = (0..count / each)
            .flat_map(|member| (0..each).map(move |row| member * groups * each + start + row));
        let mut part = select(whole, 0, chosen)?;
        for (axis, &size) in alone.iter().enumerate().skip(1) {
            let width = part.dim(axis)?;
            if width == size {
                continue;
            }
            // What stands in front of the tokens (prompts) stands in front of padding too.
            let fits = |(all, own): &&(usize, Range<usize>)| width + own.len() == size + all;
            let indices: Vec<usize> = match self.columns.iter().find(fits) {
                Some((_, own)) => {
                    let front = size - own.len();
                    (0..front).chain(front + own.start..front + own.end).collect()
                }
                None => (0..size).collect(),
            };
            part = select(&part, axis, indices)?;
        }
        Ok(part)
    }
}

fn select(x: &Tensor, axis: usize, indices: impl IntoIterator<Item = usize>) -> Result<Tensor> {
    let indices: Vec<u32> = indices.into_iter().map(|index| index as u32).collect();
    x.contiguous()?.index_select(&Tensor::new(indices, x.device())?, axis)
}

/// Which of a library's own arithmetic depends on the batch: known, stated by a flag, and computed as it is there.
fn excuse(case: &Case, loaded: &Loaded) -> Option<&'static str> {
    let config = loaded.model.backbone().config();
    let any = |is: &dyn Fn(&AdapterFolder) -> bool| loaded.folders.iter().any(is);
    let composed = |block: &str| case.compose.as_ref().is_some_and(|expression| expression.contains(block));
    let has = |folder: &AdapterFolder, is: &dyn Fn(&Method) -> bool| {
        folder.semantics().composition == Some(CompositionRules::Adapters)
            && folder.method.parts().iter().any(is)
    };
    let has_ends = any(&|folder| has(folder, &|part| matches!(part, Method::Reft(_))));
    let has_prefix = any(&|folder| has(folder, &|part| matches!(part, Method::Prefix(_))));
    let is_library = any(&|folder| has(folder, &|_| true));
    let takes_forks = composed("Parallel") && config.architecture.reads_images() && is_library;
    let pads_prefixes = composed("Parallel") || config.architecture == Architecture::DistilBert;
    let reasons = [
        (config.positions.depend_on_company(), "angles by the longest row"),
        (composed("BatchSplit"), "rows by number"),
        (composed("Split"), "tokens by number"),
        (any(&|folder| folder.semantics().gating_mean == Some(GatingMean::AllPositions)), "a gate's mean"),
        (any(&|folder| folder.semantics().prompts_see_padding), "prompts see padding"),
        (any(&|folder| folder.semantics().masks_prefixes), "prefixes behind masks"),
        (has_prefix && pads_prefixes, "prefixes beside longer ones or padding"),
        (takes_forks, "rows that were forked as keys"),
        (has_ends && config.shape.decoder_layers.is_some(), "a decoder's ends by the encoder's mask"),
        (any(&|folder| folder.head.as_ref().is_some_and(is_counted)), "a head's last position"),
    ];
    reasons.into_iter().find_map(|(holds, reason)| holds.then_some(reason))
}

fn is_counted(head: &Head) -> bool {
    matches!(head.pooling(), Some(Pooling::LastCounted | Pooling::LastPosition))
}

/// The tensor that differs most between the rows among others and alone, and by how much of its largest number.
fn difference(loaded: &Loaded) -> std::result::Result<(String, f64), Box<dyn Error>> {
    let named = |batch: &Batch| -> Result<BTreeMap<String, Tensor>> {
        Ok(loaded.model.forward(batch, Mode::Eval)?.named()?.into_iter().collect())
    };
    let largest = |x: &Tensor| x.abs()?.flatten_all()?.max(0)?.to_dtype(DType::F64)?.to_scalar::<f64>();
    let together = named(&loaded.batch)?;
    let each = loaded.batch.head_inputs.choices.unwrap_or(1);
    let positions = &loaded.model.backbone().config().positions;
    let keeps_front = matches!(positions, Positions::Learned | Positions::LearnedBehind(_));
    let ends =
        |folder: &AdapterFolder| folder.head.as_ref().and_then(Head::pooling) == Some(Pooling::EndOfText);
    let keeps_ends = loaded.folders.iter().any(ends);
    let mut worst = (String::new(), 0f64);
    for start in (0..loaded.batch.input_ids.dim(0)?).step_by(each) {
        let part = Part::of(&loaded.batch, start..start + each, keeps_front, keeps_ends)?;
        for (name, alone) in named(&part.alone()?)? {
            let whole = together.get(&name).ok_or_else(|| format!("`{name}` is missing"))?;
            let within = part.within(&name, whole, alone.dims())?;
            let gap = largest(&(&within - &alone)?)? / largest(&alone)?.max(1.0);
            if gap.is_nan() || gap > worst.1 {
                worst = (name, gap);
            }
        }
    }
    Ok(worst)
}

#[test]
fn padding_and_company_change_no_row() {
    let (mut compared, mut excused, mut failed) = (0, BTreeMap::new(), Vec::new());
    for case in all().iter().filter(|case| case.expect != "refused") {
        for (dtype, bar) in BARS {
            let loaded = case.load(dtype).expect(&case.name);
            if let Some(reason) = excuse(case, &loaded) {
                *excused.entry(reason).or_insert(0) += 1;
                break;
            }
            compared += 1;
            // Some random backbones are nearly singular: the library itself is off by more.
            let bar = if dtype == DType::F32 { bar.max(10.0 * case.float32_error) } else { bar };
            match difference(&loaded) {
                Ok((_, worst)) if worst <= bar => {}
                Ok((tensor, worst)) => {
                    failed.push(format!("{} in {dtype:?}: `{tensor}` by {worst:e}", case.name));
                }
                Err(error) => failed.push(format!("{}: {error}", case.name)),
            }
        }
    }
    assert!(failed.is_empty(), "{} of {compared} fail ({excused:?}):\n{}", failed.len(), failed.join("\n"));
    assert!(compared > 2000, "{compared} runs, excused {excused:?}");
}
