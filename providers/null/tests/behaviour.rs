//! What `null` does that the suite does not ask for.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use vfs_core::{Code, Configuration, OpenFile, OpenFlags, OpenOptions, Registry, Result};
use zvfs_null::Null;

fn open(descriptor: &str, flags: OpenFlags) -> Result<OpenFile> {
    let registry = Registry::new(Configuration::parse("[provider.null]").unwrap());
    registry.register(Box::new(Null)).unwrap();
    registry.open(descriptor, &OpenOptions::new(flags))
}

#[test]
fn zero_reads_as_zeros_without_end() {
    let mut file = open("null:zero", OpenFlags::READ).unwrap();
    let mut buffer = [1; 5000];
    for _ in 0..100 {
        assert_eq!(file.read(&mut buffer).unwrap(), 5000);
        assert_eq!(buffer, [0; 5000]);
        buffer.fill(1);
    }
}

#[test]
fn output_flags_are_taken_as_by_dev_null() {
    let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE;
    for descriptor in ["null:", "null:zero"] {
        assert_eq!(open(descriptor, flags).unwrap().write(&[1; 100]).unwrap(), 100);
        assert_eq!(open(descriptor, OpenFlags::WRITE | OpenFlags::APPEND).unwrap().write(b"x").unwrap(), 1);
    }
}

#[test]
fn other_names_are_enoent() {
    assert_eq!(open("null:one", OpenFlags::READ).unwrap_err().code(), Code::ENOENT);
}
