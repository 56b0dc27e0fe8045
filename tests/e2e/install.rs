//! An installation as `make install` makes it, and what a user does with it: the command, programs in C built by pkg-config, the
//! examples and the guide exactly as they are written, and `make uninstall`.

use crate::support::{Done, Folder, copy_example, repository, run, run_long};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use zvfs_test_support::{built, have, mount_program, provider_process, skip};

const TOOLS: [&str; 5] = ["make", "pkg-config", "cc", "ip", "cargo"];

/// What cargo built for this test, installed below a folder of its own.
struct Installation {
    folder: Folder,
}

impl Installation {
    fn new() -> Installation {
        // Built where the command is.
        provider_process();
        mount_program();
        let installation = Installation { folder: Folder::new() };
        installation.make("install");
        installation
    }

    fn make(&self, goal: &str) {
        let mut make = Command::new("make");
        make.args([goal, "WITH=mount"])
            .current_dir(repository("."))
            .arg(format!("PREFIX={}", self.prefix().display()))
            .arg(format!("TARGET={}", Path::new(env!("CARGO_BIN_EXE_zvfs")).parent().unwrap().display()))
            .arg(format!("LIBRARIES={}", built().display()));
        let done = run(make);
        assert_eq!(done.code, 0, "{done:?}");
    }

    fn prefix(&self) -> PathBuf {
        self.folder.path().join("usr")
    }

    /// A shell in a folder, as a user has it who set up this prefix.
    fn shell(&self, folder: &Path, commands: &str) -> Command {
        self.started(Command::new("sh"), folder, commands)
    }

    /// The same on a network of its own, so that fixed ports are free.
    fn shell_alone(&self, folder: &Path, commands: &str) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh"]);
        self.started(command, folder, &format!("ip link set lo up\n{commands}"))
    }

    fn started(&self, mut shell: Command, folder: &Path, commands: &str) -> Command {
        let prefix = self.prefix();
        let path = std::env::var("PATH").unwrap();
        shell
            .args(["-e", "-c", commands])
            .current_dir(folder)
            .env("PATH", format!("{}:{path}", prefix.join("bin").display()))
            .env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"))
            .env("LD_LIBRARY_PATH", prefix.join("lib"))
            .env_remove("ZVFS_CONFIG");
        shell
    }

    /// A copy of an example.
    fn example(&self, name: &str) -> PathBuf {
        let folder = self.folder.path().join(name);
        fs::create_dir(&folder).unwrap();
        copy_example(name, &folder);
        folder
    }
}

/// The fenced blocks of a text: their language, and what stands in them.
fn blocks(path: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(path).unwrap();
    let fenced = text.split("\n```").skip(1).step_by(2);
    fenced
        .map(|block| {
            let (language, body) = block.split_once('\n').unwrap();
            (language.to_owned(), format!("{body}\n"))
        })
        .collect()
}

#[test]
fn an_installation_is_found_by_its_command_and_by_programs() {
    if !have(&TOOLS) {
        return;
    }
    let installation = Installation::new();
    the_command_finds_its_providers(&installation);
    a_provider_runs_in_a_process(&installation);
    a_folder_is_mounted(&installation);
    a_copied_library_loads_at_once_unless_there_is_an_operators_file(&installation);
    manual_pages_and_completions_are_there(&installation);
    a_program_links_statically_too(&installation);
    the_example_does_what_its_readme_says(&installation);
    the_host_of_guests_does_what_its_readme_says(&installation);
    the_loops_do_what_their_readmes_say(&installation);
    the_pipes_do_what_their_readme_says(&installation);
    the_guides_programs_run(&installation);
    the_headers_name_what_is_there(&installation);
    the_sdk_is_there_and_stands_alone(&installation);
    nothing_is_left(&installation);
}

#[test]
fn a_place_that_make_would_take_for_two_is_refused() {
    if !have(&["make"]) {
        return;
    }
    let (spaces, relative) = ("PREFIX and DESTDIR must not hold spaces", "PREFIX must be an absolute path");
    let refused = [
        ("PREFIX=/usr/my zvfs", spaces),
        ("DESTDIR=/srv/a package", spaces),
        ("DESTDIR=/srv/package ", spaces),
        ("PREFIX=usr", relative),
    ];
    for (place, text) in refused {
        for goal in ["install", "uninstall"] {
            let done = make_nothing(&[goal, place]);
            assert!(done.code != 0 && done.stderr.contains(text), "{place}: {done:?}");
        }
    }
    let done = make_nothing(&["uninstall", "PREFIX=/nowhere/usr", "DESTDIR=/nowhere/package"]);
    assert!(done.succeeded().out().contains("/nowhere/package/nowhere/usr/bin/zvfs"), "{done:?}");
}

