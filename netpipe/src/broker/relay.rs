//! Joins two connections byte by byte. The bytes stay in the kernel: socket, pipe, socket.

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_linger;
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};
use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// What is moved at once: a pipe's usual capacity.
const PIECE: usize = 64 * 1024;
/// Moves per call, so that one busy relay doesn't keep the loop from the others.
const ROUNDS: usize = 32;

/// What has become of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RelayState {
    /// Both ends live, or what one sent before it was lost is still on its way: ask again when an event comes.
    Running,
    /// Both directions came to an orderly end.
    Finished,
    /// One end was reset and nothing is left of what it sent: the other has to be reset too.
    Broken,
}

/// Two joined connections, their bytes in flight, and what each waits for.
#[derive(Debug)]
pub(super) struct Relay {
    ends: [End; 2],
    /// The flow at an index goes from that end to the other.
    flows: [Flow; 2],
}

#[derive(Debug)]
struct End {
    stream: TcpStream,
    lost: bool,
}

/// One direction of a relay.
#[derive(Debug)]
pub(super) struct Flow {
    outlet: OwnedFd,
    inlet: OwnedFd,
    /// Bytes in the pipe. New ones are taken only when there are none: EAGAIN then has one meaning.
    inside: usize,
    moved: u64,
    source_ended: bool,
    sink_ended: bool,
}

impl Relay {
    /// Joins two connections by flows that [`Flow::new`] made; the one at an index goes from that end.
    pub(super) fn join(streams: [TcpStream; 2], flows: [Flow; 2]) -> Self {
        Self { ends: streams.map(|stream| End { stream, lost: false }), flows }
    }

    /// The connection of one end, for the event queue.
    pub(super) fn stream(&self, end: usize) -> &TcpStream {
        &self.ends[end].stream
    }

    /// Tells how many bytes each end has sent to the other.
    pub(super) fn moved(&self) -> [u64; 2] {
        [self.flows[0].moved, self.flows[1].moved]
    }

    /// Notes that an end's connection failed.
    pub(super) fn lose(&mut self, end: usize) {
        self.ends[end].lost = true;
    }

    /// Whether an end's connection failed.
    pub(super) fn is_lost(&self, end: usize) -> bool {
        self.ends[end].lost
    }

    /// Tells whether an end was lost, so that the relay has only a short time left.
    pub(super) fn has_lost_end(&self) -> bool {
        self.ends[0].lost || self.ends[1].lost
    }

    /// What to wait for at an end; nothing at one that is lost, whose error would be reported for ever.
    pub(super) fn interest(&self, end: usize) -> EventFlags {
        let mut flags = EventFlags::empty();
        if self.ends[end].lost {
            return flags;
        }
        let (from, to) = (&self.flows[end], &self.flows[1 - end]);
        if from.inside == 0 && !from.source_ended && !self.ends[1 - end].lost {
            flags |= EventFlags::IN;
        }
        if to.inside > 0 {
            flags |= EventFlags::OUT;
        }
        flags
    }

    /// Moves what can be moved without waiting.
    pub(super) fn advance(&mut self) -> RelayState {
        // The second may find an end lost that the first has already passed: its rest has to be moved then.
        while self.advance_both() {}
        match (self.ends[0].lost, self.ends[1].lost) {
            (true, true) => RelayState::Broken,
            (true, false) if self.flows[0].is_dry() => RelayState::Broken,
            (false, true) if self.flows[1].is_dry() => RelayState::Broken,
            (false, false) if self.flows.iter().all(|flow| flow.sink_ended) => RelayState::Finished,
            _ => RelayState::Running,
        }
    }

    /// Resets both connections, so that neither end can take this for an orderly end.
    pub(super) fn abort(self) {
        self.ends.iter().for_each(|end| abort(&end.stream));
    }

    /// Advances both flows, and returns whether that found an end lost.
    fn advance_both(&mut self) -> bool {
        let lost = self.ends.each_ref().map(|end| end.lost);
        self.advance_flow(0);
        self.advance_flow(1);
        lost != self.ends.each_ref().map(|end| end.lost)
    }

