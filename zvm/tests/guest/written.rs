//! Writable trees: a provider's folder that the guest changes. What it did is done at the session's end, all of it or nothing.

use crate::job::*;
use crate::script::{self, READ, WRITE};
use crate::vault::{Fault, Vault};
use std::time::{Duration, Instant};
use vfs_core::Code;
use zvm::OutputState;

const CREATE: u32 = 1;
const DIRECTORY: u32 = 2;
const TRUNCATE: u32 = 8;
const APPEND: u32 = 1;
const BOTH: u64 = READ | WRITE;
const STALE: i64 = -72;

/// `a`, `b/c`, `b/d/e`.
fn vault() -> Vault {
    let vault = Vault::new().folder("root/b").folder("root/b/d").file("root/a", "hello");
    vault.file("root/b/c", "see").file("root/b/d/e", "deep")
}

/// A session that has `vault:root` as `/data`.
fn job_of(vault: &Vault, quotas: &str) -> Job {
    let tree = format!("Tree = vault:root, /data, rw, {quotas}");
    Job::new().key("Scratch = 64m").key(&tree).over_provider(vault.clone())
}

fn job(vault: &Vault) -> Job {
    job_of(vault, "99, 9999, 99, 9999")
}

/// The calls that changed something.
fn changed(vault: &Vault) -> Vec<String> {
    let changes =
        |call: &String| ["commit", "remove", "mkdir", "rmdir"].contains(&call.split(' ').next().unwrap());
    vault.log().into_iter().filter(changes).collect()
}

#[test]
fn what_a_guest_changes_is_done_at_the_end() {
    let vault = vault();
    let job = job(&vault);
    // Appended to, written in the middle, emptied; made, made under another name; removed.
    let script = format!(
        "open \"data/a\" 0 {BOTH} {APPEND}\n write 4 1\n size 4\n pread 4 2 0\n get8 4096\n open \"data/b/c\" 0 {WRITE} 0\n pwrite 5 1 1
        open \"data/b/d/e\" {TRUNCATE} {WRITE} 0\n write 6 2\n path_create_directory 3 \"data/new\"
        open \"data/new/.x\" {CREATE} {WRITE} 0\n write 7 1\n path_rename 3 \"data/new/.x\" 3 \"data/new/x\""
    );
    assert_eq!(job.told(&script), [4, 1, 6, 2, i64::from(b'h'), 5, 1, 6, 2, 0, 7, 1, 0]);
    // The buffer of all writes begins with what was read into it last.
    let expected = [
        "root/",
        "root/a=hello\0",
        "root/b/",
        "root/b/c=she",
        "root/b/d/",
        "root/b/d/e=he",
        "root/new/",
        "root/new/x=h",
    ];
    assert_eq!(vault.content(), expected);
    let commits = ["a", "b/c", "b/d/e", "new/x"].map(|name| format!("commit root/{name}"));
    assert_eq!(changed(&vault)[..1], ["mkdir root/new"]);
    assert_eq!(changed(&vault)[1..], commits);
}

#[test]
fn a_guest_reads_what_it_wrote_and_sees_what_it_did() {
    let vault = vault();
    let script = format!(
        "open \"data/a\" 0 {READ} 0\n open \"data/a\" {TRUNCATE} {WRITE} 0\n put8 4096 120\n write 5 1\n read 4 9\n get8 4096
        path_unlink_file 3 \"data/b/c\"\n open \"data/b/c\" 0 {READ} 0\n path_unlink_file 3 \"data/b/c\"
        open \"data/b\" {DIRECTORY} 0 0\n fd_readdir 6 4096 4000 0 8\n get32 8\n path_filestat_get 3 0 \"data/a\" 16\n get64 48"
    );
    // Three names are left in `b`, `d` among them.
    let told = [4, 5, 1, 1, 120, 0, NOENT, NOENT, 6, 0, 3 * 24 + 4, 0, 1];
    assert_eq!(job(&vault).told(&script), told);
    assert_eq!(changed(&vault), ["commit root/a", "remove root/b/c"]);
}

