//! `hub-server`: one binary, several roles.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use hub_schemas::{
    api::Role as MemberRole,
    name::{AdapterId, Namespace},
    pattern::NamePattern,
    token::Scopes,
};
use hub_server::{
    App, Exporter, Server, StartError, Worker,
    admin::{self, Format, Lifetime},
    config::{Config, ConfigError, Settings, Sources},
    doctor,
    domain::quota::Quota,
    log,
};
use tokio::signal;

/// The Adapter Hub registry.
#[derive(Debug, Parser)]
#[command(name = "hub-server", version, about, propagate_version = true)]
struct Cli {
    /// TOML file with settings; flags and variables win over it
    #[arg(long, global = true, env = "HUB_SERVER_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Serve the registry until SIGTERM or Ctrl-C
    Serve,
    /// Do jobs until SIGTERM or Ctrl-C, beside servers on the same PostgreSQL database
    Worker,
    /// Bring the database up to this version
    Migrate,
    /// Print every setting, its value in effect and where that comes from
    Config {
        /// A table, or JSON
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Check everything the server needs, and say the next step where something is wrong
    Doctor {
        /// A table, or JSON
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Write the whole registry into a folder; again into the same one, only what is new
    #[command(visible_alias = "backup")]
    Export {
        /// The folder
        folder: PathBuf,
    },
    /// Read such a folder into an empty registry, on any database and storage
    #[command(visible_alias = "restore")]
    Import {
        /// The folder
        folder: PathBuf,
    },
    /// Make names and versions anew from the storage alone, when the database is lost
    #[command(
        after_help = "Users, roles, tokens, visibility, yanks and counts are in no manifest: what comes back is \
        private and belongs to the owner. Lines on standard output say what did not come back, and why."
    )]
    Rebuild {
        /// The user who owns every namespace that comes back
        #[arg(long)]
        owner: Namespace,
        /// A name that belongs to a person rather than an organisation; may be repeated
        #[arg(long = "user", value_name = "NAME")]
        users: Vec<Namespace>,
    },
    /// Remove files that nothing refers to, without waiting for the server to do it
    Gc {
        /// Only print them
        #[arg(long)]
        dry_run: bool,
        /// Seconds that nothing must have referred to them [default: as the server is set]
        #[arg(long, value_name = "N")]
        older_than: Option<u64>,
    },
    /// Delete what the rules of namespaces say, without waiting for the server to do it
    Retire {
        /// Only print it
        #[arg(long)]
        dry_run: bool,
    },
    /// Take the changes of the registries that this one follows, without waiting for the server to do it
    Follow {
        /// Compare everything, whether it changed or not
        #[arg(long)]
        all: bool,
    },
    /// Read the audit log
    #[command(subcommand)]
    Audit(AuditVerb),
    /// Add or list users
    #[command(subcommand)]
    User(UserVerb),
    /// Add namespaces and their members
    #[command(subcommand)]
    Namespace(NamespaceVerb),
    /// Keep names of namespaces back
    #[command(subcommand)]
    Name(NameVerb),
    /// Take adapters out of circulation
    #[command(subcommand)]
    Adapter(AdapterVerb),
    /// Create, list or revoke tokens
    #[command(subcommand)]
    Token(TokenVerb),
}

impl Role {
    /// Whether it would change a registry that is open: those that open it themselves look after that themselves.
    const fn changes(&self) -> bool {
        match self {
            Self::Import { .. }
            | Self::Rebuild { .. }
            | Self::Namespace(_)
            | Self::Adapter(_)
            | Self::Follow { .. }
            | Self::Gc { dry_run: false, .. }
            | Self::Retire { dry_run: false } => true,
            Self::User(verb) => !matches!(verb, UserVerb::List),
            Self::Token(verb) => !matches!(verb, TokenVerb::List),
            Self::Name(verb) => !matches!(verb, NameVerb::List),
            Self::Serve
            | Self::Worker
            | Self::Migrate
            | Self::Config { .. }
            | Self::Doctor { .. }
            | Self::Export { .. }
            | Self::Audit(_)
            | Self::Gc { dry_run: true, .. }
            | Self::Retire { dry_run: true } => false,
        }
    }
}

/// More than any password has, in bytes.
const LONGEST_LINE: u64 = 4096;

