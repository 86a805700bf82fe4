//! `hub push`: a folder becomes a published version.

mod base;
mod members;
mod prepare;

use hub_client::registry::{Digests, PublishOutcome, PublishPlan, RegistryClient, RegistryError};
use hub_schemas::{
    AdapterId, Digest, Version,
    api::{Visibility, WhoAmI},
    manifest::Artifact,
    problem::ProblemCode,
};
use serde::Serialize;

use crate::{
    args::PushArgs,
    context::Context,
    failure::{Exit, UserError},
    output::units,
};

#[derive(Serialize)]
struct Answer {
    name: AdapterId,
    version: Version,
    digest: Digest,
    /// `false`: the same bytes were published before, or this was a dry run.
    created: bool,
    dry_run: bool,
    size: u64,
    uploaded: u64,
}

/// Prepares the folder, uploads what the registry lacks, and publishes.
pub(crate) fn run(context: &Context, args: &PushArgs) -> anyhow::Result<Exit> {
    let client = context.client()?;
    if !client.has_token() {
        return Err(UserError::new(format!("no token for {}", context.registry_name()))
            .hint("log in with `hub login`, or set `HUB_TOKEN`")
            .into());
    }
    // Before anything is hashed or written: who pushes, and may they?
    let account = context.block_on(async { Ok(client.whoami().await?) })?;
    let (manifest, digests, folder) = if base::is_base(&args.folder) {
        let (manifest, folder) = base::manifest(context, args, &account)?;
        check_namespace(&manifest.name, &account)?;
        (Artifact::from(manifest), Digests::Computed, folder)
    } else {
        let (manifest, digests) = prepare::manifest(context, args, &account)?;
        check_namespace(&manifest.name, &account)?;
        members::check(context, &client, &manifest)?;
        (Artifact::from(manifest), digests, args.folder.clone())
    };
    let bytes = manifest.to_canonical_bytes()?;
    let digest = Digest::of(&bytes);
    if args.dry_run {
        return dry_run(context, &manifest, digest);
    }
    // A backbone's folder may be shared, and nothing reads a manifest there.
    if manifest.kind().is_adapter() {
        prepare::write_manifest(&folder, &bytes)?;
    }
    let visibility = match (args.private, args.internal) {
        (true, _) => Some(Visibility::Private),
        (_, true) => Some(Visibility::Internal),
        _ => None,
    };
    let plan = PublishPlan { folder: &folder, manifest: &manifest, bytes: &bytes, digests, visibility };
    let (title, files) =
        (format!("{}@{}", manifest.name(), manifest.version()), manifest.files().len() as u64);
    let size = manifest.total_size();
    context.printer.status(&format!(
        "pushing `{title}` ({}, {}) to {}",
        units::count(files, "file"),
        units::bytes(size),
        context.registry_name()
    ));
    let outcome = context.block_on(async { publish(&client, &plan).await })?;
    let uploaded = outcome.uploaded;
    outcome.published.warnings.iter().for_each(|warning| context.printer.warn(warning));
    if outcome.published.created {
        let skipped = units::bytes(outcome.skipped);
        let sent = units::bytes(uploaded);
        context.printer.done("published", &format!("`{title}` ({sent} sent, {skipped} were there)"));
    } else {
        context.printer.done("unchanged", &format!("`{title}` was published before with the same content"));
    }
    if context.printer.is_json() {
        let (name, version) = (manifest.name().clone(), manifest.version().clone());
        let created = outcome.published.created;
        context.printer.json(&Answer { name, version, digest, created, dry_run: false, size, uploaded })?;
    } else {
        context.printer.line(&format!("{title} {digest}"))?;
    }
    Ok(Exit::Success)
}

async fn publish(client: &RegistryClient, plan: &PublishPlan<'_>) -> anyhow::Result<PublishOutcome> {
    let id = plan.manifest.name();
    client.publish_folder(plan).await.map_err(|error| match &error {
        RegistryError::NotDescribed { path } if plan.digests == Digests::Stated => {
            prepare::not_described(path, plan.folder).into()
        }
        _ if error.code() == Some(ProblemCode::VersionExists) => version_exists(id, plan, error).into(),
        _ => error.into(),
    })
}

fn version_exists(id: &AdapterId, plan: &PublishPlan<'_>, error: RegistryError) -> UserError {
    let version = plan.manifest.version();
    UserError::new(format!("`{id}@{version}` was published before with other content"))
        .hint(format!("versions never change: publish the new content under the next number with `--version`, `hub info {id}` lists those taken"))
        .caused_by(error)
}

/// The registry checks this too; here it is told before anything is uploaded.
fn check_namespace(id: &AdapterId, account: &WhoAmI) -> Result<(), UserError> {
    if account.namespaces.contains(&id.namespace) || account.adapters.contains(id) {
        return Ok(());
    }
    let yours: Vec<_> = account.namespaces.iter().map(|n| format!("`{n}`")).collect();
    Err(UserError::new(format!("`{}` may not publish in the namespace `{}`", account.user, id.namespace))
        .hint(format!("choose another name with `--as NAMESPACE/NAME`; yours: {}", yours.join(", "))))
}

fn dry_run(context: &Context, manifest: &Artifact, digest: Digest) -> anyhow::Result<Exit> {
    let (name, version) = (manifest.name().clone(), manifest.version().clone());
    let size = manifest.total_size();
    context.printer.status(&format!("nothing was sent: this was a dry run for `{name}@{version}`"));
    if context.printer.is_json() {
        context.printer.json(&Answer {
            name,
            version,
            digest,
            created: false,
            dry_run: true,
            size,
            uploaded: 0,
        })?;
        return Ok(Exit::Success);
    }
    for file in manifest.files() {
        let (size, digest) = (units::bytes(file.size), file.digest.short());
        context.printer.line(&format!("{size:>10}  {digest}  {}", file.path))?;
    }
    context.printer.line(&format!("{name}@{version} {digest}"))?;
    Ok(Exit::Success)
}
