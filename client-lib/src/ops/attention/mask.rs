//! Which keys a query may attend to.

use std::{ops::Deref, sync::Arc};

use candle_core::{Result, Tensor};

/// What is added to scores of hidden keys where an infinite number would be no number in the end.
pub(super) const HIDDEN: f64 = -1e30;

/// Which keys each row of a batch may attend to: what is added to the scores.
#[derive(Debug, Clone)]
pub struct KeyMask {
    /// `[b, s]`, row-major: 0 for a visible key, −∞ for a hidden one.
    bias: Bias,
    pub(super) batch: usize,
    pub(super) keys: usize,
    /// How many queries at the start see every key.
    pub(in crate::ops) free_queries: usize,
    /// Whether a query sees only the keys up to its own, and all that were put in front.
    pub(in crate::ops) causal: bool,
    /// Whether the first key is the first query's, whatever was put in front, instead of the last the last's.
    pub(in crate::ops) from_first: bool,
    /// How far from itself a query sees, where not everywhere.
    pub(in crate::ops) reach: Option<usize>,
    /// Keys at the start that every query sees, however far it is from them.
    pub(in crate::ops) in_front: usize,
}

/// What is added to scores, shared by the masks that only look at it differently.
#[derive(Debug, Clone)]
struct Bias {
    values: Arc<[f32]>,
    /// The same on a GPU, from when it is first needed there.
    #[cfg(feature = "cuda")]
    elsewhere: Arc<std::sync::OnceLock<Tensor>>,
}

impl<V: Into<Arc<[f32]>>> From<V> for Bias {
    fn from(values: V) -> Self {
        Self {
            values: values.into(),
            #[cfg(feature = "cuda")]
            elsewhere: Arc::default(),
        }
    }
}

impl FromIterator<f32> for Bias {
    fn from_iter<I: IntoIterator<Item = f32>>(values: I) -> Self {
        values.into_iter().collect::<Arc<[f32]>>().into()
    }
}

impl Deref for Bias {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values
    }
}

impl KeyMask {
    /// From an attention mask `[b, s]` where zero means padding.
    pub fn new(mask: &Tensor) -> Result<Self> {
        let (batch, keys) = mask.dims2()?;
        let mask = mask.to_device(&candle_core::Device::Cpu)?.to_dtype(candle_core::DType::F32)?;
        let bias = mask.flatten_all()?.to_vec1::<f32>()?.into_iter();
        let bias = bias.map(|m| if m == 0.0 { f32::NEG_INFINITY } else { 0.0 }).collect();
        Ok(Self::plain(bias, batch, keys))
    }

    /// A mask over `keys` keys of which all can be seen.
    pub fn all_visible(batch: usize, keys: usize) -> Self {
        Self::plain(vec![0.0; batch * keys].into(), batch, keys)
    }

    /// A mask that hides nothing but what `bias` hides.
    fn plain(bias: Bias, batch: usize, keys: usize) -> Self {
        Self {
            bias,
            batch,
            keys,
            free_queries: 0,
            causal: false,
            from_first: false,
            reach: None,
            in_front: 0,
        }
    }

    /// The same where the first `queries` queries see every key, padding included.
    #[must_use]
    pub fn with_free_queries(self, queries: usize) -> Self {
        Self { free_queries: queries, ..self }
    }

    /// Whether any key is hidden or has something added to its scores.
    pub fn hides_any(&self) -> bool {
        self.bias.iter().any(|&b| b != 0.0)
    }

    /// The same with `score` added to those of the first `keys` keys, where any key is hidden.
    #[must_use]
    pub fn with_score_in_front(self, keys: usize, score: f32) -> Self {
        if score == 0.0 || !self.hides_any() {
            return self;
        }
        let in_front = |(at, &b): (usize, &f32)| if at % self.keys < keys { b + score } else { b };
        let bias = self.bias.iter().enumerate().map(in_front).collect();
        Self { bias, ..self }
    }

    /// The same where no query sees a key behind its own: the last key is the last query's.
    #[must_use]
    pub fn with_causality(self, causal: bool) -> Self {
        Self { causal, ..self }
    }

    /// The same where a causal query sees as many keys as there are queries up to it, those in front among them:
    /// torch's `is_causal` on more keys than queries.
    #[must_use]
    pub fn counted_from_first(self) -> Self {
        Self { from_first: true, ..self }
    }

    /// The same where a query sees only so far to both sides: the last key is the last query's.
    #[must_use]
    pub fn with_reach(self, reach: Option<usize>) -> Self {
        Self { reach, ..self }
    }

    /// What is added to the scores of row `row` for one of `queries` queries that sees only around.
    pub(super) fn around(&self, row: usize, (query, queries): (usize, usize), reach: usize) -> Vec<f32> {
        let at = (query + self.keys).saturating_sub(queries);
        let bias = self.row(row).iter().enumerate();
        let sees = |key: usize| key < self.in_front || key.abs_diff(at) <= reach;
        bias.map(|(key, &b)| if sees(key) { b } else { f32::NEG_INFINITY }).collect()
    }

