//! The netpipe suite notices what is wrong: a model back-end passes every check, and fails the right one for each of its
//! faults.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod fault;
mod file;
mod model;
mod place;

use fault::{FAULTS, Fault};
use model::{Model, World};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use vfs_core::{Configuration, Registry};
use zvfs_conformance::Verdict;
use zvfs_conformance::netpipe::{CHECKS, Pair, Subject, run_check};

/// The suite counts the process's threads: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static RUNNING: Mutex<()> = Mutex::new(());
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn subject(fault: Fault) -> Subject {
    let world = Arc::new(World::with(fault));
    let hosts = move || {
        let registry = Registry::new(Configuration::parse("[provider.model]\n")?);
        registry.register(Box::new(Model::of(world.clone())))?;
        Ok(registry)
    };
    let pipes = |name: &str, writers| {
        Ok(Pair { reader: format!("model:{name}:r:{writers}"), writer: format!("model:{name}:w") })
    };
    Subject::new(hosts, pipes).transfer(4 << 20).held_max(1 << 20)
}

#[test]
fn a_back_end_without_fault_passes_every_check() {
    let _alone = alone();
    let subject = Arc::new(subject(Fault::None));
    for check in CHECKS {
        assert_eq!(run_check(check, &subject), Verdict::Passed, "{}", check.name);
    }
}

#[test]
fn each_fault_fails_its_check() {
    let _alone = alone();
    // Most of them wait for what never comes: side by side.
    let (next, unnoticed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some((fault, name)) = FAULTS.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let check = CHECKS.iter().find(|check| check.name == *name);
                    let check = check.unwrap_or_else(|| panic!("{fault:?}: there is no check {name}"));
                    let subject = subject(*fault).patience(Duration::from_secs(1));
                    let verdict = run_check(check, &Arc::new(subject.silence(Duration::from_millis(500))));
                    println!("{:<26} {:<46} {verdict}", format!("{fault:?}"), check.name);
                    if !matches!(verdict, Verdict::Failed(_)) {
                        unnoticed.lock().unwrap().push(format!("{fault:?}: {name} {verdict}"));
                    }
                }
            });
        }
    });
    let unnoticed = unnoticed.into_inner().unwrap();
    assert!(unnoticed.is_empty(), "{}", unnoticed.join("\n"));
}

#[test]
fn each_check_can_fail() {
    for check in CHECKS {
        assert!(FAULTS.iter().any(|(_, name)| *name == check.name), "no fault makes {} fail", check.name);
    }
}

#[test]
fn names_are_unique_and_explained() {
    for (at, check) in CHECKS.iter().enumerate() {
        assert!(CHECKS[..at].iter().all(|other| other.name != check.name), "{} stands twice", check.name);
        assert!(!check.what.is_empty(), "{} is not explained", check.name);
    }
}
