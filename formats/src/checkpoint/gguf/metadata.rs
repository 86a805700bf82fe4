//! The keys and values in front of the tensors.

use std::{collections::BTreeMap, io::Read};

use super::{GgufError, cursor::Cursor};

/// A value of one of the format's types, in the widest that holds it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Meta {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    Numbers(Vec<f64>),
}

/// Values by key.
pub(super) type Metadata = BTreeMap<String, Meta>;

impl Meta {
    pub(super) fn read(cursor: &mut Cursor<impl Read>) -> Result<Self, GgufError> {
        let kind = cursor.u32()?;
        Self::of(kind, cursor)
    }

    fn of(kind: u32, cursor: &mut Cursor<impl Read>) -> Result<Self, GgufError> {
        Ok(match kind {
            0 => Self::Unsigned(cursor.array::<1>()?[0].into()),
            1 => Self::Signed(i8::from_le_bytes(cursor.array()?).into()),
            2 => Self::Unsigned(u16::from_le_bytes(cursor.array()?).into()),
            3 => Self::Signed(i16::from_le_bytes(cursor.array()?).into()),
            4 => Self::Unsigned(cursor.u32()?.into()),
            5 => Self::Signed(i32::from_le_bytes(cursor.array()?).into()),
            6 => Self::Float(f32::from_le_bytes(cursor.array()?).into()),
            7 => Self::Bool(cursor.array::<1>()?[0] != 0),
            8 => Self::Text(cursor.text()?),
            9 => return Self::list(cursor),
            10 => Self::Unsigned(cursor.u64()?),
            11 => Self::Signed(i64::from_le_bytes(cursor.array()?)),
            12 => Self::Float(f64::from_le_bytes(cursor.array()?)),
            other => return Err(GgufError::Malformed(format!("a value is of the unknown type {other}"))),
        })
    }

    fn list(cursor: &mut Cursor<impl Read>) -> Result<Self, GgufError> {
        let kind = cursor.u32()?;
        // A string has its length in front.
        let least = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            8 | 10..=12 => 8,
            other => {
                return Err(GgufError::Malformed(format!("a list holds values of the type {other}")));
            }
        };
        let count = cursor.count("the length of a list", least)?;
        if kind == 8 {
            return (0..count).map(|_| cursor.text()).collect::<Result<_, _>>().map(Self::Texts);
        }
        let number = |_| {
            Ok(match Self::of(kind, cursor)? {
                Self::Unsigned(value) => value as f64,
                Self::Signed(value) => value as f64,
                Self::Float(value) => value,
                _ => 0.0,
            })
        };
        (0..count).map(number).collect::<Result<_, _>>().map(Self::Numbers)
    }

    pub(super) fn count(&self) -> Option<u64> {
        match self {
            Self::Unsigned(value) => Some(*value),
            Self::Signed(value) => u64::try_from(*value).ok(),
            _ => None,
        }
    }

    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(*value),
            other => other.count().map(|value| value as f64),
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn texts(&self) -> Option<&[String]> {
        match self {
            Self::Texts(texts) => Some(texts),
            _ => None,
        }
    }
}
