//! Credentials work, and stand in no message.

use crate::common::*;
use std::os::unix::fs::PermissionsExt;
use vfs_core::{Code, Finish, OpenOptions};
use zvfs_http_servers::{After, Answer, Authority, FaultServer, Object};

const SECRETS: [&str; 4] = ["swordfish", "sesame", "c3dvcmRmaXNo", "d0rdf1sh"];

#[track_caller]
fn hides(text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{text}");
    }
}

/// A server that wants `reader` and `swordfish`.
fn guarded() -> FaultServer {
    FaultServer::http(|request, peer| {
        if request.header("Authorization") != Some("Basic cmVhZGVyOnN3b3JkZmlzaA==") {
            return peer.send(&Answer::new(401).with("WWW-Authenticate", "Basic realm=\"x\""));
        }
        peer.send(&Object::new(1_000).answer(request))
    })
}

fn with_credentials(url: &str) -> String {
    url.replace("://", "://reader:swordfish@")
}

#[test]
fn credentials_of_a_url_work_percent_encoded_too() {
    let server = guarded();
    fetch(&quick(), &with_credentials(&server.url("/"))).is(0..1_000);
    fetch(&quick(), &server.url("/").replace("://", "://re%61der:sword%66ish@")).is(0..1_000);
    // They are not part of what the server is asked for.
    for request in server.requests() {
        assert_eq!(request.target, "/");
        assert_eq!(request.header("Host"), Some(&*server.address().to_string()));
    }
}

#[test]
fn no_failure_tells_a_secret() {
    let authority = Authority::new();
    let untrusted = FaultServer::https(&authority.good(), |_, peer| peer.send(&Answer::new(200)));
    let serving = FaultServer::http(|request, peer| {
        let path = request.target.split('?').next().unwrap_or_default();
        match path.trim_start_matches('/').parse() {
            Ok(status) => peer.send(&Answer::new(status).with("Location", "http://a:d0rdf1sh@[")),
            Err(_) if path == "/loop" => peer.send(&Answer::redirect(302, &request.target)),
            Err(_) if path == "/away" => {
                peer.send(&Answer::redirect(302, "http://a:d0rdf1sh@169.254.169.254/?token=sesame"))
            }
            Err(_) if path == "/odd" => peer.raw(b"odd\r\n").map(|()| After::Close),
            Err(_) if path == "/cut" => peer.cut(&Object::new(1_000).answer(request), 0, After::Close),
            Err(_) => Ok(After::Close),
        }
    });
    let (registry, log) = logging(r#"retry-delay = "1ms", retries = 2"#);
    let query = "?X-Amz-Signature=sesame&token=sesame&sig=sesame";
    let mut urls: Vec<String> =
        ["404", "403", "401", "500", "503", "302", "loop", "away", "odd", "cut", "empty"]
            .iter()
            .map(|path| serving.url(&format!("/{path}{query}")))
            .collect();
    urls.push(untrusted.url(&format!("/{query}")));
    urls.push(format!("http://127.0.0.1:{}/{query}", zvfs_test_support::free_port()));
    urls.push(format!("http://127.0.0.1:99999/{query}"));
    urls.push(format!("http://nobody.invalid/{query}"));
    for url in urls {
        let url = with_credentials(&url);
        let fetched = fetch(&registry, &url);
        let error = fetched.error.unwrap_or_else(|| panic!("{url} succeeded"));
        hides(&error.chain());
        hides(&format!("{error:?}"));
        for outcome in [
            registry.stat(&url, &OpenOptions::default()).map(drop),
            registry.remove(&url, &OpenOptions::default()),
        ] {
            if let Err(error) = outcome {
                hides(&error.chain());
            }
        }
        let (registry, uploading) = (registry.clone(), url.clone());
        let outcome = in_time(move || {
            let mut file = registry.open(&uploading, &OpenOptions::new(UPLOAD))?;
            write_all(&mut file, b"bytes")?;
            file.finish(Finish::Commit)
        });
        if let Err(error) = outcome {
            hides(&error.chain());
        }
    }
    hides(&log.text());
}

#[test]
fn a_bearer_token_goes_to_its_hosts_only_and_into_no_message() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "sesame\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let server = spoiling(
        Object::new(100),
        |request, answer| {
            if request.target == "/403" { Answer::new(403) } else { answer }
        },
    );
    let settings = format!("{QUICK}, bearer-file = {file:?}, credentials-for = [\"127.0.0.1\"]");
    let (registry, log) = logging(&settings);
    fetch(&registry, &server.url("/")).is(0..100);
    fetch(&registry, &server.url_by_name("/other")).is(0..100);
    let error = fetch(&registry, &server.url("/403")).error.unwrap();
    hides(&error.chain());
    hides(&log.text());
    let requests = server.requests();
    assert_eq!(requests[0].header("Authorization"), Some("Bearer sesame"));
    let other = requests.iter().find(|request| request.target == "/other").unwrap();
    assert_eq!(other.header("Authorization"), None);
}

