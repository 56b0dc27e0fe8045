//! FTP servers: vsftpd and pyftpdlib, and one that does what a test says.

mod fault;

pub use fault::{Act, Command, FaultServer, Peer};

use std::fs::{self, File, Permissions};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use zvfs_http_servers::{Authority, Process};
use zvfs_test_support::{free_port, have};

/// Ports taken by somebody else in between, one after the other.
const ATTEMPTS: usize = 5;
/// Where Debian's python3 finds pyftpdlib, and what it needs for TLS.
const PYFTPDLIB: [&str; 3] = [
    "/usr/bin/python3",
    "/usr/lib/python3/dist-packages/pyftpdlib/servers.py",
    "/usr/lib/python3/dist-packages/OpenSSL/SSL.py",
];

/// A real server. Anybody may read and write its folder, with TLS or without; pyftpdlib has also the user `writer` with the password
/// `swordfish`, and with the same one `timeless`, who is refused MFMT. Ends when dropped, and its files are removed.
pub struct FtpServer {
    /// Which it is, as its tests are named.
    pub name: &'static str,
    port: u16,
    authority: Authority,
    folder: TempDir,
    // Ends before its folder goes.
    process: Option<Process>,
}

impl FtpServer {
    /// vsftpd: no MLST; data connections under TLS must resume the control connection's session, as is its default.
    ///
    /// `None`: the machine has none, which was said.
    pub fn vsftpd() -> Option<FtpServer> {
        have(&["vsftpd"]).then(|| FtpServer::start("vsftpd", |server| vsftpd(server, "")))
    }

    /// vsftpd, with TLS from the first byte on.
    ///
    /// `None`: the machine has none, which was said.
    pub fn vsftpd_implicit() -> Option<FtpServer> {
        have(&["vsftpd"]).then(|| FtpServer::start("vsftpd", |server| vsftpd(server, "implicit_ssl=YES\n")))
    }

    /// vsftpd, with no TLS at all.
    ///
    /// `None`: the machine has none, which was said.
    pub fn vsftpd_without_tls() -> Option<FtpServer> {
        have(&["vsftpd"]).then(|| FtpServer::start("vsftpd", |server| vsftpd(server, "ssl_enable=NO\n")))
    }

    /// vsftpd, which lets nobody in without TLS.
    ///
    /// `None`: the machine has none, which was said.
    pub fn vsftpd_demanding_tls() -> Option<FtpServer> {
        let demands = "force_anon_logins_ssl=YES\nforce_anon_data_ssl=YES\n";
        have(&["vsftpd"]).then(|| FtpServer::start("vsftpd", |server| vsftpd(server, demands)))
    }

    /// pyftpdlib: MLST and MLSD.
    ///
    /// `None`: the machine has none, which was said.
    pub fn pyftpdlib() -> Option<FtpServer> {
        have(&PYFTPDLIB).then(|| FtpServer::start("pyftpdlib", pyftpdlib))
    }

    /// The descriptor of a name in its folder, without TLS.
    pub fn ftp(&self, name: &str) -> String {
        format!("ftp://127.0.0.1:{}/files/{name}", self.port)
    }

    /// The descriptor of a name in its folder, with TLS.
    pub fn ftps(&self, name: &str) -> String {
        format!("ftps://127.0.0.1:{}/files/{name}", self.port)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its folder. (What it serves is the one above: vsftpd wants that to be nobody's to write.)
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root/files")
    }

    /// The names in its folder.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.root()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Puts a file into its folder.
    pub fn put(&self, name: &str, content: &[u8]) {
        let path = self.root().join(name);
        fs::write(&path, content).unwrap();
        let file = File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(5)).unwrap();
    }

    /// The file that makes its certificate trusted.
    pub fn ca_file(&self) -> PathBuf {
        self.authority.ca_file()
    }

    /// Ends it.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// What it logged, for a test that failed.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("output.log")).unwrap_or_default()
    }

    /// Starts a server that must be told its port, until that was free.
    fn start(name: &'static str, start: impl Fn(&mut FtpServer)) -> FtpServer {
        let folder = tempfile::tempdir().unwrap();
        for (path, mode) in [("", 0o755), ("empty", 0o755), ("root", 0o755), ("root/files", 0o777)] {
            let path = folder.path().join(path);
            fs::create_dir_all(&path).unwrap();
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        let mut server = FtpServer { name, port: 0, authority: Authority::new(), folder, process: None };
        for _ in 0..ATTEMPTS {
            server.port = free_port();
            start(&mut server);
            if server.answers() {
                return server;
            }
            server.process = None;
        }
        panic!("{name} does not start: {}", server.log());
    }

    /// Waits until somebody listens; `false`: it has ended.
    fn answers(&mut self) -> bool {
        let listens = || TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok();
        self.process.as_mut().is_some_and(|process| process.comes_to(listens))
    }

    fn run(&mut self, program: &str, arguments: &[&str]) {
        let log = File::options().create(true).append(true).open(self.folder.path().join("output.log"));
        let log = log.unwrap();
        let process = Process::start(program, arguments, |command| {
            command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        });
        self.process = Some(process.unwrap());
    }
}

fn vsftpd(server: &mut FtpServer, more: &str) {
    let (folder, identity) = (text(server.folder.path()).to_owned(), server.authority.good());
    let (certificate, key) = (identity.certificate_file(), identity.key_file());
    let configuration = format!(
        "background=NO\nlisten=YES\nlisten_address=127.0.0.1\nlisten_port={}\n\
         secure_chroot_dir={folder}/empty\nseccomp_sandbox=NO\nisolate=NO\nisolate_network=NO\n\
         xferlog_enable=YES\nvsftpd_log_file={folder}/output.log\nlog_ftp_protocol=YES\n\
         local_enable=NO\nanonymous_enable=YES\nno_anon_password=NO\nanon_root={folder}/root\n\
         write_enable=YES\nanon_upload_enable=YES\nanon_mkdir_write_enable=YES\nanon_other_write_enable=YES\n\
         anon_umask=022\nanon_world_readable_only=NO\n\
         ssl_enable=YES\nallow_anon_ssl=YES\nforce_local_data_ssl=NO\nforce_local_logins_ssl=NO\n\
         rsa_cert_file={}\nrsa_private_key_file={}\nssl_ciphers=HIGH\n{more}",
        server.port,
        text(&certificate),
        text(&key),
    );
    let path = server.folder.path().join("vsftpd.conf");
    fs::write(&path, configuration).unwrap();
    server.run("vsftpd", &[text(&path)]);
}

fn pyftpdlib(server: &mut FtpServer) {
    let identity = server.authority.good();
    // One file for both.
    let pem = server.folder.path().join("server.pem");
    let parts =
        [identity.key_file(), identity.certificate_file()].map(|part| fs::read_to_string(part).unwrap());
    fs::write(&pem, parts.concat()).unwrap();
    let program = server.folder.path().join("server.py");
    fs::write(&program, include_str!("ftp/server.py")).unwrap();
    let (root, port) = (server.folder.path().join("root"), server.port.to_string());
    server.run(PYFTPDLIB[0], &[text(&program), &port, text(&root), text(&pem)]);
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
