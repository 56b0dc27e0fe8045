//! What a provider says of itself, and its instances.

use crate::case::{Case, start};
use crate::step::Step;
use crate::steps::ensure;
use crate::subject::Subject;
use vfs_core::{Descriptor, OpenFlags, Setting};

pub fn info_is_well_formed(subject: &Subject) -> Step {
    let info = subject.provider.info();
    let plain = |text: &str, extra: &[u8], max: usize| {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || extra.contains(&byte);
        (1..=max).contains(&text.len()) && text.bytes().all(allowed)
    };
    ensure!(plain(&info.name, b"-_", 32), "the name {:?} is not 1 to 32 of a-z, 0-9, - and _", info.name);
    for text in [&info.version, &info.summary] {
        ensure!(!text.contains(char::is_control), "a control character in {text:?}");
    }

    ensure!(!info.schemes.is_empty(), "no scheme");
    for (at, scheme) in info.schemes.iter().enumerate() {
        let written = format!("{scheme}:");
        let parsed = Descriptor::parse(&written).is_ok_and(|descriptor| descriptor.scheme() == scheme);
        ensure!(parsed, "{scheme:?} is not a scheme: 2 to 32 letters, digits, +, -, .");
        ensure!(!scheme.contains(char::is_uppercase), "the scheme {scheme:?} is not lower case");
        ensure!(!info.schemes[..at].contains(scheme), "the scheme {scheme:?} stands twice");
    }

    for (at, setting) in info.settings.iter().enumerate() {
        let Setting { name, default, help, secret, scope, .. } = setting;
        ensure!(plain(name, b"-", 63), "the setting {name:?} is not 1 to 63 of a-z, 0-9 and -");
        let twice = info.settings[..at].iter().any(|other| other.name == *name);
        ensure!(!twice, "the setting {name:?} stands twice");
        ensure!(!help.trim().is_empty(), "the setting {name:?} has no help");
        ensure!(!scope.is_empty(), "nobody may give the setting {name:?}: its scope is empty");
        ensure!(!(*secret && default.is_some()), "the secret setting {name:?} has a default");
        if let Some(default) = default {
            setting.parse(default)?;
        }
    }

    let flags = info.supported_flags;
    let directions = OpenFlags::READ | OpenFlags::WRITE;
    ensure!(flags.intersects(directions), "supported_flags {flags:?} have neither READ nor WRITE");
    let writing = OpenFlags::CREATE | OpenFlags::TRUNCATE | OpenFlags::APPEND | OpenFlags::ATOMIC;
    if !flags.contains(OpenFlags::WRITE) {
        ensure!(!flags.intersects(writing), "supported_flags {flags:?} need WRITE");
    }
    if flags.contains(OpenFlags::EXCLUSIVE) {
        ensure!(flags.contains(OpenFlags::CREATE), "supported_flags {flags:?}: EXCLUSIVE needs CREATE");
    }
    Ok(())
}

pub fn info_is_the_same_at_each_call(subject: &Subject) -> Step {
    let before = subject.provider.info();
    drop(Case::start(subject)?);
    ensure!(before == subject.provider.info(), "info() changed after an instance was started");
    Ok(())
}

pub fn instances_start_and_stop(subject: &Subject) -> Step {
    for _ in 0..3 {
        drop(start(subject)?);
    }
    let several = [start(subject)?, start(subject)?, start(subject)?];
    drop(several);
    Ok(())
}
