//! Content digests: `sha256:` and 64 hexadecimal digits.

use std::{fmt, str::FromStr};

use sha2::{
    Digest as _, Sha256,
    digest::common::hazmat::{SerializableState as _, SerializedState},
};

use crate::parsed::text_serde;

/// Why a digest was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a digest; a digest looks like `sha256:` and 64 lower-case hexadecimal digits")]
pub struct DigestError(pub String);

/// The SHA-256 of some bytes. Two things with one digest are the same thing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The 64 hexadecimal digits without the `sha256:` in front.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }

    /// The first twelve hexadecimal digits, for people to read.
    pub fn short(&self) -> String {
        hex::encode(&self.0[..6])
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("sha256:{}", self.hex()))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = DigestError;
    fn from_str(text: &str) -> Result<Self, DigestError> {
        let refuse = || DigestError(text.chars().take(80).collect());
        let digits = text.strip_prefix("sha256:").ok_or_else(refuse)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| refuse())?;
        // One spelling per digest: `hex` also reads upper case.
        if digits.bytes().any(|b| b.is_ascii_uppercase()) { Err(refuse()) } else { Ok(Self(bytes)) }
    }
}

text_serde!(
    Digest,
    description = "SHA-256 of some bytes",
    example = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    pattern = "^sha256:[0-9a-f]{64}$"
);

/// Computes a [`Digest`] over bytes that arrive piece by piece.
#[derive(Clone, Default)]
pub struct DigestHasher {
    state: Sha256,
    len: u64,
}

impl DigestHasher {
    /// Takes the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.state.update(bytes);
        self.len += bytes.len() as u64;
    }

    /// How many bytes were taken.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing was taken yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where it stands, as text: another process goes on from there with [`resume`](Self::resume).
    pub fn suspend(&self) -> String {
        format!("{}:{}", self.len, hex::encode(self.state.serialize()))
    }

    /// Goes on where [`suspend`](Self::suspend) stopped; `None` when the text is not its.
    pub fn resume(suspended: &str) -> Option<Self> {
        let (len, state) = suspended.split_once(':')?;
        let state = SerializedState::<Sha256>::try_from(hex::decode(state).ok()?.as_slice()).ok()?;
        Some(Self { len: len.parse().ok()?, state: Sha256::deserialize(&state).ok()? })
    }

    /// The digest of all pieces together.
    pub fn finish(self) -> Digest {
        Digest(self.state.finalize().into())
    }
}

impl fmt::Debug for DigestHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DigestHasher").field("len", &self.len).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_digest_is_the_known_one() {
        let known = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").to_string(), known);
        assert_eq!(known.parse(), Ok(Digest::of(b"")));
    }

    #[test]
    fn pieces_hash_like_the_whole() {
        let mut hasher = DigestHasher::default();
        hasher.update(b"adapter ");
        hasher.update(b"hub");
        assert_eq!((hasher.len(), hasher.finish()), (11, Digest::of(b"adapter hub")));
    }

    #[test]
    fn another_process_goes_on_where_one_stopped() {
        for cut in [0, 1, 63, 64, 65, 200] {
            let bytes = [7; 200];
            let mut first = DigestHasher::default();
            first.update(&bytes[..cut]);
            let mut second = DigestHasher::resume(&first.suspend()).expect("its own text");
            assert_eq!(second.len(), cut as u64);
            second.update(&bytes[cut..]);
            assert_eq!(second.finish(), Digest::of(&bytes));
        }
        for text in ["", "1", "1:", "1:zz", "x:00", "1:00"] {
            assert!(DigestHasher::resume(text).is_none(), "{text}");
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        let upper = Digest::of(b"x").to_string().to_uppercase().replace("SHA256", "sha256");
        for text in ["", "sha256:", "md5:00", "sha256:zz", upper.as_str()] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }
}
