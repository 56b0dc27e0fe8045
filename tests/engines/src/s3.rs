//! S3: moto, in Python, which checks no signature and speaks http and https, and s3s-fs, in Rust, which checks each and knows no
//! `If-Match`.

use crate::fetched::{self, exchange, logged, package};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;
use zvfs_http_servers::{Authority, Process};
use zvfs_test_support::have;

/// An S3 server. Ends when dropped, and its files are removed.
pub struct S3 {
    kind: Kind,
    port: u16,
    authority: Authority,
    folder: TempDir,
    // Ends before its folder goes.
    _process: Option<Process>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Moto { tls: bool },
    S3s,
}

impl S3 {
    /// The bucket that is there.
    pub const BUCKET: &str = "bucket";
    /// Whom s3s-fs lets in; moto lets in everybody.
    pub const ACCESS_KEY: &str = "zvfs-access-key";
    /// The secret of that key.
    pub const SECRET_KEY: &str = "zvfs-secret-key";

    /// moto. `None`: the machine has none, which was said.
    pub fn moto() -> Option<S3> {
        let moto = package("moto/moto/server.py");
        have(&["python3", &moto.to_string_lossy()]).then(|| S3::at_free_port(Kind::Moto { tls: false }))
    }

    /// moto over TLS.
    pub fn moto_with_tls() -> Option<S3> {
        let moto = package("moto/moto/server.py");
        have(&["python3", &moto.to_string_lossy()]).then(|| S3::at_free_port(Kind::Moto { tls: true }))
    }

    /// s3s-fs. `None`: the machine has none, which was said.
    pub fn s3s() -> Option<S3> {
        let s3s = package("s3s/bin/s3s-fs");
        have(&[&s3s.to_string_lossy()]).then(|| S3::at_free_port(Kind::S3s))
    }

    /// Its URL.
    pub fn endpoint(&self) -> String {
        let scheme = if self.kind == (Kind::Moto { tls: true }) { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// The descriptor of a key in its bucket.
    pub fn descriptor(&self, key: &str) -> String {
        format!("s3://{}/{key}", S3::BUCKET)
    }

    /// Whether a key that others lie below is one that is not there, as in S3: s3s-fs keeps objects in files, and those in folders.
    pub fn has_keys_alone(&self) -> bool {
        self.kind != Kind::S3s
    }

    /// The file that makes its certificate trusted.
    pub fn ca_file(&self) -> PathBuf {
        self.authority.ca_file()
    }

    /// What a provider needs to be let in, as an operator writes it.
    pub fn settings(&self) -> String {
        format!(
            "endpoint = {:?}, access-key = {:?}, secret-key-file = {:?}, ca-file = {:?}",
            self.endpoint(),
            S3::ACCESS_KEY,
            self.secret_file(),
            self.ca_file()
        )
    }

    /// rclone, to which this server is the remote of that name.
    pub fn rclone(&self, remote: &str) -> Command {
        let mut rclone = Command::new("rclone");
        rclone.args(["--config", "/dev/null"]);
        for (name, value) in [
            ("TYPE", "s3"),
            ("PROVIDER", "Other"),
            ("ENDPOINT", &self.endpoint()),
            ("ACCESS_KEY_ID", S3::ACCESS_KEY),
            ("SECRET_ACCESS_KEY", S3::SECRET_KEY),
        ] {
            rclone.env(format!("RCLONE_CONFIG_{}_{name}", remote.to_uppercase()), value);
        }
        // Of another store, and an rclone of 2022 takes it for an error.
        rclone.env_remove("AWS_CA_BUNDLE");
        rclone
    }

    /// A file that holds the secret.
    pub fn secret_file(&self) -> PathBuf {
        self.folder.path().join("secret")
    }

    /// Puts an object there, not by TLS.
    pub fn put(&self, key: &str, content: &[u8]) {
        match self.kind {
            Kind::S3s => {
                let path = self.file(key);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, content).unwrap();
            }
            Kind::Moto { .. } => {
                let (status, _) = self.ask("PUT", &format!("/{}/{key}", S3::BUCKET), content);
                assert_eq!(status, 200, "put {key}");
            }
        }
    }

    /// An object, not by TLS; `None`: there is none.
    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        match self.kind {
            Kind::S3s => fs::read(self.file(key)).ok(),
            Kind::Moto { .. } => {
                let (status, content) = self.ask("GET", &format!("/{}/{key}", S3::BUCKET), b"");
                (status == 200).then_some(content)
            }
        }
    }

    /// How many uploads in parts were begun, and neither completed nor aborted; not by TLS.
    pub fn uploads(&self) -> usize {
        match self.kind {
            Kind::S3s => {
                let files = fs::read_dir(self.root()).unwrap().map(|file| file.unwrap().file_name());
                files.filter(|name| name.to_string_lossy().starts_with(".upload")).count()
            }
            Kind::Moto { .. } => {
                let (status, list) = self.ask("GET", &format!("/{}?uploads", S3::BUCKET), b"");
                assert_eq!(status, 200);
                String::from_utf8(list).unwrap().matches("<UploadId>").count()
            }
        }
    }

    /// What it logged, for a test that failed.
    pub fn log(&self) -> String {
        fetched::log(self.folder.path())
    }

    fn at_free_port(kind: Kind) -> S3 {
        let folder = tempfile::tempdir().unwrap();
        let server = S3 { kind, port: 0, authority: Authority::new(), folder, _process: None };
        fs::create_dir_all(server.root().join(S3::BUCKET)).unwrap();
        fs::write(server.secret_file(), S3::SECRET_KEY).unwrap();
        fs::set_permissions(server.secret_file(), Permissions::from_mode(0o600)).unwrap();
        let (port, process) =
            fetched::at_free_port(&format!("{kind:?}"), server.folder.path(), |port| server.run(port));
        S3 { port, _process: Some(process), ..server }
    }

    fn run(&self, port: u16) -> Process {
        let (port, root) = (port.to_string(), self.root());
        let mut arguments: Vec<String> = Vec::new();
        let program = match self.kind {
            Kind::Moto { tls } => {
                let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/s3/moto_server.py");
                let options = ["-s", script, S3::BUCKET, "-H", "127.0.0.1", "-p", &port];
                arguments.extend(options.map(str::to_owned));
                if tls {
                    let good = self.authority.good();
                    arguments.push("-s".to_owned());
                    for (option, file) in [("-c", good.certificate_file()), ("-k", good.key_file())] {
                        arguments.extend([option.to_owned(), file.to_string_lossy().into_owned()]);
                    }
                }
                "python3".to_owned()
            }
            Kind::S3s => {
                let options = ["--host", "127.0.0.1", "--port", &port];
                let keys = ["--access-key", S3::ACCESS_KEY, "--secret-key", S3::SECRET_KEY];
                arguments.extend(options.iter().chain(&keys).map(|argument| (*argument).to_owned()));
                arguments.push(root.to_string_lossy().into_owned());
                package("s3s/bin/s3s-fs").to_string_lossy().into_owned()
            }
        };
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        logged(self.folder.path(), &program, &arguments, |command| {
            command.env("PYTHONPATH", package("moto")).env("PYTHONDONTWRITEBYTECODE", "1");
        })
    }

    /// One request to moto, which shows an object to whoever names a key: its status and the body of its answer.
    fn ask(&self, method: &str, target: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let key = "AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=any";
        exchange(self.port, method, target, &format!("Authorization: {key}\r\n"), body)
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// Where s3s-fs keeps an object.
    pub fn file(&self, key: &str) -> PathBuf {
        self.root().join(S3::BUCKET).join(key)
    }
}
