//! Hostile libraries in a process of their own: whatever they do there, the host goes on, other files are untouched, and the error
//! names what happened.

use rustix::fs::fcntl_getfl;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::net::TcpListener;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use vfs_core::{
    Code, Configuration, Control, Error, Finish, Flush, Level, Name, OpenFile, OpenFlags, OpenOptions,
    Registry, Settings, Walls,
};
use zvfs_faults::Plugins;
use zvfs_test_support::{bounded, eventually, have_walls, provider_process, run};

type Call = fn(&Host, &str) -> Result<(), Error>;

/// As [`bounded`], where the kernel has all walls.
fn bounded_behind_walls(body: impl FnOnce() + Send + 'static) {
    if have_walls() {
        bounded(body);
    }
}

/// What a provider can be called for, each as a call of a host.
const CALLS: [(&str, Call); 12] = [
    ("open", |host, what| host.open(what).map(drop)),
    ("read", |host, what| host.open(what)?.read(&mut [0; 8]).map(drop)),
    ("write", |host, what| host.open(what)?.write(b"12345678").map(drop)),
    ("seek", |host, what| host.open(what)?.seek(std::io::SeekFrom::Start(7)).map(drop)),
    ("tell", |host, what| host.open(what)?.tell().map(drop)),
    ("truncate", |host, what| host.open(what)?.truncate(1)),
    ("flush", |host, what| host.open(what)?.flush(Flush::Sync)),
    ("commit", |host, what| host.open(what)?.finish(Finish::Commit)),
    ("stat", |host, what| host.open(what)?.stat().map(drop)),
    ("name-stat", |host, what| host.registry.stat(&host.descriptor(what), &host.options()).map(drop)),
    ("list", |host, what| {
        host.registry.list(&host.descriptor(what), &host.options(), &mut |_| ControlFlow::Continue(()))
    }),
    ("remove", |host, what| host.registry.remove(&host.descriptor(what), &host.options())),
];

/// A registry with a hostile provider and a good one, each in a process.
struct Host {
    plugins: Plugins,
    registry: Registry,
    control: Control,
    log: Lines,
}

/// What a host's log was told.
type Lines = Arc<Mutex<Vec<String>>>;

impl Host {
    /// With what the hostile one may do, and how it is built.
    fn new(may: &str, defines: &[&str]) -> Host {
        let plugins = Plugins::new();
        plugins.add("hostile", "hostile", defines);
        plugins.add("behave", "behave", &[]);
        plugins.add_program(provider_process());
        Host::over(plugins, may)
    }

    fn over(plugins: Plugins, may: &str) -> Host {
        let log = Lines::default();
        let registry = registry(&plugins, may, log.clone());
        Host { plugins, registry, control: Control::new(), log }
    }

    /// Another host of the same providers, which knows of no death.
    fn again(&self) -> Host {
        Host::over(self.plugins.clone(), "")
    }

    fn descriptor(&self, what: &str) -> String {
        format!("hostile:{what}")
    }

    fn options(&self) -> OpenOptions {
        OpenOptions::new(OpenFlags::READ | OpenFlags::WRITE).control(&self.control)
    }

    fn open(&self, what: &str) -> Result<OpenFile, Error> {
        self.registry.open(&self.descriptor(what), &self.options())
    }

    fn read(&self, what: &str) -> Result<usize, Error> {
        self.open(what)?.read(&mut [0; 8])
    }
}

fn registry(plugins: &Plugins, may: &str, log: Lines) -> Registry {
    let folder = plugins.path().display().to_string();
    let text = format!(
        "provider-path = [{folder:?}]\n[provider.hostile]\nplace = \"process\"\nmay = {{ {may} }}\n\
         [provider.behave]\nplace = \"process\""
    );
    let tell = move |level: Level, text: &str| {
        if level <= Level::Warning {
            log.lock().expect("no panic").push(text.to_owned());
        }
    };
    let configuration = Configuration::parse(&text).expect("a configuration");
    Registry::with_host(configuration, vfs_core::Host::logging("test", "1", tell))
}

/// A file of the good provider goes on as it was.
fn bystander(host: &Host) -> OpenFile {
    host.registry.open("behave:good", &OpenOptions::new(OpenFlags::READ)).expect("the good one")
}

fn goes_on(bystander: &mut OpenFile) {
    let mut buf = [0; 8];
    assert_eq!(bystander.read(&mut buf).expect("the good one"), 3);
    assert_eq!(&buf[..3], b"rrr");
}

