//! http and https, as a person at a shell and a guest's manifest meet them.

use crate::support::{Done, Folder, Started, repository, run, zvfs};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use zvfs_http_servers::{After, Answer, Authority, FaultServer, Object, Server, pattern};
use zvfs_test_support::{bounded, eventually, have};

const MIB: u64 = 1 << 20;

/// The command, with these settings for the provider.
fn with_settings(folder: &Folder, settings: &str, arguments: &[&str]) -> Command {
    let text = format!("[provider.http]\nsettings = {{ {settings} }}\n[provider.file]\n");
    let config = folder.write("zvfs.toml", text);
    zvfs(["--config", &config].iter().chain(arguments))
}

fn trusting(ca: &Path) -> String {
    format!("ca-file = {ca:?}, retry-delay = \"1ms\"")
}

/// How much goes through the test that breaks connections. A gigabyte in CI; without optimisation that takes a quarter of a
/// minute, so less of it when somebody works on the code.
fn gigabyte() -> u64 {
    if std::env::var_os("CI").is_some() { 1024 * MIB } else { 96 * MIB }
}

/// The most memory that a process ever had, in bytes.
fn peak_memory(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

/// A server of so many bytes that breaks off each answer after 1 to 3 MiB, and the greatest memory of its client.
struct Breaking {
    server: FaultServer,
    client: Arc<AtomicU32>,
    peak: Arc<AtomicU64>,
}

impl Breaking {
    fn new(authority: &Authority, size: u64) -> Breaking {
        let (client, peak) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU64::new(0)));
        let (of, seen) = (client.clone(), peak.clone());
        let object = Object::new(size);
        let server = FaultServer::https(&authority.good(), move |request, peer| {
            seen.fetch_max(peak_memory(of.load(Ordering::SeqCst)).unwrap_or(0), Ordering::SeqCst);
            // As if by chance, and the same each time.
            let after = MIB + (request.connection as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) % (2 * MIB);
            let how = if request.connection % 2 == 0 { After::Close } else { After::Reset };
            peer.cut(&object.answer(request), after, how)
        });
        Breaking { server, client, peak }
    }
}

/// sha256sum of the pattern's first bytes.
fn sum_of_pattern(size: u64) -> String {
    sum(move |mut stdin| {
        let mut buf = vec![0; MIB as usize];
        for at in (0..size).step_by(MIB as usize) {
            pattern::fill(at, &mut buf);
            stdin.write_all(&buf).unwrap();
        }
    })
}

fn sum(write: impl FnOnce(ChildStdin) + Send + 'static) -> String {
    let mut summing = Started::new(Command::new("sha256sum").stdin(Stdio::piped()));
    let stdin = summing.child.stdin.take().unwrap();
    std::thread::spawn(move || write(stdin));
    summing.end().succeeded().out().to_owned()
}

#[test]
fn cat_of_a_gigabyte_is_right_while_the_connection_breaks_every_1_to_3_mib() {
    let (folder, authority, size) = (Folder::new(), Authority::new(), gigabyte());
    let breaking = Breaking::new(&authority, size);
    let url = breaking.server.url("/big");
    let mut command = with_settings(&folder, &trusting(&authority.ca_file()), &["cat", &url]);
    let mut cat = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    breaking.client.store(cat.id(), Ordering::SeqCst);
    let mut summing = Command::new("sha256sum");
    let summing = Started::new(summing.stdin(cat.stdout.take().unwrap()));
    let expected = sum_of_pattern(size);
    let done = bounded(move || cat.wait_with_output().unwrap());
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && said.is_empty(), "{said}");
    assert_eq!(summing.end().succeeded().out(), expected);
    let requests = breaking.server.requests().len() as u64;
    assert!((size / (3 * MIB)..=size / MIB + 1).contains(&requests), "{requests} requests");
    let peak = breaking.peak.load(Ordering::SeqCst);
    assert!(peak > 0 && peak < 100 * MIB, "{peak} bytes of memory");
}

