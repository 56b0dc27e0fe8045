//! A data connection in the clear, lent to whoever reads. Handed over from a thread of the runtime, each block would cost a copy and a
//! switch of threads more; and a runtime wakes up for each packet that arrives on a connection of its own, wanted or not.

use crate::caller::Caller;
use crate::session::Data;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::io;
use std::mem;
use std::net;
use std::time::Duration;
use suppaftp::tokio::AsyncDataStream;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use vfs_core::Events;
use zvfs_net::failure::{Attempt, Failure};
use zvfs_net::socket;
use zvfs_net::waiting::Waiting;

/// The connection, in the reader's hands. Dropped, it is closed.
pub struct Lent {
    socket: net::TcpStream,
    back: oneshot::Sender<net::TcpStream>,
    stall: Duration,
}

/// Its way back to the transfer.
pub struct Back(oneshot::Receiver<net::TcpStream>);

impl Lent {
    /// Takes the connection out of a transfer; `None`: it has TLS, which the library keeps. On a thread of the runtime.
    ///
    /// # Errors
    /// EMFILE: none is left for the socket, connected to nothing, that takes its place.
    pub fn of(data: &mut Data, stall: Duration) -> Attempt<Option<(Lent, Back)>> {
        let AsyncDataStream::Tcp(stream) = data.get_mut() else { return Ok(None) };
        let taken = unconnected().and_then(|placeholder| mem::replace(stream, placeholder).into_std());
        let socket = taken.map_err(|error| {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            Failure::system(errno).context("the data connection")
        })?;
        let (sender, receiver) = oneshot::channel();
        Ok(Some((Lent { socket, back: sender, stall }, Back(receiver))))
    }

    /// Receives what is there, and waits for it if nothing is; 0: the server sends no more.
    ///
    /// # Errors
    /// ECONNRESET: the connection is lost. ETIMEDOUT: nothing came for too long. The caller's.
    pub fn receive(&self, buf: &mut [u8], caller: &Caller) -> Attempt<usize> {
        let waiting = Waiting::silence(&caller.context, self.stall, "bytes").on(&caller.origin);
        loop {
            match socket::receive(&self.socket, buf) {
                Ok(Some(count)) => return Ok(count),
                Ok(None) => waiting.ready(&self.socket, Events::READ).map(drop)?,
                Err(errno) => return Err(Failure::lost(errno)),
            }
        }
    }

    /// Gives it back.
    pub fn give_back(self) {
        // Where nobody takes it, the instance ends.
        let _ = self.back.send(self.socket);
    }
}

impl Back {
    /// Waits until the connection is given back, and puts it into its transfer again. Returns whether it was.
    pub async fn put(self, data: &mut Data) -> bool {
        let Ok(socket) = self.0.await else { return false };
        let stream = TcpStream::from_std(socket);
        stream.map(|stream| *data.get_mut() = AsyncDataStream::Tcp(stream)).is_ok()
    }
}

fn unconnected() -> io::Result<TcpStream> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    TcpStream::from_std(socket.into())
}
