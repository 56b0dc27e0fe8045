//! Looking a name up, which the C library does not let anybody interrupt: in a network of its own, whose name server is
//! silent.

use crate::common::*;
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use vfs_core::{Code, Control, OpenOptions};
use zvfs_test_support::have;

/// In the environment of this test's second self, which lives in that network.
const INSIDE: &str = "ZVFS_FAULTS_RESOLVING";
const NAME: &str = "resolving::a_look_up_ends_with_its_cancel_and_its_deadline";

#[test]
fn a_look_up_ends_with_its_cancel_and_its_deadline() {
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    let namespaces = ["--map-root-user", "--mount", "--net"];
    let can = || {
        let tried = Command::new("unshare").args(namespaces).arg("true").stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    };
    if !have(&["unshare", "ip", "mount"]) {
        return;
    }
    if !can() {
        zvfs_test_support::skip("no namespaces here: unshare --map-root-user --mount --net");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.into_os_string().into_string().unwrap()
    };
    let servers = file("resolv.conf", "nameserver 127.0.0.1\noptions timeout:30 attempts:3\n");
    let switch = file("nsswitch.conf", "hosts: dns\n");
    let script = "ip link set lo up && mount --bind \"$1\" /etc/resolv.conf && mount --bind \"$2\" /etc/nsswitch.conf \
                  && shift 2 && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(namespaces).args(["sh", "-c", script, "sh", &servers, &switch]);
    command.arg(std::env::current_exe().unwrap()).args(["--exact", NAME, "--nocapture"]).env(INSIDE, "1");
    let started = Instant::now();
    let output = in_time(move || command.stdin(Stdio::null()).output().unwrap());
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
    // The look-up that was left behind does not hold the process.
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

fn inside() {
    let silent = UdpSocket::bind("127.0.0.1:53").unwrap();
    for by_cancel in [true, false] {
        let registry = registry(r#"connect-timeout = "600s""#);
        let control = Control::new();
        let own = control.clone();
        let opened = in_thread(move || {
            let opened = registry.open("http://silent.example/", &OpenOptions::new(READ).control(&own));
            opened.and_then(|mut file| file.read(&mut [0; 10]))
        });
        // It is asked: the look-up is under way.
        silent.recv_from(&mut [0; 512]).unwrap();
        let stopped = Instant::now();
        if by_cancel {
            control.cancel()
        } else {
            control.set_deadline(Some(stopped))
        }
        let outcome = opened.recv_timeout(Duration::from_secs(15)).expect("it is still waiting");
        println!("stopped after {:?}", stopped.elapsed());
        refused(outcome, if by_cancel { Code::ECANCELED } else { Code::ETIMEDOUT });
    }
    let registry = registry(r#"connect-timeout = "200ms", retries = 0"#);
    fetch(&registry, "http://silent.example/").failed(Code::ETIMEDOUT);
}
