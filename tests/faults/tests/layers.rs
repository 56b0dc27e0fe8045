//! Layers, in C and in Rust, through their libraries: every call passes, and what a layer may do wrong harms nobody.

use std::fs;
use std::io::{Read, SeekFrom};
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};
use vfs_core::{
    Capabilities, Code, Configuration, Control, Direction, Entry, Finish, Flush, OpenFile, OpenFlags,
    OpenOptions, Registry, copy,
};
use zvfs_faults::{Plugins, of_tests};
use zvfs_test_support::{bounded, fifo, free_port, library, provider_process};

/// The layers: one in C, one in Rust.
const LAYERS: [&str; 2] = ["clayer", "layering"];
/// The promise of CANCEL, with room for a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// The providers that run in a process of their own, one set after the other: layers and what is below them, in the host or not.
const IN_PROCESSES: [&[&str]; 4] = [
    &[],
    &LAYERS,
    &["file", "context", "panicking"],
    &["clayer", "layering", "file", "context", "panicking"],
];

/// A folder with the layer in C, and the configuration's text for it and cargo's own providers.
struct Place {
    plugins: Plugins,
    folders: String,
    in_processes: &'static [&'static str],
}

/// Makes a test wherever its providers run.
fn everywhere(test: fn(&Place)) {
    bounded(move || {
        for in_processes in IN_PROCESSES {
            println!("in processes: {in_processes:?}");
            test(&Place::new(in_processes));
        }
    });
}

impl Place {
    fn new(in_processes: &'static [&'static str]) -> Place {
        let plugins = Plugins::new();
        plugins.add("clayer", "layer", &[]);
        plugins.add("context", "context", &[]);
        let folders = [library("file"), of_tests("layering"), of_tests("panicking")];
        let [built, of_tests, _] = folders.map(|library| library.with_file_name(""));
        let program = provider_process().with_file_name("");
        let folders =
            format!("provider-path = [{:?}, {of_tests:?}, {built:?}, {program:?}]\n", plugins.path());
        Place { plugins, folders, in_processes }
    }

    fn with(&self, sections: &str) -> Registry {
        let place = format!(
            "place = \"process\"\nmay-lack = [\"landlock\", \"landlock-net\", \"seccomp\"]\nmay = {{ write = [{:?}, \"/dev\"], open = [{schemes}] }}\n",
            self.plugins.path(),
            schemes = r#""clayer", "layering", "file", "context", "panicking", "nosuch""#
        );
        let mut text = self.folders.clone();
        for line in sections.lines() {
            let name = line.strip_prefix("[provider.").and_then(|line| line.strip_suffix("]"));
            let placed = name.is_some_and(|name| self.in_processes.contains(&name));
            text.extend([line, "\n", if placed { &place } else { "" }]);
        }
        Registry::new(Configuration::parse(&text).expect("a configuration"))
    }

    /// Everything may load.
    fn registry(&self) -> Registry {
        self.with("[provider.clayer]\n[provider.layering]\n[provider.file]\n[provider.panicking]\n[provider.context]")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.plugins.path().join(name)
    }

    /// A layer's descriptor over a file in this folder.
    fn over(&self, layer: &str, how: &str, name: &str) -> String {
        format!("{layer}:{how},file:{}", self.path(name).display())
    }
}

fn read() -> OpenOptions {
    OpenOptions::new(OpenFlags::READ)
}

fn opened(registry: &Registry, descriptor: &str, flags: OpenFlags) -> OpenFile {
    registry.open(descriptor, &OpenOptions::new(flags)).expect(descriptor)
}

/// Found: behind walls that let it read nothing, a library read /etc/shadow, which its host opened for it.
#[test]
fn a_layer_in_a_process_opens_what_it_may_and_nothing_else() {
    bounded(|| {
        let place = Place::new(&[]);
        fs::write(place.path("x"), "secret").unwrap();
        for (open, expected) in
            [("", Err(Code::EACCES)), ("\"mem\"", Err(Code::EACCES)), ("\"FILE\"", Ok(()))]
        {
            let sections = LAYERS.map(|layer| {
                format!("[provider.{layer}]\nplace = \"process\"\nmay-lack = [\"landlock\", \"landlock-net\", \"seccomp\"]\nmay = {{ open = [{open}] }}\n")
            });
            let registry = place.with(&format!("{}[provider.file]", sections.concat()));
            for layer in LAYERS {
                let descriptor = place.over(layer, "pass", "x");
                let file = registry.open(&descriptor, &read());
                let names = registry.stat(&descriptor, &OpenOptions::default());
                for got in [file.map(drop), names.map(drop)] {
                    if let Err(error) = &got {
                        assert!(error.chain().contains("open = [\"file\"]"), "{}", error.chain());
                    }
                    assert_eq!(got.map_err(|error| error.code()), expected, "{descriptor} with {open}");
                }
            }
        }
    });
}

