//! `hub team`.

use clap::{Args, Subcommand};
use hub_schemas::{Namespace, TeamName, api::Role};

/// Arguments of `hub team`.
#[derive(Debug, Args)]
#[command(after_help = "\
`hub access grant` gives a team a role like a person, written `@TEAM`: `hub access grant lab/x @linguists writer`.
Teams belong to organisations. Changing them needs the role `owner` there and a token with the scope `admin`.")]
pub(crate) struct TeamArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: TeamVerb,
}

/// What can be done with teams.
#[derive(Debug, Subcommand)]
pub(crate) enum TeamVerb {
    /// Make a team
    Create {
        /// The organisation
        namespace: Namespace,
        /// The team's name
        team: TeamName,
        /// What its people are in the whole namespace: `reader`, `writer` or `maintainer` [default: nothing]
        #[arg(long, value_name = "ROLE")]
        role: Option<Role>,
    },
    /// List the teams of an organisation
    List {
        /// The organisation
        namespace: Namespace,
    },
    /// Put somebody into a team
    Add {
        /// The organisation
        namespace: Namespace,
        /// The team
        team: TeamName,
        /// The user
        user: Namespace,
    },
    /// Take somebody out of a team
    Remove {
        /// The organisation
        namespace: Namespace,
        /// The team
        team: TeamName,
        /// The user
        user: Namespace,
    },
    /// Delete a team with its roles
    Delete {
        /// The organisation
        namespace: Namespace,
        /// The team
        team: TeamName,
    },
}
