//! The kinds of stores, each at a server of its own.

use crate::support::Folder;
use zvfs_engines::S3;
use zvfs_engines::ftp::FtpServer;
use zvfs_engines::ssh::SshServer;
use zvfs_http_servers::Server;

/// A kind of files, at a server of its own.
pub struct Store {
    pub name: &'static str,
    /// Its part of the operator's file.
    pub section: String,
    pub descriptor: Box<dyn Fn(&str) -> String>,
    /// Ends the server, if there is one.
    pub kill: Option<Box<dyn FnOnce()>>,
}

pub fn files(folder: &Folder) -> Store {
    let root = folder.path().to_owned();
    let descriptor = move |name: &str| root.join(name).to_str().unwrap().to_owned();
    Store {
        name: "file",
        section: "[provider.file]".to_owned(),
        descriptor: Box::new(descriptor),
        kill: None,
    }
}

pub fn http() -> Option<Store> {
    let server = Server::nginx()?;
    let (section, at) = ("[provider.http]".to_owned(), server.http(""));
    let descriptor = Box::new(move |name: &str| format!("{at}{name}"));
    Some(Store { name: "http", section, descriptor, kill: Some(Box::new(|| drop(server))) })
}

pub fn s3() -> Option<Store> {
    let server = S3::moto()?;
    let section = format!("[provider.object]\nsettings = {{ {} }}", server.settings());
    let at = server.descriptor("");
    let descriptor = Box::new(move |name: &str| format!("{at}{name}"));
    Some(Store { name: "s3", section, descriptor, kill: Some(Box::new(|| drop(server))) })
}

pub fn ftp() -> Option<Store> {
    // Of vsftpd a process for each session would go on.
    let mut server = FtpServer::pyftpdlib()?;
    let section = format!("[provider.ftp]\nsettings = {{ ca-file = {:?} }}", server.ca_file());
    let at = server.ftps("");
    let descriptor = Box::new(move |name: &str| format!("{at}{name}"));
    Some(Store { name: "ftps", section, descriptor, kill: Some(Box::new(move || server.stop())) })
}

pub fn vsftpd() -> Option<Store> {
    let mut server = FtpServer::vsftpd()?;
    let section = format!("[provider.ftp]\nsettings = {{ ca-file = {:?} }}", server.ca_file());
    let at = server.ftps("");
    let descriptor = Box::new(move |name: &str| format!("{at}{name}"));
    Some(Store { name: "vsftpd", section, descriptor, kill: Some(Box::new(move || server.stop())) })
}

pub fn sftp() -> Option<Store> {
    SshServer::openssh().map(sftp_at)
}

pub fn sftp_at(mut server: SshServer) -> Store {
    let section = format!(
        "[provider.sftp]\nsettings = {{ known-hosts = {:?}, key-file = {:?} }}",
        server.known_hosts(),
        server.key_file()
    );
    let at = server.sftp("");
    let descriptor = Box::new(move |name: &str| format!("{at}{name}"));
    Store { name: "sftp", section, descriptor, kill: Some(Box::new(move || server.end())) }
}
