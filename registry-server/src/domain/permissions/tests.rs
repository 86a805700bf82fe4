use hub_schemas::{
    api::{Role, TokenInfo},
    name::Namespace,
    token::Scope,
};

use super::*;

fn namespace(text: &str) -> Namespace {
    text.parse().expect("a namespace")
}

fn caller(scopes: &[Scope], names: &[&str], administrator: bool) -> Caller {
    let token = TokenInfo {
        name: "laptop".into(),
        scopes: scopes.to_vec(),
        names: names.iter().map(|name| name.parse().expect("a pattern")).collect(),
        expires_at: None,
    };
    Caller::new(namespace("ada"), administrator, "t1".to_owned(), token)
}

fn actor(scopes: &[Scope], names: &[&str]) -> Actor {
    Actor::User(caller(scopes, names, false))
}

fn adapter(role: impl Into<Option<Role>>, exists: bool) -> Resource {
    Resource::Adapter { id: "lab/bert-base".parse().expect("a name"), role: role.into(), exists }
}

fn lab(role: impl Into<Option<Role>>) -> Resource {
    Resource::Namespace { name: namespace("lab"), role: role.into() }
}

fn reason<V: Verb>(actor: &Actor, verb: V, resource: &Resource) -> String {
    may(actor, verb, resource).expect_err("refused").to_string()
}

#[test]
fn a_role_allows_what_weaker_roles_allow_and_no_more() {
    let ada = actor(&Scope::ALL, &[]);
    for role in Role::ALL {
        let at = adapter(role, true);
        assert_eq!(may(&ada, Publish, &at).is_ok(), role >= Role::Writer, "{role}");
        assert_eq!(may(&ada, Yank, &at).is_ok(), role >= Role::Writer, "{role}");
        assert_eq!(may(&ada, Delete, &at).is_ok(), role >= Role::Maintainer, "{role}");
        assert_eq!(may(&ada, ChangeVisibility, &at).is_ok(), role >= Role::Maintainer, "{role}");
        assert_eq!(may(&ada, Move, &at).is_ok(), role == Role::Owner, "{role}");
        assert_eq!(may(&ada, DeleteAdapter, &at).is_ok(), role == Role::Owner, "{role}");
        assert_eq!(may(&ada, FreeName, &adapter(role, false)).is_ok(), role == Role::Owner, "{role}");
        assert_eq!(may(&ada, Receive, &adapter(role, false)).is_ok(), role >= Role::Writer, "{role}");
        assert_eq!(may(&ada, ManageCollaborators, &at).is_ok(), role >= Role::Maintainer, "{role}");
        assert_eq!(may(&ada, ManageMembers, &lab(role)).is_ok(), role == Role::Owner, "{role}");
        assert!(may(&ada, SeeMembers, &lab(role)).is_ok(), "{role}");
    }
    assert_eq!(
        reason(&ada, Yank, &adapter(Role::Reader, true)),
        "`ada` is reader of `lab/bert-base`; this needs the role `writer`"
    );
}

#[test]
fn whoever_is_nothing_there_learns_nothing_about_it() {
    let ada = actor(&[], &["other/*"]);
    let answer = "`ada` is not a member of the namespace `lab`";
    assert_eq!(reason(&ada, Publish, &adapter(None, true)), answer);
    assert_eq!(reason(&ada, Publish, &adapter(None, false)), answer);
    assert_eq!(reason(&ada, ManageMembers, &lab(None)), answer);
}

#[test]
fn a_token_needs_the_scope_whatever_its_user_is() {
    let owner = |exists| adapter(Role::Owner, exists);
    let new = actor(&[Scope::PublishNew], &[]);
    assert!(may(&new, Publish, &owner(false)).is_ok());
    assert_eq!(reason(&new, Publish, &owner(true)), "the token `laptop` has no scope `publish-update`");
    let update = actor(&[Scope::PublishUpdate], &[]);
    assert!(may(&update, Publish, &owner(true)).is_ok());
    assert_eq!(reason(&update, Publish, &owner(false)), "the token `laptop` has no scope `publish-new`");
    let all_but_admin = actor(&[Scope::Read, Scope::PublishNew, Scope::PublishUpdate, Scope::Yank], &[]);
    assert_eq!(
        reason(&all_but_admin, ManageMembers, &lab(Role::Owner)),
        "the token `laptop` has no scope `admin`"
    );
    assert!(may(&all_but_admin, ManageAccount, &Resource::Account(namespace("ada"))).is_err());
}

