//! A session: a control connection with somebody logged in, and the one transfer that it may have at a time.
//!
//! A session is used by one future at a time, which owns it. What goes wrong in the middle of a command leaves nobody knows what in
//! the connection, so a session that is [`broken`](Session::is_broken) is closed instead of kept.

use crate::facts::{self, Facts, characters};
use crate::features::Features;
use crate::reply::{self, End};
use crate::settings::{Security, Tuning};
use crate::target::{Account, Path};
use crate::tls::Connector;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use suppaftp::tokio::{AsyncRustlsFtpStream, AsyncRustlsStream, TransferStream};
use suppaftp::types::{FileType, Response};
use suppaftp::{Encoding, FtpError, FtpResult, Mode, Status};
use tokio::net::TcpStream;
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tokio_rustls::rustls::ClientConfig;
use vfs_core::{Code, Kind, written_duration};
use zvfs_net::dial::refused;
use zvfs_net::failure::{Attempt, Failure, Retry};

/// How long a session may take to be ready again after a transfer that was broken off, before it is given up.
const RECOVERY: Duration = Duration::from_secs(2);
/// What is shorter is no secret that could be told from a word.
const SECRET_MIN: usize = 4;

/// The data connection of a transfer.
pub type Data = TransferStream<AsyncRustlsStream>;

/// A control connection with somebody logged in.
pub struct Session {
    ftp: AsyncRustlsFtpStream,
    account: Account,
    tls: Option<Connector>,
    reply_timeout: Duration,
    features: Features,
    /// Where relative paths begin, once it was asked.
    home: Option<String>,
    /// It stands in another folder.
    is_away: bool,
    is_broken: bool,
}

impl Session {
    /// Logs in over a new connection.
    ///
    /// # Errors
    /// EACCES: the server does not let us in. EPROTO: it speaks no FTP, or TLS fails. ECONNRESET, EBUSY: it is closed or full.
    pub async fn begin(
        stream: TcpStream,
        account: &Account,
        tls: Option<Arc<ClientConfig>>,
        tuning: &Tuning,
    ) -> Attempt<Session> {
        let peer = stream.peer_addr().map_err(|error| reply::of_io(&error))?;
        // It goes back to the same address, whatever a server names: that one was checked.
        let passive = move |named: SocketAddr| {
            let mut address = peer;
            address.set_port(named.port());
            Box::pin(data_connection(address)) as _
        };
        let host = &account.origin.host;
        let tls = tls.map(|config| Connector::new(&config));
        let mut ftp = match &tls {
            None => AsyncRustlsFtpStream::connect_with_stream(stream)
                .await
                .map(|ftp| ftp.passive_stream_builder(passive)),
            Some(tls) if account.security == Security::Implicit => {
                // Here the library connects by itself: to the address that was checked.
                drop(stream);
                let connected = AsyncRustlsFtpStream::connect_secure_implicit(peer, tls.clone(), host).await;
                connected.map(|ftp| ftp.passive_stream_builder(passive))
            }
            Some(tls) => {
                let greeted =
                    AsyncRustlsFtpStream::connect_with_stream(stream).await.map_err(reply::failure)?;
                let secured = greeted.passive_stream_builder(passive).into_secure(tls.clone(), host).await;
                secured.map_err(|error| match &error {
                    FtpError::UnexpectedResponse(answer) => {
                        reply::has_no_tls(answer).map_or(error, reply::passed)
                    }
                    _ => error,
                })
            }
        }
        .map_err(|error| failure(tls.as_ref(), error))?;
        ftp.set_encoding(Bytes).await;
        let mut session = Session {
            ftp,
            account: account.clone(),
            tls,
            reply_timeout: tuning.reply_timeout,
            features: Features::default(),
            home: None,
            is_away: false,
            is_broken: false,
        };
        session.log_in().await?;
        if account.security == Security::Implicit {
            session.protect().await?;
        }
        let image = timeout(session.reply_timeout, session.ftp.transfer_type(FileType::Image)).await;
        session.answered("TYPE", image)?;
        session.find_features(peer.is_ipv6()).await?;
        Ok(session)
    }

    async fn log_in(&mut self) -> Attempt<()> {
        let login = &self.account.login;
        let (user, password) = (characters(login.user.as_bytes()), characters(login.password.as_bytes()));
        let logged_in = timeout(self.reply_timeout, self.ftp.login(user, password)).await;
        self.answered("the login", logged_in)
    }

