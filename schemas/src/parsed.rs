//! One macro for the newtypes of this crate: a `String` that was parsed once.
//!
//! Serde goes through the same parser as everything else, so a value that came
//! from JSON obeys the same rule as one that came from the command line.

/// Gives a tuple struct around `String` with a `FromStr` its serde, `Display`,
/// `AsRef<str>` and OpenAPI schema.
macro_rules! parsed_string {
    ($type:ident, $error:ty, description = $description:literal, example = $example:literal) => {
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
        crate::parsed::text_serde!($type, description = $description, example = $example);
    };
}

/// Serde and OpenAPI schema for any type with `Display` and `FromStr`.
macro_rules! text_serde {
    ($type:ident, description = $description:literal, example = $example:literal) => {
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
                    .into()
            }
        }
        impl utoipa::ToSchema for $type {}
    };
}

pub(crate) use parsed_string;
pub(crate) use text_serde;
