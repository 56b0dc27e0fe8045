//! Sockets.

use crate::{Case, Outcome, Setting, allowed, by_filter, by_landlock, call, raise};
use std::io;
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::fd::AsRawFd;
use vfs_core::Walls;

const INET: usize = libc::AF_INET as usize;
const STREAM: usize = libc::SOCK_STREAM as usize;
const DATAGRAM: usize = libc::SOCK_DGRAM as usize;

pub fn cases() -> Vec<Case> {
    vec![
        ("no_socket_without_a_permission", no_sockets),
        ("tcp_connect_connects_and_does_not_listen", connects_only),
        ("tcp_listen_listens_and_does_not_connect", listens_only),
        ("udp_sends_and_makes_no_tcp", udp_only),
        ("dns_resolves", resolves),
        ("no_other_family_or_protocol", other_families),
        ("no_unix_socket_but_a_pair", unix_sockets),
        ("fastopen_connects_nowhere", fastopen),
        ("no_close_waits_for_a_peer", lingering),
    ]
}

fn everything() -> Walls {
    Walls { tcp_connect: true, tcp_listen: true, udp: true, dns: true, ..Walls::default() }
}

fn socket(family: usize, kind: usize, protocol: usize) -> io::Result<usize> {
    call(libc::SYS_socket, [family, kind, protocol])
}

fn no_sockets(setting: &Setting) -> Outcome {
    raise(&Walls::default())?;
    by_filter("tcp", TcpStream::connect(("127.0.0.1", setting.port)))?;
    by_filter("tcp", TcpListener::bind("127.0.0.1:0"))?;
    by_filter("udp", UdpSocket::bind("127.0.0.1:0"))
}

fn connects_only(setting: &Setting) -> Outcome {
    raise(&Walls { tcp_connect: true, ..Walls::default() })?;
    allowed("connect", TcpStream::connect(("127.0.0.1", setting.port)))?;
    by_landlock("bind", TcpListener::bind("127.0.0.1:0"))?;
    let unbound = allowed("socket", socket(INET, STREAM, 0))?;
    by_filter("listen without bind", call(libc::SYS_listen, [unbound, 1]))?;
    by_filter("udp", UdpSocket::bind("127.0.0.1:0"))
}

fn listens_only(setting: &Setting) -> Outcome {
    raise(&Walls { tcp_listen: true, ..Walls::default() })?;
    let listener = allowed("listen", TcpListener::bind("127.0.0.1:0"))?;
    listener.set_nonblocking(true)?;
    let accepted = listener.accept().map_err(|error| error.kind());
    assert_eq!(accepted.err(), Some(io::ErrorKind::WouldBlock));
    by_landlock("connect", TcpStream::connect(("127.0.0.1", setting.port)))
}

fn udp_only(_: &Setting) -> Outcome {
    raise(&Walls { udp: true, ..Walls::default() })?;
    let (sender, receiver) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    allowed("send", sender.send_to(b"x", receiver.local_addr()?))?;
    let mut buf = [0; 2];
    assert_eq!(allowed("receive", receiver.recv(&mut buf))?, 1);
    by_filter("tcp", socket(INET, STREAM, 0))
}

fn resolves(_: &Setting) -> Outcome {
    raise(&Walls { dns: true, ..Walls::default() })?;
    assert!(allowed("localhost", ("localhost", 80).to_socket_addrs())?.count() > 0);
    allowed("/etc/hosts", std::fs::read("/etc/hosts"))?;
    by_landlock("/etc/passwd", std::fs::read("/etc/passwd"))
}