#[derive(Debug, Subcommand)]
enum AuditVerb {
    /// Print who changed what, oldest first, one JSON object a line
    Export {
        /// Begin after the record with this id
        #[arg(long, value_name = "ID")]
        after: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
enum UserVerb {
    /// Add a user and the namespace of their name
    Add {
        /// Their name
        name: Namespace,
    },
    /// List users
    List,
    /// Set a user's password: the first line of standard input
    Password {
        /// The user
        name: Namespace,
        /// Forget it instead: they log in with tokens alone
        #[arg(long)]
        remove: bool,
    },
    /// Let somebody of an identity provider log in as a user
    Link {
        /// The user
        name: Namespace,
        /// The provider, as its `[[logins]]` names it
        #[arg(long, value_name = "URL")]
        issuer: String,
        /// What it calls them, for ever: the claim `sub`
        #[arg(long, value_name = "SUB")]
        subject: String,
    },
    /// Let nobody of an identity provider log in as a user any more
    Unlink {
        /// The user
        name: Namespace,
    },
    /// Let a user run the registry, with a token that has the scope `admin`
    Administrator {
        /// The user
        name: Namespace,
        /// Take that back
        #[arg(long)]
        revoke: bool,
    },
}

#[derive(Debug, Subcommand)]
enum NameVerb {
    /// Keep a name back: no user makes an organisation of it
    Reserve {
        /// The name
        name: Namespace,
        /// Why; shown to whoever wants it
        #[arg(long)]
        reason: String,
    },
    /// Let a name go
    Release {
        /// The name
        name: Namespace,
    },
    /// List the names that are kept back
    List,
}

#[derive(Debug, Subcommand)]
enum AdapterVerb {
    /// Refuse an adapter's files to everybody, with a reason
    Quarantine {
        /// The adapter
        #[arg(value_name = "NAMESPACE/NAME")]
        adapter: AdapterId,
        /// Why; shown to whoever may see the adapter
        #[arg(long)]
        reason: String,
    },
    /// Bring an adapter back
    Release {
        /// The adapter
        #[arg(value_name = "NAMESPACE/NAME")]
        adapter: AdapterId,
    },
}

#[derive(Debug, Subcommand)]
enum NamespaceVerb {
    /// Add a namespace
    Add {
        /// Its name
        name: Namespace,
        /// The user who answers for it
        #[arg(long)]
        owner: Namespace,
    },
    /// Manage members
    #[command(subcommand)]
    Member(MemberVerb),
    /// Limit what a namespace may hold; what is left out is not limited
    Quota {
        /// The namespace
        name: Namespace,
        /// Bytes of all its versions together
        #[arg(long, value_name = "BYTES")]
        max_bytes: Option<u64>,
        /// Adapters
        #[arg(long, value_name = "N")]
        max_adapters: Option<u64>,
    },
}

#[derive(Debug, Subcommand)]
enum MemberVerb {
    /// Give a user a role in a namespace, in place of the one they have
    Add {
        /// The namespace
        namespace: Namespace,
        /// The user
        user: Namespace,
        /// `reader`, `writer`, `maintainer` or `owner`
        #[arg(long, default_value = "writer")]
        role: MemberRole,
    },
    /// Take a user's role in a namespace away
    Remove {
        /// The namespace
        namespace: Namespace,
        /// The user
        user: Namespace,
    },
}

#[derive(Debug, Subcommand)]
enum TokenVerb {
    /// Create a token and print its secret, this once
    Create {
        /// Whose it is
        #[arg(long)]
        user: Namespace,
        /// What to call it
        #[arg(long, default_value = "default")]
        name: String,
        /// What it may do: `read`, `publish-new`, `publish-update` (both together `publish`), `yank`, `admin`
        #[arg(long, value_name = "SCOPES", default_value = "read,publish,yank")]
        scope: Scopes,
        /// The adapters to limit it to, as in `lab/*,ada/bert-*` [default: all]
        #[arg(long, value_name = "PATTERNS", value_delimiter = ',')]
        names: Vec<NamePattern>,
        /// How long it works, as in `30d`; without it, until it is revoked
        #[arg(long, value_name = "DURATION")]
        expires: Option<Lifetime>,
    },
    /// List tokens, without their secrets
    List,
    /// Make a token useless
    Revoke {
        /// Its id, as `token list` shows it
        id: String,
    },
}

/// Threads that read files and hash passwords. tokio's own number, 512, would hold more memory than all downloads do.
const BLOCKING_THREADS: usize = 16;

fn main() -> ExitCode {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    match builder.enable_all().max_blocking_threads(BLOCKING_THREADS).build() {
        Ok(runtime) => runtime.block_on(start()),
        Err(error) => {
            drop(std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!("error: no threads: {error}\n"),
            ));
            ExitCode::FAILURE
        }
    }
}

async fn start() -> ExitCode {
    let matches = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match run(cli, Sources::of(&matches)).await {
        Ok(code) => code,
        Err(error) => {
            // The log may not be set up, and this is for a person.
            let hint = error.downcast_ref::<ConfigError>().and_then(ConfigError::hint);
            let hint = hint.map(|hint| format!("\nhint: {hint}\n")).unwrap_or_default();
            drop(std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("error: {error:#}\n{hint}")));
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli, sources: Sources) -> anyhow::Result<ExitCode> {
    let (config, sources) = Config::explained(cli.settings, sources, cli.config.as_deref())?;
    let exporter = match (&cli.role, &config.otlp_endpoint) {
        (Role::Serve | Role::Worker, Some(collector)) => Some(Exporter::start(collector)?),
        _ => None,
    };
    log::set_up(config.log_format, exporter.is_some());
    match cli.role {
        Role::Config { format } => {
            admin::show_settings(&config, &sources, format)?;
            return Ok(ExitCode::SUCCESS);
        }
        Role::Doctor { format } => {
            let well = doctor::print(&doctor::examine(&config).await, format)?;
            return Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Role::Serve => {
            let server = Server::bind(&config).await?;
            let served = server.run(asked_to_stop()?).await;
            stop_export(exporter).await;
            served?;
            return Ok(ExitCode::SUCCESS);
        }
        Role::Worker => {
            let worker = Worker::open(&config).await?;
            worker.run(asked_to_stop()?).await;
            stop_export(exporter).await;
            return Ok(ExitCode::SUCCESS);
        }
        Role::Migrate => {
            App::migrate(&config).await?;
            tracing::info!("The database is up to date");
            return Ok(ExitCode::SUCCESS);
        }
        _ => {}
    }
    if config.read_only && cli.role.changes() {
        return Err(StartError::ReadOnly.into());
    }
    let app = admin::open(&config).await?;
    match cli.role {
        Role::Audit(AuditVerb::Export { after }) => admin::export_audit(&app, after.as_deref()).await?,
        Role::User(UserVerb::Add { name }) => admin::add_user(&app, &name).await?,
        Role::User(UserVerb::List) => admin::list_users(&app).await?,
        Role::User(UserVerb::Password { name, remove }) => {
            let password = if remove { None } else { Some(first_line()?) };
            admin::set_password(&app, &name, password.as_deref()).await?;
        }
        Role::User(UserVerb::Link { name, issuer, subject }) => {
            admin::link_identity(&app, &name, &issuer, &subject).await?;
        }
        Role::User(UserVerb::Unlink { name }) => admin::unlink_identities(&app, &name).await?,
        Role::User(UserVerb::Administrator { name, revoke }) => {
            admin::set_administrator(&app, &name, !revoke).await?;
        }
        Role::Namespace(NamespaceVerb::Add { name, owner }) => {
            admin::add_namespace(&app, &name, &owner).await?;
        }
        Role::Namespace(NamespaceVerb::Quota { name, max_bytes, max_adapters }) => {
            admin::set_quota(&app, &name, Quota { max_bytes, max_adapters }).await?;
        }
        Role::Namespace(NamespaceVerb::Member(MemberVerb::Add { namespace, user, role })) => {
            admin::add_member(&app, &namespace, &user, role).await?;
        }
        Role::Namespace(NamespaceVerb::Member(MemberVerb::Remove { namespace, user })) => {
            admin::remove_member(&app, &namespace, &user).await?;
        }
        Role::Name(NameVerb::Reserve { name, reason }) => admin::reserve_name(&app, &name, &reason).await?,
        Role::Name(NameVerb::Release { name }) => admin::release_name(&app, &name).await?,
        Role::Name(NameVerb::List) => admin::list_names(&app).await?,
        Role::Adapter(AdapterVerb::Quarantine { adapter, reason }) => {
            admin::quarantine(&app, &adapter, Some(&reason)).await?;
        }
        Role::Adapter(AdapterVerb::Release { adapter }) => admin::quarantine(&app, &adapter, None).await?,
        Role::Token(TokenVerb::Create { user, name, scope, names, expires }) => {
            admin::create_token(&app, &user, &name, &scope, &names, expires).await?;
        }
        Role::Token(TokenVerb::List) => admin::list_tokens(&app).await?,
        Role::Token(TokenVerb::Revoke { id }) => admin::revoke_token(&app, &id).await?,
        Role::Gc { dry_run, older_than } => {
            let older_than = older_than.map_or(config.garbage_delay, std::time::Duration::from_secs);
            admin::collect_garbage(&app, older_than, dry_run).await?;
        }
        Role::Retire { dry_run } => admin::retire(&app, dry_run).await?,
        Role::Follow { all } => admin::follow(&app, all).await?,
        Role::Export { folder } => admin::export(&app, &folder).await?,
        Role::Import { folder } => admin::import(&app, &folder).await?,
        Role::Rebuild { owner, users } => {
            if !admin::rebuild(&app, &owner, &users).await? {
                app.close().await;
                return Ok(ExitCode::FAILURE);
            }
        }
        Role::Serve | Role::Worker | Role::Migrate | Role::Config { .. } | Role::Doctor { .. } => {}
    }
    app.close().await;
    Ok(ExitCode::SUCCESS)
}

/// The first line of standard input, which shells keep no history of.
fn first_line() -> anyhow::Result<String> {
    use std::io::{BufRead as _, Read as _};
    let mut line = String::new();
    std::io::stdin().lock().take(LONGEST_LINE).read_line(&mut line).context("can't read the password")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Done at the first SIGTERM or Ctrl-C.
fn asked_to_stop() -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    #[cfg(unix)]
    let mut terminate =
        signal::unix::signal(signal::unix::SignalKind::terminate()).context("can't listen for SIGTERM")?;
    Ok(async move {
        #[cfg(unix)]
        tokio::select! {
            _ = terminate.recv() => {}
            _ = signal::ctrl_c() => {}
        }
        #[cfg(not(unix))]
        drop(signal::ctrl_c().await);
    })
}

async fn stop_export(exporter: Option<Exporter>) {
    if let Some(exporter) = exporter {
        exporter.stop().await;
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
