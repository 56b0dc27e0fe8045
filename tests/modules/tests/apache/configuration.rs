//! What is wrong with the configuration is said when it is read.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use zvfs_modules_tests::apache::Apache;
use zvfs_test_support::{eventually, skip};

#[test]
fn a_wrong_configuration_is_said_with_its_line() {
    if !Apache::is_here() {
        return;
    }
    for (manifest, lines, words) in [
        ("Timeout = never", "", "MANIFEST"),
        ("", "</Location>\n<Location /other>\nZvmManifest /does/not/exist", "read /does/not/exist"),
        ("", "ZvmSessions 0", "is not a number from 1"),
        ("", "ZvmWorker /bin/true", "not allowed"),
        // Which of two counts, nobody could see.
        ("", "ZvmManifest /does/not/exist", "ZvmManifest: stands in line "),
        ("", "ZvmSessions 1\nZvmSessions 2", "ZvmSessions: stands in line "),
        ("", "ZvmQueue 1\nZvmQueue 1", "ZvmQueue: stands in line "),
        (
            "",
            "</Location>\nZvmConfiguration /a\nZvmConfiguration /b\n<Location /other>",
            "ZvmConfiguration: stands in line ",
        ),
        ("", "</Location>\nZvmWorker /a\nZvmWorker /b\n<Location /other>", "already, with `/a`: remove one"),
        (
            "",
            "</Location>\nZvmCache /a /b\nZvmCache /a /b\n<Location /other>",
            "already, with `/a /b`: remove one",
        ),
        // What the children would find.
        ("Memory = 1k, 0", "", "MANIFEST 2: Memory: 1024 bytes are too few: the program starts with "),
        ("Program = $FOLDER/elsewhere", "", "ZvmManifest: "),
        ("Program = $FOLDER/elsewhere", "", "bad program: neither"),
        ("Program = $FOLDER/nowhere", "", "nowhere"),
        ("Channel = nosuch://x, /data, 0, 1, 1, 0, 0", "", "MANIFEST "),
        ("Channel = nosuch://x, /data, 0, 1, 1, 0, 0", "", "nosuch"),
        (
            "",
            "</Location>\nZvmWorker /bin/true\n<Location /other>",
            "ZvmWorker: compile the program by /bin/true",
        ),
        (
            "",
            "</Location>\nZvmWorker /nowhere\n<Location /other>",
            "ZvmWorker: compile the program by /nowhere",
        ),
        // The children's user makes nothing there.
        ("", "</Location>\nZvmCache /proc/cache /proc/key\n<Location /other>", "ZvmCache: "),
        ("", "</Location>\nZvmConfiguration /nowhere\n<Location /other>", "ZvmConfiguration: "),
    ] {
        let said = Apache::try_start(&[("guest", manifest, lines)]).err().unwrap();
        assert!(said.contains(words) && said.contains("line "), "{lines}: {said}");
    }
}

/// A stranger's report: it passed, and each request was answered by 500.
#[test]
fn a_handler_without_a_manifest_is_said_with_its_line() {
    if !Apache::is_here() {
        return;
    }
    let said =
        Apache::without_manifests("<Location /bare>\nSetHandler zvm-handler\n</Location>\n").err().unwrap();
    assert!(
        said.contains("SetHandler zvm-handler: no ZvmManifest stands in this section or around it"),
        "{said}"
    );
    // What all guests would have in common is checked without any, too.
    for (lines, words) in [
        ("ZvmWorker /bin/true\n", "ZvmWorker: compile the program by /bin/true"),
        ("ZvmConfiguration /nowhere\n", "ZvmConfiguration: "),
        ("ZvmCache /proc/cache /proc/key\n", "ZvmCache: "),
    ] {
        let said = Apache::without_manifests(lines).err().unwrap();
        assert!(said.contains(words) && said.contains("line "), "{lines}: {said}");
    }
    // Another section may have one for it.
    let lines = "</Location>\n<Location /bare>\nSetHandler \"zvm-handler\"\n</Location>\n<Location /other>";
    let apache = Apache::start(&[("guest", "", lines)]);
    assert!(apache.said().contains("SetHandler \"zvm-handler\": no ZvmManifest stands"), "{}", apache.said());
    assert_eq!(apache.said().matches("no ZvmManifest stands").count(), 1, "{}", apache.said());
    let lines = "<If \"true\">\nSetHandler zvm-handler\n</If>";
    let apache = Apache::start(&[("guest", "", lines)]);
    assert!(!apache.said().contains("no ZvmManifest stands"), "{}", apache.said());
}