/// Each may be a descriptor of the host's, of which others need some.
#[test]
fn a_layer_in_a_process_has_so_many_inner_files_and_no_more() {
    bounded(|| {
        let place = Place::new(&["layering"]);
        fs::write(place.path("x"), "text").unwrap();
        let registry = place.registry();
        let error = registry.open(&place.over("layering", "many", "x"), &read()).unwrap_err();
        assert_eq!(error.code(), Code::EMFILE, "{}", error.chain());
        assert!(error.chain().contains("has 256 files of other providers open"), "{}", error.chain());
        // They are closed now.
        opened(&registry, &place.over("layering", "pass", "x"), OpenFlags::READ);
    });
}

#[test]
fn every_call_passes_through_a_layer() {
    everywhere(|place| {
        let both = OpenFlags::READ | OpenFlags::WRITE | OpenFlags::CREATE;
        let registry = place.registry();
        for layer in LAYERS {
            let mut file = opened(&registry, &place.over(layer, "pass", layer), both);
            let plain = opened(&registry, &place.path("plain").display().to_string(), both);
            // A host lends a process no descriptor that is not the process's own.
            let lends = !place.in_processes.contains(&layer);
            let lost = if lends { Capabilities::empty() } else { Capabilities::FD };
            assert_eq!(file.capabilities(), plain.capabilities().without(lost), "{layer}");
            file.write_all(b"0123456789").unwrap();
            assert_eq!(file.tell().unwrap(), 10);
            assert_eq!(file.seek(SeekFrom::End(-4)).unwrap(), 6);
            let mut buf = [0; 8];
            assert_eq!(file.read(&mut buf).unwrap(), 4);
            assert_eq!(&buf[..4], b"6789");
            assert_eq!(file.read(&mut buf).unwrap(), 0);
            file.write_at(b"xy", 2).unwrap();
            assert_eq!(file.read_at(&mut buf, 1).unwrap(), 8);
            assert_eq!(&buf, b"1xy45678");
            file.truncate(5).unwrap();
            assert_eq!(file.stat().unwrap().size, Some(5));
            file.flush(Flush::Push).unwrap();
            file.flush(Flush::Sync).unwrap();
            if lends {
                file.seek(SeekFrom::Start(1)).unwrap();
                let lease = file.lease(Direction::Read).unwrap();
                assert_eq!(lease.offset, Some(1));
                let mut byte = [0; 2];
                assert_eq!(rustix::io::pread(lease.fd, &mut byte, 1).unwrap(), 2);
                file.advance(Direction::Read, 2).unwrap();
                assert_eq!((&byte, file.tell().unwrap()), (b"1x", 3));
            }
            file.finish(Finish::Commit).unwrap();
            drop(file);
            assert_eq!(fs::read(place.path(layer)).unwrap(), b"01xy4", "{layer}");
        }
    });
}

/// Through a layer nothing could be asked of a name: stat, ls and rm said ENOTSUP.
#[test]
fn names_pass_through_a_layer() {
    everywhere(|place| {
        let (registry, how) = (place.registry(), OpenOptions::new(OpenFlags::empty()));
        fs::create_dir(place.path("folder")).unwrap();
        for layer in LAYERS {
            let second = if layer == LAYERS[0] { LAYERS[1] } else { LAYERS[0] };
            let over = |name: &str| format!("{second}:pass,{}", place.over(layer, "pass", name));
            for name in ["folder/a", "folder/b"] {
                fs::write(place.path(name), "four").unwrap();
            }
            assert_eq!(registry.stat(&over("folder/a"), &how).unwrap().size, Some(4), "{layer}");
            let list = |name: &str, most: usize| {
                let mut names = Vec::new();
                let mut each = |entry: Entry<'_>| {
                    names.push(entry.name.to_owned());
                    if names.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                };
                let listed = registry.list(&over(name), &how, &mut each);
                names.sort();
                listed.map(|()| names)
            };
            assert_eq!(list("folder", 9).unwrap(), ["a", "b"], "{layer}");
            assert_eq!(list("folder", 1).unwrap().len(), 1, "{layer}");
            assert_eq!(list("folder/a", 9).unwrap_err().code(), Code::ENOTDIR);
            registry.remove(&over("folder/a"), &how).unwrap();
            assert!(!place.path("folder/a").exists());
            for result in
                [registry.remove(&over("folder/a"), &how), registry.stat(&over("folder/a"), &how).map(drop)]
            {
                assert_eq!(result.unwrap_err().code(), Code::ENOENT, "{layer}");
            }
        }
        // The operator's policy holds for names too. (Last: the layer in C knows one host only.)
        let only_layers = place.with("[provider.clayer]\n[provider.layering]\n");
        for layer in LAYERS {
            let refused = only_layers.stat(&place.over(layer, "pass", "folder/b"), &how).unwrap_err();
            assert_eq!(refused.code(), Code::EACCES, "{layer}: {}", refused.chain());
        }
    });
}

