//! TLS beneath the protocol: mutual, version 1.3 only, between the two ends of a pipe, also through a relay.
//!
//! A peer is whoever has a certificate of the operator's own authority. Host names in it do not count: peers are
//! introduced by addresses that change.

use crate::certificate::refusal;
use rustix::io::Errno;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, Connection, DigitallySignedStruct, Error as TlsError,
    PeerIncompatible, RootCertStore, ServerConfig, ServerConnection, SignatureScheme,
};
use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use vfs_core::{Code, Error, Result, Settings};
use zvfs_net::pem::{self, Identity};
use zvfs_net::socket;

/// The exporter's label in the protocol.
const LABEL: &[u8] = b"netpipe-1";

/// What an instance needs for TLS.
#[derive(Clone)]
pub struct Tls {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls(...)")
    }
}

impl Tls {
    /// Reads the operator's files; `None` if there are none.
    ///
    /// # Errors
    /// EINVAL: only some of them are set, or one is not what it should be. ENOENT and the like: one cannot be read.
    pub fn new(settings: &Settings) -> Result<Option<Tls>> {
        let path = |name| settings.path(name);
        let (ca, cert, key) = match (path("tls-ca"), path("tls-cert"), path("tls-key")) {
            (None, None, None) => return Ok(None),
            (Some(ca), Some(cert), Some(key)) => (ca, cert, key),
            _ => {
                let text = "TLS needs all of `tls-ca`, `tls-cert` and `tls-key`";
                return Err(Error::new(Code::EINVAL, text));
            }
        };
        let provider = Arc::new(ring::default_provider());
        let roots = Arc::new(pem::roots("tls-ca", ca)?);
        let Identity { chain, key } = Identity::read(("tls-cert", cert), ("tls-key", key))?;
        let clients = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
            .build()
            .map_err(|error| pem::unusable("tls-ca", ca, error))?;
        let mut server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .and_then(|builder| {
                builder.with_client_cert_verifier(clients).with_single_cert(chain.clone(), key.clone_key())
            })
            .map_err(|error| pem::unusable("tls-cert", cert, error))?;
        // Each connection proves itself anew.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        let verifier = Arc::new(OfOurAuthority { roots, algorithms: algorithms(&provider) });
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .and_then(|builder| {
                builder
                    .dangerous()
                    .with_custom_certificate_verifier(verifier)
                    .with_client_auth_cert(chain, key)
            })
            .map_err(|error| pem::unusable("tls-cert", cert, error))?;
        client.resumption = Resumption::disabled();
        client.enable_sni = false;
        Ok(Some(Tls { client: Arc::new(client), server: Arc::new(server) }))
    }

    /// Begins as the side that dialled.
    ///
    /// # Errors
    /// No random bytes, in the main.
    pub fn dial(&self) -> Result<Session, TlsError> {
        // A name must be given; nothing looks at it.
        let name = ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into());
        let connection = ClientConnection::new(self.client.clone(), name)?;
        Ok(Session { connection: connection.into(), more: false, refusal: None })
    }

    /// Begins as the side to which somebody came.
    ///
    /// # Errors
    /// No random bytes, in the main.
    pub fn accept(&self) -> Result<Session, TlsError> {
        let connection = ServerConnection::new(self.server.clone())?;
        Ok(Session { connection: connection.into(), more: false, refusal: None })
    }
}

/// One connection's TLS.
#[derive(Debug)]
pub struct Session {
    connection: Connection,
    more: bool,
    refusal: Option<String>,
}

/// Whether a step could be made now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is done.
    Done,
    /// The socket must become readable.
    Read,
    /// The socket must become writable.
    Write,
}

impl Session {
    /// Goes on with the handshake.
    ///
    /// # Errors
    /// KEYREJECTED: a certificate was not accepted, by this side or the other. PROTO: the peer does not speak TLS 1.3.
    pub fn handshake(&mut self, socket: BorrowedFd<'_>) -> Result<Step, Errno> {
        loop {
            if !self.flush(socket)? {
                return Ok(Step::Write);
            }
            if !self.connection.is_handshaking() {
                return Ok(Step::Done);
            }
            if !self.pull(socket)? {
                return Ok(Step::Read);
            }
        }
    }

    /// The 32 bytes that both ends of this connection know, and nobody between them.
    ///
    /// # Errors
    /// PROTO: the handshake is not complete.
    pub fn exporter(&self) -> Result<[u8; 32], Errno> {
        self.connection.export_keying_material([0; 32], LABEL, None).map_err(|_| Errno::PROTO)
    }

