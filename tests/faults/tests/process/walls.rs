//! What a process may do, what it may not, and how much of it.

use super::*;

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
