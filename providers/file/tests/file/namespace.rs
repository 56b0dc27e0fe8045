//! stat, list, remove.

use crate::common::*;
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use vfs_core::{Code, Control, Kind, Result, Stat};

fn stat(house: &House, descriptor: &str) -> Result<Stat> {
    let names = house.instance.namespace().unwrap();
    request(descriptor, &Control::new(), |request| names.stat(&request))
}

fn list(house: &House, descriptor: &str) -> Result<Vec<(String, Option<Kind>)>> {
    let (names, mut found) = (house.instance.namespace().unwrap(), Vec::new());
    request(descriptor, &Control::new(), |request| {
        names.list(&request, &mut |entry| {
            found.push((entry.name.to_owned(), entry.stat.map(|stat| stat.kind)));
            ControlFlow::Continue(())
        })
    })?;
    found.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(found)
}

fn remove(house: &House, descriptor: &str) -> Result<()> {
    let names = house.instance.namespace().unwrap();
    request(descriptor, &Control::new(), |request| names.remove(&request))
}

fn house() -> House {
    let house = House::new().with("f", "12345").with_fifo("fifo");
    fs::create_dir(house.path("dir")).unwrap();
    symlink("f", house.path("link")).unwrap();
    symlink("/etc", house.path("out")).unwrap();
    house
}

#[test]
fn stat_knows_every_kind_without_opening_it() {
    let house = house();
    let _listener = UnixListener::bind(house.path("socket")).unwrap();
    for (name, kind) in [
        ("f", Kind::Regular),
        ("link", Kind::Regular),
        ("dir", Kind::Directory),
        ("", Kind::Directory),
        ("fifo", Kind::Stream),
        ("socket", Kind::Stream),
    ] {
        assert_eq!(stat(&house, &house.bare(name)).unwrap().kind, kind, "{name}");
    }
    let named = stat(&house, &house.bare("f")).unwrap();
    assert_eq!(named.size, Some(5));
    assert_eq!(named, house.open("f", READ).unwrap().stat().unwrap());
    refused(stat(&house, &house.bare("absent")), Code::ENOENT, "no such file");
    refused(stat(&house, &house.bare("out")), Code::EACCES, "outside the roots");
    refused(stat(&house, "/etc/passwd"), Code::EACCES, "outside the roots");
}

#[test]
fn list_names_what_is_there() {
    let house = house();
    let file = |name: &str, kind| (name.to_owned(), kind);
    let wanted = [
        file("dir", Some(Kind::Directory)),
        file("f", Some(Kind::Regular)),
        file("fifo", Some(Kind::Stream)),
        file("link", None),
        file("out", None),
    ];
    assert_eq!(list(&house, &house.bare("")).unwrap(), wanted);
    assert_eq!(list(&house, &house.bare("dir")).unwrap(), []);
    refused(list(&house, &house.bare("f")), Code::ENOTDIR, "not a directory");
    refused(list(&house, &house.bare("fifo")), Code::ENOTDIR, "not a directory");
    refused(list(&house, &house.bare("out")), Code::EACCES, "outside the roots");
    refused(list(&house, "/"), Code::EACCES, "outside the roots");
    refused(list(&house, "/dev/stdin"), Code::ENOTDIR, "not a directory");
}

#[test]
fn list_stops_when_told_and_when_cancelled() {
    let house = house();
    let (names, mut count) = (house.instance.namespace().unwrap(), 0);
    let control = Control::new();
    request(&house.bare(""), &control, |request| {
        names.list(&request, &mut |_| {
            count += 1;
            ControlFlow::Break(())
        })
    })
    .unwrap();
    assert_eq!(count, 1);
    let cancelled = request(&house.bare(""), &control, |request| {
        names.list(&request, &mut |_| {
            control.cancel();
            ControlFlow::Continue(())
        })
    });
    assert_eq!(cancelled.unwrap_err().code(), Code::ECANCELED);
}

#[test]
fn a_name_that_is_not_utf8_is_listed_as_bytes_and_can_be_opened_by_uri() {
    let house = House::new().with("f", "");
    let odd = house.folder.path().join(std::ffi::OsStr::from_bytes(b"odd\xff"));
    fs::write(odd, "odd").unwrap();
    assert_eq!(list(&house, &house.bare("")).unwrap(), [("f".to_owned(), Some(Kind::Regular))]);
    let (names, mut found) = (house.instance.namespace().unwrap(), Vec::new());
    request(&house.bare(""), &Control::new(), |request| {
        names.names(&request, &mut |name| {
            found.push((name.bytes.to_owned(), name.stat.and_then(|stat| stat.size)));
            ControlFlow::Continue(())
        })
    })
    .unwrap();
    found.sort();
    assert_eq!(found, [(b"f".to_vec(), Some(0)), (b"odd\xff".to_vec(), Some(3))]);
    let descriptor = format!("file:{}/odd%FF", house.folder.path().display());
    assert_eq!(read_all(&mut *open_in(&*house.instance, &descriptor, READ).unwrap()), b"odd");
}

#[test]
fn remove_takes_files_and_links_but_no_folder() {
    let house = house();
    for name in ["link", "out", "fifo"] {
        remove(&house, &house.bare(name)).unwrap();
    }
    assert_eq!(house.names(), ["dir", "f"]);
    assert!(fs::exists("/etc").unwrap());
    refused(remove(&house, &house.bare("dir")), Code::EISDIR, "is a directory");
    refused(remove(&house, &house.bare("dir/")), Code::EISDIR, "is a directory");
    refused(remove(&house, &house.bare("absent")), Code::ENOENT, "no such file");
    refused(remove(&house, &house.bare("dir/../../x")), Code::EACCES, "outside the roots");
    refused(remove(&house, "/dev/stdout"), Code::EPERM, "the host's own stream");
    remove(&house, &house.bare("f")).unwrap();
    assert_eq!(house.names(), ["dir"]);
}

#[test]
fn read_only_removes_nothing() {
    let house = House::new().with("f", "");
    let root = house.folder.path().to_str().unwrap().to_owned();
    let instance = start(&[("root", &root), ("read-only", "true")]).unwrap();
    let names = instance.namespace().unwrap();
    let removed = request(&house.bare("f"), &Control::new(), |request| names.remove(&request));
    refused(removed, Code::EROFS, "read-only");
    assert_eq!(house.names(), ["f"]);
}