    fn advance_flow(&mut self, from: usize) {
        let to = 1 - from;
        let flow = &mut self.flows[from];
        let mut rounds = 0;
        // A source that has ended, or is lost, has no more events to go on with, and no more in it than a socket's buffer.
        while !self.ends[to].lost && (rounds < ROUNDS || flow.source_ended || self.ends[from].lost) {
            rounds += 1;
            if flow.inside > 0 {
                match flow.drain(&self.ends[to].stream) {
                    Ok(()) | Err(Errno::INTR) => {}
                    Err(Errno::AGAIN) => return,
                    Err(_) => self.ends[to].lost = true,
                }
            } else if flow.source_ended {
                if !flow.sink_ended && !self.ends[from].lost {
                    flow.sink_ended = true;
                    // It fails only if the other end is gone; its own flow shows that.
                    let _ = self.ends[to].stream.shutdown(Shutdown::Write);
                }
                return;
            } else {
                match flow.fill(&self.ends[from].stream) {
                    Ok(()) | Err(Errno::INTR) => {}
                    Err(Errno::AGAIN) if !self.ends[from].lost => return,
                    Err(_) => {
                        self.ends[from].lost = true;
                        flow.source_ended = true;
                    }
                }
            }
        }
    }
}

impl Flow {
    /// Makes a flow in which some bytes are on their way already.
    ///
    /// # Errors
    /// The process or the user has no room for one more pipe.
    pub(super) fn new(first: &[u8]) -> io::Result<Self> {
        let (outlet, inlet) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let mut flow = Self { outlet, inlet, inside: 0, moved: 0, source_ended: false, sink_ended: false };
        if !first.is_empty() {
            flow.inside = rustix::io::write(&flow.inlet, first)?;
            if flow.inside < first.len() {
                return Err(io::Error::other("the pipe is too small for what came with the handshake"));
            }
        }
        Ok(flow)
    }

    fn fill(&mut self, source: &TcpStream) -> rustix::io::Result<()> {
        let count =
            splice(source, None, &self.inlet, None, PIECE, SpliceFlags::NONBLOCK | SpliceFlags::MOVE)?;
        self.inside = count;
        self.source_ended = count == 0;
        Ok(())
    }

    fn drain(&mut self, sink: &TcpStream) -> rustix::io::Result<()> {
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        let count = splice(&self.outlet, None, sink, None, self.inside, flags)?;
        if count == 0 {
            return Err(Errno::IO);
        }
        self.inside = self.inside.saturating_sub(count);
        self.moved += count as u64;
        Ok(())
    }

    fn is_dry(&self) -> bool {
        self.inside == 0 && self.source_ended
    }
}

/// Makes the coming close of a connection a reset.
pub(super) fn abort(stream: &TcpStream) {
    // Without it the peer sees an end instead of a reset: its own protocol still tells one from the other.
    let _ = set_socket_linger(stream, Some(Duration::ZERO));
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::ioctl_fionread;
    use rustix::net::sockopt::set_socket_recv_buffer_size;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    /// A peer, and the relay's connection to it, which holds a megabyte and more.
    fn connection() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        set_socket_recv_buffer_size(&listener, 2 << 20).unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (relayed, _) = listener.accept().unwrap();
        relayed.set_nonblocking(true).unwrap();
        (peer, relayed)
    }

    /// An end that was found in the last round of a call was not passed on, and nothing was waited for any more: for one relay in
    /// thirty-two, depending on how the bytes had come, whoever read it waited for ever.
    #[test]
    fn an_end_is_passed_on_in_whichever_round_it_is_found() {
        for pieces in 0..=ROUNDS / 2 {
            for first in [&b""[..], b"handshake"] {
                let ((mut one, left), (mut two, right)) = (connection(), connection());
                let total = pieces * PIECE;
                one.write_all(&vec![7; total]).unwrap();
                one.shutdown(Shutdown::Write).unwrap();
                while ioctl_fionread(&left).unwrap() < total as u64 {
                    thread::yield_now();
                }
                let reading = thread::spawn(move || {
                    let mut bytes = Vec::new();
                    two.read_to_end(&mut bytes).map(|count| (count, two))
                });
                let flows = [Flow::new(first).unwrap(), Flow::new(b"").unwrap()];
                let mut relay = Relay::join([left, right], flows);
                while !relay.flows[0].sink_ended {
                    assert_eq!(relay.advance(), RelayState::Running);
                    let waits = relay.interest(0).contains(EventFlags::IN)
                        || relay.interest(1).contains(EventFlags::OUT);
                    assert!(
                        relay.flows[0].sink_ended || waits,
                        "nothing is waited for after {pieces} pieces"
                    );
                    thread::yield_now();
                }
                assert_eq!(reading.join().unwrap().unwrap().0, first.len() + total);
            }
        }
    }
}
