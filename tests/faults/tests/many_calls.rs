//! Many calls of one provider's process at once.

use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::collections::BTreeSet;
use std::fs;
use std::sync::mpsc::channel;
use std::thread;
use vfs_core::{Code, Configuration, Control, OpenFlags, OpenOptions, Registry, Walls};
use zvfs_test_support::{bounded, built, provider_process};

/// As many calls may be in progress.
const MOST: usize = 256;
const BEYOND: usize = 10;

#[test]
fn as_many_calls_as_may_be_wait_at_once_and_what_is_beyond_is_told() {
    bounded(|| {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        mknodat(CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).unwrap();
        // Opened for both: then a reader's open does not wait, and no end ever comes.
        let _held = fs::OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
        let mut configuration = Configuration::closed();
        for folder in [built(), provider_process().with_file_name("")] {
            configuration.add_provider_path(folder).unwrap();
        }
        let walls = Walls { write: vec![folder.path().to_owned()], ..Walls::default() };
        configuration.place_in_process("file", walls).unwrap();
        let registry = Registry::new(configuration);
        let descriptor = format!("file:{}", fifo.display());
        let read = |control: &Control| {
            let how = OpenOptions::new(OpenFlags::READ).control(control);
            registry
                .open(&descriptor, &how)
                .and_then(|mut file| file.read(&mut [0]))
                .map_err(|error| error.code())
        };
        let controls: Vec<Control> = (0..MOST + BEYOND).map(|_| Control::new()).collect();
        let (done, ended) = channel();
        thread::scope(|scope| {
            for (at, control) in controls.iter().enumerate() {
                let (done, read) = (done.clone(), &read);
                scope.spawn(move || done.send((at, read(control))));
            }
            drop(done);
            let in_progress = |results: &mut dyn Iterator<Item = (usize, Result<usize, Code>)>| {
                results
                    .filter(|(_, result)| *result != Err(Code::EMFILE))
                    .inspect(|(_, result)| assert_eq!(*result, Err(Code::ECANCELED)))
                    .count()
            };
            let mut left: BTreeSet<usize> = (0..controls.len()).collect();
            for _ in 0..BEYOND {
                let (at, result) = ended.recv().unwrap();
                assert_eq!(result, Err(Code::EMFILE));
                left.remove(&at);
            }
            // One alone; the others go on. (A close, which is always made, may be in the way of one more, and that may be this one.)
            let mut one = left.pop_first().unwrap();
            controls[one].cancel();
            loop {
                let (at, result) = ended.recv().unwrap();
                left.remove(&at);
                if result != Err(Code::EMFILE) {
                    assert_eq!((at, result), (one, Err(Code::ECANCELED)));
                    break;
                }
                if at == one {
                    one = left.pop_first().unwrap();
                    controls[one].cancel();
                }
            }
            assert_eq!(in_progress(&mut ended.try_iter()), 0);
            controls.iter().for_each(Control::cancel);
            assert!(in_progress(&mut ended.iter()) > MOST / 2);
        });
        // There is room again.
        fs::write(folder.path().join("x"), "x").unwrap();
        let path = folder.path().join("x").display().to_string();
        let mut file = registry.open(&path, &OpenOptions::new(OpenFlags::READ)).unwrap();
        assert_eq!(file.read(&mut [0]).unwrap(), 1);
    });
}
