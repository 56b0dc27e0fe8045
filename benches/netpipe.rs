//! A netpipe on loopback against a bare TCP connection and a FIFO with the same calls, against socat and iperf3 with writes of
//! the same size; one through shared memory against a FIFO, beside the least program in C that does the same; over a long line; and
//! round trips. What the command line names is run: `cargo bench --bench netpipe -- socat "round trip"`.

mod limits;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use vfs_core::{Configuration, Finish, Flush, OpenFile, OpenFlags, OpenOptions, Registry};
use zvfs_benches::peers::{self, Failure};
use zvfs_benches::pipes::{Writes, drain, expect, rows};
use zvfs_benches::{heading, is_wanted, pair_timed, provider_folder};
use zvfs_test_support::{fifo, find, free_port};

const WRITES: [Writes; 4] = [
    ("64 B", 64, 4 << 20),
    ("4 KiB", 4 << 10, 64 << 20),
    ("64 KiB", 64 << 10, 256 << 20),
    ("1 MiB", 1 << 20, 256 << 20),
];
const TRIPS: u64 = 5_000;
/// More frames than a pipe's ends go over TCP on one host.
const SHORT: usize = 1100;

fn main() -> Result<(), Failure> {
    let (plain, checked) = (hosts("off", "host")?, hosts("on", "host")?);
    let shared = Hosts { shares: true, ..of_settings("crc = \"off\", same-host = \"on\"", "host")? };
    let folder = tempfile::tempdir()?;
    let fifo = fifo(folder.path().join("fifo"));
    let tcp = "a bare TCP connection";
    let through_fifo = |size: usize, total: usize| peers::through_fifo(&fifo, size, total);
    let through = |hosts: &Hosts, size, total| through_netpipe(hosts, size, total);
    streams("without CRC", "a netpipe", |size, total| through(&plain, size, total), tcp, through_tcp);
    streams("with CRC", "a netpipe", |size, total| through(&checked, size, total), tcp, through_tcp);
    streams("without CRC", "a netpipe", |size, total| through(&plain, size, total), "a FIFO", through_fifo);
    streams("on one host", "a netpipe", |size, total| through(&shared, size, total), "a FIFO", through_fifo);
    if is_wanted("on one host, short pipes") {
        let apart = of_settings("crc = \"off\", same-host = \"off\"", "host")?;
        heading("on one host, short pipes", "through memory", "over TCP");
        for (name, side, each) in [
            ("one, a byte", 1, 1),
            ("8 x 8, 4 KiB", 8, 4 << 10),
            ("16 x 16, 64 KiB", 16, 64 << 10),
            ("16 x 16, 512 KiB", 16, 512 << 10),
            ("4 x 4, 4 MiB", 4, 4 << 20),
            // They meet, and are over soon after.
            ("one, 20 MiB", 1, 20 << 20),
            ("4 x 4, 20 MiB", 4, 20 << 20),
        ] {
            let through = |hosts: &Hosts| expect(through_mesh(hosts, side, each));
            pair_timed(name, (side * side) as u64, || through(&shared), || through(&apart));
        }
    }
    let least = limits::Ring::build(folder.path())?;
    if let Some(ring) = &least {
        streams("on one host, in C", "a ring", |size, total| ring.flow(size, total), "a FIFO", through_fifo);
    } else {
        println!("\nno cc here: the rows in C are left out");
    }
    for (program, peer) in [
        ("socat", peers::through_socat as fn(usize, usize) -> Result<Duration, Failure>),
        ("iperf3", peers::through_iperf3),
    ] {
        if find(program).is_some() {
            let ours = |size, total| through(&plain, size, total);
            streams("without CRC", "a netpipe", ours, program, peer);
        } else {
            println!("\nno {program} here: its rows are left out");
        }
    }
    if is_wanted("a round trip of 64 bytes") {
        heading("a round trip of 64 bytes", "two netpipes", tcp);
        let ours = || expect(trips_by_netpipe(&plain));
        pair_timed("there and back", TRIPS, ours, || expect(trips_by_tcp(false)));
        heading("a round trip of 64 bytes", "two netpipes", "two bare TCP connections");
        pair_timed("there on one, back on the other", TRIPS, ours, || expect(trips_by_tcp(true)));
    }
    if is_wanted("a round trip of 64 bytes on one host") {
        heading("a round trip of 64 bytes on one host", "two netpipes", "two pipes");
        let ours = || expect(trips_by_netpipe(&shared));
        pair_timed("there on one, back on the other", TRIPS, ours, || expect(trips_by_pipes()));
        if let Some(ring) = &least {
            heading("a round trip of 64 bytes on one host, in C", "two rings", "two pipes");
            let ours = || expect(ring.trips(TRIPS));
            pair_timed("there on one, back on the other", TRIPS, ours, || expect(trips_by_pipes()));
        }
    }
    if is_wanted("over a line of 40 ms") {
        match limits::Line::lay(folder.path(), Duration::from_millis(20))? {
            Some(line) => {
                heading("each MiB, one way, over a line of 40 ms", "a netpipe", tcp);
                for (name, total) in [("of 16 MiB", 16 << 20), ("of 128 MiB", 128 << 20)] {
                    let ours = || expect(along_by_netpipe(&line, total));
                    pair_timed(name, (total >> 20) as u64, ours, || expect(along_by_tcp(&line, total)));
                }
            }
            None => println!("\nno long line can be laid here: its rows are left out"),
        }
    }
    if is_wanted("providers in processes") {
        let apart = hosts("off", "process")?;
        heading("providers in processes", "two netpipes", "two in the host");
        let [ours, peer] = [&apart, &plain];
        let trips = |two: &Hosts| expect(trips_by_netpipe(two));
        pair_timed("a round trip of 64 bytes", TRIPS, || trips(ours), || trips(peer));
        for (name, size, total) in WRITES {
            let through = |two: &Hosts| expect(through_netpipe(two, size, total));
            pair_timed(
                &format!("each MiB, {name}"),
                (total >> 20) as u64,
                || through(ours),
                || through(peer),
            );
        }
    }
    Ok(())
}