    /// Asks for TLS on data connections too (RFC 4217): with AUTH TLS the library does.
    async fn protect(&mut self) -> Attempt<()> {
        for command in ["PBSZ 0", "PROT P"] {
            let done =
                timeout(self.reply_timeout, self.ftp.custom_command(command, &[Status::CommandOk])).await;
            self.answered(command, done)?;
        }
        Ok(())
    }

    /// FEAT is optional: a server that refuses it, or whose answer cannot be read, has no features.
    async fn find_features(&mut self, is_ipv6: bool) -> Attempt<()> {
        // To the library an answer is whole that it does not expect; of one to its own FEAT it takes no line that is not as it should be.
        let answer = timeout(self.reply_timeout, self.ftp.custom_command("FEAT", &[])).await;
        self.features = match answer {
            Ok(Err(FtpError::UnexpectedResponse(answer))) if reply::code(&answer) != 421 => {
                Features::of_answer(&answer.body)
            }
            Ok(Err(FtpError::BadResponse)) => Features::default(),
            answer => self.answered("FEAT", answer).map(|_| Features::default())?,
        };
        if self.features.epsv || is_ipv6 {
            self.ftp.set_mode(Mode::ExtendedPassive);
        }
        Ok(())
    }

    /// For whom it is.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Takes over the limits of who uses it next.
    pub fn be_patient(&mut self, tuning: &Tuning) {
        self.reply_timeout = tuning.reply_timeout;
    }

    /// What the server can do.
    pub fn features(&self) -> Features {
        self.features
    }

    /// Whether it is of no more use.
    pub fn is_broken(&self) -> bool {
        self.is_broken || self.tls.as_ref().is_some_and(Connector::is_spent)
    }

    /// Whether the server still answers.
    pub async fn is_alive(&mut self) -> bool {
        matches!(timeout(RECOVERY, self.ftp.noop()).await, Ok(Ok(())))
    }

    /// What a command came to. Whatever but an answer leaves the session broken.
    fn answered<T>(&mut self, to: &str, outcome: Result<FtpResult<T>, Elapsed>) -> Attempt<T> {
        let failure = match outcome {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => {
                self.is_broken |= !reply::is_refusal(&error);
                failure(self.tls.as_ref(), error)
            }
            Err(Elapsed { .. }) => {
                self.is_broken = true;
                Failure::later(
                    Code::ETIMEDOUT,
                    format!("no answer to {to} within {}", written_duration(self.reply_timeout)),
                )
            }
        };
        // A server may repeat what it was sent.
        let password = &self.account.login.password;
        let text = match password.len() {
            SECRET_MIN.. => failure.text.replace(password.as_str(), "***"),
            _ => failure.text,
        };
        Err(Failure { text, ..failure })
    }

    /// What is known of a file or folder.
    ///
    /// # Errors
    /// ENOENT: there is none. EACCES: it may not be seen.
    pub async fn facts(&mut self, path: &Path) -> Attempt<Facts> {
        let argument = path.argument();
        if self.features.mlst {
            let entry = timeout(
                self.reply_timeout,
                self.ftp.mlst(Some(&argument).filter(|path| !path.is_empty()).map(String::as_str)),
            )
            .await;
            let entry = self.answered("MLST", entry)?;
            return Facts::of_entry(&entry)
                .map(|(facts, _)| facts)
                .ok_or_else(|| Failure::protocol("an answer to MLST without facts"));
        }
        if path.is_folder() {
            return self.folder(path).await;
        }
        let size = match self.ask("SIZE", &argument).await {
            Ok(Err(error)) if reply::is_unknown_command(&error) => None,
            answer => match self.answered("SIZE", answer) {
                Ok(answer) => reply::value(&answer).and_then(|size| size.parse().ok()),
                // Servers refuse it for folders in words of their own.
                Err(failure) if !self.is_broken && failure.retry == Retry::No => {
                    return self
                        .folder(path)
                        .await
                        .map_err(|other| if other.retry == Retry::No { failure } else { other });
                }
                Err(failure) => return Err(failure),
            },
        };
        let answer = self.ask("MDTM", &argument).await;
        let modified = match self.answered("MDTM", answer) {
            Ok(answer) => reply::value(&answer).and_then(facts::time),
            Err(_) if !self.is_broken => None,
            Err(failure) => return Err(failure),
        };
        Ok(Facts { kind: Kind::Regular, size, modified })
    }

    /// Asks for a number, which not every server has behind its 213.
    async fn ask(&mut self, verb: &str, argument: &str) -> Result<FtpResult<Response>, Elapsed> {
        let command = format!("{verb} {argument}");
        timeout(self.reply_timeout, self.ftp.custom_command(command, &[Status::File])).await
    }