fn other_families(_: &Setting) -> Outcome {
    raise(&everything())?;
    allowed("tcp", socket(INET, STREAM | libc::SOCK_CLOEXEC as usize, libc::IPPROTO_TCP as usize))?;
    allowed("udp", socket(INET, DATAGRAM, 0))?;
    for (what, family, kind, protocol) in [
        ("mptcp", INET, STREAM, 262),
        ("sctp", INET, STREAM, 132),
        ("ping", INET, DATAGRAM, libc::IPPROTO_ICMP as usize),
        ("raw", INET, libc::SOCK_RAW as usize, 255),
        ("netlink", libc::AF_NETLINK as usize, DATAGRAM, 0),
        ("packet", libc::AF_PACKET as usize, DATAGRAM, 0),
        ("vsock", libc::AF_VSOCK as usize, STREAM, 0),
        ("alg", libc::AF_ALG as usize, libc::SOCK_SEQPACKET as usize, 0),
        ("smc", 43, STREAM, 0),
        // The kernel looks at the lower half of a number, and so does the filter.
        ("unix, with more bits", libc::AF_UNIX as usize | 1 << 32, STREAM, 0),
    ] {
        by_filter(what, socket(family, kind, protocol))?;
    }
    Ok(())
}

fn unix_sockets(_: &Setting) -> Outcome {
    raise(&everything())?;
    let unix = libc::AF_UNIX as usize;
    by_filter("a unix socket", std::os::unix::net::UnixStream::connect("/run/docker.sock"))?;
    by_filter("a unix socket", socket(unix, DATAGRAM, 0))?;
    let mut pair = [0_i32; 2];
    let mut pair_of = |kind: usize| call(libc::SYS_socketpair, [unix, kind, 0, pair.as_mut_ptr() as usize]);
    by_filter("a pair that could send elsewhere", pair_of(DATAGRAM))?;
    by_filter("the same", pair_of(libc::SOCK_RAW as usize))?;
    allowed("a pair of streams", pair_of(STREAM | libc::SOCK_NONBLOCK as usize))?;
    allowed("a pair of packets", pair_of(libc::SOCK_SEQPACKET as usize))?;
    let mut waiting = 0_i32;
    let arguments = [pair[0] as usize, libc::FIONREAD as usize, (&raw mut waiting) as usize];
    allowed("bytes that wait", call(libc::SYS_ioctl, arguments))?;
    Ok(())
}

fn fastopen(setting: &Setting) -> Outcome {
    raise(&Walls { tcp_listen: true, ..Walls::default() })?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: setting.port.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes([127, 0, 0, 1]) },
        sin_zero: [0; 8],
    };
    let (at, size) = ((&raw const address) as usize, size_of_val(&address));
    let (socket, flags) = (allowed("socket", socket(INET, STREAM, 0))?, libc::MSG_FASTOPEN as usize);
    by_filter("sendto", call(libc::SYS_sendto, [socket, c"x".as_ptr() as usize, 1, flags, at, size]))?;
    by_filter("sendmsg", call(libc::SYS_sendmsg, [socket, 0, flags]))?;
    by_filter("sendmmsg", call(libc::SYS_sendmmsg, [socket, 0, 1, flags]))?;
    let on = 1_i32;
    for option in [libc::TCP_FASTOPEN, libc::TCP_FASTOPEN_CONNECT, libc::TCP_ULP] {
        let set = |socket: usize| {
            let on = (&raw const on) as usize;
            call(libc::SYS_setsockopt, [socket, libc::IPPROTO_TCP as usize, option as usize, on, 4])
        };
        by_filter("setsockopt", set(socket))?;
        by_filter("setsockopt", set(listener.as_raw_fd() as usize))?;
    }
    Ok(())
}

fn lingering(setting: &Setting) -> Outcome {
    raise(&everything())?;
    let stream = allowed("connect", TcpStream::connect(("127.0.0.1", setting.port)))?;
    let (socket, option) = (stream.as_raw_fd() as usize, libc::SO_LINGER as usize);
    let long = libc::linger { l_onoff: 1, l_linger: 3600 };
    let place = [&raw const long as usize, size_of_val(&long)];
    let set = call(libc::SYS_setsockopt, [socket, libc::SOL_SOCKET as usize, option, place[0], place[1]]);
    by_filter("SO_LINGER", set)
}
