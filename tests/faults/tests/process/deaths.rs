//! A process that dies, in a call or between two, and one whose call never returns.

use super::*;

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
                let late = || {
                    let error = call(&host, &format!("{name}/loop")).expect_err(name);
                    assert!(
                        [Code::EIO, Code::ETIMEDOUT].contains(&error.code()),
                        "{name}: {}",
                        error.chain()
                    );
                };
                is_told(&end_of(&host, &mut neighbour, late), "was killed: it did not end a call");
                goes_on(&mut bystander);
                assert_eq!(host.read("none").expect("another process"), 8, "{name}");
            })
        };
        let threads: Vec<_> = CALLS.into_iter().map(looping).collect();
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
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