/// What make would do.
fn make_nothing(arguments: &[&str]) -> Done {
    let mut make = Command::new("make");
    make.arg("-n").args(arguments).current_dir(repository("."));
    run(make)
}

fn the_command_finds_its_providers(installation: &Installation) {
    let prefix = installation.prefix().canonicalize().unwrap();
    let done = run(installation.shell(&prefix, "zvfs providers; zvfs cat file:/proc/self/comm"));
    let out = done.succeeded().out();
    assert!(out.contains(&format!("{}/lib/zvfs/libzvfs_tcp.so", prefix.display())), "{out}");
    assert!(out.ends_with("zvfs\n"), "{out}");
}

fn a_provider_runs_in_a_process(installation: &Installation) {
    let prefix = installation.prefix().canonicalize().unwrap();
    let section = "[provider.file]\nplace = \"process\"\nmay-lack = [\"landlock\", \"landlock-net\", \"seccomp\"]\n\
                   may = { read = [\"/proc\"], standard-streams = true }\n";
    let text = format!("provider-path = [{:?}]\n{section}", prefix.join("lib/zvfs"));
    fs::write(prefix.join("zvfs.toml"), text).unwrap();
    let commands = "export ZVFS_CONFIG=zvfs.toml\nzvfs providers\nzvfs cat file:/proc/self/cmdline";
    let done = run(installation.shell(&prefix, commands));
    let out = done.succeeded().out();
    assert!(out.contains("in a process of its own: may standard-streams, read /proc"), "{out}");
    assert!(out.ends_with("zvfs-provider\0file\0"), "{out:?}");
    fs::remove_file(prefix.join("zvfs.toml")).unwrap();
}

/// With `make install WITH=mount`.
fn a_folder_is_mounted(installation: &Installation) {
    let (prefix, tree) = (installation.prefix(), Folder::new());
    assert!(prefix.join("bin/zvfs-mount").is_file() && prefix.join("share/man/man1/zvfs-mount.1").is_file());
    if !have(&["fusermount3"]) {
        return;
    }
    if !Path::new("/dev/fuse").exists() {
        return skip("no /dev/fuse");
    }
    tree.write("file", "shown\n");
    let at = Folder::new();
    let (tree, at) = (tree.at(""), at.at(""));
    let commands = format!("zvfs mount --background file:{tree} {at}\ncat {at}/file\nfusermount3 -u {at}");
    assert_eq!(run(installation.shell(&prefix, &commands)).succeeded().out(), "shown\n");
}

/// As docs/operators.md and the README of a provider have it.
fn a_copied_library_loads_at_once_unless_there_is_an_operators_file(installation: &Installation) {
    let folder = installation.example("provider-c");
    let copied = "cc -std=c99 -fPIC -shared seq.c $(pkg-config --cflags zvfs-provider) -o libzvfs_seq.so\n\
                  providers=$(pkg-config --variable=providerdir zvfs-provider)\ncp libzvfs_seq.so $providers\nzvfs cat seq:8-9";
    assert_eq!(run(installation.shell(&folder, copied)).succeeded().out(), "8\n9\n");
    let configured = |file: &str| {
        fs::write(folder.join("zvfs.toml"), file).unwrap();
        run(installation.shell(&folder, "ZVFS_CONFIG=zvfs.toml zvfs cat seq:8-9"))
    };
    let path = format!("provider-path = [{:?}]\n", installation.prefix().join("lib/zvfs"));
    configured(&format!("{path}[provider.file]\n")).failed(13, &["[provider.seq]"]);
    configured("[provider.seq]\n").failed(93, &["provider-path is empty"]);
    let done = configured(&format!("{path}[provider.seq]\n"));
    assert_eq!(done.succeeded().out(), "8\n9\n");
    fs::remove_file(installation.prefix().join("lib/zvfs/libzvfs_seq.so")).unwrap();
}

