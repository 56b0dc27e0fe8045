//! Guests in servers against what else answers there: requests a second and the 99th percentile of nginx, by wrk; PINGs of Redis while
//! guests spin in it. The processors' time for a request says most on a machine that others use too.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use zvfs_benches::provider_folder;
use zvfs_http_servers::Process;
use zvfs_modules_tests::nginx::Nginx;
use zvfs_modules_tests::process::cpu;
use zvfs_modules_tests::redis::{Redis, Reply};
use zvfs_test_support::{eventually, have, run, succeeded};

/// Rounds of all places in turn; each gives one ratio to the static file.
const ROUNDS: usize = 7;
const LUA: [&str; 2] =
    ["/usr/lib/nginx/modules/ndk_http_module.so", "/usr/lib/nginx/modules/ngx_http_lua_module.so"];
const NJS: &str = "/usr/lib/nginx/modules/ngx_http_js_module.so";
const PINGS: usize = 20_000;
const SPINNERS: usize = 10;

/// The same KiB as the others', without a library: what a session costs if its guest does nothing else.
const SMALLEST: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 16) "Content-Type: text/plain\0a\0aBODY")
    (func (export "_start")
        (i32.store (i32.const 0) (i32.const 16))
        (i32.store (i32.const 4) (i32.const 1050))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;

/// The same in JavaScript, by njs.
const SCRIPT: &str = "export default { answer: (r) => r.return(200, 'x'.repeat(1024)) };";

/// The same by FastCGI.
const FASTCGI: &str = r#"#include <fcgi_stdio.h>
#include <string.h>
int main(void) {
    static char body[1024];
    memset(body, 'x', sizeof body);
    while (FCGI_Accept() >= 0) {
        printf("Content-Type: text/plain\r\n\r\n");
        fwrite(body, 1, sizeof body, stdout);
    }
}
"#;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    // `-- nginx` runs that part only; cargo adds an argument of its own.
    let parts: Vec<String> = std::env::args().skip(1).filter(|part| !part.starts_with('-')).collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    if wanted("nginx") && Nginx::is_here() && have(&["wrk"]) {
        requests()?;
    }
    if wanted("redis") && Redis::is_here() {
        pings("as by default", &[])?;
        pings("no nicer than the server", &["nice", "0"])?;
    }
    Ok(())
}

/// A place of the server, what it is, and what it did in each round.
struct Place {
    path: &'static str,
    what: &'static str,
    rounds: Vec<Load>,
}

#[derive(Clone, Copy)]
struct Load {
    requests: f64, // a second
    late: f64,     // the 99th percentile, in milliseconds
    cpu: f64,      // of the worker and of the program behind it, in microseconds for a request
}

fn requests() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    // The workers run as another user where this runs as root.
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
    let at = |name: &str| folder.path().join(name).display().to_string();
    let body = "x".repeat(1024);
    fs::write(at("static"), &body)?;
    fs::write(at("smallest.wat"), SMALLEST.replace("BODY", &body))?;
    fs::write(at("zvfs.toml"), format!("provider-path = [{:?}]\n[provider.http]\n", provider_folder()))?;
    let mut places = vec![Place::new("/static", "the static file")];
    let mut site = format!("access_log off; location = /static {{ alias {}; }}\n", at("static"));
    let mut main = String::new();
    for (path, what, lines) in [
        ("/guest?many=1024", "a guest in C", "zvm_program @CGI@;".to_owned()),
        ("/smallest", "a guest without a library", format!("zvm_program {};", at("smallest.wat"))),
        ("/input?file", "a guest that reads a KiB by http", input(&at("zvfs.toml"))),
    ] {
        places.push(Place::new(path, what));
        writeln!(site, "location {} {{ {lines} }}", path.split('?').next().unwrap_or(path))?;
    }
    let mut fastcgi = fastcgi(&folder)?;
    if fastcgi.is_some() {
        places.push(Place::new("/fastcgi", "FastCGI, a program in C"));
        writeln!(
            site,
            "location /fastcgi {{ include /etc/nginx/fastcgi_params; fastcgi_pass unix:{}; }}",
            at("socket")
        )?;
    }
    if have(&LUA) {
        places.push(Place::new("/lua", "Lua, in the worker"));
        LUA.iter().for_each(|module| main.push_str(&format!("load_module {module};\n")));
        writeln!(site, "location /lua {{ content_by_lua_block {{ ngx.print(string.rep('x', 1024)) }} }}")?;
    }
    let mut http = String::new();
    if have(&[NJS]) {
        places.push(Place::new("/njs", "JavaScript, in the worker"));
        fs::write(at("answer.js"), SCRIPT)?;
        writeln!(main, "load_module {NJS};")?;
        writeln!(http, "js_import answer from {};", at("answer.js"))?;
        writeln!(site, "location /njs {{ js_content answer.answer; }}")?;
    }
    let mut server = Nginx::start_under(&[], &main, &http, &site);
    let mut processes = server.workers();
    processes.extend(fastcgi.as_mut().map(|process| process.child().id()));
    for place in &places {
        let said = run(server.curl_command("http", place.path, &["--fail"]))?;
        assert_eq!(said.stdout.len(), body.len(), "{}: {said:?} {}", place.path, server.log());
    }
    for _ in 0..ROUNDS {
        for place in &mut places {
            place.rounds.push(load(&server.url("http", place.path), &processes)?);
        }
    }
    print(&places);
    Ok(())
}