#[test]
fn splices_pass_through_a_layer() {
    bounded(|| {
        let place = Place::new(&[]);
        let registry = place.with("[provider.clayer]\n[provider.layering]\n[provider.file]\n[provider.tcp]\nsettings = { crc = \"off\" }");
        fs::write(place.path("in"), "sent in the kernel").unwrap();
        for layer in LAYERS {
            let port = free_port();
            let descriptor = |mode| format!("{layer}:pass,tcp://127.0.0.1:{port}?mode={mode}");
            let mut reader = opened(&registry, &descriptor("r"), OpenFlags::READ);
            let mut writer = opened(&registry, &descriptor("w"), OpenFlags::WRITE);
            let from = fs::File::open(place.path("in")).unwrap();
            let sent = thread::spawn(move || {
                let count = if writer.capabilities().contains(Capabilities::SPLICE) {
                    writer.send_from(from.as_fd(), 0, 18).unwrap()
                } else {
                    panic!("tcp claims no SPLICE: {:?}", writer.capabilities())
                };
                writer.finish(Finish::Commit).unwrap();
                count
            });
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            assert_eq!((sent.join().unwrap(), text.as_str()), (18, "sent in the kernel"), "{layer}");
        }
    });
}

#[test]
fn copy_goes_through_layers() {
    everywhere(|place| {
        let (registry, content) = (place.registry(), vec![7; 300_000]);
        fs::write(place.path("in"), &content).unwrap();
        for (from, to) in [("clayer", "layering"), ("layering", "clayer")] {
            let mut from = opened(&registry, &place.over(from, "pass", "in"), OpenFlags::READ);
            let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE;
            let mut to = opened(&registry, &place.over(to, "pass", "out"), flags);
            assert_eq!(copy(&mut from, &mut to, None, &mut |_| {}).unwrap(), 300_000);
            to.finish(Finish::Commit).unwrap();
            assert_eq!(fs::read(place.path("out")).unwrap(), content);
        }
    });
}

#[test]
fn eight_layers_may_stand_above_a_file_and_a_loop_ends() {
    everywhere(|place| {
        let registry = place.registry();
        fs::write(place.path("in"), "deep").unwrap();
        let stack = |count: usize| {
            let layers = (0..count).map(|at| format!("{}:pass,", LAYERS[at % 2])).collect::<String>();
            format!("{layers}file:{}", place.path("in").display())
        };
        let mut file = opened(&registry, &stack(8), OpenFlags::READ);
        assert_eq!(std::io::read_to_string(&mut file).unwrap(), "deep");
        for descriptor in [stack(9), stack(40), "clayer:self,".to_owned(), "layering:self,".to_owned()] {
            let error = registry.open(&descriptor, &read()).unwrap_err();
            assert_eq!(error.code(), Code::ELOOP, "{descriptor}");
            assert!(error.chain().contains("more than 8 layers"), "{}", error.chain());
        }
    });
}

