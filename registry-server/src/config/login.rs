//! Identity providers by whose word people log in. There may be several, so they are in the file alone.

use serde::{Deserialize, Serialize};

use super::{ConfigError, IssuerConfig, IssuerSettings};

/// What providers call a name that people choose (OpenID Connect Core 1.0, section 5.1).
const DEFAULT_CLAIM: &str = "preferred_username";
/// Whoever is dismissed there is out here after this time at the latest.
const DEFAULT_TOKEN_DAYS: u32 = 30;
const MAX_TOKEN_DAYS: u32 = 366;

/// One `[[logins]]` of the file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoginSettings {
    /// The provider: what its tokens have as `iss`, letter by letter.
    pub url: String,
    /// What `hub` is called there: a public client that may use PKCE and the device flow.
    pub client_id: String,
    /// Where its keys are, if its discovery document would name another host.
    pub keys_url: Option<String>,
    /// What `hub` asks for besides `openid` [default: `profile`].
    pub scopes: Option<Vec<String>>,
    /// Whether whoever comes first gets a user of their own [default: false].
    pub create_users: bool,
    /// The claim that names such a user [default: `preferred_username`].
    pub name_claim: Option<String>,
    /// Days that a token works at most which somebody gets by logging in [default: 30].
    pub token_days: Option<u32>,
}

/// An identity provider.
#[derive(Debug, Clone)]
pub struct LoginConfig {
    /// Whose tokens are taken, and for which audience: the client.
    pub issuer: IssuerConfig,
    /// What `hub` asks for.
    pub scopes: Vec<String>,
    /// Whether whoever comes first gets a user of their own.
    pub create_users: bool,
    /// The claim that names such a user.
    pub name_claim: String,
    /// Days that a token works at most.
    pub token_days: u32,
}

impl LoginSettings {
    /// Checks every provider. A token that CI jobs exchange must never log a person in.
    pub(super) fn resolve(all: &[Self], issuers: &[IssuerConfig]) -> Result<Vec<LoginConfig>, ConfigError> {
        if let Some(nameless) = all.iter().find(|login| login.client_id.is_empty()) {
            let detail =
                format!("the provider `{}` has no `client_id`; give the one it knows `hub` by", nameless.url);
            return Err(ConfigError::Issuer(detail));
        }
        let named: Vec<IssuerSettings> = all.iter().map(Self::issuer).collect();
        let checked = IssuerSettings::resolve(&named)?;
        let both = checked.iter().find(|one| {
            issuers.iter().any(|other| other.issuer == one.issuer && other.audience == one.audience)
        });
        if let Some(both) = both {
            let detail = format!(
                "`{}` is in `issuers` and in `logins` with the same audience `{}`; give them different ones",
                both.issuer, both.audience
            );
            return Err(ConfigError::Issuer(detail));
        }
        all.iter().zip(checked).map(|(settings, issuer)| settings.with(issuer)).collect()
    }

    fn issuer(&self) -> IssuerSettings {
        IssuerSettings {
            url: self.url.clone(),
            audience: self.client_id.clone(),
            keys_url: self.keys_url.clone(),
        }
    }

    fn with(&self, issuer: IssuerConfig) -> Result<LoginConfig, ConfigError> {
        let token_days = self.token_days.unwrap_or(DEFAULT_TOKEN_DAYS);
        if !(1..=MAX_TOKEN_DAYS).contains(&token_days) {
            let detail = format!(
                "`token_days` of `{}` is {token_days}; it must lie between 1 and {MAX_TOKEN_DAYS}",
                self.url
            );
            return Err(ConfigError::Issuer(detail));
        }
        let mut scopes = self.scopes.clone().unwrap_or_else(|| vec!["profile".to_owned()]);
        scopes.retain(|scope| scope != "openid");
        scopes.insert(0, "openid".to_owned());
        Ok(LoginConfig {
            issuer,
            scopes,
            create_users: self.create_users,
            name_claim: self.name_claim.clone().unwrap_or_else(|| DEFAULT_CLAIM.to_owned()),
            token_days,
        })
    }
}

impl From<&LoginConfig> for LoginSettings {
    fn from(login: &LoginConfig) -> Self {
        Self {
            url: login.issuer.issuer.clone(),
            client_id: login.issuer.audience.clone(),
            keys_url: login.issuer.keys_url.as_ref().map(ToString::to_string),
            scopes: Some(login.scopes.clone()),
            create_users: login.create_users,
            name_claim: Some(login.name_claim.clone()),
            token_days: Some(login.token_days),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(change: impl FnOnce(&mut LoginSettings)) -> LoginSettings {
        let mut settings = LoginSettings {
            url: "https://id.example.org".to_owned(),
            client_id: "hub".to_owned(),
            ..LoginSettings::default()
        };
        change(&mut settings);
        settings
    }

    #[test]
    fn tokens_of_jobs_and_of_people_never_have_the_same_audience() {
        let issuers = IssuerSettings {
            url: "https://id.example.org".to_owned(),
            audience: "hub".to_owned(),
            keys_url: None,
        };
        let issuers = IssuerSettings::resolve(&[issuers]).expect("an issuer");
        assert!(LoginSettings::resolve(&[login(|_| {})], &issuers).is_err());
        let other = login(|settings| settings.client_id = "hub-people".to_owned());
        assert!(LoginSettings::resolve(&[other], &issuers).is_ok());
    }

    #[test]
    fn a_provider_without_a_client_is_told_so_in_its_own_words() {
        let refused = LoginSettings::resolve(&[login(|settings| settings.client_id.clear())], &[]);
        let refused = refused.expect_err("no client").to_string();
        assert!(refused.contains("`client_id`") && !refused.contains("audience"), "{refused}");
    }

    #[test]
    fn what_is_left_out_is_careful() {
        let found = LoginSettings::resolve(&[login(|_| {})], &[]).expect("a provider");
        assert_eq!((found[0].create_users, found[0].token_days), (false, 30));
        assert_eq!(
            (found[0].name_claim.as_str(), found[0].scopes.join(" ")),
            ("preferred_username", "openid profile".to_owned())
        );
        for wrong in [
            login(|settings| settings.url = "http://id.example.org".to_owned()),
            login(|settings| settings.token_days = Some(0)),
            login(|settings| settings.token_days = Some(1000)),
        ] {
            assert!(LoginSettings::resolve(&[wrong], &[]).is_err());
        }
    }
}
