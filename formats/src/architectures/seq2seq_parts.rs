//! What only an encoder with a decoder behind it has.

use serde_json::{Map, Value};

use super::{ConfigError, count, optional};

/// Parts of a decoder that reads what an encoder gives.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Seq2SeqParts {
    /// The token that a decoder reads first.
    pub start_token: Option<u32>,
    /// Whether the decoder reads the input itself, one token further back, where it is given nothing else.
    pub reads_input: bool,
    /// Whether it then reads the input's own last token first: the one that names its language.
    pub turns_input: bool,
    /// What the last hidden state is multiplied with before a language model's table.
    pub output_scale: Option<f64>,
    /// The token that ends an input.
    pub end_token: Option<u32>,
}

/// A learned number for every head and every distance of a key from its query, distances in buckets
/// that widen (Raffel et al. 2020, section 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DistanceBuckets {
    /// Rows of the table: half of them for either side where both are seen.
    pub buckets: usize,
    /// From where on all distances share the last bucket.
    pub farthest: usize,
}

impl DistanceBuckets {
    /// The bucket of a key that stands so far behind its query, before it where negative.
    ///
    /// With `n` buckets for a side, distances below `n / 2` have one of their own; distance `d` above
    /// has `n/2 + ⌊n/2 · ln(2d/n) / ln(2·farthest/n)⌋`, at most `n − 1`, in single precision as the
    /// reference implementation rounds.
    pub fn bucket(self, distance: i64, both_sides: bool) -> usize {
        let (first, buckets, distance) = match (both_sides, distance > 0) {
            (true, true) => (self.buckets / 2, self.buckets / 2, distance.unsigned_abs()),
            (true, false) => (0, self.buckets / 2, distance.unsigned_abs()),
            (false, true) => (0, self.buckets, 0),
            (false, false) => (0, self.buckets, distance.unsigned_abs()),
        };
        let exact = buckets / 2;
        if (distance as usize) < exact {
            return first + distance as usize;
        }
        let widest = (self.farthest as f64 / exact as f64).ln() as f32;
        let share = (distance as f32 / exact as f32).ln() / widest;
        let wide = exact + (share * (buckets - exact) as f32) as usize;
        first + wide.min(buckets - 1)
    }
}

/// A token id, which a vocabulary of this size must have.
pub(super) fn token_id(
    json: &Map<String, Value>,
    key: &'static str,
    vocab_size: usize,
) -> Result<Option<u32>, ConfigError> {
    let token = |value: &Value| value.as_u64().filter(|&id| id < vocab_size as u64).map(|id| id as u32);
    optional(json, key, token, "it must be a token of the vocabulary")
}

/// A dimension of an encoder, and of the decoder behind it where that is another one.
pub(super) fn of_both(
    json: &Map<String, Value>,
    key: &'static str,
    of_decoder: &'static str,
) -> Result<(usize, Option<usize>), ConfigError> {
    let (own, other) = (count(json, key)?, count(json, of_decoder)?);
    Ok((own, (other != own).then_some(other)))
}

/// Whether `config.json` names one of these classes.
pub(super) fn is_class(json: &Map<String, Value>, classes: &[&str]) -> bool {
    let named = json.get("architectures").and_then(Value::as_array);
    named.into_iter().flatten().filter_map(Value::as_str).any(|class| classes.contains(&class))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `T5Attention._relative_position_bucket` of `transformers` 4.57.6 with 32 buckets up to 128.
    #[test]
    fn distances_have_the_buckets_of_the_reference_implementation() {
        let all = DistanceBuckets { buckets: 32, farthest: 128 };
        let of = |both| {
            [-200, -128, -90, -40, -16, -8, -7, -1, 0, 1, 7, 8, 16, 40, 200].map(|d| all.bucket(d, both))
        };
        assert_eq!(of(true), [15, 15, 14, 12, 10, 8, 7, 1, 0, 17, 23, 24, 26, 28, 31]);
        assert_eq!(of(false), [31, 31, 29, 23, 16, 8, 7, 1, 0, 0, 0, 0, 0, 0, 0]);
    }
}
