//! What a guest is told, and what becomes of what it writes.

use crate::{CGI, status};
use std::collections::HashSet;
use std::io::Write;
use zvfs_modules_tests::nginx::{Answer, Nginx};

#[test]
fn a_guest_answers_over_http_1_0_1_1_and_2_with_and_without_tls() {
    if !Nginx::is_here() {
        return;
    }
    let server = Nginx::start("", CGI);
    let answer = server.get("/cgi");
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello\n"), "{}", server.log());
    assert!(answer.header.contains("Content-Type: text/plain\r\n"), "{answer:?}");
    for (scheme, version) in [("http", "--http1.1"), ("https", "--http1.1"), ("https", "--http2")] {
        let said = server.curl(scheme, "/cgi?echo", &[version, "--data-binary", "a body"]);
        assert_eq!((status(&said), said.stdout.as_slice()), (Some(0), &b"a body"[..]), "{version}: {said:?}");
        let said = server.curl(scheme, "/cgi?many=300000", &[version]);
        assert_eq!((status(&said), said.stdout.len()), (Some(0), 300_000), "{version}");
        let head = server.curl(scheme, "/cgi?many=300000", &[version, "--head"]);
        assert!(String::from_utf8_lossy(&head.stdout).contains(" 200"), "{version}: {head:?}");
    }
    // Two requests over one connection.
    let two = server.curl("http", "/cgi?[1-2]=", &["--write-out", "%{num_connects} "]);
    assert!(String::from_utf8_lossy(&two.stdout).ends_with("0 "), "{two:?}");
}

