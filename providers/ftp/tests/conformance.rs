//! The suite over `ftp`, against real servers, in-process, through the library and in a process of its own, with and without TLS.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::sync::Arc;
use vfs_core::{Provider, Walls};
use zvfs_conformance::{Subject, load_built, load_in_process, run};
use zvfs_engines::ftp::FtpServer;
use zvfs_ftp::FtpProvider;
use zvfs_test_support::provider_process;

/// A descriptor of a name there.
type Descriptor = fn(&FtpServer, &str) -> String;

/// The provider that runs the suite over a server.
type Place = fn(&FtpServer) -> Box<dyn Provider>;

fn in_process(_: &FtpServer) -> Box<dyn Provider> {
    Box::new(FtpProvider)
}

fn library(_: &FtpServer) -> Box<dyn Provider> {
    let library = load_built("ftp").unwrap();
    assert_eq!(library.info(), FtpProvider.info());
    library
}

/// In a process of its own, with what docs/operators.md says that it needs.
fn process(server: &FtpServer) -> Box<dyn Provider> {
    let read = vec![server.ca_file()];
    let walls = Walls { tcp_connect: true, dns: true, read, ..Walls::default() };
    let provider = load_in_process("ftp", provider_process(), &walls).unwrap();
    assert_eq!(provider.info(), FtpProvider.info());
    provider
}

fn suite(server: Option<FtpServer>, place: Place, descriptor: Descriptor, settings: &[(&str, &str)]) {
    let Some(server) = server else { return };
    let provider = place(&server);
    let server = Arc::new(server);
    let (source, target, root) = (server.clone(), server.clone(), server.root());
    let subject = Subject::new(provider)
        .setting("ca-file", server.ca_file().to_str().unwrap())
        .source(move |name, content| {
            source.put(name, content);
            Ok(descriptor(&source, name))
        })
        .silent_server(|address, name| format!("ftp://{address}/{name}"))
        .target(move |name| Ok(descriptor(&target, name)))
        .contents_in(root);
    run(settings.iter().fold(subject, |subject, (name, text)| subject.setting(name, text)));
    let left: Vec<String> = server.names().into_iter().filter(|name| name.starts_with(".zvfs-")).collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

/// A test for each server, place and scheme.
macro_rules! suites {
    ($($name:ident: $server:ident, $place:ident, $descriptor:ident, $settings:expr;)*) => {$(
        #[test]
        fn $name() {
            suite(FtpServer::$server(), $place, FtpServer::$descriptor, &$settings);
        }
    )*};
}

suites! {
    vsftpd_in_process: vsftpd, in_process, ftp, [];
    vsftpd_with_tls_in_process: vsftpd, in_process, ftps, [];
    vsftpd_through_the_library: vsftpd, library, ftp, [];
    vsftpd_with_tls_through_the_library: vsftpd, library, ftps, [];
    vsftpd_in_a_process_of_its_own: vsftpd, process, ftp, [];
    vsftpd_with_tls_in_a_process_of_its_own: vsftpd, process, ftps, [];
    vsftpd_with_implicit_tls: vsftpd_implicit, in_process, ftps, [("tls", "implicit")];
    pyftpdlib_in_process: pyftpdlib, in_process, ftp, [];
    pyftpdlib_with_tls_in_process: pyftpdlib, in_process, ftps, [];
    pyftpdlib_through_the_library: pyftpdlib, library, ftp, [];
    pyftpdlib_with_tls_through_the_library: pyftpdlib, library, ftps, [];
    pyftpdlib_in_a_process_of_its_own: pyftpdlib, process, ftp, [];
}
