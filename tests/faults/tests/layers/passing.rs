//! What passes through a layer.

use super::*;

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
            let long_ago = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 500_000_000);
            file.set_modified(long_ago).unwrap();
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
            let modified = fs::metadata(place.path(layer)).unwrap().modified().unwrap();
            assert_eq!(modified, long_ago, "{layer}");
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

/// Over a layer no tree could be copied to or mounted: folders, times and names that are not UTF-8 ended at it.
#[test]
fn folders_and_times_pass_through_a_layer() {
    everywhere(|place| {
        let (registry, how) = (place.registry(), OpenOptions::new(OpenFlags::empty()));
        for (layer, second) in [(LAYERS[0], LAYERS[1]), (LAYERS[1], LAYERS[0])] {
            let over = |name: &str| format!("{second}:pass,{}", place.over(layer, "pass", name));
            let code = |result: vfs_core::Result<()>| result.unwrap_err().code();
            registry.make_folder(&over("made"), &how).unwrap();
            assert!(place.path("made").is_dir(), "{layer}");
            assert_eq!(code(registry.make_folder(&over("made"), &how)), Code::EEXIST, "{layer}");
            assert_eq!(code(registry.make_folder(&over("no/made"), &how)), Code::ENOENT, "{layer}");
            let odd = OsStr::from_bytes(b"odd\xff");
            fs::write(place.path("made").join(odd), "x").unwrap();
            let mut names = Vec::new();
            let mut each = |name: Name<'_>| {
                names.push((name.bytes.to_owned(), name.stat.map(|stat| stat.kind)));
                ControlFlow::Continue(())
            };
            registry.names(&over("made"), &how, &mut each).unwrap();
            assert_eq!(names, [(odd.as_bytes().to_owned(), Some(Kind::Regular))], "{layer}");
            assert_eq!(code(registry.remove_folder(&over("made"), &how)), Code::ENOTEMPTY, "{layer}");
            registry.remove(&over("made/odd%ff"), &how).unwrap();
            let long_ago = SystemTime::UNIX_EPOCH - Duration::from_millis(1500);
            registry.set_modified(&over("made"), &how, long_ago).unwrap();
            assert_eq!(fs::metadata(place.path("made")).unwrap().modified().unwrap(), long_ago, "{layer}");
            assert_eq!(registry.stat(&over("made"), &how).unwrap().modified, Some(long_ago), "{layer}");
            registry.remove_folder(&over("made"), &how).unwrap();
            assert_eq!(code(registry.remove_folder(&over("made"), &how)), Code::ENOENT, "{layer}");
            assert_eq!(code(registry.set_modified(&over("made"), &how, long_ago)), Code::ENOENT, "{layer}");
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
