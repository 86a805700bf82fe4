//! Talking to a registry: the HTTP API, tokens, and transfers that can be continued.
//!
//! [`RegistryClient`] has one method per route and returns the types of
//! `hub_schemas::api`. Nothing here prints: progress and waits are told to a
//! [`Reporter`].

mod account;
mod auth;
mod client;
mod error;
mod http;
mod people;
mod provider;
mod publish;
mod publishing;
mod report;
mod retry;
mod secret;
mod send;
mod transfer;

pub use auth::{AuthStore, StoreError, StoredToken};
pub use client::{IndexAnswer, Purpose, RegistryClient};
pub use error::RegistryError;
pub use people::TeamChange;
pub use provider::{Browser, DeviceCode, DeviceLogin, ProvenIdentity, Provider};
pub use publish::{Digests, PublishOutcome, PublishPlan};
pub use report::{Direction, Event, Meter, NoMeter, Reporter, Silent, Transfer};
pub use secret::Secret;
pub use transfer::{Blob, CHUNK_BYTES, Sent};