/// The error of a call whose process died, and of the other files of that process.
fn is_told(error: &Error, words: &str) {
    assert_eq!(error.code(), Code::EIO, "{}", error.chain());
    let wanted = format!("provider `hostile`'s process {words}");
    assert!(error.chain().contains(&wanted), "no `{wanted}` in `{}`", error.chain());
}

#[test]
fn whatever_call_it_dies_in_the_error_says_so_and_the_next_open_starts_another() {
    bounded_behind_walls(|| {
        let first = Host::new("", &[]);
        for (name, call) in CALLS {
            let host = first.again();
            let mut bystander = bystander(&host);
            let mut neighbour = host.open("none").expect("another file of it");
            is_told(&call(&host, &format!("{name}/abort")).expect_err(name), "was killed by SIGABRT");
            is_told(&neighbour.read(&mut [0; 8]).expect_err(name), "was killed by SIGABRT");
            goes_on(&mut bystander);
            assert_eq!(host.read("none").expect("another process"), 8, "{name}");
        }
    });
}

#[test]
fn the_error_names_how_it_ended() {
    bounded_behind_walls(|| {
        let first = Host::new("", &[]);
        for (deed, words) in [
            ("abort", "was killed by SIGABRT"),
            ("crash", "was killed by SIGSEGV"),
            ("exit", "exited with status 3"),
            ("leave", "exited with status 4"),
        ] {
            let host = first.again();
            is_told(&host.read(&format!("read/{deed}")).expect_err(deed), words);
        }
    });
}

/// It has the sockets that its process and the host talk over.
#[test]
fn lies_floods_and_closed_sockets_end_the_process_and_nothing_else() {
    bounded_behind_walls(|| {
        let first = Host::new("", &[]);
        for (deed, words) in [
            ("lie", "was killed: broke the protocol"),
            ("flood", "was killed: broke the protocol"),
            ("hang-up", "was killed: it closed what a call went through"),
            ("hello", "was killed: broke the protocol: it says hello again"),
            // Found: its text was the whole error, as though it were its host's word.
            (
                "no-walls",
                "was killed: broke the protocol: it says that it has no walls, after it said that it has: \"trust me\"",
            ),
            ("close", ""),
        ] {
            let host = first.again();
            let mut bystander = bystander(&host);
            let mut neighbour = host.open("none").expect("another file of it");
            let error = host.read(&format!("read/{deed}")).expect_err(deed);
            is_told(&error, words);
            is_told(&neighbour.read(&mut [0; 8]).expect_err(deed), words);
            goes_on(&mut bystander);
            assert_eq!(host.read("none").expect("another process"), 8, "{deed}");
        }
    });
}

/// Found: it was lent 256, each with a thread of the host's.
#[test]
fn connections_without_end_are_not_lent() {
    bounded_behind_walls(|| {
        let host = Host::new("", &[]);
        let mut bystander = bystander(&host);
        assert_eq!(host.read("read/need").expect("it asks, and goes on"), 8);
        eventually("a line in the log", || *host.log.lock().expect("no panic") == ["asked"]);
        // One for the file that was open, and some to spare.
        eventually("what it may have", || threads("zvfs-upcalls") >= 16);
        assert!(threads("zvfs-upcalls") <= 17, "{}", threads("zvfs-upcalls"));
        fs::File::open("/dev/null").expect("the host has descriptors");
        goes_on(&mut bystander);
    });
}

/// How many threads of this process have a name.
fn threads(name: &str) -> usize {
    let tasks = fs::read_dir("/proc/self/task").expect("this process's threads");
    // One that has ended meanwhile has none.
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|found| found.trim_end() == name).count()
}

#[test]
fn a_file_whose_close_kills_the_process_is_closed() {
    bounded_behind_walls(|| {
        let host = Host::new("", &[]);
        let mut neighbour = host.open("none").expect("another file of it");
        drop(host.open("close/crash").expect("a file"));
        is_told(&neighbour.read(&mut [0; 8]).expect_err("dead"), "was killed by SIGSEGV");
        let warning = "close hostile:close/crash: provider `hostile`'s process was killed by SIGSEGV";
        assert_eq!(*host.log.lock().expect("no panic"), [warning]);
        assert_eq!(host.read("none").expect("another process"), 8);
    });
}