fn manual_pages_and_completions_are_there(installation: &Installation) {
    let share = installation.prefix().join("share");
    let read = |name: &str| fs::read_to_string(share.join(name)).unwrap();
    assert!(read("man/man1/zvfs.1").contains("Exit codes"));
    let page = read("man/man1/zvfs-cp.1");
    assert!(page.starts_with(".ie") && page.contains(".SH OPTIONS"), "{page}");
    assert!(!share.join("man/man1/zvfs-generate.1").exists(), "hidden");
    for completion in [
        "bash-completion/completions/zvfs",
        "zsh/site-functions/_zvfs",
        "fish/vendor_completions.d/zvfs.fish",
    ] {
        let text = read(completion);
        assert!(text.contains("providers") && text.contains("provider-path"), "{text}");
        assert!(!text.contains("check-child"), "{completion} offers what is hidden");
    }
    let bash = format!(". {} && complete -p zvfs", share.join("bash-completion/completions/zvfs").display());
    let mut shell = Command::new("bash");
    shell.args(["-c", &bash]);
    assert!(run(shell).succeeded().out().contains("zvfs"));
}

fn a_program_links_statically_too(installation: &Installation) {
    let folder = installation.folder.path();
    let commands = format!(
        "cc -o static {}/head.c $(pkg-config --cflags zvfs) {}/lib/libzvfs.a $(pkg-config --static --libs-only-l zvfs | \
         sed s/-lzvfs//)\nunset LD_LIBRARY_PATH\nmkdir -p {}/bin && mv static {}/bin/\n{}/bin/static file:/proc/self/comm",
        repository("examples/host-c").display(),
        installation.prefix().display(),
        installation.prefix().display(),
        installation.prefix().display(),
        installation.prefix().display(),
    );
    assert_eq!(run(installation.shell(folder, &commands)).succeeded().out(), "static\n");
    fs::remove_file(installation.prefix().join("bin/static")).unwrap();
}

/// Each block of commands prints what stands in the block behind it.
fn runs_as_written(readme: &Path, shell: impl Fn(&str) -> Command) {
    let blocks = blocks(readme);
    let mut ran = 0;
    for pair in blocks.windows(2) {
        let [(language, commands), (output, expected)] = pair else { unreachable!() };
        if language == "sh" && matches!(output.as_str(), "" | "text") {
            assert_eq!(run(shell(commands)).succeeded().out(), expected, "{commands}");
            ran += 1;
        }
    }
    assert!(ran > 0, "{}: no commands", readme.display());
}

fn the_example_does_what_its_readme_says(installation: &Installation) {
    let folder = installation.example("host-c");
    runs_as_written(&folder.join("README.md"), |commands| installation.shell(&folder, commands));
    if have(&["valgrind"]) {
        let commands = "valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite \
            --show-leak-kinds=definite ./copy $PWD/greeting.txt mem:x 2> found\n! grep '^==' found";
        assert_eq!(run(installation.shell(&folder, commands)).succeeded().out(), "69 bytes\n");
    }
}

fn the_host_of_guests_does_what_its_readme_says(installation: &Installation) {
    let folder = installation.example("host-zvm");
    runs_as_written(&folder.join("README.md"), |commands| installation.shell(&folder, commands));
}

fn the_loops_do_what_their_readmes_say(installation: &Installation) {
    for name in ["epoll-c", "libuv-c"] {
        let folder = installation.example(name);
        if name == "libuv-c" && run(installation.shell(&folder, "pkg-config --exists libuv")).code != 0 {
            skip("needs libuv: apt-get install libuv1-dev");
            continue;
        }
        runs_as_written(&folder.join("README.md"), |commands| installation.shell(&folder, commands));
    }
}

/// The proposal's own: two programs that include `zvm.h` alone, and one string each.
fn the_pipes_do_what_their_readme_says(installation: &Installation) {
    for source in ["write.c", "read.c"] {
        let text = fs::read_to_string(repository("examples/netpipe-c").join(source)).unwrap();
        let includes: Vec<&str> = text.lines().filter(|line| line.starts_with("#include")).collect();
        assert_eq!(includes, ["#include <stdio.h>", "#include <zvm.h>"]);
        assert!(text.contains("netpipe_open(\"127.0.0.1:2:"));
    }
    let mut unshare = Command::new("unshare");
    unshare.args(["--net", "true"]);
    let done = run(unshare);
    if done.code != 0 {
        skip(format_args!("a network of one's own needs root: {}", done.stderr));
        return;
    }
    let folder = installation.example("netpipe-c");
    runs_as_written(&folder.join("README.md"), |commands| installation.shell_alone(&folder, commands));
}

