//! The suite over pipes through a broker. The other end is an instance of its own.

use crate::common::*;
use std::collections::HashMap;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use vfs_core::{Control, Finish, OpenOptions, Provider};
use zvfs_conformance::{Blocking, Subject, run};

type Arrived = Receiver<Option<Vec<u8>>>;

pub fn suite(provider: Box<dyn Provider>) {
    let broker = Running::start(netpipe::broker::Config::default());
    let peer = registry(&format!("broker = \"{}\"", broker.address));
    let sinks: Arc<Mutex<HashMap<String, Arrived>>> = Arc::default();
    let (writing, reading, seen) = (peer.clone(), peer, sinks.clone());
    run(Subject::new(provider)
        .setting("broker", &broker.address.to_string())
        .source(move |name, content| {
            let (registry, content) = (writing.clone(), content.to_vec());
            let descriptor = format!("netpipe:{name}");
            let mut writer = registry.open(&descriptor, &OpenOptions::new(WRITE).control(&slack()))?;
            in_thread(move || {
                // A check may close before it has read everything.
                let _ = writer.write_all(&content).and_then(|()| writer.finish(Finish::Commit));
            });
            Ok(format!("{descriptor}:r"))
        })
        .sink(move |name| {
            let descriptor = format!("netpipe:{name}");
            let mut reader = reading.open(&descriptor, &OpenOptions::new(READ).control(&slack()))?;
            let arrived = in_thread(move || {
                let (bytes, error) = drain(&mut reader);
                error.is_none().then_some(bytes)
            });
            let descriptor = format!("{descriptor}:w");
            sinks.lock().unwrap().insert(descriptor.clone(), arrived);
            Ok(descriptor)
        })
        .contents(move |descriptor| {
            let arrived = seen.lock().unwrap().remove(descriptor).unwrap();
            Ok(arrived.recv_timeout(SLACK).unwrap())
        })
        .blocking(|name| Ok(Blocking { descriptor: format!("netpipe:{name}:w"), flags: WRITE })));
}

#[test]
fn pipes_through_a_broker_pass_the_suite() {
    suite(crate::provider());
}

/// A control whose calls end should they last.
fn slack() -> Control {
    let control = Control::new();
    control.set_deadline(Some(Instant::now() + SLACK));
    control
}
