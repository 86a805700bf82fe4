#![doc = include_str!("../README.md")]

pub mod admin;
mod api;
mod app;
mod archive;
mod cause;
pub mod config;
mod db;
pub mod doctor;
pub mod domain;
mod error;
mod extract;
mod jobs;
mod lock;
pub mod log;
mod middleware;
mod mirror;
mod oidc;
mod openapi;
mod outgoing;
mod rebuild;
mod router;
mod serve;
mod service;
mod storage;
mod telemetry;
#[cfg(test)]
#[expect(dead_code, unreachable_pub, reason = "end-to-end tests use more of it")]
#[path = "../../tests/src/services/mod.rs"]
mod test_services;
mod tls;
mod trace;
mod worker;

pub use app::{App, StartError};
pub use archive::{ArchiveError, Index as ArchiveIndex};
pub use db::OpenError;
pub use openapi::document as openapi_document;
pub use rebuild::{RebuildError, Rebuilt};
pub use router::router;
pub use serve::{ServeError, Server};
pub use storage::{Location, LocationError, S3Settings};
pub use trace::{ExportError, Exporter};
pub use worker::Worker;