/// The rows of one peer, one for each size of a write.
fn streams(
    title: &str,
    ours: &str,
    through_ours: impl Fn(usize, usize) -> Result<Duration, Failure>,
    peer: &str,
    through_peer: impl Fn(usize, usize) -> Result<Duration, Failure>,
) {
    let title = format!("each MiB, one way, {title}");
    if !is_wanted(&format!("{title} {peer}")) {
        return;
    }
    rows(&title, (ours, through_ours), (peer, through_peer), &WRITES);
}

/// Two hosts in one process.
struct Hosts {
    left: Registry,
    right: Registry,
    /// Their ends are to meet: over TCP something else would be measured.
    shares: bool,
}

fn hosts(crc: &str, place: &str) -> Result<Hosts, Failure> {
    of_settings(&format!("crc = {crc:?}, same-host = \"off\""), place)
}

/// A registry each, and so an instance each, in the host or in processes. (`zvfs-provider` lies one folder above the libraries.)
fn of_settings(settings: &str, place: &str) -> Result<Hosts, Failure> {
    Ok(Hosts { left: registry(settings, place)?, right: registry(settings, place)?, shares: false })
}

fn registry(settings: &str, place: &str) -> Result<Registry, Failure> {
    let folder = provider_folder().display().to_string();
    let may = if place == "process" { "may = { tcp-connect = true, tcp-listen = true }\n" } else { "" };
    let text = format!(
        "provider-path = [{folder:?}, \"{folder}/..\"]\n\
         [provider.tcp]\nplace = \"{place}\"\n{may}settings = {{ {settings} }}\n"
    );
    Ok(Registry::new(Configuration::parse(&text)?))
}

fn through_netpipe(hosts: &Hosts, size: usize, total: usize) -> Result<Duration, Failure> {
    let [(mut writer, mut reader)] = hosts.pipes([false])?;
    let start = Instant::now();
    let taking = thread::spawn(move || -> Result<usize, Failure> { drain(&mut reader) });
    pour(&mut writer, size, total)?;
    writer.finish(Finish::Commit)?;
    check(join(taking)?, total, start)
}

