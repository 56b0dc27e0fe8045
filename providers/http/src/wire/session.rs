//! One connection's TLS. Records are decrypted where they arrived, so that a body is copied once on its way to its reader.

use rustls::Error as TlsError;
use rustls::client::UnbufferedClientConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use std::io::IoSlice;
use std::os::fd::BorrowedFd;
use vfs_core::{Code, Events};
use zvfs_net::failure::{Attempt, Failure};
use zvfs_net::socket;
use zvfs_net::tls::{Tls, of_tls, server_name};
use zvfs_net::waiting::Waiting;

/// What is received at once: some records. A handshake's largest message fits too.
const INCOMING: usize = 256 << 10;
/// What is encrypted at once.
const OUTGOING: usize = 64 << 10;

/// TLS over a socket.
pub struct Session {
    connection: UnbufferedClientConnection,
    /// Records: those at `from..to` are not processed yet.
    incoming: Box<[u8]>,
    from: usize,
    to: usize,
    /// Records to be sent, from `sent` on.
    outgoing: Vec<u8>,
    sent: usize,
    /// What was decrypted and had no room in its reader's buffer, from `delivered` on.
    plain: Vec<u8>,
    delivered: usize,
    /// The peer has said that nothing more comes.
    ended: bool,
    /// What went wrong: rustls, asked again after that, panics.
    failed: Option<Failure>,
}

/// What a look at the records comes to.
enum Step {
    /// Bytes for the reader.
    Received(usize),
    /// Nothing more without more records.
    Blocked,
    /// The same, and the handshake is over.
    Ready,
    /// Something was done; look again.
    Retry,
}

impl Session {
    /// Begins TLS with a host.
    ///
    /// # Errors
    /// EPROTO: not a name that a certificate can have. ENOENT: no authorities are known.
    pub fn new(tls: &Tls, host: &str) -> Attempt<Session> {
        let config = tls.config().map_err(|error| Failure::new(error.code(), error.chain()))?;
        let connection =
            UnbufferedClientConnection::new(config, server_name(host)?).map_err(|error| meaning(&error))?;
        Ok(Session {
            connection,
            incoming: vec![0; INCOMING].into_boxed_slice(),
            from: 0,
            to: 0,
            outgoing: Vec::new(),
            sent: 0,
            plain: Vec::new(),
            delivered: 0,
            ended: false,
            failed: None,
        })
    }

    /// Makes the handshake.
    ///
    /// # Errors
    /// EPROTO: no TLS, or a certificate that is not accepted. ECONNRESET: the peer left. The caller's, and the limit's.
    pub fn handshake(&mut self, socket: BorrowedFd<'_>, waiting: Waiting<'_>) -> Attempt<()> {
        loop {
            let step = self.step(socket, &mut [])?;
            while !self.flush(socket)? {
                waiting.ready(socket, Events::WRITE)?;
            }
            match step {
                Step::Ready => return Ok(()),
                Step::Retry | Step::Received(_) => {}
                Step::Blocked => match self.pull(socket)? {
                    Some(0) => {
                        return Err(Failure::later(
                            Code::ECONNRESET,
                            "the other side left during the TLS handshake",
                        ));
                    }
                    Some(_) => {}
                    None => drop(waiting.ready(socket, Events::READ)?),
                },
            }
        }
    }