/// Each program in C that the guides show compiles without a warning; what the first says that it prints it prints.
fn the_guides_programs_run(installation: &Installation) {
    let folder = installation.folder.path().join("guide");
    fs::create_dir(&folder).unwrap();
    for (page, count) in [("docs/hosts.md", 7), ("docs/zerovm.md", 1)] {
        let mut programs = blocks(&repository(page)).into_iter().filter(|(language, _)| language == "c");
        for number in 0..count {
            let (_, text) = programs.next().unwrap();
            fs::write(folder.join("program.c"), text).unwrap();
            let commands = "cc -std=c99 -Wall -Wextra -Werror -c program.c $(pkg-config --cflags zvfs)";
            run(installation.shell(&folder, commands)).succeeded();
            // The first is a guide's whole program; its name stands in the commands behind it.
            if (page, number) == ("docs/hosts.md", 0) {
                fs::rename(folder.join("program.c"), folder.join("first.c")).unwrap();
            }
        }
        assert!(programs.next().is_none(), "{page} has more than {count} programs");
    }
    runs_as_written(&repository("docs/hosts.md"), |commands| installation.shell(&folder, commands));
}

/// The headers named guides and examples that an installation did not have.
fn the_headers_name_what_is_there(installation: &Installation) {
    let prefix = installation.prefix();
    let mut named = 0;
    for entry in fs::read_dir(prefix.join("include")).unwrap() {
        let header = entry.unwrap().path();
        let text = fs::read_to_string(&header).unwrap();
        for word in text.split(|letter: char| !(letter.is_ascii_alphanumeric() || "/.-_".contains(letter))) {
            let word = word.trim_end_matches('.');
            if ["docs/", "examples/", "tests/", "providers/", "vfs-core/"]
                .iter()
                .any(|top| word.starts_with(top))
            {
                let path = prefix.join("share/zvfs").join(word);
                assert!(path.exists(), "{} names {word}", header.display());
                named += 1;
            }
        }
    }
    assert!(named >= 4, "{named}");
}

/// `cp -r vfs-core` could be nobody's dependency: it inherited from a workspace that was left behind.
fn the_sdk_is_there_and_stands_alone(installation: &Installation) {
    let folder = installation.folder.path().join("crate");
    fs::create_dir_all(folder.join("src")).unwrap();
    let commands = "ZVFS=$(pkg-config --variable=sdkdir zvfs-provider)
cp -r $ZVFS/vfs-core copied
cat > Cargo.toml <<END
[package]
name = \"zvfs-a\"
edition = \"2024\"
[lib]
crate-type = [\"cdylib\"]
[dependencies]
vfs-core = { path = \"copied\" }
[workspace]
END
cp $ZVFS/examples/provider-c/seq.c .
cc -shared -fPIC $(pkg-config --cflags zvfs-provider) -o libzvfs_seq.so seq.c && rm libzvfs_seq.so seq.c
make -n -C $ZVFS/modules/redis && test -f $ZVFS/modules/nginx/config
test -f $ZVFS/docs/providers.md && test -f $ZVFS/../doc/zvfs/providers.md && test -f $ZVFS/include/zvfs_provider.h
echo 'use vfs_core as _;' > src/lib.rs
cargo metadata --no-deps --offline --quiet --format-version 1 --manifest-path copied/Cargo.toml > copied.json
cargo check --offline --quiet";
    run_long(installation.shell(&folder, commands)).succeeded();
    if have(&["apxs"]) {
        let commands = "make -n -C $(pkg-config --variable=sdkdir zvfs-provider)/modules/apache";
        run(installation.shell(&folder, commands)).succeeded();
    }
}

fn nothing_is_left(installation: &Installation) {
    installation.make("uninstall");
    let mut find = Command::new("find");
    find.arg(installation.prefix()).args(["!", "-type", "d"]);
    assert_eq!(run(find).succeeded().out(), "");
    assert!(!installation.prefix().join("share/zvfs").exists());
}
