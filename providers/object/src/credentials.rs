//! Who we are to the store: from where the operator says, and nowhere else.

use crate::target::Kind;
use std::path::Path;
use std::{env, fs};
use vfs_core::{Code, Error, Result, Setting, SettingKind, Settings};

/// Where credentials come from.
const SOURCES: [&str; 3] = ["settings", "environment", "instance-metadata"];

/// The settings of [`Credentials::new`].
pub fn settings() -> [Setting; 5] {
    let text = |name: &str, help: &str| Setting::new(name, SettingKind::Text, help);
    [
        text(
            "credentials",
            "where they come from; instance-metadata: from the cloud's service, which `addresses` must allow; with no key in \
             the settings requests are not signed",
        )
        .values(SOURCES)
        .default_value(SOURCES[0]),
        text("access-key", "S3: the access key's id; az: the storage account"),
        text("secret-key", "S3: the secret access key; az: a key of the account").secret(),
        text("session-token", "S3: the session's token, with both keys; gs and az: a bearer token, instead of a key").secret(),
        Setting::new(
            "service-account",
            SettingKind::Path,
            "gs: the key of a service account, in JSON, in a file that nobody else can read",
        )
        .private(),
    ]
}

/// Who we are. Its secrets are in no `Debug`: it has none.
#[derive(Clone, Default)]
pub struct Credentials {
    /// S3: the access key's id. Azure: the account.
    pub id: Option<String>,
    /// What shows it.
    pub proof: Proof,
}

/// What shows who we are.
#[derive(Clone, Default)]
pub enum Proof {
    /// Nothing: requests are not signed.
    #[default]
    None,
    /// A key that signs requests; the token is S3's, of a session.
    Key { secret: String, token: Option<String> },
    /// A bearer's token.
    Token(String),
    /// A key of Google's, in JSON, that gets tokens.
    ServiceAccount(String),
    /// The cloud's service for this machine.
    Metadata,
}

impl Credentials {
    /// Reads the operator's settings.
    ///
    /// # Errors
    /// EINVAL: values that do not go together, or that this kind of store has not. ENOENT, EACCES: a file that cannot be read.
    pub fn new(kind: Kind, settings: &Settings) -> Result<Credentials> {
        let written = |name: &str| settings.text(name).map(str::to_owned);
        let file = settings.path("service-account");
        match settings.text("credentials") {
            Some("environment") => Given::in_environment(kind, &|name| env::var(name).ok())
                .and_then(|given| given.credentials(kind)),
            Some("instance-metadata") if kind == Kind::Google => Err(invalid(
                "credentials",
                "is not instance-metadata for gs: set `service-account` or `session-token`",
            )),
            Some("instance-metadata") => {
                Ok(Credentials { id: written("access-key"), proof: Proof::Metadata })
            }
            _ => {
                let service_account = file.map(|path| read("service-account", path)).transpose()?;
                let [id, secret, token] = ["access-key", "secret-key", "session-token"].map(written);
                Given { id, secret, token, service_account }.credentials(kind)
            }
        }
    }
}

/// What was given, of whatever kind.
#[derive(Default)]
struct Given {
    id: Option<String>,
    secret: Option<String>,
    token: Option<String>,
    service_account: Option<String>,
}

impl Given {
    /// What the variables say that each cloud's own tools read.
    fn in_environment(kind: Kind, variable: &dyn Fn(&str) -> Option<String>) -> Result<Given> {
        let needed = |name: &str| {
            variable(name).map(Some).ok_or_else(|| {
                invalid("credentials", &format!("is environment, and there is no variable {name}"))
            })
        };
        Ok(match kind {
            Kind::S3 => Given {
                id: needed("AWS_ACCESS_KEY_ID")?,
                secret: needed("AWS_SECRET_ACCESS_KEY")?,
                token: variable("AWS_SESSION_TOKEN"),
                ..Given::default()
            },
            Kind::Azure => Given {
                id: needed("AZURE_STORAGE_ACCOUNT_NAME")?,
                secret: needed("AZURE_STORAGE_ACCOUNT_KEY")?,
                ..Given::default()
            },
            Kind::Google => {
                let name = "GOOGLE_APPLICATION_CREDENTIALS";
                let path = needed(name)?.unwrap_or_default();
                Given { service_account: Some(read(name, Path::new(&path))?), ..Given::default() }
            }
        })
    }