#[test]
fn a_guest_is_told_what_cgi_says_and_what_the_configuration_adds() {
    if !Nginx::is_here() {
        return;
    }
    let site = "location /cgi { zvm_program @CGI@; zvm_param ADDED $arg_environment; zvm_param REQUEST_SCHEME other; \
                zvm_args 'one \"two words\"'; }\n location ~ ^/pattern { zvm_program @CGI@; }";
    let server = Nginx::start("", site);
    let headers =
        ["-H", "X-One: 1", "-H", "X-One: 2", "-H", "Proxy: evil", "-H", "Cookie: a=1", "-H", "Cookie: b=2"];
    let body = ["--data", "12345", "-H", "Content-Type: text/x"];
    let said = server.curl("http", "/cgi/some%20path?environment=5", &[&headers[..], &body].concat());
    let text = String::from_utf8(said.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for line in [
        "GATEWAY_INTERFACE=CGI/1.1",
        "REQUEST_METHOD=POST",
        "REQUEST_URI=/cgi/some%20path?environment=5",
        "QUERY_STRING=environment=5",
        "SCRIPT_NAME=/cgi",
        "PATH_INFO=/some path",
        "CONTENT_LENGTH=5",
        "CONTENT_TYPE=text/x",
        "SERVER_PROTOCOL=HTTP/1.1",
        // The site has no name.
        "SERVER_NAME=127.0.0.1",
        "REMOTE_ADDR=127.0.0.1",
        "HTTP_X_ONE=1, 2",
        "HTTP_COOKIE=a=1; b=2",
        "ADDED=5",
        "REQUEST_SCHEME=other",
    ] {
        assert!(lines.contains(&line), "{line}: {text}");
    }
    for name in ["HTTP_PROXY", "HTTP_CONTENT", "HTTPS", "REMOTE_USER"] {
        assert!(!lines.iter().any(|line| line.starts_with(name)), "{name}: {text}");
    }
    // How long a body is nobody knows that comes in chunks.
    let chunked = ["-H", "Transfer-Encoding: chunked", "-d", "12345"];
    let text = server.curl("http", "/cgi?environment=5", &chunked).stdout;
    let text = String::from_utf8_lossy(&text);
    assert!(!text.contains("CONTENT_LENGTH=") && !text.contains("TRANSFER_ENCODING"), "{text}");
    let said = server.curl("https", "/pattern/more?environment", &[]);
    let text = String::from_utf8(said.stdout).unwrap();
    assert!(text.contains("\nSCRIPT_NAME=/pattern/more\n") && text.contains("\nHTTPS=on\n"), "{text}");
    assert!(text.contains("\nPATH_INFO=\n") && !text.contains("CONTENT_LENGTH"), "{text}");
    let many: Vec<String> = (0..300).map(|n| format!("X-{n}: 1\r\n")).collect();
    let mut stream = server.connect();
    write!(stream, "GET /cgi HTTP/1.0\r\n{}\r\n", many.concat()).unwrap();
    assert_eq!(Answer::read(stream).status, 400);
}

#[test]
fn the_header_lines_of_an_answer_mean_what_cgi_says() {
    if !Nginx::is_here() {
        return;
    }
    let server = Nginx::start("", CGI);
    let answer = server.get("/cgi?status=404");
    assert!(answer.header.starts_with("HTTP/1.1 404 What I Say\r\n"), "{answer:?}");
    assert!(answer.header.contains("X-Own: yes\r\n") && answer.text() == "body\n", "{answer:?}");
    assert_eq!(server.get("/cgi?status=304").body, b"");
    let answer = server.get("/cgi?redirect");
    assert!(answer.status == 302 && answer.header.contains("/elsewhere\r\n"), "{answer:?}");
    let said = server.curl("http", "/cgi?hop", &["--include"]);
    let text = String::from_utf8(said.stdout).unwrap();
    assert!(
        text.contains("Content-Type: text/html; charset=koi8-r\r\n")
            && text.contains("Connection: keep-alive"),
        "{text}"
    );
    assert!(!text.contains("guest-made"), "{text}");
    assert!(text.contains("Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n") && text.ends_with("hop\n"), "{text}");
    assert_eq!(server.curl("http", "/cgi?length=10", &[]).stdout, b"0123456789");
    assert_eq!(server.curl("http", "/cgi?length=4", &[]).stdout, b"0123");
    assert_eq!(server.curl("http", "/cgi?length=0", &[]).stdout, b"");
}

/// The module makes the value itself, as long as nobody has asked for it before.
#[test]
fn a_request_has_one_id_for_the_guest_and_the_server() {
    if !Nginx::is_here() {
        return;
    }
    let lines = "zvm_program @CGI@; add_header X-Id $request_id;";
    let site = format!(
        "location /late {{ {lines} }}\nlocation /early {{ set $first $request_id; add_header X-First $first; {lines} }}"
    );
    let server = Nginx::start("", &site);
    let mut ids = HashSet::new();
    for path in ["/late?environment", "/early?environment"].repeat(20) {
        let said = String::from_utf8(server.curl("http", path, &["--include"]).stdout).unwrap();
        let field = |name: &str| said.lines().find_map(|line| line.trim_end().strip_prefix(name));
        let id = field("REQUEST_ID=").unwrap();
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{said}");
        assert_eq!(field("X-Id: "), Some(id), "{said}");
        assert!(path.starts_with("/late") || field("X-First: ") == Some(id), "{said}");
        assert!(ids.insert(id.to_owned()), "{id} came twice");
    }
}

/// Of one name the last that is not empty counts, whether it is the module's or the configuration's.
#[test]
fn an_empty_parameter_leaves_what_stands_before_it() {
    if !Nginx::is_here() {
        return;
    }
    let lines = "zvm_param SERVER_NAME first; zvm_param SERVER_NAME $arg_name; zvm_param HTTPS $arg_name; \
                 zvm_param QUERY_STRING $arg_query;";
    let server = Nginx::start("", &format!("location /cgi {{ zvm_program @CGI@; {lines} }}"));
    let said = |path: &str| String::from_utf8(server.curl("https", path, &[]).stdout).unwrap();
    let (empty, given) = (said("/cgi?query=environment"), said("/cgi?query=environment&name=last"));
    for (text, line) in [
        (&empty, "SERVER_NAME=first"),
        (&empty, "HTTPS=on"),
        (&given, "SERVER_NAME=last"),
        (&given, "HTTPS=last"),
    ] {
        let name = line.split('=').next().unwrap();
        let lines: Vec<&str> = text.lines().filter(|said| said.split('=').next() == Some(name)).collect();
        assert_eq!(lines, [line], "{text}");
    }
    // An empty one is one all the same, which CGI wants: the guest has no mode then.
    assert_eq!(said("/cgi?name=x"), "hello\n");
}
