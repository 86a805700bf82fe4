//! The registry as a specification, over real HTTP.
#![allow(clippy::expect_used, reason = "a test that can't set itself up must fail")]

#[path = "registry/accounts.rs"]
mod accounts;
#[path = "registry/audit.rs"]
mod audit;
#[path = "registry/audited.rs"]
mod audited;
#[path = "registry/blobs.rs"]
mod blobs;
#[path = "registry/changes.rs"]
mod changes;
#[path = "registry/chaos.rs"]
mod chaos;
#[path = "registry/clock.rs"]
mod clock;
#[path = "registry/crash.rs"]
mod crash;
#[path = "registry/credentials.rs"]
mod credentials;
#[path = "registry/crowds.rs"]
mod crowds;
#[path = "registry/deletion.rs"]
mod deletion;
#[path = "registry/deploy.rs"]
mod deploy;
#[path = "registry/direct_uploads.rs"]
mod direct_uploads;
#[path = "registry/doctor.rs"]
mod doctor;
#[path = "registry/faults.rs"]
mod faults;
#[path = "registry/following.rs"]
mod following;
#[path = "registry/full_disk.rs"]
mod full_disk;
#[path = "registry/garbage.rs"]
mod garbage;
#[path = "registry/huggingface.rs"]
mod huggingface;
#[path = "registry/index.rs"]
mod index;
#[path = "registry/killed_mirrors.rs"]
mod killed_mirrors;
#[path = "registry/killed_workers.rs"]
mod killed_workers;
#[path = "registry/lies.rs"]
mod lies;
#[path = "registry/limits.rs"]
mod limits;
#[path = "registry/mirror.rs"]
mod mirror;
#[path = "registry/moving.rs"]
mod moving;
#[path = "registry/moving_names.rs"]
mod moving_names;
#[path = "registry/names.rs"]
mod names;
#[path = "registry/object_storage.rs"]
mod object_storage;
#[path = "registry/openapi.rs"]
mod openapi;
#[path = "registry/operation.rs"]
mod operation;
#[path = "registry/outages.rs"]
mod outages;
#[path = "registry/passwords.rs"]
mod passwords;
#[path = "registry/people.rs"]
mod people;
#[path = "registry/people_login.rs"]
mod people_login;
#[path = "registry/permissions.rs"]
mod permissions;
#[path = "registry/postgres.rs"]
mod postgres;
#[path = "registry/privacy.rs"]
mod privacy;
#[path = "registry/publish.rs"]
mod publish;
#[path = "registry/publishers.rs"]
mod publishers;
#[path = "registry/pulls.rs"]
mod pulls;
#[path = "registry/read_only.rs"]
mod read_only;
#[path = "registry/rebuild.rs"]
mod rebuild;
#[path = "registry/replicas.rs"]
mod replicas;
#[path = "registry/resolve.rs"]
mod resolve;
#[path = "registry/retention.rs"]
mod retention;
#[path = "registry/rude_clients.rs"]
mod rude_clients;
#[path = "registry/schemathesis.rs"]
mod schemathesis;
#[path = "registry/search.rs"]
mod search;
#[path = "registry/settings.rs"]
mod settings;
#[path = "registry/teams.rs"]
mod teams;
#[path = "registry/tls.rs"]
mod tls;
#[path = "registry/tracing.rs"]
mod tracing;
#[path = "registry/uploads.rs"]
mod uploads;
#[path = "registry/webhooks.rs"]
mod webhooks;
#[path = "registry/yank.rs"]
mod yank;
