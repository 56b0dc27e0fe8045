//! What a layer makes of failures, cancels and deadlines.

use super::*;

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