#[test]
fn an_inner_scheme_needs_the_operators_permission_too() {
    everywhere(|place| {
        fs::write(place.path("in"), "forbidden").unwrap();
        let registry = place.with("[provider.clayer]\n[provider.layering]");
        for layer in LAYERS {
            let error = registry.open(&place.over(layer, "pass", "in"), &read()).unwrap_err();
            assert_eq!(error.code(), Code::EACCES, "{layer}");
            assert!(error.chain().contains("[provider.file]"), "{}", error.chain());
            let error = registry.open(&format!("{layer}:pass,nosuch:x"), &read()).unwrap_err();
            assert_eq!(error.code(), Code::EPROTONOSUPPORT, "{layer}");
        }
        let root = place.path("root");
        fs::create_dir(&root).unwrap();
        let registry = place.with(&format!(
            "[provider.clayer]\n[provider.layering]\n[provider.file]\nsettings = {{ root = {root:?} }}"
        ));
        for layer in LAYERS {
            let error = registry.open(&place.over(layer, "pass", "in"), &read()).unwrap_err();
            assert_ne!(
                error.code(),
                Code::EIO,
                "{layer}: the operator's root holds for inner files: {error:?}"
            );
            assert!(error.chain().contains("root"), "{}", error.chain());
        }
    });
}

#[test]
fn the_inner_cause_of_a_failure_is_kept() {
    everywhere(|place| {
        let registry = place.registry();
        for layer in LAYERS {
            let (inner, outer) = (place.path("absent"), place.over(layer, "pass", "absent"));
            let error = registry.open(&outer, &read()).unwrap_err();
            assert_eq!(error.code(), Code::ENOENT);
            let wanted = format!("open {outer}: open file:{}: no such file", inner.display());
            assert_eq!(error.chain(), wanted);
            let error = registry.open(&format!("{layer}:pass,panicking:open"), &read()).unwrap_err();
            assert_eq!(error.code(), Code::EIO);
            assert!(error.chain().contains("boom in open"), "{}", error.chain());
        }
    });
}

#[test]
fn a_layers_own_words_survive_its_inner_files_failures() {
    everywhere(|place| {
        fs::write(place.path("in"), "x").unwrap();
        let error = place.registry().open(&place.over("clayer", "own-text", "in"), &read()).unwrap_err();
        assert_eq!(error.code(), Code::EPROTO);
        assert!(error.chain().ends_with("the layer's own words"), "{}", error.chain());
    });
}

#[test]
fn a_failed_inner_write_stays_failed() {
    everywhere(|place| {
        let registry = place.registry();
        for layer in LAYERS {
            let descriptor = format!("{layer}:pass,file:/dev/full");
            let mut file = opened(&registry, &descriptor, OpenFlags::WRITE);
            assert_eq!(file.write(b"x").unwrap_err().code(), Code::ENOSPC);
            assert_eq!(file.finish(Finish::Commit).unwrap_err().code(), Code::ENOSPC);
        }
    });
}

/// Lets a read of a silent FIFO block below a layer, stops it, and returns how it ended and after what time.
fn stopped(registry: &Registry, descriptor: &str, fifo: &Path, stop: fn(&Control)) -> (Code, Duration) {
    let control = Control::new();
    let (done, ended) = channel();
    // Opened for both: then the reader's open does not wait, and no end ever comes.
    let _held = fs::OpenOptions::new().read(true).write(true).open(fifo).expect("a FIFO");
    thread::scope(|scope| {
        scope.spawn(|| {
            let how = read().control(&control);
            let result = registry.open(descriptor, &how).and_then(|mut file| file.read(&mut [0; 4]));
            let _ = done.send(result.expect_err("nothing was written").code());
        });
        // It blocks if it is not back by then; a slow machine only makes the test weaker.
        assert!(ended.recv_timeout(Duration::from_millis(200)).is_err(), "{descriptor}: it does not block");
        let start = Instant::now();
        stop(&control);
        let code = ended.recv_timeout(SOON).expect("an end");
        (code, start.elapsed())
    })
}

#[test]
fn cancel_and_deadline_reach_the_inner_file() {
    everywhere(|place| {
        let (registry, fifo) = (place.registry(), fifo(place.path("fifo")));
        for layers in ["clayer:pass,", "layering:pass,", "layering:pass,clayer:pass,", "layering:thread,"] {
            let descriptor = format!("{layers}file:{}", fifo.display());
            assert_eq!(
                stopped(&registry, &descriptor, &fifo, Control::cancel).0,
                Code::ECANCELED,
                "{layers}"
            );
            let deadline = |control: &Control| control.set_deadline(Some(Instant::now()));
            assert_eq!(stopped(&registry, &descriptor, &fifo, deadline).0, Code::ETIMEDOUT, "{layers}");
            // In the inner provider's open, too.
            let descriptor = format!("{layers}context:wait-in-open{}", fifo.display());
            assert_eq!(
                stopped(&registry, &descriptor, &fifo, Control::cancel).0,
                Code::ECANCELED,
                "{layers}"
            );
        }
    });
}

