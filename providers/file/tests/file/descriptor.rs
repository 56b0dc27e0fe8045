//! How a path may be written.

use crate::common::*;
use vfs_core::Code;

#[test]
fn a_uri_is_decoded_once_and_a_bare_path_never() {
    let house = House::new().with("a b", "space").with("a%20b", "percent");
    let root = house.folder.path().to_str().unwrap().to_owned();
    for (descriptor, content) in [
        (format!("{root}/a b"), "space"),
        (format!("{root}/a%20b"), "percent"),
        (format!("file:{root}/a%20b"), "space"),
        (format!("file://{root}/a%20b"), "space"),
        (format!("FILE://localhost{root}/a%20b"), "space"),
        (format!("file:{root}/a%2520b"), "percent"),
        (format!("file:{root}%2Fa%20b"), "space"),
    ] {
        let mut file = open_in(&*house.instance, &descriptor, READ).unwrap();
        assert_eq!(read_all(&mut *file), content.as_bytes(), "{descriptor}");
    }
}

#[test]
fn what_names_no_local_path_is_einval() {
    let house = House::new();
    for (descriptor, words) in [
        ("file:relative/path", "relative"),
        ("file:", "relative"),
        ("file://localhost", "relative"),
        ("file://example.org/etc/passwd", "another host"),
        ("file:/a%00b", "NUL"),
        ("file:/a%2", "%25"),
        ("file:/a?b=c", "%3F"),
    ] {
        refused(open_in(&*house.instance, descriptor, READ), Code::EINVAL, words);
    }
}

#[test]
fn an_encoded_way_out_is_no_way_out() {
    let house = House::new();
    let root = house.folder.path().to_str().unwrap().to_owned();
    for tail in ["/%2e%2e/x", "/..%2fx", "%2f%2e%2e%2fx"] {
        let descriptor = format!("file:{root}{tail}");
        refused(open_in(&*house.instance, &descriptor, READ), Code::EACCES, "outside the roots");
    }
}
