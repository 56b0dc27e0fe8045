//! Azure Blob Storage: azurite, Microsoft's own emulator, in JavaScript.

use crate::fetched::{at_free_port, exchange, logged, package};
use tempfile::TempDir;
use zvfs_http_servers::Process;
use zvfs_test_support::have;

/// Where its program is among what `.ci/run` fetches.
const PROGRAM: &str = "azurite/node_modules/azurite/dist/src/blob/main.js";

/// A signature, for ever, by the key that every azurite has, for all that a test asks of it.
const SIGNATURE: &str = "sv=2020-08-04&ss=b&srt=sco&sp=rwdlac&se=2099-01-01T00%3A00%3A00Z&spr=https%2Chttp\
                         &sig=lP4358Cnz1iq8XYqBFoRARKlOuXCuZxE4Uf0d7qFrYE%3D";

/// An Azure server with a container. Ends when dropped, and its files are removed.
pub struct Azure {
    port: u16,
    // Ends before its folder goes.
    _process: Process,
    _folder: TempDir,
}

impl Azure {
    /// The container that is there.
    pub const CONTAINER: &str = "bucket";
    /// The account.
    pub const ACCOUNT: &str = "devstoreaccount1";
    /// Its key, which Microsoft's documentation shows.
    pub const KEY: &str =
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

    /// azurite. `None`: the machine has none, which was said.
    pub fn azurite() -> Option<Azure> {
        have(&["node", &package(PROGRAM).to_string_lossy()]).then(Azure::start)
    }

    /// Its URL, with the account.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/{}", self.port, Azure::ACCOUNT)
    }

    /// The descriptor of a key in its container.
    pub fn descriptor(&self, key: &str) -> String {
        format!("az://{}/{key}", Azure::CONTAINER)
    }

    /// Puts a blob there.
    pub fn put(&self, key: &str, content: &[u8]) {
        let (status, _) = self.ask("PUT", &format!("/{key}?"), content);
        assert_eq!(status, 201, "put {key}");
    }

    /// A blob; `None`: there is none.
    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        let (status, content) = self.ask("GET", &format!("/{key}?"), b"");
        (status == 200).then_some(content)
    }

    fn start() -> Azure {
        let folder = tempfile::tempdir().unwrap();
        let (port, process) = at_free_port("azurite", folder.path(), |port| {
            let (program, port, files) = (package(PROGRAM), port.to_string(), folder.path().join("files"));
            let options =
                ["--blobHost", "127.0.0.1", "--blobPort", &port, "--silent", "--skipApiVersionCheck"];
            let place = ["--location", files.to_str().unwrap()];
            let arguments = [&[program.to_str().unwrap()], &options[..], &place].concat();
            logged(folder.path(), "node", &arguments, |_| {})
        });
        let server = Azure { port, _process: process, _folder: folder };
        let (status, _) = server.ask("PUT", "?restype=container&", b"");
        assert_eq!(status, 201, "make a container");
        server
    }

    /// One request about the container or what is in it: its status and the body of its answer.
    fn ask(&self, method: &str, target: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let target = format!("/{}/{}{target}{SIGNATURE}", Azure::ACCOUNT, Azure::CONTAINER);
        exchange(
            self.port,
            method,
            &target,
            "x-ms-blob-type: BlockBlob\r\nx-ms-version: 2020-08-04\r\n",
            body,
        )
    }
}