#[test]
fn a_stop_that_kills_the_process_is_told_to_the_log() {
    bounded_behind_walls(|| {
        let Host { registry, log, plugins: _plugins, .. } = Host::new("", &["AT_STOP=\"abort\""]);
        let open = |what| registry.open(what, &OpenOptions::new(OpenFlags::READ)).expect("a file");
        drop((open("hostile:none"), open("behave:good")));
        drop(registry);
        let warning = "stop a provider: provider `hostile`'s process was killed by SIGABRT";
        assert_eq!(*log.lock().expect("no panic"), [warning]);
    });
}

#[test]
fn a_call_that_never_returns_ends_with_its_process() {
    bounded_behind_walls(|| {
        let first = Host::new("", &[]);
        let looping = |(name, call): (&'static str, Call)| {
            let host = first.again();
            thread::spawn(move || {
                let mut bystander = bystander(&host);
                let mut neighbour = host.open("none").expect("another file of it");
                host.control.set_deadline(Some(Instant::now() + Duration::from_millis(100)));
                let error = call(&host, &format!("{name}/loop")).expect_err(name);
                host.control.set_deadline(None);
                assert!([Code::EIO, Code::ETIMEDOUT].contains(&error.code()), "{name}: {}", error.chain());
                is_told(&neighbour.read(&mut [0; 8]).expect_err(name), "was killed: it did not end a call");
                goes_on(&mut bystander);
                assert_eq!(host.read("none").expect("another process"), 8, "{name}");
            })
        };
        let threads: Vec<_> = CALLS.into_iter().map(looping).collect();
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    });
}

/// Found: as long as it said anything, its host looked at no deadline.
#[test]
fn what_it_says_in_a_call_puts_off_no_deadline() {
    bounded_behind_walls(|| {
        let first = Host::new("", &[]);
        for deed in ["chatter", "murmur"] {
            let host = first.again();
            let mut neighbour = host.open("none").expect("another file of it");
            host.control.set_deadline(Some(Instant::now() + Duration::from_millis(100)));
            host.read(&format!("read/{deed}")).expect_err(deed);
            host.control.set_deadline(None);
            // Which of the two is first depends on the machine: the time that it may take, or what it may say.
            is_told(&neighbour.read(&mut [0; 8]).expect_err(deed), "was killed: it ");
        }
    });
}

#[test]
fn a_library_that_dies_while_it_is_loaded_or_started_is_refused() {
    bounded_behind_walls(|| {
        for (defines, words) in [
            ("AT_LOAD=\"abort\"", "was killed by SIGABRT"),
            ("AT_START=\"crash\"", "was killed by SIGSEGV"),
            ("AT_START=\"exit\"", "exited with status 3"),
        ] {
            let host = Host::new("", &[defines]);
            let mut bystander = bystander(&host);
            is_told(&host.open("none").expect_err(defines), words);
            goes_on(&mut bystander);
        }
    });
}

/// Found: `zvfs check` named a provider `?`.
#[test]
fn a_library_that_has_not_said_its_name_is_called_as_its_file() {
    bounded_behind_walls(|| {
        for (defines, words) in
            [("AT_LOAD=\"abort\"", "was killed by SIGABRT"), ("AT_START=\"crash\"", "was killed by SIGSEGV")]
        {
            let Host { registry, plugins, control, .. } = Host::new("", &[defines]);
            let loaded = registry.load_in_process(&plugins.file("hostile"), &Walls::default(), &control);
            let started = loaded.and_then(|provider| provider.start(nobody(), Settings::none()).map(drop));
            let told = started.expect_err(defines).chain();
            assert!(told.contains(&format!("provider `libzvfs_hostile.so`'s process {words}")), "{told}");
        }
    });
}

/// A host that opens nothing, and whose log nobody reads.
fn nobody() -> vfs_core::Host {
    vfs_core::Host::logging("test", "1", |_, _| ())
}

#[test]
fn what_is_too_long_for_a_message_names_whose_it_is_and_how_much_fits() {
    bounded_behind_walls(|| {
        let host = Host::new("", &["SUMMARY=2000000"]);
        let error = host.open("none").expect_err("too long");
        assert_eq!(error.code(), Code::E2BIG, "{}", error.chain());
        assert!(error.chain().contains("name and settings of provider `hostile`: 2000"), "{}", error.chain());
        let paths: String = (0..4000).map(|number| format!("\"/folder/{number}\", ")).collect();
        let error = Host::new(&format!("read = [{paths}]"), &[]).open("none").expect_err("too long");
        assert_eq!(error.code(), Code::E2BIG, "{}", error.chain());
        let words = "tell provider `hostile`'s process: more than 32768 bytes";
        assert!(error.chain().contains(words), "{}", error.chain());
    });
}

