//! Somebody between the two ends of a pipe, or between an end and a server.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Keeps what goes through.
pub struct Between {
    /// Where it listens, on loopback.
    pub port: u16,
    passed: Arc<Mutex<Vec<u8>>>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Between {
    /// Between whoever comes to it and a port of this machine.
    pub fn new(to: u16) -> Between {
        Between::accepting(TcpListener::bind("127.0.0.1:0").unwrap(), move || connected(to))
    }

    /// Between whoever comes to a listener and whoever is dialled.
    pub fn accepting(
        listener: TcpListener,
        dial: impl Fn() -> Option<TcpStream> + Send + 'static,
    ) -> Between {
        let between = Between {
            port: listener.local_addr().unwrap().port(),
            passed: Arc::default(),
            streams: Arc::default(),
        };
        let (passed, streams) = (between.passed.clone(), between.streams.clone());
        thread::spawn(move || {
            for dialler in listener.incoming().map_while(Result::ok) {
                // Nobody is there: whoever came is sent away.
                let Some(acceptor) = dial() else { continue };
                let ends = || [&dialler, &acceptor].map(|end| end.try_clone().unwrap());
                streams.lock().unwrap().extend(ends());
                for [from, to] in [ends(), [acceptor.try_clone().unwrap(), dialler.try_clone().unwrap()]] {
                    let passed = passed.clone();
                    thread::spawn(move || pass(from, to, &passed));
                }
            }
        });
        between
    }

    /// The bytes that went through, both ways.
    pub fn count(&self) -> usize {
        self.passed.lock().unwrap().len()
    }

    /// Whether these were among them.
    pub fn passed(&self, bytes: &[u8]) -> bool {
        self.passed.lock().unwrap().windows(bytes.len()).any(|passed| passed == bytes)
    }

    /// Ends all connections.
    pub fn cut(&self) {
        for stream in self.streams.lock().unwrap().iter() {
            // One that is over already cannot be cut.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// As soon as somebody listens.
fn connected(port: u16) -> Option<TcpStream> {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => return Some(stream),
            Err(_) if Instant::now() < until => thread::yield_now(),
            Err(_) => return None,
        }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, passed: &Mutex<Vec<u8>>) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut bytes) {
        passed.lock().unwrap().extend_from_slice(&bytes[..read]);
        if to.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
