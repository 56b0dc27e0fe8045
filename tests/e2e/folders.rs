//! `zvfs mkdir` and `zvfs rmdir`.

use crate::support::{Done, Folder, run, under, zvfs};
use std::fs;
use std::os::unix::fs::symlink;

fn command(arguments: &[&str]) -> Done {
    run(zvfs(arguments))
}

#[test]
fn a_folder_is_made_and_removed() {
    let folder = Folder::new();
    let (new, below) = (folder.at("new"), folder.at("new/below"));
    command(&["mkdir", &below]).failed(2, &["new/below", "a folder above it is missing", "-p"]);
    command(&["mkdir", &new, &format!("file:{below}/")]).succeeded();
    assert!(fs::metadata(&below).unwrap().is_dir());
    command(&["mkdir", &new]).failed(17, &["exists"]);
    command(&["rmdir", &new]).failed(39, &["remove folder", "not empty"]);
    command(&["rm", &new]).failed(21, &["directory"]);
    command(&["rmdir", &below, &new]).succeeded();
    assert!(!fs::exists(&new).unwrap());
    command(&["rmdir", &new]).failed(2, &["new"]);
    let file = folder.write("file", "");
    command(&["rmdir", &file]).failed(20, &["not a directory"]);
    command(&["mkdir", &file]).failed(17, &["exists"]);
}

#[test]
fn a_link_is_no_folder_to_be_removed() {
    let folder = Folder::new();
    fs::create_dir(folder.at("there")).unwrap();
    for (link, to) in [("link", "there"), ("dangling", "nowhere")] {
        symlink(to, folder.at(link)).unwrap();
        command(&["mkdir", &folder.at(link)]).failed(17, &["exists"]);
        command(&["rmdir", &folder.at(link)]).failed(20, &["not a directory"]);
    }
    assert!(fs::exists(folder.at("there")).unwrap() && !fs::exists(folder.at("nowhere")).unwrap());
}

#[test]
fn with_p_the_folders_above_are_made_too() {
    let folder = Folder::new();
    let deep = folder.at("a/b/c");
    for _ in 0..2 {
        command(&["mkdir", "-p", &deep]).succeeded();
        assert!(fs::metadata(&deep).unwrap().is_dir());
    }
    let file = folder.write("file", "");
    command(&["mkdir", "-p", &file]).failed(17, &["exists"]);
    command(&["mkdir", "-p", &format!("{file}/x")]).failed(20, &["not a directory"]);
    command(&["mkdir", "-p", &folder.at("miss/../x")]).failed(2, &["miss/.."]);
    assert!(!fs::exists(folder.at("miss")).unwrap());
    // Relative, as a shell has it.
    let mut relative = zvfs(["mkdir", "-p", "x/y"]);
    relative.current_dir(folder.path());
    run(relative).succeeded();
    assert!(fs::metadata(folder.at("x/y")).unwrap().is_dir());
}

#[test]
fn folders_are_made_where_the_operator_lets_them() {
    let folder = Folder::new();
    fs::create_dir(folder.at("root")).unwrap();
    let root = folder.at("root");
    let section = format!("[provider.file]\nsettings = {{ root = [{root:?}] }}");
    let inside = folder.operator("inside.toml", &section);
    run(under(&inside, &["mkdir", &folder.at("root/x")])).succeeded();
    run(under(&inside, &["mkdir", &folder.at("outside")])).failed(13, &["outside the roots"]);
    run(under(&inside, &["rmdir", &folder.at("root/../root2")])).failed(13, &["outside the roots"]);
    let section = format!("[provider.file]\nsettings = {{ root = [{root:?}], read-only = true }}");
    let read_only = folder.operator("read-only.toml", &section);
    run(under(&read_only, &["mkdir", &folder.at("root/y")])).failed(30, &["read-only"]);
    run(under(&read_only, &["rmdir", &folder.at("root/x")])).failed(30, &["read-only"]);
    // In a process of its own it is the same.
    let may = format!("place = \"process\"\nmay = {{ write = [{root:?}] }}");
    let process = folder.operator("process.toml", &format!("[provider.file]\n{may}"));
    run(under(&process, &["mkdir", "-p", &folder.at("root/a/b")])).succeeded();
    run(under(&process, &["rmdir", &folder.at("root/a/b"), &folder.at("root/x")])).succeeded();
    assert!(fs::exists(folder.at("root/a")).unwrap() && !fs::exists(folder.at("root/a/b")).unwrap());
}

#[test]
fn a_provider_without_folders_says_so() {
    command(&["mkdir", "mem:x"]).failed(95, &["makes and removes no folders"]);
    command(&["rmdir", "mem:x"]).failed(95, &["makes and removes no folders"]);
    command(&["mkdir", "-p", "null:x"]).failed(95, &["null"]);
}