#[test]
fn names_are_removed_files_before_folders() {
    let vault = vault();
    let script = "path_remove_directory 3 \"data/b\"\n path_remove_directory 3 \"data/b/d\"\n path_unlink_file 3 \"data/b/d/e\"
        path_remove_directory 3 \"data/b/d\"\n path_unlink_file 3 \"data/b\"\n path_unlink_file 3 \"data/b/c\"\n path_remove_directory 3 \"data/b\"
        path_filestat_get 3 0 \"data/b\" 16\n path_remove_directory 3 \"data\"\n path_remove_directory 3 \"data/a\"";
    let told = [NOTEMPTY, NOTEMPTY, 0, 0, ISDIR, 0, 0, NOENT, ROFS, NOTDIR];
    assert_eq!(job(&vault).told(script), told);
    assert_eq!(vault.content(), ["root/", "root/a=hello"]);
    let calls = ["remove root/b/c", "remove root/b/d/e", "rmdir root/b/d", "rmdir root/b"];
    let mut made = changed(&vault);
    made[..2].sort();
    assert_eq!(made, calls);
}

#[test]
fn a_folder_that_is_made_again_is_the_providers() {
    let vault = vault();
    let script = format!(
        "path_unlink_file 3 \"data/b/d/e\"\n path_remove_directory 3 \"data/b/d\"\n path_create_directory 3 \"data/b/d\"
        open \"data/b/d/new\" {CREATE} {WRITE} 0\n open \"data/b/d/e\" {CREATE} {WRITE} 0\n path_unlink_file 3 \"data/b/d/e\""
    );
    assert_eq!(job(&vault).told(&script), [0, 0, 0, 4, 5, 0]);
    assert_eq!(changed(&vault), ["commit root/b/d/new", "remove root/b/d/e"]);
}

/// The provider still has the old one until the end, and can't have both.
#[test]
fn a_file_does_not_take_a_folders_name_nor_a_folder_a_files() {
    let vault = vault();
    let script = format!(
        "path_unlink_file 3 \"data/a\"\n path_create_directory 3 \"data/a\"\n path_unlink_file 3 \"data/b/d/e\"\n path_remove_directory 3 \"data/b/d\"
        open \"data/b/d\" {CREATE} {WRITE} 0\n open \"data/x\" {CREATE} {WRITE} 0\n path_rename 3 \"data/x\" 3 \"data/b/d\"
        path_rename 3 \"data/x\" 3 \"data/a\"\n path_create_directory 3 \"data/y\"\n path_rename 3 \"data/y\" 3 \"data/b/d\""
    );
    assert_eq!(job(&vault).told(&script), [0, NOTSUP, 0, 0, NOTSUP, 4, NOTSUP, 0, 0, 0]);
    // A file in the place of the other, and of the folder one that is there already.
    assert_eq!(vault.content(), ["root/", "root/a=", "root/b/", "root/b/c=see", "root/b/d/"]);
}

#[test]
fn what_the_provider_has_is_not_renamed_but_replaced() {
    let vault = vault();
    let script = format!(
        "path_rename 3 \"data/a\" 3 \"data/z\"\n path_rename 3 \"data/b\" 3 \"data/z\"\n open \"data/x\" {CREATE} {WRITE} 0\n write 4 1
        path_rename 3 \"data/x\" 3 \"data/a\"\n open \"mine\" {CREATE} {WRITE} 0\n path_rename 3 \"mine\" 3 \"data/m\"\n path_rename 3 \"data/a\" 3 \"mine\"
        path_create_directory 3 \"data/y\"\n path_rename 3 \"data/y\" 3 \"data/b\"\n path_link 3 0 \"data/a\" 3 \"data/l\"\n path_symlink \"a\" 3 \"data/l\""
    );
    let told = [XDEV, XDEV, 4, 1, 0, 5, XDEV, XDEV, 0, XDEV, PERM, PERM];
    assert_eq!(job(&vault).told(&script), told);
    assert_eq!(changed(&vault), ["mkdir root/y", "commit root/a"]);
    assert_eq!(vault.content()[1], "root/a=\0");
}

