//! The suite notices what is wrong: a model provider passes every check, and fails the right one for each of its faults.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod fault;
mod file;
mod model;

use fault::{FAULTS, Fault};
use model::{BLOCKING, Model};
use std::sync::Arc;
use vfs_core::OpenFlags;
use zvfs_conformance::{Blocking, CHECKS, Subject, Verdict, run_check};

fn subject(fault: Fault) -> Arc<Subject> {
    let blocking = |_: &str| Ok(Blocking { descriptor: format!("model:{BLOCKING}"), flags: OpenFlags::READ });
    let subject = Subject::new(Box::new(Model::with(fault))).target(|name| Ok(format!("model:{name}")));
    Arc::new(subject.blocking(blocking).isolated())
}

#[test]
fn a_provider_without_fault_passes_every_check() {
    let subject = subject(Fault::None);
    for check in CHECKS {
        assert_eq!(run_check(check, &subject), Verdict::Passed, "{}", check.name);
    }
}

#[test]
fn each_fault_fails_its_check() {
    for (fault, name) in FAULTS {
        let check = CHECKS.iter().find(|check| check.name == *name);
        let check = check.unwrap_or_else(|| panic!("{fault:?}: there is no check {name}"));
        let verdict = run_check(check, &subject(*fault));
        println!("{:<28} {:<44} {verdict}", format!("{fault:?}"), check.name);
        assert!(matches!(verdict, Verdict::Failed(_)), "{fault:?}: {name} {verdict}");
    }
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