    /// Receives what is there; 0: the peer has ended, properly. `None`: nothing yet.
    ///
    /// # Errors
    /// ECONNRESET: it left without saying so. EPROTO: what came is no TLS.
    pub fn receive(&mut self, socket: BorrowedFd<'_>, buf: &mut [u8]) -> Attempt<Option<usize>> {
        if buf.is_empty() {
            return Ok(Some(0));
        }
        let mut done = self.take_plain(buf);
        while done < buf.len() {
            match self.step(socket, &mut buf[done..]) {
                Ok(Step::Received(count)) => done += count,
                Ok(Step::Retry) => {}
                Ok(Step::Blocked | Step::Ready) if done > 0 => break,
                Ok(Step::Blocked | Step::Ready) if self.ended => return Ok(Some(0)),
                Ok(Step::Blocked | Step::Ready) => {
                    self.flush(socket)?;
                    match self.pull(socket)? {
                        Some(0) => {
                            let text = "the connection ended without a TLS close";
                            return Err(Failure::later(Code::ECONNRESET, text));
                        }
                        Some(_) => {}
                        None => return Ok(None),
                    }
                }
                // What was decrypted is given first; the failure comes again.
                Err(_) if done > 0 => break,
                Err(failure) => return Err(failure),
            }
        }
        Ok(Some(done))
    }

    /// Takes what can be sent, or kept until it can. `None`: what was taken before must go first.
    ///
    /// # Errors
    /// The connection is lost.
    pub fn send(&mut self, socket: BorrowedFd<'_>, data: &[u8]) -> Attempt<Option<usize>> {
        if let Some(failure) = &self.failed {
            return Err(failure.clone());
        }
        if !self.flush(socket)? {
            return Ok(None);
        }
        let data = &data[..data.len().min(OUTGOING)];
        loop {
            let UnbufferedStatus { discard, state } =
                self.connection.process_tls_records(&mut self.incoming[self.from..self.to]);
            match state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    let mut room = data.len() + 1024;
                    loop {
                        self.outgoing.resize(room, 0);
                        match traffic.encrypt(data, &mut self.outgoing) {
                            Ok(count) => {
                                self.outgoing.truncate(count);
                                break;
                            }
                            Err(EncryptError::InsufficientSize(size)) => room = size.required_size,
                            Err(EncryptError::EncryptExhausted) => {
                                let text = "TLS: its keys are exhausted";
                                return Err(Failure::later(Code::ECONNRESET, text));
                            }
                        }
                    }
                    self.from += discard;
                    self.flush(socket)?;
                    return Ok(Some(data.len()));
                }
                Ok(state) => {
                    self.from += discard + keep(state, &mut self.plain, &mut self.outgoing, &mut self.ended)?;
                }
                Err(error) => return Err(self.failed.insert(meaning(&error)).clone()),
            }
        }
    }

    /// Sends what was taken; false: the socket must become writable.
    ///
    /// # Errors
    /// The connection is lost.
    pub fn flush(&mut self, socket: BorrowedFd<'_>) -> Attempt<bool> {
        while self.sent < self.outgoing.len() {
            match socket::send(socket, &[IoSlice::new(&self.outgoing[self.sent..])]).map_err(Failure::lost)? {
                Some(count) => self.sent += count,
                None => return Ok(false),
            }
        }
        self.outgoing.clear();
        self.sent = 0;
        Ok(true)
    }

    /// Whether bytes have been received that nobody has read.
    pub fn has_plain(&self) -> bool {
        self.delivered < self.plain.len()
    }

    fn take_plain(&mut self, buf: &mut [u8]) -> usize {
        let left = &self.plain[self.delivered..];
        let count = left.len().min(buf.len());
        buf[..count].copy_from_slice(&left[..count]);
        self.delivered += count;
        if self.delivered == self.plain.len() {
            self.plain.clear();
            self.delivered = 0;
        }
        count
    }

    /// Looks at the next records; what is for the reader goes into `buf`, and the rest of it into `plain`.
    fn step(&mut self, socket: BorrowedFd<'_>, buf: &mut [u8]) -> Attempt<Step> {
        if let Some(failure) = &self.failed {
            return Err(failure.clone());
        }
        let UnbufferedStatus { mut discard, state } =
            self.connection.process_tls_records(&mut self.incoming[self.from..self.to]);
        let step = match state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                let mut done = 0;
                while let Some(record) = traffic.next_record() {
                    let record = record.map_err(|error| self.failed.insert(meaning(&error)).clone())?;
                    discard += record.discard;
                    let room = (buf.len() - done).min(record.payload.len());
                    buf[done..done + room].copy_from_slice(&record.payload[..room]);
                    done += room;
                    self.plain.extend_from_slice(&record.payload[room..]);
                }
                if done > 0 { Step::Received(done) } else { Step::Retry }
            }
            Ok(ConnectionState::WriteTraffic(_)) => Step::Ready,
            Ok(ConnectionState::BlockedHandshake | ConnectionState::Closed) => Step::Blocked,
            Ok(state) => {
                discard += keep(state, &mut self.plain, &mut self.outgoing, &mut self.ended)?;
                Step::Retry
            }
            Err(error) => {
                self.from += discard;
                let failure = self.failed.insert(meaning(&error)).clone();
                self.say_why(socket);
                return Err(failure);
            }
        };
        self.from += discard;
        Ok(step)
    }

    /// Sends the alert that goes with a failure, if there is one. Best effort: the connection is at its end.
    fn say_why(&mut self, socket: BorrowedFd<'_>) {
        // Once, and with the rest of the records: rustls remembers where in them its messages are, and would panic if they
        // were not there, or if a second failure wanted a second alert.
        if let UnbufferedStatus { state: Ok(state @ ConnectionState::EncodeTlsData(_)), .. } =
            self.connection.process_tls_records(&mut self.incoming[self.from..self.to])
            && keep(state, &mut self.plain, &mut self.outgoing, &mut self.ended).is_err()
        {
            return;
        }
        let _ = self.flush(socket);
    }

    /// Receives records. `None`: nothing there yet.
    fn pull(&mut self, socket: BorrowedFd<'_>) -> Attempt<Option<usize>> {
        if self.from > 0 {
            self.incoming.copy_within(self.from..self.to, 0);
            self.to -= self.from;
            self.from = 0;
        }
        if self.to == self.incoming.len() {
            return Err(Failure::protocol("TLS: a message without end"));
        }
        match socket::receive(socket, &mut self.incoming[self.to..]) {
            Ok(Some(count)) => {
                self.to += count;
                Ok(Some(count))
            }
            Ok(None) => Ok(None),
            Err(errno) => Err(Failure::lost(errno)),
        }
    }
}

