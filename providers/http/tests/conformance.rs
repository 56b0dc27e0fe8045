//! The suite over `http`, against real servers, in-process, through the library and in a process of its own, with and without TLS.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::sync::Arc;
use vfs_core::{Provider, Walls};
use zvfs_conformance::{Subject, load_built, load_in_process, run};
use zvfs_http::HttpProvider;
use zvfs_http_servers::Server;
use zvfs_test_support::provider_process;

type Url = fn(&Server, &str) -> String;

/// The provider that runs the suite over a server.
type Place = fn(&Server) -> Box<dyn Provider>;

fn in_process(_: &Server) -> Box<dyn Provider> {
    Box::new(HttpProvider)
}

fn library(_: &Server) -> Box<dyn Provider> {
    let library = load_built("http").unwrap();
    assert_eq!(library.info(), HttpProvider.info());
    library
}

/// In a process of its own, with what docs/operators.md says that it needs.
fn process(server: &Server) -> Box<dyn Provider> {
    let read = vec![server.ca_file().to_owned()];
    let walls = Walls { tcp_connect: true, dns: true, read, ..Walls::default() };
    let provider = load_in_process("http", provider_process(), &walls).unwrap();
    assert_eq!(provider.info(), HttpProvider.info());
    provider
}

/// What can be read there; what can be written too, if the server takes it.
fn suite(server: Option<Server>, place: Place, url: Url, writable: bool) {
    let Some(server) = server else { return };
    let provider = place(&server);
    let server = Arc::new(server);
    let (source, target, root) = (server.clone(), server.clone(), server.root());
    let subject = Subject::new(provider)
        .setting("ca-file", server.ca_file().to_str().unwrap())
        .source(move |name, content| {
            source.put(name, content);
            Ok(url(&source, name))
        })
        .silent_server(|address, name| format!("http://{address}/{name}"));
    if !writable {
        return run(subject.read_only());
    }
    run(subject.target(move |name| Ok(url(&target, name))).contents_in(root));
}

/// A test for each server, place and scheme; and whether the server takes uploads.
macro_rules! suites {
    ($($name:ident: $server:ident, $place:ident, $url:ident, $writable:literal;)*) => {$(
        #[test]
        fn $name() {
            suite(Server::$server(), $place, Server::$url, $writable);
        }
    )*};
}

suites! {
    nginx_in_process: nginx, in_process, http, true;
    nginx_with_tls_in_process: nginx, in_process, https, true;
    nginx_through_the_library: nginx, library, http, true;
    nginx_with_tls_through_the_library: nginx, library, https, true;
    nginx_in_a_process_of_its_own: nginx, process, http, true;
    nginx_with_tls_in_a_process_of_its_own: nginx, process, https, true;
    apache2_in_process: apache2, in_process, http, true;
    apache2_with_tls_in_process: apache2, in_process, https, true;
    apache2_through_the_library: apache2, library, http, true;
    apache2_with_tls_through_the_library: apache2, library, https, true;
    python_in_process: python, in_process, http, false;
    busybox_in_process: busybox, in_process, http, false;
    webfs_in_process: webfs, in_process, http, false;
    whitenoise_in_process: whitenoise, in_process, http, false;
    python_with_tls_in_process: python, in_process, https, false;
    python_through_the_library: python, library, http, false;
    python_with_tls_through_the_library: python, library, https, false;
}
