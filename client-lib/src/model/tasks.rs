//! `MultiTask`: every row of a batch goes to the member of its task.
//!
//! The rows are sorted by task, run as a `BatchSplit`, and put back in order: rows do not
//! see each other, so that is the same, and the frozen layers run once for all of them.

use candle_core::{Result, Tensor};
use hub_schemas::head::Head;

use super::{Batch, Composition, Mode, Output, Prediction, StitchedModel};
use crate::{backbones::HeadInputs, heads::Parse};

impl StitchedModel {
    /// Names of the tasks of a `MultiTask`, in the order of their numbers; empty without one.
    pub fn tasks(&self) -> Vec<String> {
        let tasks = self.by_task.iter().flat_map(Composition::tasks);
        tasks.map(|task| task.last().unwrap_or_default().to_owned()).collect()
    }

    pub(super) fn forward_by_task(
        &self,
        composition: &Composition,
        batch: &Batch,
        mode: Mode,
    ) -> Result<Output> {
        let rows = batch.input_ids.dim(0)?;
        if batch.head_inputs.positions.is_some() {
            candle_core::bail!(
                "MultiTask: a masked language model's head is asked about single tokens, which are not told apart by task"
            );
        }
        let Some(tasks) = &batch.head_inputs.tasks else {
            candle_core::bail!(
                "MultiTask needs the task of every row: the input `task_ids`, or `--task-ids`"
            );
        };
        let known = composition.tasks().len();
        if tasks.len() != rows {
            candle_core::bail!("MultiTask: {} tasks for {rows} rows", tasks.len());
        }
        if let Some(task) = tasks.iter().find(|&&task| task >= known) {
            candle_core::bail!("MultiTask: a row has the task {task}; it has the tasks 0 to {}", known - 1);
        }
        let mut order: Vec<usize> = (0..rows).collect();
        order.sort_by_key(|&row| tasks[row]);
        let mut back = vec![0_u32; rows];
        for (place, &row) in order.iter().enumerate() {
            back[row] = place as u32;
        }
        let counts: Vec<usize> =
            (0..known).map(|task| tasks.iter().filter(|&&t| t == task).count()).collect();
        let stitch = self
            .stitch
            .arranged(&composition.for_tasks(&counts))
            .map_err(|e| candle_core::Error::Msg(e.to_string()))?
            .by_task();
        let device = batch.input_ids.device();
        let order = Tensor::new(order.into_iter().map(|row| row as u32).collect::<Vec<_>>(), device)?;
        let back = Tensor::new(back, device)?;
        let choices = self.choices(batch);
        let mut sorted = reordered(batch, &order)?;
        // The choices of an example may have been taken apart: each is scored alone.
        sorted.head_inputs.choices = choices.map(|_| 1).or(sorted.head_inputs.choices);
        let output = self.run(&stitch, &sorted, mode)?.reordered(&back)?;
        let prediction = match (output.prediction, choices) {
            (Some(Prediction::Scores(scores)), Some(choices)) => {
                Some(Prediction::Scores(scores.reshape(((), choices))?))
            }
            (other, _) => other,
        };
        Ok(Output { prediction, ..output })
    }

    /// How many choices every example has, where the head chooses among some.
    fn choices(&self, batch: &Batch) -> Option<usize> {
        match self.head() {
            Some(Head::MultipleChoice(head)) => {
                Some(batch.head_inputs.choices.unwrap_or(head.num_choices).max(1))
            }
            _ => None,
        }
    }
}

fn reordered(batch: &Batch, order: &Tensor) -> Result<Batch> {
    let take = |x: &Tensor| x.index_select(order, 0);
    let words = batch.head_inputs.words.as_ref().map(|words| {
        let order = order.to_vec1::<u32>()?;
        Ok::<_, candle_core::Error>(order.into_iter().map(|row| words[row as usize].clone()).collect())
    });
    Ok(Batch {
        input_ids: take(&batch.input_ids)?,
        attention_mask: take(&batch.attention_mask)?,
        is_unmasked: batch.is_unmasked,
        token_type_ids: batch.token_type_ids.as_ref().map(take).transpose()?,
        signal: batch.signal.as_ref().map(|signal| signal.select(order)).transpose()?,
        decoder: batch.decoder.as_ref().map(|inputs| inputs.select(order)).transpose()?,
        passed: batch.passed.as_ref().map(|passed| passed.select(order)).transpose()?,
        image: batch.image.as_ref().map(take).transpose()?,
        head_inputs: HeadInputs { words: words.transpose()?, ..batch.head_inputs.clone() },
    })
}

impl Output {
    /// The rows in another order.
    fn reordered(self, order: &Tensor) -> Result<Self> {
        let take = |x: &Tensor| x.index_select(order, 0);
        let prediction = match self.prediction {
            None => None,
            Some(Prediction::Scores(x)) => Some(Prediction::Scores(take(&x)?)),
            Some(Prediction::Words(words)) => Some(Prediction::Scores(take(&words.scores()?)?)),
            Some(Prediction::Span(x)) => Some(Prediction::Span(take(&x)?)),
            Some(Prediction::Embedding(x)) => Some(Prediction::Embedding(take(&x)?)),
            Some(Prediction::Parse(parse)) => Some(Prediction::Parse(Parse {
                arcs: take(&parse.arcs)?,
                relations: take(&parse.relations)?,
            })),
        };
        let encoder_last_hidden_state = self.encoder_last_hidden_state.as_ref().map(take).transpose()?;
        let last_hidden_state = take(&self.last_hidden_state)?;
        Ok(Self { last_hidden_state, encoder_last_hidden_state, prediction, by_group: self.by_group })
    }
}