#[test]
fn cat_stat_cp_and_rm_over_nginx() {
    let Some(server) = Server::nginx() else { return };
    let folder = Folder::new();
    let content = pattern::bytes(0..5_000_000);
    let source = folder.write("source", &content);
    let settings = trusting(&server.ca_file());
    for url in [server.http("there"), server.https("there")] {
        let zvfs = |arguments: &[&str]| run(with_settings(&folder, &settings, arguments));
        zvfs(&["cp", &source, &url]).succeeded();
        assert!(fs::read(server.root().join("there")).unwrap() == content);
        assert!(zvfs(&["cat", &url]).succeeded().stdout == content);
        let part = zvfs(&["cat", "--range", "1000-1999", &url]);
        assert!(part.succeeded().stdout == content[1_000..2_000]);
        let said = zvfs(&["stat", &url]);
        assert!(said.succeeded().out().contains("5000000"), "{said:?}");
        zvfs(&["cp", &url, &folder.at("target")]).succeeded();
        assert!(fs::read(folder.at("target")).unwrap() == content);
        zvfs(&["rm", &url]).succeeded();
        assert!(!server.root().join("there").exists());
        zvfs(&["cat", &url]).failed(2, &["404"]);
    }
}

#[test]
fn an_upload_that_is_interrupted_leaves_no_trace() {
    let Some(server) = Server::nginx() else { return };
    let folder = Folder::new();
    let url = server.http("partial");
    let mut command = with_settings(&folder, "", &["cp", "file:/dev/stdin", &url]);
    let mut started = Started::new(command.stdin(Stdio::piped()));
    let mut stdin = started.child.stdin.take().unwrap();
    let wrote = stdin.write_all(&pattern::bytes(0..3_000_000));
    wrote.unwrap();
    started.still_runs();
    started.signal(rustix::process::Signal::TERM);
    assert_eq!(started.end().code, 128 + 15);
    drop(stdin);
    // nginx notices that its client has gone before it has anything to put there.
    assert!(!server.root().join("partial").exists());
}