    /// Why a certificate was not accepted, after KEYREJECTED.
    pub fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    /// Whether a receive may give something without the socket being readable.
    pub fn has_more(&self) -> bool {
        self.more
    }

    /// Receives what is there; `None`: nothing yet; 0: the peer has ended.
    ///
    /// # Errors
    /// The socket's; KEYREJECTED, PROTO.
    pub fn receive(
        &mut self,
        socket: BorrowedFd<'_>,
        first: &mut [u8],
        ahead: &mut [u8],
    ) -> Result<Option<usize>, Errno> {
        let mut done = 0;
        loop {
            let buffer =
                if done < first.len() { &mut first[done..] } else { &mut ahead[done - first.len()..] };
            if buffer.is_empty() {
                self.more = true;
                return Ok(Some(done));
            }
            match self.connection.reader().read(buffer) {
                Ok(0) => return Ok(Some(done)),
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => match self.pull(socket) {
                    Ok(true) => {}
                    // What came is given first; a loss shows next time.
                    _ if done > 0 => {
                        self.more = true;
                        return Ok(Some(done));
                    }
                    Ok(false) => {
                        self.more = false;
                        return Ok(None);
                    }
                    Err(errno) => return Err(errno),
                },
                // Ended without a word of TLS: what that means the frames say.
                Err(_) => return Ok(Some(done)),
            }
        }
    }

    /// Sends what fits into the buffer; 0: the socket must become writable. What is buffered is sent by `flush`.
    ///
    /// # Errors
    /// The socket's.
    pub fn send(&mut self, socket: BorrowedFd<'_>, first: &[u8], then: &[u8]) -> Result<usize, Errno> {
        if !self.flush(socket)? {
            return Ok(0);
        }
        let buffers = [IoSlice::new(first), IoSlice::new(then)];
        let count = self.connection.writer().write_vectored(&buffers).map_err(|_| Errno::PROTO)?;
        self.flush(socket)?;
        Ok(count)
    }

    /// Sends what is buffered; false: the socket must become writable.
    ///
    /// # Errors
    /// The socket's.
    pub fn flush(&mut self, socket: BorrowedFd<'_>) -> Result<bool, Errno> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut Socket(socket)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(errno(&error)),
            }
        }
        Ok(true)
    }

    /// Says that nothing more is sent.
    pub fn end(&mut self, socket: BorrowedFd<'_>) {
        self.connection.send_close_notify();
        // A connection that is lost, or full, ends without it.
        let _ = self.flush(socket);
    }

    /// Reads from the socket; false: nothing there yet.
    fn pull(&mut self, socket: BorrowedFd<'_>) -> Result<bool, Errno> {
        let count = match self.connection.read_tls(&mut Socket(socket)) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(errno(&error)),
        };
        let processed = self.connection.process_new_packets();
        // An alert, if there is one to send.
        let sent = self.flush(socket);
        if let Err(error) = processed {
            self.refusal = refusal(&error);
            return Err(if self.refusal.is_some() { Errno::KEYREJECTED } else { meaning(&error) });
        }
        sent?;
        if count == 0 && self.connection.is_handshaking() {
            return Err(Errno::CONNRESET);
        }
        Ok(true)
    }
}

/// What an error of TLS is to a pipe.
fn meaning(error: &TlsError) -> Errno {
    match error {
        TlsError::PeerIncompatible(PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon) => {
            Errno::KEYREJECTED
        }
        TlsError::DecryptError => Errno::BADMSG,
        _ => Errno::PROTO,
    }
}

/// A socket for rustls, which wants `std::io`'s traits.
struct Socket<'a>(BorrowedFd<'a>);

impl Read for Socket<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        socket::receive(self.0, buf)?.ok_or_else(|| Errno::AGAIN.into())
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        socket::send(self.0, &[IoSlice::new(buf)])?.ok_or_else(|| Errno::AGAIN.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// Accepts any server's certificate that our authority has signed.
#[derive(Debug)]
struct OfOurAuthority {
    roots: Arc<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for OfOurAuthority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let all = self.algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, intermediates, now, all)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        // Version 1.2 is not offered.
        Err(TlsError::InvalidCertificate(CertificateError::BadSignature))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn algorithms(provider: &CryptoProvider) -> WebPkiSupportedAlgorithms {
    provider.signature_verification_algorithms
}