#[test]
fn what_its_listing_leaves_out_is_told_to_the_log() {
    bounded_behind_walls(|| {
        let host = Host::new("", &[]);
        let mut names = 0;
        let each = &mut |_: Name<'_>| {
            names += 1;
            ControlFlow::Continue(())
        };
        host.registry.names("behave:x", &OpenOptions::default(), each).expect("names");
        assert_eq!(names, 3);
        let told = |line: &String| line.starts_with("list behave:x: 9 entries left out");
        eventually("a line in the log", || host.log.lock().expect("no panic").iter().any(told));
    });
}

#[test]
fn memory_ends_at_its_limit_and_the_process_goes_on() {
    bounded_behind_walls(|| {
        let host = Host::new("memory = \"96m\"", &[]);
        let mut neighbour = host.open("none").expect("another file of it");
        let error = host.read("read/memory").expect_err("too much");
        assert_eq!(error.code(), Code::ENOMEM, "{}", error.chain());
        assert!(error.chain().ends_with("(its process may compute only; memory 96m)"), "{}", error.chain());
        assert_eq!(neighbour.read(&mut [0; 8]).expect("the process lives"), 8);
    });
}

#[test]
fn a_leak_of_descriptors_is_its_own_only() {
    bounded_behind_walls(|| {
        let host = Host::new("", &[]);
        let mut bystander = bystander(&host);
        let mut neighbour = host.open("none").expect("another file of it");
        assert_eq!(host.read("read/leak").expect_err("too many").code(), Code::EMFILE);
        assert_eq!(neighbour.read(&mut [0; 8]).expect("the process lives"), 8);
        goes_on(&mut bystander);
        fs::File::open("/dev/null").expect("the host has descriptors");
    });
}

#[test]
fn what_it_may_not_do_it_cannot_do() {
    bounded_behind_walls(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::write(at("secret"), "text").expect("a file");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let port = listener.local_addr().expect("an address").port().to_string();
        let outside = at("outside");
        let secret = at("secret");
        let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
        for (deed, argument, code) in [
            ("fork", String::new(), Code::EPERM),
            ("connect", port.clone(), Code::EPERM),
            ("spy", "/etc/shadow".to_owned(), Code::EACCES),
            ("spy", text(&secret), Code::EACCES),
            ("write", text(&secret), Code::EACCES),
            ("write", text(&outside), Code::EACCES),
        ] {
            let host = Host::new("", &[&format!("ARGUMENT=\"{argument}\"")]);
            let error = host.read(&format!("read/{deed}")).expect_err(deed);
            assert_eq!(error.code(), code, "{deed} {argument}: {}", error.chain());
            assert!(error.chain().contains("(its process may compute only)"), "{}", error.chain());
            assert_eq!(host.read("none").expect("it goes on"), 8);
        }
        assert!(!outside.exists());
        assert_eq!(fs::read(&secret).expect("a file"), b"text");
    });
}

/// Found: what it set there stayed on its host's standard output when it had ended.
#[test]
fn the_flags_of_standard_output_stay() {
    bounded_behind_walls(|| {
        let flags = || fcntl_getfl(std::io::stdout()).expect("standard output");
        let before = flags();
        let error = Host::new("standard-streams = true", &[]).read("read/unblock").expect_err("not its own");
        assert_eq!(error.code(), Code::EPERM, "{}", error.chain());
        assert_eq!(flags(), before);
    });
}

#[test]
fn what_it_may_do_it_can_do() {
    bounded_behind_walls(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().canonicalize().expect("a path");
        let (new, text) = (path.join("new"), path.to_str().expect("UTF-8"));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let port = listener.local_addr().expect("an address").port();
        let host = Host::new(&format!("write = [{text:?}]"), &[&format!("ARGUMENT=\"{}\"", new.display())]);
        host.read("read/write").expect("below a folder that it may write");
        assert!(new.exists());
        let host = Host::new("tcp-connect = true", &[&format!("ARGUMENT=\"{port}\"")]);
        host.read("read/connect").expect("over TCP");
    });
}

#[test]
fn what_the_operator_names_must_be_there_when_it_starts() {
    bounded_behind_walls(|| {
        let host = Host::new("read = [\"/absent\"]", &[]);
        let error = host.open("none").expect_err("nothing there");
        assert_eq!(error.code(), Code::EINVAL, "{}", error.chain());
        assert!(error.chain().contains("may read /absent: no such"), "{}", error.chain());
    });
}