#[test]
fn a_failed_session_leaves_the_folder_as_it_was() {
    let before = vault().content();
    let script = format!(
        "open \"data/a\" 0 {WRITE} 0\n write 4 1\n path_unlink_file 3 \"data/b/c\"\n path_create_directory 3 \"data/new\"
        open \"data/new/x\" {CREATE} {WRITE} 0"
    );
    for (end, code) in [("proc_exit 1", 0), ("unreachable", 4), ("", 5)] {
        let vault = match code {
            5 => vault().fault("write root/a", Fault::Fails(Code::ENOSPC)),
            _ => vault(),
        };
        let program = match end {
            "unreachable" => script::program(&script).replace("(call $flush)))", "unreachable))"),
            end => script::program(&format!("{script}\n{end}")),
        };
        let report = job(&vault).run(&program);
        assert_eq!(report.exit_code.number(), code, "{report:?}");
        assert_eq!(vault.content(), before, "{report:?}");
        assert_eq!(report.channels.last().unwrap().outputs[0].state, OutputState::Discarded);
    }
}

#[test]
fn what_others_changed_meanwhile_is_not_overwritten() {
    let write = format!("open \"data/a\" {TRUNCATE} {WRITE} 0\n write 4 1\n");
    let list = "path_filestat_get 3 0 \"data/none\" 16\n";
    for (script, words) in [
        (write.clone(), "vault:root/a: it was changed since it was listed"),
        (format!("{list}path_unlink_file 3 \"data/a\""), "vault:root/a: it was changed since it was listed"),
        (format!("{list}open \"data/z\" {CREATE} {WRITE} 0"), "vault:root/z"),
    ] {
        let vault = vault();
        let other = vault.clone();
        vault.on_first_list(move || {
            other.put("root/a", "other");
            other.put("root/z", "other");
        });
        let report = job(&vault).run(&script::program(&script));
        assert_eq!(report.exit_code.number(), 5, "{report:?}");
        assert!(report.state.starts_with("tree /data: ") && report.state.contains(words), "{report:?}");
        assert!(vault.content().contains(&"root/a=other".to_owned()), "{report:?}");
        assert!(changed(&vault).is_empty(), "{:?}", changed(&vault));
    }
}

#[test]
fn what_others_removed_meanwhile_is_not_made_again() {
    let vault = vault();
    let other = vault.clone();
    vault.on_first_list(move || ["root/a", "root/b/c"].iter().for_each(|name| other.lose(name)));
    let list = "path_filestat_get 3 0 \"data/b/none\" 16\n";
    let write = format!("{list}open \"data/a\" {TRUNCATE} {WRITE} 0");
    let report = job(&vault).run(&script::program(&write));
    assert_eq!(report.exit_code.number(), 5, "{report:?}");
    assert!(report.state.contains("vault:root/a: it was removed since it was listed"), "{report:?}");
    // To remove what is gone is done.
    let vault = self::vault();
    let other = vault.clone();
    let removes = script::program("path_unlink_file 3 \"data/a\"");
    vault.on_first_list(move || other.lose("root/a"));
    assert_eq!(end(&job(&vault).run(&removes)), (0, "ok"));
}

#[test]
fn a_file_that_changed_is_not_copied_to_be_written() {
    let vault = vault();
    let other = vault.clone();
    vault.on_first_list(move || other.put("root/a", "longer than it was"));
    let told = job(&vault).told(&format!("open \"data/a\" 0 {WRITE} 0\n open \"data/b/c\" 0 {WRITE} 0"));
    assert_eq!(told, [STALE, 4]);
    assert_eq!(changed(&vault), ["commit root/b/c"]);
}