/// A file with secret fields, as an operator keeps it.
fn secret_headers(folder: &tempfile::TempDir, text: &str) -> String {
    let file = folder.path().join("headers");
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    format!("headers-file = {file:?}")
}

/// `headers` go to every host, so that no secret could be one of them.
#[test]
fn secret_fields_go_to_their_hosts_only_and_into_no_message() {
    let folder = tempfile::tempdir().unwrap();
    let server = spoiling(Object::new(100), |request, answer| match request.target.as_str() {
        "/403" => Answer::new(403).body("the key sesame is not known"),
        "/away" => {
            Answer::redirect(302, &format!("http://localhost:{}/other", request.header("X-Port").unwrap()))
        }
        _ => answer,
    });
    let file = secret_headers(&folder, "X-Api-Key: sesame\n\nX-Two: c3dvcmRmaXNo\n");
    let settings = format!("{QUICK}, {file}, headers-for = [\"127.0.0.1\"]");
    let (registry, log) = logging(&settings);
    let port = server.address().port();
    // Nobody who opens can put another in its place, and what the opener gives goes along.
    let how = || {
        OpenOptions::new(READ)
            .setting("headers", "x-api-key: mine")
            .setting("headers", format!("X-Port: {port}"))
    };
    fetch_with(&registry, &server.url("/"), how()).is(0..100);
    fetch_with(&registry, &server.url("/away"), how()).is(0..100);
    fetch(&registry, &server.url_by_name("/elsewhere")).is(0..100);
    let error = fetch(&registry, &server.url("/403")).error.unwrap();
    assert!(error.chain().contains("the key *** is not known"), "{}", error.chain());
    hides(&error.chain());
    hides(&log.text());
    for request in server.requests() {
        let keys: Vec<_> =
            request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("x-api-key")).collect();
        match request.target.as_str() {
            "/other" | "/elsewhere" => assert!(keys.is_empty(), "{request:?}"),
            _ => assert_eq!((keys.len(), keys[0].1.as_str()), (1, "sesame"), "{request:?}"),
        }
    }
}

#[test]
fn secret_fields_need_hosts_a_private_file_and_lines_that_are_fields() {
    let folder = tempfile::tempdir().unwrap();
    let open = |settings: &str| fetch(&registry(settings), "http://127.0.0.1:1/").error.unwrap();
    let file = secret_headers(&folder, "X-Api-Key: sesame\n");
    let error = open(&file);
    assert!(error.code() == Code::EINVAL && error.chain().contains("headers-for"), "{}", error.chain());
    for text in ["sesame", "X-Api-Key sesame", "Host: sesame", "X: sesame\u{7}"] {
        let file = secret_headers(&folder, text);
        let error = open(&format!("{file}, headers-for = [\"127.0.0.1\"]"));
        assert!(error.code() == Code::EINVAL && error.chain().contains("headers-file"), "{}", error.chain());
        hides(&error.chain());
    }
    let file = secret_headers(&folder, "X-Api-Key: sesame\n");
    let readable = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(folder.path().join("headers"), readable).unwrap();
    let error = open(&format!("{file}, headers-for = [\"127.0.0.1\"]"));
    assert_eq!(error.code(), Code::EACCES, "{}", error.chain());
}

#[test]
fn an_open_cannot_set_what_is_the_operator_s() {
    let server = serving(Object::new(100));
    for (name, text) in
        [("proxy", "http://127.0.0.1:1"), ("addresses", "any"), ("allowed-hosts", "*"), ("ca-file", "/x")]
    {
        let how = OpenOptions::new(READ).setting(name, text);
        assert!(fetch_with(&quick(), &server.url("/"), how).error.is_some(), "{name}");
    }
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn a_header_cannot_smuggle_another() {
    let server = serving(Object::new(100));
    for text in [
        "X: a\r\nY: b",
        "X: a\nY: b",
        "X\r\nY: a",
        "no colon",
        "Host: other",
        "Content-Length: 5",
        "Transfer-Encoding: chunked",
    ] {
        let how = OpenOptions::new(READ).setting("headers", text);
        let fetched = fetch_with(&quick(), &server.url("/"), how);
        assert!(fetched.error.is_some(), "{text:?}");
    }
    assert_eq!(server.requests().len(), 0);
    let nasty = server.url("/a b\r\nX: y");
    let _ = fetch(&quick(), &nasty);
    assert!(server.requests().iter().all(|request| request.header("X").is_none()));
}

/// The same through a host, as `zvfs providers` shows it.
#[test]
fn a_list_of_hosts_with_credentials_is_refused_without_them() {
    for setting in ["allowed-hosts", "no-proxy"] {
        let registry = registry(&format!("{setting} = [\"http://u:sesame@h\"]"));
        let error =
            refused(registry.open("http://127.0.0.1:1/", &OpenOptions::new(READ)).map(drop), Code::EINVAL);
        let chain = error.chain();
        assert!(chain.contains("`***@h`") && !chain.contains("sesame"), "{chain}");
    }
}