    fn credentials(self, kind: Kind) -> Result<Credentials> {
        let of_another = |name: &str| {
            let why = "is of another kind of store than `store` says; an alias inherits what its section has: give each store its own alias";
            Err(invalid(name, why))
        };
        for (name, value) in
            [("access-key", &self.id), ("secret-key", &self.secret), ("session-token", &self.token)]
        {
            // They become fields of requests.
            if value.as_ref().is_some_and(|value| {
                value.is_empty() || !value.trim_end().bytes().all(|byte| byte.is_ascii_graphic())
            }) {
                return Err(invalid(name, "must be printable ASCII without spaces"));
            }
        }
        let trimmed = |value: Option<String>| value.map(|value| value.trim_end().to_owned());
        let Given { id, secret, token, service_account } = self;
        let (id, secret, token) = (trimmed(id), trimmed(secret), trimmed(token));
        let proof = match (kind, secret, token, service_account) {
            (Kind::S3 | Kind::Azure, _, _, Some(_)) => return of_another("service-account"),
            (Kind::Google, Some(_), ..) => return of_another("secret-key"),
            (Kind::Google, ..) if id.is_some() => return of_another("access-key"),
            (Kind::Google, None, Some(_), Some(_)) => {
                return Err(invalid("service-account", "and `session-token` exclude each other"));
            }
            (Kind::Google, None, None, Some(key)) => Proof::ServiceAccount(key),
            (Kind::Azure, Some(_), Some(_), _) => {
                return Err(invalid("secret-key", "and `session-token` exclude each other"));
            }
            (Kind::S3, secret, _, _) if secret.is_some() != id.is_some() => {
                return Err(invalid("access-key", "and `secret-key` go together: set both, or neither"));
            }
            (Kind::Azure, Some(_), ..) if id.is_none() => {
                return Err(invalid("access-key", "must be the storage account"));
            }
            (_, Some(secret), token, None) => Proof::Key { secret, token },
            (Kind::S3, None, Some(_), None) => {
                return Err(invalid("session-token", "needs `access-key` and `secret-key`"));
            }
            (_, None, Some(token), None) => Proof::Token(token),
            (_, None, None, None) => Proof::None,
        };
        Ok(Credentials { id, proof })
    }
}

fn read(name: &str, path: &Path) -> Result<String> {
    fs::read_to_string(path)
        .map_err(|error| Error::from(error).context(format!("read {}, which `{name}` names", path.display())))
}

fn invalid(name: &str, why: &str) -> Error {
    Error::new(Code::EINVAL, format!("setting `{name}` {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(kind: Kind, id: &str, secret: &str, token: &str, account: &str) -> Result<Credentials> {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let given =
            Given { id: some(id), secret: some(secret), token: some(token), service_account: some(account) };
        given.credentials(kind)
    }

    #[test]
    fn what_goes_together_is_taken() {
        let key = given(Kind::S3, "id", "secret\n", "token", "").unwrap();
        assert_eq!(key.id.as_deref(), Some("id"));
        assert!(matches!(key.proof, Proof::Key { secret, token: Some(_) } if secret == "secret"));
        assert!(matches!(
            given(Kind::Azure, "id", "key", "", "").unwrap().proof,
            Proof::Key { token: None, .. }
        ));
        assert!(matches!(given(Kind::Azure, "id", "", "t", "").unwrap().proof, Proof::Token(_)));
        assert!(matches!(given(Kind::Google, "", "", "t", "").unwrap().proof, Proof::Token(_)));
        assert!(matches!(given(Kind::Google, "", "", "", "{}").unwrap().proof, Proof::ServiceAccount(_)));
        for kind in [Kind::S3, Kind::Google, Kind::Azure] {
            assert!(matches!(given(kind, "", "", "", "").unwrap().proof, Proof::None));
        }
    }

    #[test]
    fn what_does_not_is_einval_and_shows_no_secret() {
        for (kind, [id, secret, token, account]) in [
            (Kind::S3, ["id", "", "", ""]),
            (Kind::S3, ["", "s3cret", "", ""]),
            (Kind::S3, ["", "", "s3cret", ""]),
            (Kind::S3, ["id", "s3cret", "", "s3cret"]),
            (Kind::S3, ["id", "s3cret two", "", ""]),
            (Kind::S3, ["id\nx", "s3cret", "", ""]),
            (Kind::Google, ["id", "", "s3cret", ""]),
            (Kind::Google, ["", "s3cret", "", ""]),
            (Kind::Google, ["", "", "s3cret", "s3cret"]),
            (Kind::Azure, ["", "s3cret", "", ""]),
            (Kind::Azure, ["id", "s3cret", "s3cret", ""]),
            (Kind::Azure, ["id", "", "", "s3cret"]),
        ] {
            let error = given(kind, id, secret, token, account).err().unwrap();
            assert_eq!(error.code(), Code::EINVAL);
            assert!(!error.chain().contains("s3cret"), "{}", error.chain());
        }
    }

    #[test]
    fn the_environment_is_read_by_the_names_of_the_clouds_tools() {
        let variable = |name: &str| Some(format!("value-of-{name}"));
        let given = Given::in_environment(Kind::S3, &variable).unwrap();
        assert_eq!(given.secret.as_deref(), Some("value-of-AWS_SECRET_ACCESS_KEY"));
        let given = Given::in_environment(Kind::Azure, &variable).unwrap();
        assert_eq!(given.id.as_deref(), Some("value-of-AZURE_STORAGE_ACCOUNT_NAME"));
        let error = Given::in_environment(Kind::S3, &|_| None).err().unwrap();
        assert!(error.to_string().contains("AWS_ACCESS_KEY_ID"), "{error}");
        assert_eq!(Given::in_environment(Kind::Google, &variable).err().unwrap().code(), Code::ENOENT);
    }
}