/// From each of some writers to each of as many readers: new pipes, whose ends find each other meanwhile.
fn through_mesh(hosts: &Hosts, side: usize, each: usize) -> Result<Duration, Failure> {
    let start = Instant::now();
    let (mut writers, mut readers) = (Vec::new(), Vec::new());
    for _ in 0..side {
        // Addresses of loopback where nobody else listens.
        static PLACE: AtomicU16 = AtomicU16::new(0);
        let places = (0..side).map(|_| PLACE.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        let descriptors: Vec<String> =
            places.map(|[high, low]| format!("tcp://127.77.{high}.{low}:9700")).collect();
        let open = |host: &Registry, flags| -> Result<Vec<OpenFile>, vfs_core::Error> {
            descriptors.iter().map(|descriptor| host.open(descriptor, &OpenOptions::new(flags))).collect()
        };
        writers.push(open(&hosts.left, OpenFlags::WRITE)?);
        readers.push(open(&hosts.right, OpenFlags::READ)?.into_iter());
    }
    let writing = writers.into_iter().map(|mut pipes| {
        thread::spawn(move || -> Result<usize, Failure> {
            pipes.iter_mut().try_for_each(|pipe| pipe.write_all(&vec![7; each]))?;
            pipes.iter_mut().try_for_each(|pipe| pipe.finish(Finish::Commit))?;
            Ok(0)
        })
    });
    let mut threads: Vec<_> = writing.collect();
    for _ in 0..side {
        let pipes: Vec<OpenFile> = readers.iter_mut().filter_map(Iterator::next).collect();
        threads.push(thread::spawn(move || pipes.into_iter().map(|mut pipe| drain(&mut pipe)).sum()));
    }
    let mut came = 0;
    for thread in threads {
        came += join(thread)?;
    }
    check(came, side * side * each, start)
}

impl Hosts {
    /// Writers and readers of some pipes, from left to right or back, whose ends know each other: finding each other is not what is
    /// measured.
    fn pipes<const N: usize>(&self, back: [bool; N]) -> Result<[(OpenFile, OpenFile); N], Failure> {
        let until = Instant::now() + Duration::from_secs(60);
        while Instant::now() < until {
            // Earlier pipes let go of theirs first.
            if self.shares && shared_mappings()? > 0 {
                thread::yield_now();
                continue;
            }
            let mut pipes = Vec::new();
            for back in back {
                let descriptor = format!("tcp://127.0.0.1:{}", free_port());
                let (from, to) = if back { (&self.right, &self.left) } else { (&self.left, &self.right) };
                let mut reader = to.open(&descriptor, &OpenOptions::new(OpenFlags::READ))?;
                let mut writer = from.open(&descriptor, &OpenOptions::new(OpenFlags::WRITE))?;
                writer.write_all(&[7])?;
                Read::read_exact(&mut reader, &mut [0])?;
                pipes.push((writer, reader));
            }
            // Both ends of a pipe map the memory of both, once it has carried some frames.
            for _ in 0..if self.shares { SHORT } else { 0 } {
                for (writer, reader) in &mut pipes {
                    writer.write_all(&[7])?;
                    Read::read_exact(reader, &mut [0])?;
                }
            }
            if !self.shares || shared_mappings()? == 4 * N {
                return pipes.try_into().map_err(|_| "another number of pipes".into());
            }
        }
        Err("the ends do not meet".into())
    }
}

/// How often this process has mapped memory that ends share.
fn shared_mappings() -> Result<usize, Failure> {
    Ok(fs::read_to_string("/proc/self/maps")?.matches("zvfs-shared").count())
}

fn through_tcp(size: usize, total: usize) -> Result<Duration, Failure> {
    let (mut writer, mut reader) = connection()?;
    let start = Instant::now();
    let taking = thread::spawn(move || -> Result<usize, Failure> { drain(&mut reader) });
    pour(&mut writer, size, total)?;
    drop(writer);
    check(join(taking)?, total, start)
}

fn pour(writer: &mut impl Write, size: usize, total: usize) -> Result<(), Failure> {
    let block = vec![7; size];
    for _ in 0..total / size {
        writer.write_all(&block)?;
    }
    Ok(())
}

fn trips_by_netpipe(hosts: &Hosts) -> Result<Duration, Failure> {
    let [(mut request, mut asked), (mut answered, mut answer)] = hosts.pipes([false, true])?;
    let start = Instant::now();
    let echo = thread::spawn(move || -> Result<usize, Failure> {
        let mut buf = [0; 64];
        for _ in 0..TRIPS {
            Read::read_exact(&mut asked, &mut buf)?;
            answered.write_all(&buf)?;
            answered.flush(Flush::Push)?;
        }
        answered.finish(Finish::Commit)?;
        Ok(0)
    });
    let mut buf = [0; 64];
    for _ in 0..TRIPS {
        request.write_all(&[7; 64])?;
        request.flush(Flush::Push)?;
        Read::read_exact(&mut answer, &mut buf)?;
    }
    let time = start.elapsed();
    // The end, which the other side's COMMIT waits for.
    drain(&mut answer)?;
    join(echo)?;
    Ok(time)
}

/// `two`: one connection for each direction, as netpipes have it.
fn trips_by_tcp(two: bool) -> Result<Duration, Failure> {
    let (mut left, mut right) = connection()?;
    let (mut answer, mut answered) =
        if two { connection()? } else { (left.try_clone()?, right.try_clone()?) };
    let start = Instant::now();
    let echo = thread::spawn(move || -> Result<usize, Failure> {
        let mut buf = [0; 64];
        for _ in 0..TRIPS {
            right.read_exact(&mut buf)?;
            answered.write_all(&buf)?;
        }
        Ok(0)
    });
    let mut buf = [0; 64];
    for _ in 0..TRIPS {
        left.write_all(&[7; 64])?;
        answer.read_exact(&mut buf)?;
    }
    let time = start.elapsed();
    join(echo)?;
    Ok(time)
}

fn trips_by_pipes() -> Result<Duration, Failure> {
    let (mut asked, mut request) = std::io::pipe()?;
    let (mut answer, mut answered) = std::io::pipe()?;
    let start = Instant::now();
    let echo = thread::spawn(move || -> Result<usize, Failure> {
        let mut buf = [0; 64];
        for _ in 0..TRIPS {
            asked.read_exact(&mut buf)?;
            answered.write_all(&buf)?;
        }
        Ok(0)
    });
    let mut buf = [0; 64];
    for _ in 0..TRIPS {
        request.write_all(&[7; 64])?;
        answer.read_exact(&mut buf)?;
    }
    let time = start.elapsed();
    join(echo)?;
    Ok(time)
}

/// One way along a line, each end where that is.
fn along(
    line: &limits::Line,
    total: usize,
    write: impl FnOnce() -> Result<Instant, Failure> + Send,
    read: impl FnOnce() -> Result<(usize, Instant), Failure> + Send,
) -> Result<Duration, Failure> {
    let (start, (came, end)) = thread::scope(|scope| {
        let reading = scope.spawn(|| line.enter(1).and_then(|()| read()));
        let writing = scope.spawn(|| line.enter(0).and_then(|()| write()));
        let panicked = |_| Failure::from("an end panicked");
        Ok::<_, Failure>((writing.join().map_err(panicked)??, reading.join().map_err(panicked)??))
    })?;
    if came == total { Ok(end - start) } else { Err(format!("{came} of {total} bytes came").into()) }
}

/// Where the reader listens, each time elsewhere.
fn far_end() -> (&'static str, u16) {
    static PORT: AtomicU16 = AtomicU16::new(9000);
    (limits::Line::ADDRESSES[1], PORT.fetch_add(1, Ordering::Relaxed))
}

fn along_by_netpipe(line: &limits::Line, total: usize) -> Result<Duration, Failure> {
    let (address, port) = far_end();
    let open = |way: &str, flags| -> Result<(Registry, OpenFile), Failure> {
        // An instance of its own, in this thread's network.
        let host = registry("crc = \"off\", insecure = true", "host")?;
        let file = host.open(&format!("tcp://{address}:{port}{way}"), &OpenOptions::new(flags))?;
        Ok((host, file))
    };
    let write = || {
        let (_host, mut writer) = open("", OpenFlags::WRITE)?;
        writer.write_all(&[7])?;
        let start = Instant::now();
        pour(&mut writer, 64 << 10, total)?;
        writer.finish(Finish::Commit)?;
        Ok(start)
    };
    let read = || {
        let (_host, mut reader) = open("?role=listen", OpenFlags::READ)?;
        Read::read_exact(&mut reader, &mut [0])?;
        Ok((drain(&mut reader)?, Instant::now()))
    };
    along(line, total, write, read)
}

fn along_by_tcp(line: &limits::Line, total: usize) -> Result<Duration, Failure> {
    let at = far_end();
    let (listens, listening) = mpsc::channel();
    let write = move || {
        listening.recv()?;
        let mut writer = TcpStream::connect(at)?;
        writer.write_all(&[7])?;
        let start = Instant::now();
        pour(&mut writer, 64 << 10, total)?;
        Ok(start)
    };
    let read = move || {
        let listener = TcpListener::bind(at)?;
        listens.send(())?;
        let (mut reader, _) = listener.accept()?;
        reader.read_exact(&mut [0])?;
        Ok((drain(&mut reader)?, Instant::now()))
    };
    along(line, total, write, read)
}

fn connection() -> Result<(TcpStream, TcpStream), Failure> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let left = TcpStream::connect(listener.local_addr()?)?;
    let (right, _) = listener.accept()?;
    left.set_nodelay(true)?;
    right.set_nodelay(true)?;
    Ok((left, right))
}

fn join(thread: thread::JoinHandle<Result<usize, Failure>>) -> Result<usize, Failure> {
    thread.join().map_err(|_| Failure::from("the other thread panicked"))?
}

/// The time since the start, if all came.
fn check(came: usize, total: usize, start: Instant) -> Result<Duration, Failure> {
    if came == total { Ok(start.elapsed()) } else { Err(format!("{came} of {total} bytes came").into()) }
}
