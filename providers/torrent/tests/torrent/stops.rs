//! Cancel and deadline, in every state that a call can wait in.

use crate::common::*;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};
use vfs_core::{Code, Control, Result};
use zvfs_engines::torrent::{Conduct, Seed, Torrent};

/// Time enough to be in a state that nobody can see from outside.
const WAITS: Duration = Duration::from_millis(200);
/// The rule is 100 ms; a loaded machine gets more. The provider's own timeout is far longer.
const AT_ONCE: Duration = Duration::from_secs(10);

/// Lets a call wait, stops it by a cancel and by a deadline, and checks how and how soon it ends.
#[track_caller]
fn stops(call: impl Fn(&Control) -> Result<()> + Clone + Send + 'static) {
    for by_cancel in [true, false] {
        let (control, call) = (Control::new(), call.clone());
        let own = control.clone();
        let ended = in_thread(move || (call(&own), Instant::now()));
        match ended.recv_timeout(WAITS) {
            Err(RecvTimeoutError::Timeout) => {}
            Err(error) => panic!("{error}"),
            Ok((outcome, _)) => panic!("it did not wait: {outcome:?}"),
        }
        let stopped = Instant::now();
        if by_cancel {
            control.cancel();
        } else {
            control.set_deadline(Some(stopped));
        }
        let (outcome, at) = ended.recv_timeout(SLACK).expect("it is still waiting");
        let took = at.saturating_duration_since(stopped);
        println!("stopped after {took:?}");
        assert!(took < AT_ONCE, "it took {took:?} to stop");
        refused(outcome, if by_cancel { Code::ECANCELED } else { Code::ETIMEDOUT }, "");
    }
}

/// Stops a read of a torrent with this seed.
#[track_caller]
fn stops_reading(torrent: &Torrent, seeds: &[Seed], descriptor: impl Fn(&Place) -> String) {
    let place = Place::with_peers(seeds.iter().map(Seed::address));
    let (registry, descriptor) = (place.registry.clone(), descriptor(&place));
    let size = torrent.content.len();
    stops(move |control| {
        let mut file = registry.open(&descriptor, &under(control))?;
        let mut buf = vec![0; size];
        while file.read(&mut buf)? > 0 {}
        Ok(())
    });
}

fn silent(torrent: &Torrent) -> Seed {
    Seed::with(torrent, Conduct { is_silent: true, ..Conduct::default() })
}

#[test]
fn without_a_peer() {
    let torrent = torrent("s", PIECE);
    stops_reading(&torrent, &[], |place| place.torrent(&torrent));
}

#[test]
fn with_a_peer_that_gives_nothing() {
    let torrent = torrent("s", PIECE);
    stops_reading(&torrent, &[silent(&torrent)], |place| place.torrent(&torrent));
}

#[test]
fn in_the_middle() {
    let torrent = torrent("s", 20 * PIECE);
    let dying = Conduct { dies_after: Some(5 * PIECE as u64), ..Conduct::default() };
    stops_reading(&torrent, &[Seed::with(&torrent, dying)], |place| place.torrent(&torrent));
}

#[test]
fn while_a_peer_is_asked_for_metadata() {
    let torrent = torrent("s", PIECE);
    stops_reading(&torrent, &[silent(&torrent)], |_| torrent.magnet());
}

#[test]
fn between_two_attempts_to_get_metadata() {
    let torrent = torrent("s", PIECE);
    let gone = Seed::of(&torrent).address();
    let place = Place::with_peers([gone]);
    let (registry, magnet) = (place.registry.clone(), torrent.magnet());
    stops(move |control| registry.open(&magnet, &under(control)).map(drop));
}
