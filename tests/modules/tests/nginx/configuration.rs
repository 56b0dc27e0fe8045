//! What the configuration says, and what the documents say of it.

use crate::{CGI, status, text};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use zvfs_modules_tests::guest;
use zvfs_modules_tests::nginx::Nginx;
use zvfs_test_support::{built, command, eventually};

#[test]
fn a_manifest_of_the_operators_has_channels_of_its_own() {
    if !Nginx::is_here() {
        return;
    }
    let server = Nginx::start("", CGI);
    fs::write(server.at("data"), "from a file").unwrap();
    let operator = format!(
        "provider-path = [{:?}]\n[provider.file]\nsettings = {{ root = [{:?}] }}\n",
        built(),
        server.path()
    );
    fs::write(server.at("zvfs.toml"), operator).unwrap();
    let manifest = "Version = 20140509\nProgram = /given\nMemory = 16m, 0\nTimeout = 10\n\
                    Channel = /dev/null, /dev/stdin, 0, 0x7fffffff, 0x7fffffff, 0, 0\n\
                    Channel = /dev/null, /dev/stdout, 0, 0, 0, 1000, 40\nChannel = /dev/null, /dev/stderr, 0, 0, 0, 10, 10\n";
    fs::write(server.at("site.manifest"), manifest).unwrap();
    let site = format!(
        "{CGI}\n location /file {{ zvm_program @CGI@; zvm_manifest @FOLDER@/site.manifest; zvm_config @FOLDER@/zvfs.toml;\n\
         zvm_channel '@FOLDER@/data, /data, 3, 10, 1000, 0, 0'; }}"
    );
    let mut server = server;
    server.configure("", "", &site);
    kill_process(Pid::from_child(server.process().child()), Signal::HUP).unwrap();
    eventually("the new configuration is there", || server.get("/file?file").text() == "from a file");
    // 40 bytes are not enough for the header and more: a quota that is reached is a failed write, for which this guest exits with 3. That
    // is 502, or an answer that breaks off if it had begun.
    // A worker of the configuration before may still take a request.
    eventually("the guest exited with code 3", || {
        assert_ne!(status(&server.curl("http", "/file?many=100000", &["--fail"])), Some(0));
        server.log().contains("the guest exited with code 3")
    });
}

/// A stranger's report: nginx took the compiler's end for that of a process of its own.
#[test]
fn a_compiler_in_a_process_is_no_child_of_nginx_s() {
    if !Nginx::is_here() {
        return;
    }
    let compiler = command().display();
    let site = format!(
        "location /cgi {{ zvm_program @CGI@; zvm_compiler {compiler}; zvm_cache off; zvm_timeout 1000s; }}"
    );
    let mut server = Nginx::start("", &site);
    let worker = server.workers()[0];
    assert_eq!(server.get("/cgi").text(), "hello\n", "{}", server.log());
    kill_process(Pid::from_child(server.process().child()), Signal::QUIT).unwrap();
    eventually("it has ended", || server.process().has_ended());
    let log = server.log();
    let mut of_worker = log.lines().filter(|line| line.contains(&format!(" {worker}#")));
    assert!(!of_worker.any(|line| line.contains("SIGCHLD") || line.contains("process")), "{log}");
}

#[test]
fn a_wrong_configuration_is_found_before_anything_starts() {
    if !Nginx::is_here() {
        return;
    }
    let line =
        text("tests/modules/src/nginx/nginx.conf").lines().position(|line| line.contains("@SITE@")).unwrap();
    let place = format!("nginx.conf:{}", line + 1);
    let program = "location / { zvm_program @CGI@;";
    for (more, directive, reason) in [
        ("zvm_program /nowhere/to/be/found; }", "zvm_program", "open() \"/nowhere/to/be/found\" failed (2:"),
        ("zvm_program @FOLDER@; }", "zvm_program", "failed (21: Is a directory)"),
        ("zvm_manifest /nowhere; }", "zvm_manifest", "open() \"/nowhere\" failed (2:"),
        ("zvm_memory much; }", "", "\"zvm_memory\" directive needs a size, for example 64m or 2g"),
        ("zvm_memory 1m; zvm_memory 1m; }", "", "\"zvm_memory\" directive is duplicate"),
        ("zvm_timeout 500ms; }", "", "\"zvm_timeout\" directive needs a time in whole seconds"),
        ("zvm_queue x; }", "", "\"zvm_queue\" directive has an invalid number"),
        ("zvm_buffers 1 4k; }", "", "at least 2 \"zvm_buffers\""),
        // What is a line of the manifest, by the operator's own words.
        ("zvm_channel 'x'; }", "zvm_channel", "`x` is not a descriptor"),
        ("zvm_timeout 0; }", "zvm_timeout", "Timeout: 0 "),
        ("zvm_memory 1k; }", "zvm_memory", "Memory: 1024 bytes are too few: the program starts with "),
        ("zvm_memory 8g; }", "zvm_memory", "Memory: 8589934592 is out of range"),
        ("zvm_args \"a\\nb\"; }", "zvm_args", "has a line break"),
        ("zvm_manifest @CGI@; }", "zvm_manifest", "MANIFEST "),
        // What the workers would find.
        ("zvm_program @FOLDER@/nginx.conf; }", "zvm_program", "bad program: neither"),
        ("zvm_config /nowhere; }", "zvm_config", "/nowhere"),
        ("zvm_config @FOLDER@/nginx.conf; }", "zvm_config", "nginx.conf"),
        ("zvm_compiler /nowhere; }", "zvm_compiler", "/nowhere"),
        ("zvm_compiler /bin/true; }", "zvm_compiler", "/bin/true"),
        ("zvm_cache @FOLDER@/nginx.conf @FOLDER@/key; }", "zvm_cache", "nginx.conf"),
        ("zvm_channel 'nosuch://x, /data, 0, 1, 1, 0, 0'; }", "zvm_channel", "nosuch"),
        (
            "zvm_channel '/data, /data, 0, 1, 1, 0, 0'; }",
            "zvm_channel",
            "no operator's file is named here: set zvm_config",
        ),
    ] {
        let site = match more.starts_with("zvm_program") || more.starts_with("zvm_manifest") {
            true => format!("location / {{ {more}"),
            false => format!("{program} {more}"),
        };
        let said = Nginx::check("", &site);
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(status(&said) == Some(1) && text.contains(reason), "{site}: {text}");
        let by_name = format!("\"{directive}\" directive: ");
        assert!(directive.is_empty() || text.contains(&by_name) && text.contains(&place), "{site}: {text}");
    }
    // Nobody wrote the line: the directive that would write it is named.
    let large = tempfile::NamedTempFile::new().unwrap();
    let program_text = r#"(module (memory (export "memory") 1025) (func (export "_start")))"#;
    fs::write(large.path(), program_text).unwrap();
    let said = Nginx::check("", &format!("location / {{ zvm_program {}; }}", large.path().display()));
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.contains("without zvm_memory: Memory: 67108864 bytes are too few"), "{said}");
    let said = Nginx::check("", &format!("{program} zvm_memory 4g; }}"));
    assert_eq!(status(&said), Some(0), "{said:?}");
    // The value holds here, and stands elsewhere.
    let said = Nginx::check("zvm_timeout 0;", &format!("{program} }}"));
    assert!(String::from_utf8_lossy(&said.stderr).contains("\"zvm_timeout\" directive: "), "{said:?}");
}

