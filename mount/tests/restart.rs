//! `zvfs mount` of a server that is started again while programs use the folder.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod support;

use std::fs::{self, File};
use std::io::Read as _;
use std::thread;
use std::time::Duration;
use support::{Mounted, can_mount};
use zvfs_http_servers::{After, FaultServer, Object, Peer, Request};
use zvfs_test_support::bounded;

/// More than the kernel reads ahead.
const SIZE: u64 = 20_000_000;
/// How long the server is away.
const OUTAGE: Duration = Duration::from_secs(2);

/// A file of which the server tells when it was changed, and no version.
fn object() -> impl Fn(&Request, &mut Peer) -> std::io::Result<After> + Send + Sync + 'static {
    let object = Object::new(SIZE).untagged();
    move |request, peer| peer.send(&object.answer(request))
}

#[test]
fn programs_go_on_when_the_server_is_back() {
    if !can_mount() {
        return;
    }
    let server = FaultServer::http(object());
    let address = server.address();
    let mounted = Mounted::of(&server.url("/object"), &["--cache-time", "0ms"]);
    let path = mounted.path().join("object");
    let mut file = File::open(&path).unwrap();
    let mut first = vec![0; 100_000];
    file.read_exact(&mut first).unwrap();
    drop(server);
    // What is known of an open file needs no server.
    assert_eq!(
        bounded({
            let file = file.try_clone().unwrap();
            move || file.metadata().unwrap().len()
        }),
        SIZE
    );
    let reader = thread::spawn(move || {
        let mut rest = Vec::new();
        file.read_to_end(&mut rest).map(|_| rest.len() as u64)
    });
    let other = path.clone();
    let looker = thread::spawn(move || fs::metadata(other).map(|known| known.len()));
    let opener = thread::spawn(move || File::open(path).map(drop));
    thread::sleep(OUTAGE);
    let _server = FaultServer::http_again(address, object());
    assert_eq!(reader.join().unwrap().unwrap(), SIZE - 100_000);
    assert_eq!(looker.join().unwrap().unwrap(), SIZE);
    opener.join().unwrap().unwrap();
    mounted.unmount();
}