#[test]
fn a_cancelled_layer_can_still_discard() {
    everywhere(|place| {
        let registry = place.registry();
        for layer in LAYERS {
            let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::ATOMIC;
            let mut file = opened(&registry, &place.over(layer, "pass", layer), flags);
            file.write_all(b"half").unwrap();
            file.control().cancel();
            file.finish(Finish::Discard).unwrap();
            drop(file);
            assert!(!place.path(layer).exists(), "{layer}");
        }
    });
}

#[test]
fn nothing_can_be_opened_in_start() {
    everywhere(|place| {
        for layer in LAYERS {
            for inner in ["/dev/null", &format!("{layer}:pass,/dev/null")] {
                let section =
                    format!("[provider.{layer}]\nsettings = {{ at-start = \"{inner}\" }}\n[provider.file]");
                let error =
                    place.with(&section).open(&format!("{layer}:pass,/dev/null"), &read()).unwrap_err();
                assert_eq!(error.code(), Code::EBUSY, "{layer}: {error:?}");
                assert!(error.chain().contains("not in start"), "{}", error.chain());
            }
        }
    });
}

#[test]
fn a_context_that_is_nobodys_opens_nothing() {
    everywhere(|place| {
        let error = place.registry().open("layering:foreign,/dev/null", &read()).unwrap_err();
        assert_eq!(error.code(), Code::EINVAL);
        assert!(error.chain().contains("the context of an open file"), "{}", error.chain());
    });
}

#[test]
fn misuse_of_the_hosts_calls_is_einval() {
    everywhere(|place| {
        let registry = place.registry();
        fs::write(place.path("in"), "x").unwrap();
        let _other = opened(&registry, &place.over("clayer", "pass", "in"), OpenFlags::READ);
        opened(&registry, &place.over("clayer", "misuse", "in"), OpenFlags::READ);
    });
}

#[test]
fn a_layer_learns_which_flags_its_inner_provider_takes() {
    everywhere(|place| {
        let registry = place.registry();
        let flags = registry.info("file:/", &OpenOptions::default()).unwrap().supported_flags.bits();
        for layer in LAYERS {
            let error = registry.open(&place.over(layer, "flags", "x"), &read()).unwrap_err();
            assert!(error.chain().ends_with(&format!("flags {flags:x}")), "{}", error.chain());
        }
    });
}

#[test]
fn panics_stay_in_their_file() {
    everywhere(|place| {
        let registry = place.registry();
        fs::write(place.path("in"), "x").unwrap();
        let mut file = opened(&registry, &place.over("layering", "panic", "in"), OpenFlags::READ);
        assert!(file.read(&mut [0; 4]).unwrap_err().chain().contains("boom in the layer"));
        for layer in LAYERS {
            let mut file = opened(&registry, &format!("{layer}:pass,panicking:read"), OpenFlags::READ);
            let error = file.read(&mut [0; 4]).unwrap_err();
            assert_eq!(error.code(), Code::EIO);
            assert!(error.chain().contains("boom in read"), "{}", error.chain());
            assert_eq!(
                file.read(&mut [0; 4]).unwrap_err().code(),
                Code::EIO,
                "{layer}: the inner file is poisoned"
            );
            drop(file);
            opened(&registry, &format!("{layer}:pass,panicking:nothing"), OpenFlags::READ)
                .read(&mut [0; 4])
                .unwrap();
        }
    });
}

#[test]
fn a_layer_outlives_its_registry_and_its_inner_file_outlives_a_layer_that_forgets_it() {
    everywhere(|place| {
        fs::write(place.path("in"), "still here").unwrap();
        for layer in LAYERS {
            let registry = place.registry();
            let mut file = opened(&registry, &place.over(layer, "pass", "in"), OpenFlags::READ);
            drop(registry);
            assert_eq!(std::io::read_to_string(&mut file).unwrap(), "still here");
            drop(file);
            let registry = place.registry();
            drop(opened(&registry, &place.over(layer, "leak", "in"), OpenFlags::READ));
            drop(registry);
        }
        // Read and closed on another thread after the layer's file, its context, its instance and the registry are gone.
        let registry = place.registry();
        drop(opened(&registry, &place.over("layering", "late", "in"), OpenFlags::READ));
        drop(registry);
        let fresh = place.path("in").display().to_string();
        let mut file = opened(&place.registry(), &fresh, OpenFlags::READ | OpenFlags::WRITE);
        file.write_all(b"on").unwrap();
    });
}
