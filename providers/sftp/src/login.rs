//! Logging in: with a key from a file, the keys of an agent, or a password.

use crate::failure::{lost, of_ssh};
use crate::target::Login;
use russh::MethodKind;
use russh::client::{AuthResult, Handle, Handler, KeyboardInteractiveAuthResponse as Answer};
use russh::keys::agent::client::AgentClient;
use russh::keys::{Algorithm, HashAlg, PrivateKey, PrivateKeyWithHashAlg, decode_secret_key};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vfs_core::{Code, Error, Result, Settings};
use zvfs_net::failure::{Attempt, Failure};
use zvfs_net::hosts::Hosts;
use zvfs_net::origin::Origin;

/// How many keys of an agent are tried: OpenSSH's servers end a connection after six attempts.
const AGENT_KEYS: usize = 5;

/// The value of `agent` that takes the socket's path from the environment, as ssh does.
const FROM_ENVIRONMENT: &str = "SSH_AUTH_SOCK";

/// What an operator gives to log in with.
#[derive(Default)]
pub struct Credentials {
    user: Option<String>,
    password: Option<String>,
    /// Who may get the password.
    hosts: Hosts,
    key: Option<Arc<PrivateKey>>,
    agent: Option<PathBuf>,
}

impl Credentials {
    /// Reads an operator's settings.
    ///
    /// # Errors
    /// EINVAL: a value that cannot be, or a password for nobody. ENOENT, EACCES, ...: the key cannot be read.
    pub fn new(settings: &Settings, allowed: &Hosts) -> Result<Credentials> {
        let line = |name| settings.text(name).map(|text| text.trim_end_matches(['\r', '\n']).to_owned());
        let password = line("password");
        let hosts = Hosts::parse("credentials-for", settings.texts("credentials-for"))?;
        let hosts = match password {
            Some(_) => {
                hosts.or(allowed, "setting `password` needs `credentials-for`: the hosts that may get it")?
            }
            None => hosts,
        };
        let key = settings.path("key-file").map(|path| read_key(path, line("passphrase").as_deref()));
        let agent = settings.text("agent").map(agent).transpose()?;
        let user = settings.text("user").map(str::to_owned);
        Ok(Credentials { user, password, hosts, key: key.transpose()?.map(Arc::new), agent })
    }

    fn password_for<'a>(&'a self, login: &'a Login) -> Option<&'a str> {
        let own = login.password.as_deref();
        own.or_else(|| self.password.as_deref().filter(|_| self.hosts.trusts(&login.origin)))
    }
}

fn read_key(path: &Path, passphrase: Option<&str>) -> Result<PrivateKey> {
    let failed = |code, why: &str| Error::new(code, format!("setting `key-file`: {}: {why}", path.display()));
    let text = fs::read_to_string(path).map_err(Error::from);
    let text = text.map_err(|error| failed(error.code(), &error.to_string()))?;
    let key = decode_secret_key(&text, passphrase).map_err(|error| {
        let why = match (&error, passphrase) {
            (russh::keys::Error::KeyIsEncrypted, _) => "it is encrypted: set `passphrase`",
            (_, Some(_)) => "not a private key, or `passphrase` is wrong",
            (_, None) if text.contains("ENCRYPTED") => "it is encrypted: set `passphrase`",
            _ => "not a private key of type Ed25519 or ECDSA in OpenSSH's or PKCS #8's format",
        };
        failed(Code::EINVAL, why)
    })?;
    // The time that the library takes to sign with one may tell it (RUSTSEC-2023-0071).
    if matches!(key.algorithm(), Algorithm::Rsa { .. }) {
        return Err(failed(Code::EINVAL, "RSA keys work through an agent only (setting `agent`)"));
    }
    Ok(key)
}

fn agent(text: &str) -> Result<PathBuf> {
    let refuse = |why: String| Err(Error::new(Code::EINVAL, why));
    match text {
        FROM_ENVIRONMENT => match std::env::var_os(FROM_ENVIRONMENT) {
            Some(path) if !path.is_empty() => Ok(path.into()),
            _ => refuse(format!("setting `agent`: there is no {FROM_ENVIRONMENT} in the environment")),
        },
        path if path.starts_with('/') => Ok(path.into()),
        _ => refuse(format!("setting `agent` is the absolute path of a socket, or {FROM_ENVIRONMENT}")),
    }
}

/// Logs in by whatever there is, until the server is content.
///
/// # Errors
/// EACCES: it never is. EINVAL: nobody says as whom. ECONNRESET.
pub async fn log_in<H: Handler>(
    handle: &mut Handle<H>,
    login: &Login,
    credentials: &Credentials,
) -> Attempt<()> {
    let Some(user) = login.user.as_ref().or(credentials.user.as_ref()) else {
        let text = "nobody says as whom to log in: write sftp://user@host/path, or set `user`";
        return Err(Failure::new(Code::EINVAL, text));
    };
    let mut attempts = Attempts { handle, user, tried: Vec::new(), accepted: Vec::new() };
    if attempts.all(login, credentials).await? {
        return Ok(());
    }
    Err(attempts.refused(&login.origin))
}

