//! Whether the members of a composition can be had where it is published.

use hub_client::registry::{Purpose, RegistryClient};
use hub_schemas::{Digest, Manifest, Reference, method::Method};

use crate::{context::Context, failure::UserError};

/// Refuses a composition with a member whose content no dependency has: nobody could run it.
pub(super) fn check(context: &Context, client: &RegistryClient, manifest: &Manifest) -> anyhow::Result<()> {
    let Method::Composition(config) = &manifest.method else { return Ok(()) };
    let cache = context.cache();
    let published: Vec<Digest> = context.block_on(async {
        let mut published = Vec::new();
        for dependency in &manifest.dependencies {
            let version = Some(dependency.version.clone());
            let reference = Reference::Adapter { id: dependency.name.clone(), version };
            let choice = context.choose(Some(client), &cache, &reference, None).await?;
            let bytes = client.manifest(&choice.digest, Purpose::Look).await?;
            published.push(Manifest::parse(&bytes)?.content_digest());
        }
        Ok(published)
    })?;
    match config.members.iter().find(|member| !published.contains(&member.digest)) {
        None => Ok(()),
        Some(member) => Err(UserError::new(format!(
            "the member `{}` is not published: none of the composition's dependencies has its content",
            member.name
        ))
        .hint("publish it with `hub push`, and name every member with `--depends NAMESPACE/NAME@=VERSION`")
        .into()),
    }
}
