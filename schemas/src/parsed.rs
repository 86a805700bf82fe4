//! One macro for the newtypes of this crate: a `String` that was parsed once.
//!
//! Serde goes through the same parser as everything else, so a value that came
//! from JSON obeys the same rule as one that came from the command line.

/// Gives a tuple struct around `String` with a `FromStr` its serde, `Display`,
/// `AsRef<str>` and OpenAPI schema.
macro_rules! parsed_string {
    ($type:ident, $error:ty, description = $description:literal, example = $example:literal $(, $limit:ident = $value:expr)*) => {
        impl $type {
            /// The text as it was parsed.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }
        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({:?})", stringify!($type), self.0)
            }
        }
        impl TryFrom<String> for $type {
            type Error = $error;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }
        crate::parsed::text_serde!($type, description = $description, example = $example $(, $limit = $value)*);
    };
}

/// Serde and OpenAPI schema for any type with `Display` and `FromStr`. What `FromStr` takes is said to
/// other programs by `pattern` and `max_length`; the test below holds one to the other.
macro_rules! text_serde {
    ($type:ident, description = $description:literal, example = $example:literal $(, $limit:ident = $value:expr)*) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
        impl utoipa::PartialSchema for $type {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .description(Some($description))
                    .examples([serde_json::json!($example)])
                    $(.$limit(Some($value)))*
                    .into()
            }
        }
        impl utoipa::ToSchema for $type {}
    };
}

pub(crate) use parsed_string;
pub(crate) use text_serde;

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use utoipa::{PartialSchema, openapi::RefOr};

    use crate::{
        digest::Digest,
        name::{AdapterId, Namespace},
        pattern::NamePattern,
        version::Version,
    };

    /// Whether the schema's pattern and the parser say the same of each text.
    fn agree<T: FromStr + PartialSchema>(texts: &[&str]) {
        let schema = serde_json::to_value(match T::schema() {
            RefOr::T(schema) => schema,
            RefOr::Ref(found) => panic!("a reference to {}", found.ref_location),
        });
        let schema = schema.expect("serialises");
        let pattern = regex::Regex::new(schema["pattern"].as_str().expect("a pattern")).expect("a regex");
        for text in texts {
            assert_eq!(pattern.is_match(text), text.parse::<T>().is_ok(), "{text:?}");
        }
    }

    #[test]
    fn what_the_schemas_say_is_what_is_taken() {
        agree::<Namespace>(&[
            "a", "a-b_c", "0", "", "-a", "a-", "a--b", "a-_b", "A", "a b", "a/b", "é", "a\n",
        ]);
        agree::<AdapterId>(&["a/b", "a", "a/b/c", "/b", "a/", "A/b", "a/b-", "a-1/b_2"]);
        let versions =
            ["1.2.3", "0.0.0-rc.1", "1.0.0--", "1.0.0-0a.b-c", "01.0.0", "1.0", "1.0.0-01", "1.0.0+x"];
        agree::<Version>(&versions);
        agree::<Version>(&["", "v1.0.0", "1.0.0-", "1.0.0-a..b", "99999999999999999999.0.0", "1.0.0-é"]);
        agree::<NamePattern>(&[
            "*", "lab/*", "lab/x", "lab/x-*", "lab/x--*", "lab/x-", "lab", "lab/-*", "*/x", "",
        ]);
        let digest = Digest::of(b"x").to_string();
        agree::<Digest>(&[&digest, &digest[1..], &digest.to_uppercase(), &digest[..70], "sha256:", ""]);
    }
}
