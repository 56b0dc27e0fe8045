//! Pipes to test with.

#[path = "../../../../netpipe/tests/support/ends.rs"]
mod ends;

pub use ends::*;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::Instant;
use vfs_core::{Configuration, Error, OpenFile, OpenFlags, OpenOptions, Registry};
use zvfs_engines::NatsServer;
pub use zvfs_test_support::eventually;

/// A registry whose one provider is this crate's, with settings as an operator writes them.
pub fn registry(settings: &str) -> Registry {
    let text = format!("[provider.nats]\nsettings = {{ {settings} }}\n");
    let registry = Registry::new(Configuration::parse(&text).unwrap());
    registry.register(crate::provider()).unwrap();
    registry
}

/// Two hosts that use a server.
pub struct House {
    pub reading: Registry,
    pub writing: Registry,
}

impl House {
    pub fn at(servers: &[NatsServer], settings: &str) -> House {
        let list: Vec<String> = servers.iter().map(|server| format!("{:?}", server.address())).collect();
        let settings = format!("servers = [{}], {settings}", list.join(", "));
        House { reading: registry(&settings), writing: registry(&settings) }
    }

    pub fn at_address(server: &str, settings: &str) -> House {
        let settings = format!("servers = [{server:?}], {settings}");
        House { reading: registry(&settings), writing: registry(&settings) }
    }

    pub fn reader(&self, name: &str) -> OpenFile {
        self.reading.open(&format!("nats:{name}"), &OpenOptions::new(OpenFlags::READ)).unwrap()
    }

    pub fn writer(&self, name: &str) -> OpenFile {
        self.writing.open(&format!("nats:{name}"), &OpenOptions::new(OpenFlags::WRITE)).unwrap()
    }

    /// Both ends, met: one byte went through.
    pub fn pair(&self, name: &str) -> (OpenFile, OpenFile) {
        let (mut reader, mut writer) = (self.reader(name), self.writer(name));
        writer.write_all(b"x").unwrap();
        assert_eq!(read_exactly(&mut reader, 1), b"x");
        (reader, writer)
    }
}

/// A file that only its owner may read.
pub fn secret(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Writes until it fails.
pub fn write_until_it_fails(file: &mut OpenFile) -> Error {
    let until = Instant::now() + SLACK;
    loop {
        match file.write(&[7; 60_000]) {
            Err(error) => return error,
            Ok(_) => assert!(Instant::now() < until, "writes go on though nobody is there"),
        }
    }
}

/// A NATS server that takes whatever is published, and answers nothing but pings.
pub fn silent_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = |mut stream: TcpStream| -> io::Result<()> {
        stream.write_all(b"INFO {\"max_payload\":1048576,\"headers\":true}\r\n")?;
        for line in BufReader::new(stream.try_clone()?).lines() {
            if line? == "PING" {
                stream.write_all(b"PONG\r\n")?;
            }
        }
        Ok(())
    };
    thread::spawn(move || {
        for stream in listener.incoming() {
            // Its client leaves.
            let _ = serve(stream.unwrap());
        }
    });
    address
}
