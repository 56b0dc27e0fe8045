//! `zvfs broker`: what it says, whom it serves, how it stops.

use crate::broker_process::{Broker, secret_file};
use crate::support::{Done, Folder, Started, bare, run, run_with, under, zvfs};
use rustix::process::Signal;
use std::fs::{self, Permissions};
use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use zvfs_test_support::{LIMIT, bounded, eventually};

const SECRET: &str = "a secret of more than sixteen bytes\n";

fn command(arguments: &[&str]) -> Command {
    let mut command = bare();
    command.arg("broker").args(arguments);
    command
}

fn started(folder: &Folder, arguments: &[&str]) -> Broker {
    Broker::start(command(arguments), folder, "log")
}

/// The file of an operator who names this broker, and this secret if any.
fn operator(folder: &Folder, name: &str, broker: &Broker, secret: Option<&str>) -> String {
    let secret = secret.map(|file| format!(", secret-file = {file:?}")).unwrap_or_default();
    let settings = format!("broker = {:?}{secret}", broker.address);
    folder.operator(name, &format!("[provider.file]\n[provider.tcp]\nsettings = {{ {settings} }}"))
}

#[test]
fn it_says_where_it_listens_and_stops_with_zero() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = Folder::new();
        let broker = started(&folder, &["--listen", "127.0.0.1:0"]);
        assert!(broker.address.starts_with("127.0.0.1:") && !broker.address.ends_with(":0"));
        TcpStream::connect(&broker.address).unwrap();
        let done = broker.end(signal);
        assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{signal:?}: {done:?}");
    }
}

#[test]
fn it_logs_if_it_is_asked_to() {
    let folder = Folder::new();
    let broker = started(&folder, &["-v", "--listen", "[::1]:0"]);
    drop(TcpStream::connect(&broker.address).unwrap());
    broker.logged("zvfs: broker: close [::1]:", 1);
    let done = broker.end(Signal::TERM);
    assert!(done.stderr.ends_with("zvfs: broker: stopped\n"), "{done:?}");
}

#[test]
fn its_log_has_time_and_level_if_that_is_wanted() {
    let folder = Folder::new();
    let broker = started(&folder, &["-v", "--log-format", "json", "--listen", "127.0.0.1:0"]);
    drop(TcpStream::connect(&broker.address).unwrap());
    broker.logged("broker: close 127.0.0.1:", 1);
    broker.signal(Signal::HUP);
    broker.logged("no --secret-file", 1);
    let done = broker.end(Signal::TERM);
    let lines: Vec<serde_json::Value> =
        done.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said = |level: &str, words: &str| {
        lines.iter().any(|line| {
            line["level"] == level && line["message"].as_str().is_some_and(|text| text.contains(words))
        })
    };
    assert!(said("info", "broker: close") && said("warning", "no --secret-file"), "{done:?}");
    for line in &lines {
        let time = line["time"].as_str().unwrap();
        assert!(time.len() == 24 && time.ends_with('Z') && &time[10..11] == "T", "{time}");
    }
}

#[test]
fn an_address_that_cannot_be_had_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    run(command(&["--listen", &address])).failed(98, &["listen at", &address, "in use"]);
    for odd in ["127.0.0.1:70000", "127.0.0.1:", "", "a b:1", "no.such.host.invalid:1"] {
        let done = run(command(&["--listen", odd]));
        assert_ne!(done.code, 0, "{odd}");
        done.failed(done.code, &["listen at", odd]);
    }
}

#[test]
fn other_machines_are_served_with_a_secret_or_on_purpose() {
    let folder = Folder::new();
    for address in ["0.0.0.0:0", "[::]:0"] {
        run(command(&["--listen", address])).failed(13, &["listen at", "--secret-file", "--insecure"]);
    }
    let secret = secret_file(&folder, "secret", SECRET);
    for more in [&["--insecure"][..], &["--secret-file", &secret]] {
        let broker = started(&folder, &[&["--listen", "0.0.0.0:0"], more].concat());
        assert_eq!(broker.end(Signal::TERM).code, 0);
    }
    let both = ["--insecure", "--secret-file", secret.as_str()];
    assert_eq!(run(command(&both)).code, 64);
}

#[test]
fn a_secret_that_is_none_or_no_secret_is_refused() {
    let folder = Folder::new();
    let refused = |file: &str, code, word: &str| {
        let done = run(command(&["--listen", "127.0.0.1:0", "--secret-file", file]));
        done.failed(code, &["--secret-file", file, word]);
        assert!(!done.stderr.contains(SECRET.trim_end()), "{done:?}");
    };
    refused(&folder.at("absent"), 2, "no such file");
    refused(&secret_file(&folder, "short", "fifteen bytes..\r\n"), 22, "16 to 4096");
    refused(&secret_file(&folder, "long", &"x".repeat(4097)), 22, "16 to 4096");
    let raw = secret_file(&folder, "raw", "");
    fs::write(&raw, [0xff; 24]).unwrap();
    refused(&raw, 22, "openssl rand -base64 24");
    // What peers have it in is nothing that a broker reads.
    let peers = folder.write("zvfs.toml", "[provider.tcp]\nsettings = { secret-file = \"/s\" }\n");
    let with = run(zvfs(["--config", &peers, "broker", "--listen", "0.0.0.0:0"]));
    with.failed(13, &["nothing from --config", "--secret-file"]);
    refused(&secret_file(&folder, "empty", ""), 22, "16 to 4096");
    refused(&folder.fifo("fifo"), 22, "regular file");
    refused(folder.path().to_str().unwrap(), 22, "regular file");
    let file = secret_file(&folder, "open", SECRET);
    for mode in [0o604, 0o620, 0o602, 0o644] {
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        refused(&file, 13, "chmod 600");
    }
    // The longest one, and a group that may read it.
    let longest = secret_file(&folder, "longest", &("x".repeat(4096) + "\r\n"));
    fs::set_permissions(&longest, Permissions::from_mode(0o640)).unwrap();
    let broker = started(&folder, &["--listen", "127.0.0.1:0", "--secret-file", &longest]);
    assert_eq!(broker.end(Signal::TERM).code, 0);
}