    /// `[b, 1, t, s]` where a query that is padding itself, as `own` tells of the `t` tokens, sees no
    /// key of the input. One that sees nothing at all sees everything alike.
    pub(in crate::ops) fn pairwise(&self, own: &Self, queries: usize, like: &Tensor) -> Result<Tensor> {
        let input = self.keys.saturating_sub(queries.saturating_sub(self.free_queries));
        let score = |row: usize, query: usize, key: usize| {
            let is_padding = own.row(row)[query] == f32::NEG_INFINITY;
            match query < self.free_queries {
                true => 0.0,
                false if is_padding && key >= input => -1e30,
                false => self.row(row)[key].max(-1e30),
            }
        };
        let values: Vec<f32> = (0..self.batch)
            .flat_map(|row| (0..queries).map(move |query| (row, query)))
            .flat_map(|(row, query)| (0..self.keys).map(move |key| (row, query, key)))
            .map(|(row, query, key)| score(row, query, key))
            .collect();
        Tensor::from_vec(values, (self.batch, 1, queries, self.keys), like.device())?.to_dtype(like.dtype())
    }

    /// How many keys query `query` of `queries` may see before padding is looked at.
    pub(super) fn limit(&self, query: usize, queries: usize) -> usize {
        match (self.causal, self.from_first) {
            (false, _) => self.keys,
            (true, true) => (query + 1).min(self.keys),
            (true, false) => (query + 1 + self.keys).saturating_sub(queries).min(self.keys),
        }
    }

    /// The same mask for `rows` rows: whole repetitions of its own.
    pub fn repeat(&self, rows: usize) -> Result<Self> {
        if rows == self.batch {
            return Ok(self.clone());
        }
        if self.batch == 0 || !rows.is_multiple_of(self.batch) {
            candle_core::bail!("a mask for {} rows can't serve {rows}", self.batch);
        }
        Ok(Self { bias: self.bias.repeat(rows / self.batch).into(), batch: rows, ..*self })
    }

    /// Rows `start .. start + len`.
    #[must_use]
    pub fn rows(&self, start: usize, len: usize) -> Self {
        let bias = self.bias[start * self.keys..(start + len) * self.keys].into();
        Self { bias, batch: len, ..*self }
    }

    /// With `keys` keys in front that were read before, as far from the queries as they are.
    #[must_use]
    pub fn behind(&self, keys: usize) -> Self {
        self.prepend(0, 0.0, keys).with_distance(keys)
    }

    /// The same where so many of the keys that are seen from everywhere are as far from the queries as they
    /// stand.
    #[must_use]
    pub fn with_distance(self, keys: usize) -> Self {
        Self { in_front: self.in_front.saturating_sub(keys), ..self }
    }

    /// With `padding + visible` keys in front, however far a query sees: those of the padding first,
    /// with `bias` on their scores.
    #[must_use]
    pub fn prepend(&self, padding: usize, bias: f32, visible: usize) -> Self {
        let mut all = Vec::with_capacity(self.batch * (self.keys + padding + visible));
        for row in 0..self.batch {
            all.extend(std::iter::repeat_n(bias, padding));
            all.extend(std::iter::repeat_n(0.0, visible));
            all.extend_from_slice(self.row(row));
        }
        let added = padding + visible;
        Self { bias: all.into(), keys: self.keys + added, in_front: self.in_front + added, ..*self }
    }

    /// The rows of several masks over equally many keys, one after the other.
    pub fn cat(masks: &[Self]) -> Result<Self> {
        let Some(first) = masks.first() else { candle_core::bail!("no mask to join") };
        if let Some(other) = masks.iter().find(|m| m.keys != first.keys) {
            candle_core::bail!("masks over {} and over {} keys can't be joined", first.keys, other.keys);
        }
        let bias = masks.iter().flat_map(|m| m.bias.iter().copied()).collect();
        let from_first = masks.iter().any(|m| m.from_first);
        Ok(Self { bias, batch: masks.iter().map(|m| m.batch).sum(), from_first, ..*first })
    }

    /// What is added to scores, `[b·s]`, on a GPU.
    #[cfg(feature = "cuda")]
    pub(in crate::ops) fn on(&self, device: &candle_core::Device) -> Result<Tensor> {
        if let Some(there) = self.bias.elsewhere.get() {
            return Ok(there.clone());
        }
        let there = Tensor::new(&*self.bias, device)?;
        Ok(self.bias.elsewhere.get_or_init(|| there).clone())
    }

    /// Whether a query of any row of the batch sees a key, as far as padding goes.
    #[cfg(feature = "cuda")]
    pub(in crate::ops) fn shows_all_rows_something(&self) -> bool {
        (0..self.batch).all(|row| self.row(row).iter().any(|&b| b > f32::NEG_INFINITY))
    }

    /// Number of keys.
    pub fn keys(&self) -> usize {
        self.keys
    }

    /// Rows of the batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// What is added to the scores of row `row`.
    pub(super) fn row(&self, row: usize) -> &[f32] {
        &self.bias[row * self.keys..(row + 1) * self.keys]
    }

    /// `[b, 1, t, s]`, or `t` one where every query sees the same.
    pub(super) fn additive(&self, queries: usize, like: &Tensor) -> Result<Tensor> {
        let t = if self.free_queries > 0 || self.causal || self.reach.is_some() { queries } else { 1 };
        let row = |row: usize| {
            (0..t).flat_map(move |query| {
                let free = query < self.free_queries;
                let limit = self.limit(query, t);
                let bias = match self.reach {
                    Some(reach) => self.around(row, (query, t), reach),
                    None => self.row(row).to_vec(),
                };
                bias.into_iter().enumerate().map(move |(key, b)| match (free, key < limit) {
                    (true, _) => 0.0,
                    (false, true) => b.max(HIDDEN as f32),
                    (false, false) => HIDDEN as f32,
                })
            })
        };
        let values: Vec<f32> = (0..self.batch).flat_map(row).collect();
        Tensor::from_vec(values, (self.batch, 1, t, self.keys), like.device())?.to_dtype(like.dtype())
    }
}