/// Does what a state asks for that is neither reading nor waiting. Returns how many more bytes of the records are done with.
fn keep(
    state: ConnectionState<'_, '_, rustls::client::ClientConnectionData>,
    plain: &mut Vec<u8>,
    outgoing: &mut Vec<u8>,
    ended: &mut bool,
) -> Attempt<usize> {
    let mut discard = 0;
    match state {
        ConnectionState::EncodeTlsData(mut data) => {
            let (at, mut room) = (outgoing.len(), 1024);
            loop {
                outgoing.resize(at + room, 0);
                match data.encode(&mut outgoing[at..]) {
                    Ok(count) => {
                        outgoing.truncate(at + count);
                        break;
                    }
                    Err(EncodeError::InsufficientSize(size)) => room = size.required_size,
                    Err(EncodeError::AlreadyEncoded) => {
                        return Err(Failure::protocol("TLS: nothing is left to be said"));
                    }
                }
            }
        }
        // What is in `outgoing` is sent before anything else is.
        ConnectionState::TransmitTlsData(data) => data.done(),
        ConnectionState::PeerClosed | ConnectionState::Closed => *ended = true,
        ConnectionState::ReadTraffic(mut traffic) => {
            while let Some(record) = traffic.next_record() {
                let record = record.map_err(|error| meaning(&error))?;
                discard += record.discard;
                plain.extend_from_slice(record.payload);
            }
        }
        _ => return Err(Failure::protocol("TLS: an unknown state")),
    }
    Ok(discard)
}

/// What an error of TLS is to a request.
fn meaning(error: &TlsError) -> Failure {
    Failure::protocol(of_tls(error))
}
