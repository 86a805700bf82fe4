//! Whole numbers as JSON Schema has them: `3.0` is an integer (draft 2020-12, section 4.2.3).
//!
//! serde takes `3` alone, so a program whose language has one kind of number (JavaScript, Lua) would be
//! refused what the schemas allow.

use serde::{Deserialize, Deserializer, de};

/// The largest whole number up to which a double names each of them.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A number without a fraction.
struct Whole(u64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Whole;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a whole number that is not negative")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Whole, E> {
                Ok(Whole(number))
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Whole, E> {
                if number.fract() == 0.0 && (0.0..=EXACT).contains(&number) {
                    Ok(Whole(number as u64))
                } else {
                    Err(E::invalid_value(de::Unexpected::Float(number), &self))
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// A field that is a whole number.
pub(crate) fn number<'de, D: Deserializer<'de>, N: TryFrom<u64>>(deserializer: D) -> Result<N, D::Error> {
    narrow(Whole::deserialize(deserializer)?)
}

/// A field that is a whole number, or nothing.
pub(crate) fn option<'de, D: Deserializer<'de>, N: TryFrom<u64>>(
    deserializer: D,
) -> Result<Option<N>, D::Error> {
    Option::<Whole>::deserialize(deserializer)?.map(narrow).transpose()
}

fn narrow<N: TryFrom<u64>, E: de::Error>(Whole(number): Whole) -> Result<N, E> {
    N::try_from(number).map_err(|_| E::custom(format!("the number {number} is too large")))
}

#[cfg(test)]
mod tests {
    use crate::api::RetentionRules;

    #[test]
    fn a_number_without_a_fraction_is_whole_however_it_is_written() {
        let rules = |text: &str| serde_json::from_str::<RetentionRules>(text).map_err(|e| e.to_string());
        let found = rules(r#"{"prerelease_days": 30.0, "keep_prereleases": 3e0, "yanked_days": null}"#);
        let found = found.expect("rules");
        assert_eq!((found.prerelease_days, found.keep_prereleases, found.yanked_days), (Some(30), 3, None));
        for wrong in ["30.5", "-1", "-1.0", "1e300", "4294967296", "\"3\""] {
            assert!(rules(&format!(r#"{{"prerelease_days": {wrong}}}"#)).is_err(), "{wrong}");
        }
    }
}