/// The directives of a guest whose `/data` is the static file of the same server.
fn input(configuration: &str) -> String {
    let channel = "http://127.0.0.1:@HTTP@/static, /data, 0, 9, 9999, 0, 0";
    format!("zvm_program @CGI@; zvm_config {configuration}; zvm_channel '{channel}';")
}

/// Starts the program; `None`: the machine lacks what it takes, which was said.
fn fastcgi(folder: &TempDir) -> Result<Option<Process>, Failure> {
    if !have(&["spawn-fcgi", "cc", "/usr/include/fcgi_stdio.h"]) {
        return Ok(None);
    }
    let at = |name: &str| folder.path().join(name).display().to_string();
    fs::write(at("fastcgi.c"), FASTCGI)?;
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-o", &at("fastcgi"), &at("fastcgi.c"), "-lfcgi"]);
    succeeded(cc);
    let arguments = ["-n", "-M", "0666", "-s", &at("socket"), "--", &at("fastcgi")];
    let process = Process::start("spawn-fcgi", &arguments, |command| {
        command.stdin(Stdio::null()).stdout(Stdio::null());
    })?;
    eventually("the program listens", || Path::new(&at("socket")).exists());
    Ok(Some(process))
}

/// Two seconds of 16 connections, and what these processes did in them.
fn load(url: &str, processes: &[u32]) -> Result<Load, Failure> {
    let used = || processes.iter().map(|pid| cpu(*pid)).sum::<Duration>();
    let before = used();
    let mut wrk = Command::new("wrk");
    wrk.args(["--threads", "1", "--connections", "16", "--duration", "2s", "--latency", url]);
    let said = String::from_utf8(succeeded(wrk).stdout)?;
    assert!(!said.contains("Non-2xx") && !said.contains("Socket errors"), "{said}");
    let used = used() - before;
    let field = |name: &str| said.lines().find_map(|line| line.trim().strip_prefix(name)).map(str::trim);
    let requests = field("Requests/sec:").ok_or("wrk gave no rate")?.parse()?;
    let late = field("99%").and_then(milliseconds).ok_or("wrk gave no percentile")?;
    let count =
        said.lines().find_map(|line| line.trim().split_once(" requests in")).ok_or("wrk gave no count")?.0;
    Ok(Load { requests, late, cpu: used.as_secs_f64() * 1e6 / count.parse::<f64>()? })
}

/// wrk's `850.00us`, `1.20ms`, `1.02s`.
fn milliseconds(text: &str) -> Option<f64> {
    [("us", 0.001), ("ms", 1.0), ("s", 1000.0)]
        .into_iter()
        .find_map(|(unit, factor)| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * factor))
}

impl Place {
    fn new(path: &'static str, what: &'static str) -> Place {
        Place { path, what, rounds: Vec::new() }
    }
}

fn print(places: &[Place]) {
    println!("\n1 KiB by nginx with one worker, 16 connections, medians of {ROUNDS} rounds of 2 s");
    println!("{:<36} {:>11} {:>10} {:>10} {:>8}  ratio, min to max", "", "requests/s", "p99", "CPU", "ratio");
    for place in places {
        let ratios: Vec<f64> = place
            .rounds
            .iter()
            .zip(&places[0].rounds)
            .map(|(ours, file)| ours.requests / file.requests)
            .collect();
        println!(
            "{:<36} {:>11.0} {:>7.2} ms {:>7.1} us {:>8.3}  {:.3} to {:.3}",
            place.what,
            median(place.rounds.iter().map(|load| load.requests)),
            median(place.rounds.iter().map(|load| load.late)),
            median(place.rounds.iter().map(|load| load.cpu)),
            median(ratios.iter().copied()),
            ratios.iter().copied().fold(f64::MAX, f64::min),
            ratios.iter().copied().fold(0.0, f64::max),
        );
    }
}

fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = numbers.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// PINGs of a server that does nothing else, and of the same while guests spin.
fn pings(what: &str, nice: &[&str]) -> Result<(), Failure> {
    let redis = Redis::try_start(&[], &[&["threads", &SPINNERS.to_string()], nice].concat())?;
    redis.load("spins", "Timeout = 1000");
    println!("\n{PINGS} PINGs of Redis, guests {what}");
    ping(&redis, "none runs");
    let mut spinning: Vec<_> = (0..SPINNERS).map(|_| redis.client()).collect();
    spinning.iter_mut().for_each(|client| client.send(&["ZVM.CALL", "spins", "0", "spin"]));
    eventually("the guests run", || {
        redis.counter("started") == SPINNERS as u64 && redis.counter("waiting") == 0
    });
    ping(&redis, &format!("{SPINNERS} spin"));
    Ok(())
}

fn ping(redis: &Redis, name: &str) {
    let mut client = redis.client();
    let mut times: Vec<Duration> = (0..PINGS)
        .map(|_| {
            let start = Instant::now();
            assert_eq!(client.call(&["PING"]), Reply::Simple("PONG".into()));
            start.elapsed()
        })
        .collect();
    times.sort();
    let at = |share: f64| times[(PINGS as f64 * share) as usize].as_secs_f64() * 1000.0;
    println!("{name:<12} median {:.3} ms, p99 {:.3} ms, p99.9 {:.3} ms", at(0.5), at(0.99), at(0.999));
}
