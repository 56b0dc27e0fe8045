//! What a process says: lies, floods, and words without end.

use super::*;

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
            // The call may have its answer before its host sees what else was done.
            if let Err(error) = host.read(&format!("read/{deed}")) {
                is_told(&error, words);
            }
            eventually(deed, || neighbour.read(&mut [0; 8]).map_err(|error| is_told(&error, words)).is_err());
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

/// Found: as long as it said anything, its host looked at no deadline.
#[test]
fn what_it_says_in_a_call_puts_off_no_deadline() {
    bounded_behind_walls(|| {
        let first = Host::new("", &[]);
        for deed in ["chatter", "murmur"] {
            let host = first.again();
            let mut neighbour = host.open("none").expect("another file of it");
            let late = || {
                host.read(&format!("read/{deed}")).expect_err(deed);
            };
            // Which of the two is first depends on the machine: the time that it may take, or what it may say.
            is_told(&end_of(&host, &mut neighbour, late), "was killed: it ");
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
        let told = |line: &String| line.starts_with("list behave:x: left out 9 of its entries");
        eventually("a line in the log", || host.log.lock().expect("no panic").iter().any(told));
    });
}