#[test]
fn a_server_that_keeps_quiet_ends_with_the_command_s_timeout() {
    let server = FaultServer::http(|_, peer| peer.stall());
    let folder = Folder::new();
    let started = Instant::now();
    let done = run(with_settings(&folder, "", &["cat", "--timeout", "300ms", &server.url("/")]));
    done.failed(110, &[]);
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused_by_name() {
    let authority = Authority::new();
    let server = FaultServer::https(&authority.good(), |_, peer| peer.send(&Answer::new(200)));
    let done = run(with_settings(&Folder::new(), "", &["cat", &server.url("/")]));
    done.failed(71, &["certificate"]);
}

/// A server without uploads answers PUT with 405; `cp` went on to ask for less, and said `404 not found`.
#[test]
fn cp_to_a_server_without_uploads_says_what_it_answered() {
    let folder = Folder::new();
    let source = folder.write("source", "bytes");
    for (status, code) in [(405, 95), (501, 95), (403, 13)] {
        let server = FaultServer::http(move |request, peer| match request.method.as_str() {
            "PUT" => peer.cut(&Answer::new(status).body("only reading here"), u64::MAX, After::Close),
            _ => peer.send(&Answer::new(404)),
        });
        let done = run(with_settings(&folder, "", &["cp", &source, &server.url("/new")]));
        done.failed(code, &[&status.to_string(), "only reading here"]);
    }
}

#[test]
fn an_error_shows_no_password() {
    let server = FaultServer::http(|_, peer| peer.send(&Answer::new(403)));
    let url = server.url("/x?token=sesame").replace("://", "://reader:swordfish@");
    let done = run(with_settings(&Folder::new(), "", &["-vv", "cat", &url]));
    done.failed(13, &["403"]);
    assert!(!done.stderr.contains("swordfish") && !done.stderr.contains("sesame"), "{done:?}");
}

/// An example's manifest in a folder of its own, with another port.
fn example(folder: &Folder, manifest: &str, port: u16) -> String {
    let source = repository("examples/jobs/wordcount");
    fs::copy(source.join("wordcount.wat"), folder.path().join("wordcount.wat")).unwrap();
    fs::copy(source.join("input.txt"), folder.path().join("input.txt")).unwrap();
    let text = fs::read_to_string(source.join(manifest)).unwrap();
    folder.write(manifest, text.replace("127.0.0.1:8000", &format!("127.0.0.1:{port}")))
}

fn wordcount(folder: &Folder, manifest: &str) -> Done {
    run(with_settings(folder, "", &["run", manifest]))
}

#[test]
fn wordcount_reads_over_http_what_it_read_from_a_file() {
    let folder = Folder::new();
    let text = fs::read(repository("examples/jobs/wordcount/input.txt")).unwrap();
    let server = FaultServer::http(move |_, peer| peer.send(&Answer::new(200).body(text.clone())));
    let (local, remote) = (
        example(&folder, "wordcount.manifest", 0),
        example(&folder, "wordcount-http.manifest", server.address().port()),
    );
    let counted = wordcount(&folder, &local).succeeded().out().to_owned();
    assert_eq!(counted.split_whitespace().collect::<Vec<_>>(), ["202", "1581", "11358"]);
    assert_eq!(wordcount(&folder, &remote).succeeded().out(), counted);
    // The query came whole, with what is special in a manifest.
    let targets: Vec<String> = server.requests().into_iter().map(|request| request.target).collect();
    assert!(!targets.is_empty());
    assert!(
        targets.iter().all(|target| target == "/input.txt?edition=2.0,lines=1-202;plain=yes"),
        "{targets:?}"
    );
    // What differs is the channel's string, and what the first lines say of it.
    let lines = |manifest: &str| -> Vec<String> {
        let text = fs::read_to_string(manifest).unwrap();
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    };
    let (local, remote) = (lines(&local), lines(&remote));
    let differing: Vec<_> = local.iter().zip(&remote).filter(|(local, remote)| local != remote).collect();
    assert_eq!((local.len(), differing.len()), (remote.len(), 1), "{differing:?}");
    let limits = |line: &str| line.split_once("/dev/stdin").unwrap().1.to_owned();
    assert_eq!(limits(differing[0].0), limits(differing[0].1));
}

/// A channel of type 1 is read at positions: each read of the guest was a request of its own.
#[test]
fn a_guest_that_reads_a_channel_of_type_1_in_steps_makes_a_handful_of_requests() {
    let folder = Folder::new();
    let serving = || FaultServer::http(|request, peer| peer.send(&Object::new(900_000).answer(request)));
    let counted = |server: &FaultServer, kind: &str| {
        let manifest = example(&folder, "wordcount-http.manifest", server.address().port());
        let text = fs::read_to_string(&manifest).unwrap();
        let typed = text.replace(", /dev/stdin, 0, ", &format!(", /dev/stdin, {kind}, "));
        assert!(kind == "0" || typed != text);
        let done = wordcount(&folder, &folder.write("typed.manifest", typed));
        done.succeeded().out().to_owned()
    };
    let (sequential, random) = (serving(), serving());
    assert_eq!(counted(&random, "1"), counted(&sequential, "0"));
    let (one, few) = (sequential.requests().len(), random.requests().len());
    assert!(one == 1 && few <= 10, "{one} and {few} requests");
}

#[test]
fn wordcount_over_python_s_server_as_its_readme_says() {
    let Some(server) = Server::python() else { return };
    let folder = Folder::new();
    server.put("input.txt", &fs::read(repository("examples/jobs/wordcount/input.txt")).unwrap());
    let manifest = example(&folder, "wordcount-http.manifest", server.port());
    let readme = fs::read_to_string(repository("examples/jobs/wordcount/README.md")).unwrap();
    assert!(readme.contains(wordcount(&folder, &manifest).succeeded().out().trim_end()));
}

#[test]
fn a_guest_s_input_that_breaks_off_is_no_end() {
    let folder = Folder::new();
    let server = FaultServer::http(|_, peer| {
        peer.cut(&Answer::new(200).body("one two three\n".repeat(100)), 500, After::Close)
    });
    let manifest = example(&folder, "wordcount-http.manifest", server.address().port());
    let config = folder.write("zvfs.toml", "[provider.http]\nsettings = { retries = 0 }\n[provider.file]\n");
    let done = run(zvfs(["--config", &config, "run", &manifest]));
    // The host's failure, and no count of a partial output.
    assert_eq!((done.code, done.out()), (5, ""), "{done:?}");
}

#[test]
fn cat_into_a_reader_that_leaves_ends_the_download() {
    if !have(&["head"]) {
        return;
    }
    let server = FaultServer::http(|request, peer| peer.send(&Object::new(1 << 40).answer(request)));
    let folder = Folder::new();
    let mut command = with_settings(&folder, "", &["cat", &server.url("/endless")]);
    let mut cat = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The command owns the pipe's end until it is dropped.
    let head = Started::new(Command::new("head").args(["-c", "1000"]).stdin(cat.stdout.take().unwrap()));
    assert!(head.end().stdout == pattern::bytes(0..1_000));
    let status = bounded(move || cat.wait().unwrap());
    assert_eq!(status.code(), Some(32));
    eventually("the connection is closed", || server.open_connections() == 0);
}