    /// The facts of a folder, which is one if the server lets us in.
    async fn folder(&mut self, path: &Path) -> Attempt<Facts> {
        self.enter(path).await?;
        self.leave().await?;
        Ok(Facts::FOLDER)
    }

    /// Goes to a folder: relative paths begin there until [`leave`](Session::leave).
    async fn enter(&mut self, path: &Path) -> Attempt<()> {
        if self.home.is_none() {
            let home = timeout(self.reply_timeout, self.ftp.pwd()).await;
            self.home = Some(self.answered("PWD", home)?);
        }
        let argument = path.argument();
        if argument.is_empty() {
            return Ok(());
        }
        let entered = timeout(self.reply_timeout, self.ftp.cwd(&argument)).await;
        self.answered("CWD", entered)?;
        self.is_away = true;
        Ok(())
    }

    async fn leave(&mut self) -> Attempt<()> {
        if let Some(home) = self.home.as_deref().filter(|_| self.is_away) {
            let left = timeout(self.reply_timeout, self.ftp.cwd(home)).await;
            self.answered("CWD", left)?;
            self.is_away = false;
        }
        Ok(())
    }

    /// Begins to read a file from a place on.
    ///
    /// # Errors
    /// ENOENT, EACCES: there is none, or it may not be read. ENOTSUP: the server begins at the start only.
    pub async fn retrieve(&mut self, path: &Path, from: u64) -> Attempt<Data> {
        let at = usize::try_from(from)
            .map_err(|_| Failure::new(Code::EFBIG, format!("no place {from} in a file")))?;
        let begun = timeout(self.reply_timeout, async {
            self.ftp.resume_transfer(at).await?;
            self.ftp.retr_as_stream(path.argument()).await
        })
        .await;
        self.answered("RETR", begun)
    }

    /// Begins to list a folder, from inside it: so no name in its path is taken for a pattern or an option. Says whether the lines are MLSD's.
    ///
    /// # Errors
    /// ENOENT, EACCES: there is none, or it may not be listed. ENOTDIR: it is a file.
    pub async fn list(&mut self, path: &Path) -> Attempt<(Data, bool)> {
        if let Err(failure) = self.enter(path).await {
            let is_file = !self.is_broken
                && failure.retry == Retry::No
                && !path.is_folder()
                && self.facts(path).await.is_ok();
            return Err(if is_file { Failure::new(Code::ENOTDIR, "it is not a folder") } else { failure });
        }
        let (command, is_mlsd) = if self.features.mlst { ("MLSD", true) } else { ("LIST", false) };
        let opened = [Status::AboutToSend, Status::AlreadyOpen];
        let begun = timeout(self.reply_timeout, self.ftp.custom_data_command(command, &opened)).await;
        let (_, data) = self.answered(command, begun)?;
        Ok((data, is_mlsd))
    }

    /// Begins to write a file.
    ///
    /// # Errors
    /// EACCES, ENOENT: it may not be written there. ENOSPC.
    pub async fn store(&mut self, path: &Path) -> Attempt<Data> {
        let begun = timeout(self.reply_timeout, self.ftp.put_with_stream(path.argument())).await;
        self.answered("STOR", begun)
    }

    /// Ends a transfer: closes its connection, and hears what the server says of it.
    pub async fn complete(&mut self, data: Data) -> End {
        let completed = timeout(self.reply_timeout, data.finish()).await;
        let is_word = matches!(completed, Ok(Err(FtpError::UnexpectedResponse(_))));
        match self.answered("the end of the transfer", completed) {
            Ok(()) => End::Complete,
            Err(failure) if is_word || failure.retry == Retry::No => End::Refused(failure),
            Err(failure) => End::Unheard(failure),
        }
    }

    /// Breaks a transfer off by closing its connection. What the server says then comes in several orders: if the next command's
    /// answer does not fit, the session is broken.
    pub async fn break_off(&mut self, data: Data) {
        let next = timeout(RECOVERY, async {
            // Whatever it says of that.
            let _ = data.finish().await;
            self.ftp.noop().await
        });
        let is_well = matches!(next.await, Ok(Ok(())));
        self.is_broken |= !is_well;
    }

    /// Why the server ended an upload, if it says so. The session ends with it: the library would wait for the same words again.
    pub async fn last_words(mut self, data: Data) -> Option<Failure> {
        let said = timeout(RECOVERY, self.ftp.read_response_in(&[])).await;
        let said = self.answered("the upload", said).err();
        drop(data);
        said.filter(|_| !self.is_broken)
    }