#[test]
fn a_token_is_good_for_the_names_it_is_limited_to() {
    let at = adapter(Role::Owner, true);
    assert!(may(&actor(&Scope::ALL, &["lab/bert-*"]), Yank, &at).is_ok());
    assert_eq!(
        reason(&actor(&Scope::ALL, &["lab/t5-*", "ada/*"]), Yank, &at),
        "the token `laptop` is limited to other names than `lab/bert-base`"
    );
    // A part of a namespace is no hold on its members, nor on the account.
    assert!(may(&actor(&Scope::ALL, &["lab/*"]), ManageMembers, &lab(Role::Owner)).is_ok());
    assert!(may(&actor(&Scope::ALL, &["lab/bert-*"]), ManageMembers, &lab(Role::Owner)).is_err());
    let account = Resource::Account(namespace("ada"));
    assert!(may(&actor(&Scope::ALL, &["ada/*"]), ManageAccount, &account).is_err());
    assert!(may(&actor(&Scope::ALL, &[]), ManageAccount, &account).is_ok());
}

#[test]
fn administrators_run_the_registry_but_do_not_publish_for_others() {
    let root = Actor::User(caller(&Scope::ALL, &[], true));
    assert!(may(&root, Administer, &Resource::Registry).is_ok());
    assert!(may(&root, ManageMembers, &lab(None)).is_ok());
    assert!(may(&root, Publish, &adapter(None, true)).is_err());
    assert!(may(&root, ManageAccount, &Resource::Account(namespace("grace"))).is_err());
    assert_eq!(
        reason(&actor(&Scope::ALL, &[]), Administer, &Resource::Registry),
        "`ada` is not an administrator of this registry"
    );
    let read_only = Actor::User(caller(&[Scope::Read], &[], true));
    assert!(may(&read_only, Administer, &Resource::Registry).is_err());
}

#[test]
fn whoever_has_just_logged_in_may_do_nothing_but_make_their_token() {
    let ada = Actor::Account(namespace("ada"));
    assert!(may(&ada, ManageAccount, &Resource::Account(namespace("ada"))).is_ok());
    assert!(may(&ada, ManageAccount, &Resource::Account(namespace("grace"))).is_err());
    assert!(may(&ada, Publish, &adapter(Role::Owner, true)).is_err());
    assert!(may(&ada, CreateOrganisation, &Resource::Registry).is_err());
    assert!(may(&ada, Administer, &Resource::Registry).is_err());
}

#[test]
fn the_command_line_may_do_anything_and_its_permits_cover_one_place() {
    let permit = may(&Actor::Operator, ManageMembers, &lab(None)).expect("a permit");
    assert!(permit.covers_namespace(&namespace("lab")) && !permit.covers_namespace(&namespace("ada")));
    assert_eq!((permit.user(), permit.actor().token_id()), ("(operator)", None));
}

#[test]
fn without_scope_read_a_token_sees_what_anybody_sees() {
    let eyes = |scopes: &[Scope], names: &[&str]| {
        let viewer = caller(scopes, names, false).viewer();
        (viewer.user().to_owned(), viewer.limited_token().to_owned())
    };
    assert_eq!(eyes(&[Scope::PublishNew], &["*"]), (String::new(), String::new()));
    assert_eq!(eyes(&[Scope::Read], &[]), ("ada".to_owned(), String::new()));
    assert_eq!(eyes(&[Scope::Read], &["ada/*"]), ("ada".to_owned(), "t1".to_owned()));
}
