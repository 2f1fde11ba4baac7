//! A Databricks workspace: its host and a token, from the environment or a profile.

use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};
use secrecy::SecretString;
use url::Url;

use super::{Environment, ini};

/// Where a workspace is, and who calls it.
pub(super) struct Workspace {
    pub(super) host: Url,
    pub(super) host_from: String,
    /// A token, if one was found, and where.
    pub(super) token: Option<(SecretString, String)>,
}

/// Finds a workspace. A named profile is taken alone; else the environment goes before the profile.
pub(super) fn find(profile: Option<&str>, has_login: bool, environment: &Environment<'_>) -> anyhow::Result<Workspace> {
    let (host, token) = match (profile, environment("DATABRICKS_HOST")) {
        (None, Some(host)) => {
            let token = environment("DATABRICKS_TOKEN").map(|token| (token, "DATABRICKS_TOKEN".to_owned()));
            ((host, "DATABRICKS_HOST".to_owned()), token)
        }
        (profile, _) => of_profile(profile, environment)?,
    };
    if token.is_none() && !has_login {
        bail!(
            "no token for Databricks was found: set DATABRICKS_TOKEN, give the profile a `token`, or name one by \
             `registry.mlflow.token`. Logins by client id and secret are not supported"
        );
    }
    let (text, host_from) = host;
    let text = if text.contains("://") { text } else { format!("https://{text}") };
    let host = Url::parse(&text).with_context(|| format!("the host of {host_from} is no address"))?;
    let token = token.map(|(token, from)| (SecretString::from(token), from));
    Ok(Workspace { host, host_from, token })
}

type Told = (String, String);

fn of_profile(profile: Option<&str>, environment: &Environment<'_>) -> anyhow::Result<(Told, Option<Told>)> {
    let name = profile.map(str::to_owned).or_else(|| environment("DATABRICKS_CONFIG_PROFILE"));
    let name = name.unwrap_or_else(|| "DEFAULT".to_owned());
    let home = environment("HOME").map(|home| PathBuf::from(home).join(".databrickscfg"));
    let file = environment("DATABRICKS_CONFIG_FILE").map(PathBuf::from).or(home);
    let file = file.ok_or_else(|| {
        anyhow!("set DATABRICKS_HOST and DATABRICKS_TOKEN: there is no home to look for a profile in")
    })?;
    let Some(mut kept) = ini::section(&file, &name) else {
        bail!(
            "DATABRICKS_HOST is not set{}, and {} has no profile [{name}]: set DATABRICKS_HOST and DATABRICKS_TOKEN, or \
             write the profile with `host` and `token`",
            if profile.is_some() { " for a named profile" } else { "" },
            file.display()
        );
    };
    let from = format!("profile [{name}] of {}", file.display());
    let host = kept.remove("host").ok_or_else(|| anyhow!("{from} has no `host`"))?;
    Ok(((host, from.clone()), kept.remove("token").map(|token| (token, from))))
}