    /// Makes it ready for whoever comes next.
    pub async fn rest(&mut self) {
        if !self.is_broken && self.leave().await.is_err() {
            self.is_broken = true;
        }
    }

    /// Gives a file another name.
    ///
    /// # Errors
    /// EACCES, EEXIST: the server doesn't.
    pub async fn rename(&mut self, from: &Path, to: &Path) -> Attempt<()> {
        let renamed = timeout(self.reply_timeout, self.ftp.rename(from.argument(), to.argument())).await;
        self.answered("RNTO", renamed)
    }

    /// Sets the time of the last change.
    ///
    /// # Errors
    /// ENOTSUP: the server has no MFMT. ENOENT, EACCES: the server doesn't.
    pub async fn set_modified(&mut self, path: &Path, time: SystemTime) -> Attempt<()> {
        if !self.features.mfmt {
            let text = "the server sets no times: it has no MFMT";
            return Err(Failure::new(Code::ENOTSUP, text));
        }
        let verb = format!("MFMT {}", facts::written(time));
        let set = self.ask(&verb, &path.argument()).await;
        match self.answered("MFMT", set) {
            Err(failure)
                if failure.retry == Retry::No
                    && self.facts(path).await.is_ok_and(|facts| facts.kind == Kind::Directory) =>
            {
                Err(Failure { code: Code::ENOTSUP, ..failure })
            }
            set => set.map(drop),
        }
    }

    /// Removes a file.
    ///
    /// # Errors
    /// ENOENT, EACCES: the server doesn't.
    pub async fn remove(&mut self, path: &Path) -> Attempt<()> {
        let removed = timeout(self.reply_timeout, self.ftp.rm(path.argument())).await;
        self.answered("DELE", removed)
    }

    /// Makes a folder.
    ///
    /// # Errors
    /// EEXIST: something has that name, which servers say in many ways. ENOENT, EACCES: the server doesn't.
    pub async fn make_folder(&mut self, path: &Path) -> Attempt<()> {
        let made = timeout(self.reply_timeout, self.ftp.mkdir(path.argument())).await;
        match self.answered("MKD", made) {
            Err(failure) if failure.retry == Retry::No && self.facts(path).await.is_ok() => {
                Err(Failure::new(Code::EEXIST, Code::EEXIST.text()))
            }
            made => made,
        }
    }

    /// Removes an empty folder.
    ///
    /// # Errors
    /// ENOTDIR: it is a file. ENOTEMPTY, ENOENT, EACCES: the server doesn't; not all of them say that it is not empty.
    pub async fn remove_folder(&mut self, path: &Path) -> Attempt<()> {
        let removed = timeout(self.reply_timeout, self.ftp.rmdir(path.argument())).await;
        match self.answered("RMD", removed) {
            Err(failure) if failure.retry == Retry::No => match self.facts(path).await {
                Ok(facts) if facts.kind != Kind::Directory => {
                    Err(Failure::new(Code::ENOTDIR, Code::ENOTDIR.text()))
                }
                _ => Err(failure),
            },
            removed => removed,
        }
    }
}

/// What an error of the library means.
fn failure(tls: Option<&Connector>, error: FtpError) -> Failure {
    match (&error, tls) {
        (FtpError::SecureError(_), Some(tls)) => tls.failure(error),
        (FtpError::UnexpectedResponse(answer), None) => {
            reply::demands_tls(answer).unwrap_or_else(|| reply::failure(error))
        }
        _ => reply::failure(error),
    }
}

async fn data_connection(address: SocketAddr) -> FtpResult<TcpStream> {
    TcpStream::connect(address).await.map_err(|error: io::Error| {
        let errno = rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO);
        let failure = refused(address, errno).context("the data connection");
        // The server was there a moment ago.
        let retry = if failure.retry == Retry::No { Retry::No } else { Retry::Later(None) };
        reply::passed(Failure { retry, ..failure })
    })
}

/// File names are bytes: each is a character to the library.
#[derive(Clone, Copy, Debug)]
struct Bytes;

impl Encoding for Bytes {
    fn decode(&self, bytes: &[u8]) -> String {
        characters(bytes)
    }

    fn encode(&self, text: &str) -> io::Result<Vec<u8>> {
        let byte =
            |character| u8::try_from(u32::from(character)).map_err(|_| io::ErrorKind::InvalidInput.into());
        text.chars().map(byte).collect()
    }
}