/// A stranger's report: the page forbade it, and nothing was said.
#[test]
fn guests_that_can_take_all_threads_of_a_child_are_a_warning() {
    if !Apache::is_here() {
        return;
    }
    let whole = |lines: &str| format!("</Location>\n{lines}\n<Location /other>");
    // Of 32 threads; 8 run and 8 wait unless it is said.
    for (lines, said) in [
        (
            "ZvmSessions 20\nZvmQueue 12".to_owned(),
            "ZvmSessions 20 and ZvmQueue 12 together reach ThreadsPerChild 32",
        ),
        ("ZvmQueue 100".to_owned(), "ZvmSessions 8 and ZvmQueue 100 together"),
        (whole("ZvmSessions 24"), "ZvmSessions 24 and ZvmQueue 8 together"),
        ("ZvmSessions 20\nZvmQueue 11".to_owned(), ""),
        (format!("ZvmSessions 1\n{}", whole("ZvmSessions 24")), ""),
        (String::new(), ""),
    ] {
        let apache = Apache::start(&[("guest", "", &lines)]);
        let warned = apache.said().matches("ThreadsPerChild").count();
        assert_eq!(warned, usize::from(!said.is_empty()), "{lines}: {}", apache.said());
        assert!(apache.said().contains(said), "{lines}: {}", apache.said());
    }
}

/// A stranger's report: the page said so, and Apache refused it.
#[test]
fn a_manifest_outside_of_all_sections_is_the_whole_servers() {
    if !Apache::is_here() {
        return;
    }
    let lines = "</Location>\nZvmManifest guest\nZvmSessions 2\n<Location /whole>\nSetHandler zvm-handler\n</Location>\n<Location /other>";
    let apache = Apache::start(&[("guest", "", lines)]);
    assert_eq!(apache.curl(&[], false, "/whole?"), "hello\n");
    assert!(!apache.said().contains("no ZvmManifest stands"), "{}", apache.said());
}

/// The children's rights are not the parent's: what root may read, and they may not, is found too.
#[test]
fn a_wrong_configuration_is_found_with_the_rights_of_the_children() {
    if !Apache::is_here() {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        return skip("only root's Apache has children of another user");
    }
    let cache = tempfile::tempdir().unwrap();
    fs::set_permissions(cache.path(), Permissions::from_mode(0o700)).unwrap();
    let at = cache.path().display();
    let lines = format!("</Location>\nZvmCache {at}/programs {at}/key\n<Location /other>");
    let said = Apache::try_start(&[("guest", "", &lines)]).err().unwrap();
    assert!(said.contains("ZvmCache: ") && said.contains("access denied"), "{said}");
    chown(cache.path(), Some(65534), Some(65534)).unwrap();
    let mut apache = Apache::start(&[("guest", "", &lines)]);
    assert_eq!(apache.curl(&[], false, "/guest?"), "hello\n");
    // A child that comes later, and cannot use it, answers all the rest.
    fs::set_permissions(cache.path().join("programs"), Permissions::from_mode(0o777)).unwrap();
    apache.restart();
    eventually("a guest cannot run", || apache.request("/guest?", b"").status == 500);
    assert!(apache.log().contains("this process can run no guest: "), "{}", apache.log());
    assert_eq!(apache.curl(&[], false, "/elsewhere"), "static");
}