#[test]
fn a_connection_over_a_limit_is_told_which_one() {
    let folder = Folder::new();
    let broker = started(&folder, &["--listen", "127.0.0.1:0", "--max-connections", "1"]);
    let _first = TcpStream::connect(&broker.address).unwrap();
    let mut second = TcpStream::connect(&broker.address).unwrap();
    second.set_read_timeout(Some(LIMIT)).unwrap();
    let mut refusal = Vec::new();
    second.read_to_end(&mut refusal).unwrap();
    assert!(String::from_utf8_lossy(&refusal).contains("connections"), "{refusal:?}");
    let zero = run(command(&["--max-relays", "0"]));
    assert_eq!(zero.code, 64, "{zero:?}");
}

#[test]
fn it_introduces_those_who_have_its_secret() {
    let folder = Folder::new();
    let secret = secret_file(&folder, "secret", SECRET);
    let broker = started(&folder, &["-v", "--listen", "127.0.0.1:0", "--secret-file", &secret]);
    let text = "one line\n".repeat(50_000);
    let ours = operator(&folder, "ours", &broker, Some(&secret));
    let mut reader = under(&ours, &["cat", "netpipe:letters:r"]);
    let reader = Started::new(reader.stdin(Stdio::null()));
    let writer = under(&ours, &["cp", "/dev/stdin", "netpipe:letters:w"]);
    run_with(writer, text.as_bytes()).succeeded();
    let done: Done = reader.end();
    assert!(done.succeeded().out() == text);
    broker.logged("match \"letters\"", 1);

    let other = secret_file(&folder, "other", "another secret of sixteen bytes");
    for secret in [Some(other.as_str()), None] {
        let theirs = operator(&folder, "theirs", &broker, secret);
        let stranger = under(&theirs, &["cat", "--timeout", "60s", "netpipe:letters:r"]);
        run(stranger).failed(13, &["netpipe:letters:r", "secret"]);
    }
    let log = bounded(move || broker.end(Signal::TERM)).stderr;
    assert!(!log.contains(SECRET.trim_end()), "{log}");
}

/// SIGHUP ended a broker, as daemons are told to read their files anew.
#[test]
fn sighup_has_it_read_its_secret_anew() {
    let folder = Folder::new();
    let secret = secret_file(&folder, "secret", SECRET);
    let broker = started(&folder, &["--listen", "127.0.0.1:0", "--secret-file", &secret]);
    let status = |secret: &str| run(command(&["status", &broker.address, "--secret-file", secret]));
    let other = secret_file(&folder, "other", "another secret of sixteen bytes");
    status(&secret).succeeded();
    status(&other).failed(13, &["ask broker", &broker.address]);

    secret_file(&folder, "secret", "too short");
    broker.signal(Signal::HUP);
    broker.logged("the old secret stays in use", 1);
    secret_file(&folder, "secret", "another secret of sixteen bytes");
    broker.signal(Signal::HUP);
    broker.logged("was read again", 1);
    eventually("the new secret", || status(&other).code == 0);
    let first = secret_file(&folder, "first", SECRET);
    status(&first).failed(13, &["ask broker"]);
    assert_eq!(broker.end(Signal::TERM).code, 0);
}

/// What an operator could not see: who waits at a broker, and for whom.
#[test]
fn status_says_who_waits_and_for_whom() {
    let folder = Folder::new();
    let secret = secret_file(&folder, "secret", SECRET);
    let broker = started(&folder, &["--listen", "127.0.0.1:0", "--secret-file", &secret]);
    let ours = operator(&folder, "ours", &broker, Some(&secret));
    let ask = |more: &[&str]| {
        let question = ["status", &broker.address, "--secret-file", &secret];
        run(command(&[&question, more].concat()))
    };
    let done = ask(&[]);
    assert!(done.succeeded().out().contains("registrations 0"), "{done:?}");

    let mut reader = under(&ours, &["cat", "netpipe:letters:r?writers=2"]);
    let reader = Started::new(reader.stdin(Stdio::null()));
    let mut writer = under(&ours, &["cp", "/dev/null", "netpipe:answers:w"]);
    let writer = Started::new(writer.stdin(Stdio::null()));
    eventually("two that wait", || ask(&[]).out().contains("registrations 2"));
    let text = ask(&[]).out().to_owned();
    assert!(text.contains("letters: reader 127.0.0.1:"), "{text}");
    assert!(text.contains(" waits for 2 writers for "), "{text}");
    assert!(text.contains("answers: writer 127.0.0.1:"), "{text}");
    let json: serde_json::Value = serde_json::from_str(ask(&["--json"]).out()).unwrap();
    assert_eq!(json["registrations"], 2);
    let held = json["held"].as_array().unwrap();
    let letters = held.iter().find(|held| held["name"] == "letters").unwrap();
    assert_eq!((&letters["state"], &letters["writers"]), (&"reader".into(), &2.into()));

    let metrics = ask(&["--metrics"]).out().to_owned();
    for line in ["zvfs_broker_registrations 2", "zvfs_broker_held{state=\"reader\"} 1", "# EOF"] {
        assert!(metrics.lines().any(|there| there == line), "no {line}: {metrics}");
    }

    // Whoever has no secret learns nothing.
    run(command(&["status", &broker.address])).failed(13, &["ask broker", "secret"]);
    drop((reader, writer));
}