#[test]
fn quotas_are_what_would_be_changed() {
    let vault = vault();
    let job = job_of(&vault, "99, 9999, 3, 8").key("Partial = keep, /data");
    let script = format!(
        "open \"data/a\" 0 {WRITE} 0\n open \"data/a\" 0 {WRITE} {APPEND}\n write 5 9\n write 5 1\n path_unlink_file 3 \"data/b/c\"
        path_create_directory 3 \"data/x\"\n path_unlink_file 3 \"data/b/d/e\"\n open \"data/b/d/e\" 0 {WRITE} 0\n fd_filestat_set_size 4 9"
    );
    let report = job.run(&script::program(&script));
    assert_eq!((end(&report), job.log()), ((0, "ok"), vec![4, 5, 3, DQUOT, 0, DQUOT, DQUOT, DQUOT, DQUOT]));
    assert_eq!(vault.content()[1..3], ["root/a=hello\0\0\0", "root/b/"]);
    let line = report.channels.last().unwrap();
    assert_eq!((&*line.alias, format!("{:?}", line.exhausted).as_str()), ("/data", "[Puts, PutSize]"));
    assert_eq!((line.counts.puts, line.counts.put_bytes), (2, 8));
    // `a` is opened and read to be copied; `b` and `b/d` are listed.
    assert_eq!((line.counts.gets, line.counts.get_bytes), (4, 5));
    // The copy of a file is read under the tree's quotas, and one that does not fit is as if it had not been opened.
    let job = job_of(&self::vault(), "99, 3, 9, 99").key("Partial = keep");
    let told = job.told(&format!("open \"data/a\" 0 {WRITE} 0\n open \"data/a\" 0 {READ} 0\n size 4\n open \"data/a\" {TRUNCATE} {WRITE} 0"));
    assert_eq!(told, [DQUOT, 4, 5, 5]);
    let small = Job::new()
        .key("Partial = keep")
        .key("Scratch = 4k")
        .key("Tree = vault:root, /data, rw, 9, 99, 9, 99");
    let told = small
        .over_provider(self::vault())
        .told(&format!("open \"data/a\" 0 {WRITE} 0\n open \"data/a\" 0 {READ} 0\n read 4 9"));
    assert_eq!(told, [NOSPC, 4, 5]);
}

#[test]
fn a_tree_that_a_quota_cut_stays_as_it_was() {
    let script = format!(
        "open \"data/a\" {TRUNCATE} {WRITE} 0\n write 4 9\n write 4 1\n path_unlink_file 3 \"data/b/c\""
    );
    for (key, code) in [("Partial = keep", 0), ("Commit = end", 125)] {
        let (vault, before) = (vault(), vault().content());
        let job = job_of(&vault, "99, 9999, 9, 8").key(key);
        let report = job.run(&script::program(&script));
        assert_eq!((end(&report).0, job.log()), (code, vec![4, 8, DQUOT, 0]), "{report:?}");
        assert_eq!(vault.content() == before, code != 0, "{report:?}");
        assert_eq!(
            report.state.starts_with("tree /data: its quota put_size refused"),
            code != 0,
            "{report:?}"
        );
    }
}

/// Found: a guest that could not append to a file, and passed over it, had all else committed, with exit code 0.
#[test]
fn a_tree_of_which_a_file_could_not_be_copied_stays_as_it_was() {
    let script = format!("path_unlink_file 3 \"data/b/c\"\n open \"data/a\" 0 {WRITE} {APPEND}");
    let copy = "refused to copy what was to be changed";
    for (scratch, quotas, code, why) in [
        ("64m", "99, 3, 9, 99", DQUOT, format!("tree /data: its quota get_size {copy}")),
        ("64m", "2, 99, 9, 99", DQUOT, format!("tree /data: its quota gets {copy}")),
        ("64m", "99, 99, 9, 3", DQUOT, "tree /data: its quota put_size refused a write".to_owned()),
        ("4k", "99, 99, 9, 99", NOSPC, "tree /data: the scratch space had no room for a write".to_owned()),
    ] {
        for (key, is_kept) in [("Partial = keep, /data", true), ("Commit = end", false)] {
            let (vault, before) = (vault(), vault().content());
            let tree = format!("Tree = vault:root, /data, rw, {quotas}");
            let scratch = format!("Scratch = {scratch}");
            let job = Job::new().key(&scratch).key(&tree).key(key).over_provider(vault.clone());
            let report = job.run(&script::program(&script));
            assert_eq!(job.log(), [0, code], "{report:?}");
            assert_eq!(end(&report).0 == 0, is_kept, "{report:?}");
            assert_eq!(report.state.starts_with(&why), !is_kept, "{why}: {report:?}");
            assert_eq!(vault.content() == before, !is_kept, "{report:?}");
        }
    }
}