/// A stranger's report: a cache that could not be used ended each worker at its start, for good, and all sites with them.
#[test]
fn what_a_worker_cannot_use_is_the_failure_of_its_location_alone() {
    if !Nginx::is_here() {
        return;
    }
    let site = format!(
        "{CGI}\n location /own {{ zvm_program @CGI@; zvm_cache @FOLDER@/own @FOLDER@/key; zvm_timeout 1000s; }}"
    );
    let mut server = Nginx::start("", &site);
    assert_eq!(server.get("/own").text(), "hello\n", "{}", server.log());
    fs::set_permissions(server.at("own"), Permissions::from_mode(0o777)).unwrap();
    let worker = server.workers()[0];
    kill_process(Pid::from_raw(worker.cast_signed()).unwrap(), Signal::KILL).unwrap();
    eventually("another worker answers", || !server.get("/ready").body.is_empty());
    assert_eq!(server.get("/cgi").text(), "hello\n", "{}", server.log());
    assert_eq!(server.get("/own").status, 500);
    let log = server.log();
    let mut lines = log.lines().filter(|line| line.contains("this worker cannot run"));
    assert!(lines.all(|line| line.contains("/own") && line.contains("request: \"GET /own")), "{log}");
    assert!(log.contains("this worker cannot run") && !log.contains("fatal code"), "{log}");
    // A reload says so before it happens, and the old configuration stays.
    kill_process(Pid::from_child(server.process().child()), Signal::HUP).unwrap();
    server.logs("\"zvm_cache\" directive: ");
    assert_eq!(server.get("/cgi").text(), "hello\n", "{}", server.log());
}

#[test]
fn the_page_has_each_directive_and_the_default_manifest() {
    let (page, module) = (text("docs/nginx.md"), text("modules/nginx/src/ngx_http_zvm_directives.c"));
    let (_, commands) = module.split_once("ngx_http_zvm_commands[]").unwrap();
    let (commands, _) = commands.split_once("ngx_null_command").unwrap();
    let known: BTreeSet<&str> =
        commands.split("ngx_string(\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let rows = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `zvm_"))
        .filter(|row| row.matches('|').count() == 3);
    let told: BTreeSet<String> =
        rows.map(|row| format!("zvm_{}", row.split([' ', '`']).next().unwrap())).collect();
    assert_eq!(told, known.iter().map(ToString::to_string).collect());
    let (_, manifest) = page.split_once("### The default manifest").unwrap();
    let source = text("modules/nginx/src/ngx_http_zvm_manifest.c");
    for line in manifest.split("```").nth(1).unwrap().trim().lines() {
        assert!(source.contains(&format!("\"{}\\n\"", line.replace("FILE", "%V"))), "{line}");
    }
}

#[test]
fn the_readmes_guest_answers_as_it_says() {
    if !Nginx::is_here() {
        return;
    }
    let readme = text("modules/nginx/README.md");
    let here = |name: &str| {
        let (_, rest) = readme.split_once(&format!("{name} <<'END'\n")).unwrap();
        rest.split_once("END\n").unwrap().0
    };
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("hello.c");
    fs::write(&source, here("hello.c")).unwrap();
    let program = guest(source.to_str().unwrap());
    let (_, location) = here("hello.conf").split_once("location /hello").unwrap();
    let (location, _) = location.split_once('}').unwrap();
    let location = location.replace("/srv/guests/hello.wasm", program.to_str().unwrap());
    let server = Nginx::start("", &format!("location /hello {location} }}"));
    let (_, path) = readme.split_once("curl http://127.0.0.1:8088").unwrap();
    let said = readme.split("```\n").nth(4).unwrap();
    assert_eq!(server.get(path.lines().next().unwrap()).text(), said, "{}", server.log());
}