/// The process that has loaded a library.
fn process_with(library: &Path) -> Option<Pid> {
    let processes = fs::read_dir("/proc")
        .expect("processes")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut others = processes.filter(|pid| pid.parse() != Ok(std::process::id()));
    let has = |pid: &String| {
        fs::read_to_string(format!("/proc/{pid}/maps"))
            .is_ok_and(|maps| maps.contains(&library.display().to_string()))
    };
    Pid::from_raw(others.find(has)?.parse().ok()?)
}

/// Found: files in memory were gone, and nobody was told, since the next open starts another process.
#[test]
fn a_process_that_is_killed_between_calls_is_told_to_the_log() {
    bounded_behind_walls(|| {
        let host = Host::new("", &[]);
        let mut bystander = bystander(&host);
        let mut file = host.open("none").expect("a file");
        let process = process_with(&host.plugins.file("hostile")).expect("the provider's process");
        kill_process(process, Signal::KILL).expect("the provider's process");
        let warning = "provider `hostile`'s process was killed by SIGKILL";
        eventually("a line in the log", || *host.log.lock().expect("no panic") == [warning]);
        is_told(&file.read(&mut [0; 8]).expect_err("dead"), "was killed by SIGKILL");
        goes_on(&mut bystander);
        // What was to end is no news.
        let log = host.log.clone();
        drop((file, bystander, host));
        assert_eq!(*log.lock().expect("no panic"), [warning]);
    });
}

/// Found: a process that lost its supervisor cancelled its own calls, and its host took that for a cancel of its caller's.
#[test]
fn a_supervisor_that_is_killed_is_no_cancel() {
    bounded_behind_walls(|| {
        let plugins = Plugins::new();
        plugins.add_program(provider_process());
        let (library, fifo) = (plugins.path().join("libzvfs_file.so"), plugins.path().join("fifo"));
        fs::copy(zvfs_test_support::library("file"), &library).expect("a library");
        zvfs_test_support::fifo(fifo.clone());
        let folder = plugins.path();
        let text = format!(
            "provider-path = [{folder:?}]\n[provider.file]\nplace = \"process\"\nmay = {{ read = [{folder:?}] }}"
        );
        let registry = Registry::new(Configuration::parse(&text).expect("a configuration"));
        let _writer = fs::File::options().read(true).write(true).open(&fifo).expect("both ends");
        let mut file = registry
            .open(&format!("file:{}", fifo.display()), &OpenOptions::new(OpenFlags::READ))
            .expect("a FIFO");
        let (tell, told) = channel();
        let reader = thread::spawn(move || {
            tell.send(fs::read_link("/proc/thread-self").expect("this thread")).expect("a test");
            file.read(&mut [0; 8])
        });
        let state = Path::new("/proc").join(told.recv().expect("a thread")).join("stat");
        eventually("the read waits", || fs::read_to_string(&state).is_ok_and(|state| state.contains(") S ")));
        let process = process_with(&library).expect("the provider's process");
        let status =
            fs::read_to_string(format!("/proc/{}/status", process.as_raw_nonzero())).expect("its status");
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).expect("its parent");
        let supervisor = Pid::from_raw(parent.trim().parse().expect("a number")).expect("a process");
        kill_process(supervisor, Signal::KILL).expect("its supervisor");
        let error = reader.join().expect("no panic").expect_err("nothing came");
        assert_eq!(error.code(), Code::EIO, "{}", error.chain());
        assert!(error.chain().contains("provider `file`'s process"), "{}", error.chain());
    });
}

/// Found: a host said that its process had closed its sockets, after 38 s; and a process that could not lend a file was killed.
#[test]
fn descriptors_that_others_left_under_way_are_told_of_and_what_runs_goes_on() {
    let plugins = Plugins::new();
    fs::copy(zvfs_test_support::library("file"), plugins.file("file")).expect("a library");
    let file = plugins.path().join("data");
    fs::write(&file, "text").expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_zvfs-faults-host"));
    command.arg("crowded").arg(plugins.path()).arg(provider_process().with_file_name("")).arg(&file);
    let output = run(command).expect("an end");
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    let told = "tell provider `file`'s process: this user has too many descriptors under way in sockets";
    assert!(output.status.code() == Some(1) && out.contains(told), "{out}{err}");
}