#[test]
fn a_removal_that_fails_or_hangs_ends_the_session() {
    let script = format!("path_unlink_file 3 \"data/b/c\"\n open \"data/z\" {CREATE} {WRITE} 0");
    let failing = vault().fault("remove root/b/c", Fault::Fails(Code::EACCES));
    let report = job(&failing).run(&script::program(&script));
    assert_eq!(report.exit_code.number(), 5, "{report:?}");
    assert!(report.state.starts_with("tree /data: "), "{report:?}");
    assert!(report.notes.contains(&"tree /data: in place are 1 of 1 files: z".to_owned()), "{report:?}");
    assert_eq!(report.channels.last().unwrap().outputs[0].state, OutputState::Partial);
    let hanging = vault().fault("remove root/b/c", Fault::Hangs);
    let begun = Instant::now();
    let report = job(&hanging).timeout(1).run(&script::program(&script));
    assert!(report.state.starts_with("timeout: tree /data: "), "{report:?}");
    assert!(begun.elapsed() < Duration::from_secs(30) && !report.left_behind, "{report:?}");
}

#[test]
fn two_trees_of_one_provider_are_written_side_by_side() {
    let vault = Vault::new().folder("root/b").folder("root/c").file("root/c/x", "x");
    let job = Job::new().key("Scratch = 1m").over_provider(vault.clone());
    let job =
        job.key("Tree = vault:root/b, /b, rw, 9, 99, 9, 99").key("Tree = vault:root/c, /c, rw, 9, 99, 9, 99");
    let job = job.key("Tree = vault:root/c, /old, ro, 9, 99").key("Export = vault:out, /out, 9, 99");
    let script = format!(
        "open \"b/x\" {CREATE} {WRITE} 0\n path_unlink_file 3 \"c/x\"\n path_rename 3 \"b/x\" 3 \"c/x\"\n open \"old/x\" 0 {READ} 0\n read 5 9
        open \"old/x\" 0 {WRITE} 0\n open \"out/y\" {CREATE} {WRITE} 0"
    );
    let report = job.run(&script::program(&script));
    assert_eq!((end(&report), job.log()), ((0, "ok"), vec![4, 0, XDEV, 5, 1, ROFS, 6]));
    assert_eq!(vault.content(), ["out/", "out/y=", "root/", "root/b/", "root/b/x=", "root/c/"]);
    let lines: Vec<&str> = report.channels[3..].iter().map(|line| &*line.alias).collect();
    assert_eq!(lines, ["/b", "/c", "/old", "/out"]);
}

/// A name that the listing left out, as that of a link, is not written through.
#[test]
fn a_name_that_was_not_listed_is_not_written_over() {
    let vault = vault().hidden("root/link", "elsewhere");
    let report = job(&vault).run(&script::program(&format!("open \"data/link\" {CREATE} {WRITE} 0")));
    assert_eq!(report.exit_code.number(), 5, "{report:?}");
    assert!(report.state.contains("vault:root/link"), "{report:?}");
    assert!(vault.content().contains(&"root/link=elsewhere".to_owned()), "{report:?}");
}

#[test]
fn a_store_without_folders_is_changed_too() {
    let vault = Vault::default().without_folders().file("root/b/c", "see").file("root/d/e", "e");
    let script = format!(
        "path_unlink_file 3 \"data/b/c\"\n path_remove_directory 3 \"data/b\"\n path_create_directory 3 \"data/n\"\n path_create_directory 3 \"data/o\"
        open \"data/n/x\" {CREATE} {WRITE} 0"
    );
    let job = job(&vault);
    let report = job.run(&script::program(&script));
    assert_eq!((end(&report), job.log()), ((0, "ok"), vec![0, 0, 0, 0, 4]));
    assert_eq!(vault.content(), ["root/d/e=e", "root/n/x="]);
    assert_eq!(report.notes, ["tree /data: left out: 1 empty folders: the provider has none"]);
}
