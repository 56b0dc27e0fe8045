//! The other end of a connection, in the test's own hands.

use crate::common::SLACK;
use netpipe::{Established, Handshake, Hello, Local, Progress};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

/// A listener, and how it is dialled.
pub fn listening() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let descriptor = format!("tcp://{}", listener.local_addr().unwrap());
    (listener, descriptor)
}

/// Connects as soon as somebody listens.
pub fn connect(port: u16) -> TcpStream {
    let start = Instant::now();
    loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => {
                stream.set_read_timeout(Some(SLACK)).unwrap();
                return stream;
            }
            Err(error) => assert!(start.elapsed() < SLACK, "{error}"),
        }
        std::thread::yield_now();
    }
}

/// Takes part in a handshake, to its end.
pub fn shake_hands(stream: &mut TcpStream, mut side: Handshake) -> Established {
    loop {
        stream.write_all(&side.output()).unwrap();
        let mut bytes = vec![0; side.want()];
        let count = stream.read(&mut bytes).unwrap();
        assert!(count > 0, "closed during the handshake");
        let mut progress = side.input(&mut &bytes[..count]).unwrap();
        if let Progress::Hello(_) = progress {
            progress = side.accept(Local { features: 1, ..Local::default() }, None).unwrap();
        }
        if let Progress::Done(established) = progress {
            stream.write_all(&side.output()).unwrap();
            return established;
        }
    }
}

/// Lets in who comes.
pub fn accept(listener: &TcpListener) -> (Established, TcpStream) {
    let (mut stream, _) = listener.accept().unwrap();
    (shake_hands(&mut stream, Handshake::acceptor(None)), stream)
}

/// Dials with this HELLO.
pub fn dial(port: u16, hello: Hello) -> (Established, TcpStream) {
    let mut stream = connect(port);
    (shake_hands(&mut stream, Handshake::dialler(hello, None, None).unwrap()), stream)
}

/// All that comes: how the connection was answered.
pub fn answer(stream: &mut TcpStream) -> Vec<u8> {
    stream.set_read_timeout(Some(SLACK)).unwrap();
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => bytes,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => bytes,
        Err(error) => panic!("{error}"),
    }
}
