//! The suite notices what is wrong: a model provider passes every check, and fails the right one for each of its faults.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod fault;
mod file;
mod model;

use fault::{FAULTS, Fault};
use model::{BLOCKING, Model};
use std::sync::Arc;
use std::time::Duration;
use vfs_core::{Context, Host, HostCalls, Info, Inner, Instance, Level, OpenFlags, Provider, Settings};
use zvfs_conformance::{Blocking, CHECKS, Subject, Verdict, run_check};

/// Of checks whose provider has a call that does not end when it should.
const PATIENCE: Duration = Duration::from_millis(500);

fn subject(fault: Fault) -> Arc<Subject> {
    let blocking = |_: &str| Ok(Blocking { descriptor: format!("model:{BLOCKING}"), flags: OpenFlags::READ });
    let subject = Subject::new(Box::new(Model::with(fault))).target(|name| Ok(format!("model:{name}")));
    let subject = subject.blocking(blocking).isolated();
    match fault {
        // Others would wait longer for what never comes, and find nothing else.
        Fault::BlocksThroughCancel | Fault::TriesWait => Arc::new(subject.patience(PATIENCE)),
        Fault::KeepsFoldersFromBeneath => Arc::new(subject.host(Host::new(Arc::new(Beneath)))),
        _ => Arc::new(subject),
    }
}

/// A host with a provider beneath a layer, which makes and removes folders.
struct Beneath;

impl HostCalls for Beneath {
    fn name(&self) -> &str {
        "detects"
    }

    fn version(&self) -> &str {
        "1"
    }

    fn log(&self, _: Level, _: &str) {}

    fn make_folder(&self, _: &Context, _: &str, _: &Inner) -> vfs_core::Result<()> {
        Ok(())
    }

    fn remove_folder(&self, _: &Context, _: &str, _: &Inner) -> vfs_core::Result<()> {
        Ok(())
    }
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

/// What comes back of the model with the fault `Capitals`, which a layer may do on purpose.
fn capitals(written: &[u8]) -> std::io::Result<Vec<u8>> {
    Ok(written.to_ascii_uppercase())
}

/// A layer that changes bytes failed half of the checks, with advice that led nowhere.
#[test]
fn a_provider_that_changes_bytes_passes_once_it_is_said_what_comes_back() {
    let model =
        || Subject::new(Box::new(Model::with(Fault::Capitals))).target(|name| Ok(format!("model:{name}")));
    let (told, untold) = (Arc::new(model().comes_back(capitals).isolated()), Arc::new(model().isolated()));
    let mut failed = 0;
    for check in CHECKS {
        let verdict = run_check(check, &told);
        // Nothing blocks here.
        let spared = check.name.ends_with("blocked_call") || check.name == "a_try_waits_for_nothing";
        assert!(verdict == Verdict::Passed || spared, "{}: {verdict}", check.name);
        failed += u32::from(matches!(run_check(check, &untold), Verdict::Failed(_)));
    }
    assert!(failed > 10, "{failed} checks notice it");
}

/// Names that a check had made stayed where they were.
#[test]
fn what_the_checks_made_is_gone_afterwards() {
    let model = Arc::new(Model::with(Fault::InstancesShareNames));
    let subject =
        Arc::new(Subject::new(Box::new(Kept(model.clone()))).target(|name| Ok(format!("model:{name}"))));
    let made = |name: &str| {
        let check = CHECKS.iter().find(|check| check.name == name).unwrap();
        assert_eq!(run_check(check, &subject), Verdict::Passed);
    };
    made("write_is_read_back");
    made("truncate_flag_empties");
    assert!(model.count() >= 6, "{}", model.count());
    assert_eq!(subject.clean_up().unwrap(), Vec::<String>::new());
    assert_eq!(model.count(), 0);

    // A run in another process that did not get so far.
    let number = std::process::id();
    made("append_writes_at_the_end");
    let again = Subject::new(Box::new(Kept(model.clone()))).target(|name| Ok(format!("model:{name}")));
    assert!(model.count() > 0);
    assert_eq!(again.clean_up_after(number).unwrap(), Vec::<String>::new());
    assert_eq!(model.count(), 0);
}

/// A provider that a test keeps a hold on.
struct Kept(Arc<Model>);

impl Provider for Kept {
    fn info(&self) -> Info {
        self.0.info()
    }

    fn start(&self, host: Host, settings: Settings) -> vfs_core::Result<Box<dyn Instance>> {
        self.0.start(host, settings)
    }
}