/// What was tried on a connection.
struct Attempts<'a, H: Handler> {
    handle: &'a mut Handle<H>,
    user: &'a str,
    tried: Vec<String>,
    /// What the server said last that it accepts.
    accepted: Vec<MethodKind>,
}

impl<H: Handler> Attempts<'_, H> {
    /// Whether one of them worked.
    async fn all(&mut self, login: &Login, credentials: &Credentials) -> Attempt<bool> {
        if let Some(key) = &credentials.key
            && self.key(key).await?
        {
            return Ok(true);
        }
        if let Some(agent) = &credentials.agent
            && self.agent(agent).await?
        {
            return Ok(true);
        }
        match credentials.password_for(login) {
            Some(password) => Ok(self.password(password).await? || self.interactive(password).await?),
            None if self.tried.is_empty() => {
                let outcome = self.handle.authenticate_none(self.user).await;
                self.outcome(outcome)
            }
            None => Ok(false),
        }
    }

    async fn key(&mut self, key: &Arc<PrivateKey>) -> Attempt<bool> {
        self.tried.push("the key of `key-file`".to_owned());
        let key = PrivateKeyWithHashAlg::new(key.clone(), None);
        let outcome = self.handle.authenticate_publickey(self.user, key).await;
        self.outcome(outcome)
    }

    async fn agent(&mut self, path: &Path) -> Attempt<bool> {
        let unusable = |error: &dyn std::fmt::Display| {
            Failure::new(Code::EACCES, format!("the agent at {} cannot be used: {error}", path.display()))
        };
        let mut agent = AgentClient::connect_uds(path).await.map_err(|error| unusable(&error))?;
        if let Some(binding) = self.handle.agent_session_binding() {
            // Agents that know no destinations refuse this, and need not know.
            let _ = agent.bind_session(binding, false).await;
        }
        let identities = agent.request_identities().await.map_err(|error| unusable(&error))?;
        let keys: Vec<_> =
            identities.iter().map(|identity| identity.public_key().into_owned()).take(AGENT_KEYS).collect();
        self.tried.push(format!("{} keys of the agent", keys.len()));
        for key in keys {
            let hash = matches!(key.algorithm(), Algorithm::Rsa { .. }).then_some(HashAlg::Sha256);
            let outcome = self.handle.authenticate_publickey_with(self.user, key, hash, &mut agent).await;
            match outcome {
                Ok(outcome) => {
                    if self.outcome(Ok(outcome))? {
                        return Ok(true);
                    }
                }
                // The agent may ask a person, who may refuse.
                Err(russh::AgentAuthError::Key(_)) => {}
                Err(russh::AgentAuthError::Send(_)) => return Err(lost()),
            }
        }
        Ok(false)
    }

    async fn password(&mut self, password: &str) -> Attempt<bool> {
        self.tried.push("the password".to_owned());
        let outcome = self.handle.authenticate_password(self.user, password).await;
        self.outcome(outcome)
    }

    /// The password, for a server that wants it as the answer to a question.
    async fn interactive(&mut self, password: &str) -> Attempt<bool> {
        if !self.accepted.contains(&MethodKind::KeyboardInteractive) {
            return Ok(false);
        }
        let mut answer = self.handle.authenticate_keyboard_interactive_start(self.user, None).await;
        // A question for the password, and one without any: more is not answered by one secret.
        for _ in 0..2 {
            match answer.map_err(|error| of_ssh(&error))? {
                Answer::Success => return Ok(true),
                Answer::Failure { .. } => return Ok(false),
                Answer::InfoRequest { prompts, .. } if prompts.len() > 1 => return Ok(false),
                Answer::InfoRequest { prompts, .. } => {
                    let answers = prompts.iter().map(|_| password.to_owned()).collect();
                    answer = self.handle.authenticate_keyboard_interactive_respond(answers).await;
                }
            }
        }
        Ok(matches!(answer.map_err(|error| of_ssh(&error))?, Answer::Success))
    }

    fn outcome(&mut self, outcome: std::result::Result<AuthResult, russh::Error>) -> Attempt<bool> {
        match outcome.map_err(|error| of_ssh(&error))? {
            AuthResult::Success => Ok(true),
            AuthResult::Failure { remaining_methods, .. } => {
                // The library says so of a connection that ended, too.
                if self.handle.is_closed() {
                    return Err(lost());
                }
                self.accepted = remaining_methods.to_vec();
                Ok(false)
            }
        }
    }

    fn refused(&self, origin: &Origin) -> Failure {
        let user = self.user.escape_debug();
        let accepted: Vec<&str> = self.accepted.iter().map(Into::into).collect();
        let accepts = match accepted.as_slice() {
            [] => "it accepts nothing that is known here".to_owned(),
            names => format!("it accepts {}", names.join(", ")),
        };
        let tried = match self.tried.as_slice() {
            [] => "there is nothing to log in with: set `key-file`, `agent` or `password`".to_owned(),
            tried => format!("{origin} refuses {}", tried.join(" and ")),
        };
        Failure::new(Code::EACCES, format!("log in as `{user}`: {tried}; {accepts}"))
    }
}
