use super::*;
use crate::code::Code;
use crate::error::Error;
use crate::file::Stat;
use crate::flags::{OpenFlags, Scope};
use crate::host::process::socket::decoded;
use crate::host::walls::Wall;
use crate::provider::Threads;
use crate::settings::{Setting, SettingKind};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::time::{Duration, SystemTime};

/// What the other side reads.
fn travelled<T: Serialize + DeserializeOwned>(message: &T) -> T {
    decoded(&postcard::to_allocvec(message).unwrap()).unwrap()
}

/// By what is printed: not all can be compared.
fn stays<T: Serialize + DeserializeOwned + Debug>(message: T) {
    assert_eq!(format!("{:?}", travelled(&message)), format!("{message:?}"));
}

fn control() -> ControlState {
    ControlState { generation: 3, limits: Limits { cancelled: true, deadline: 17 } }
}

#[test]
fn every_message_arrives_as_it_was() {
    let walls = Walls {
        udp: true,
        read: vec!["/etc/ssl".into()],
        memory: Some(1 << 29),
        may_lack: vec![Wall::Landlock],
        ..Walls::default()
    };
    stays(ToProcess::Hello { version: VERSION, walls });
    stays(ToProcess::Connection { for_upcalls: true });
    stays(ToProcess::Control { file: 7, control: control() });
    stays(FromProcess::NoWalls { failure: Failure { code: 95, retryable: false, text: "no".into() } });
    stays(FromProcess::Log { level: 20, text: "\u{fc}".into() });
    stays(FromSupervisor::Ended { status: 139 });
    for call in [
        FileCall::Read { count: 1 },
        FileCall::Seek(Seek::Current(-1)),
        FileCall::Finish(Finish::Commit),
        FileCall::Flush(Flush::Sync),
        FileCall::WriteAt { count: CHUNK as u32, offset: u64::MAX },
        FileCall::Advance { direction: Direction::Write, count: 9 },
        FileCall::SetModified(Time::new(SystemTime::UNIX_EPOCH - Duration::from_nanos(1)).unwrap()),
    ] {
        stays(Call::File { file: u64::MAX, control: control(), call });
    }
    let inner = InnerRequest {
        file: 7,
        descriptor: "mem:a".into(),
        flags: 3,
        expected_size: None,
        settings: vec![("a".into(), "b".into())],
    };
    stays(OnConnection::Upcall(Upcall::Name(NameCall::List, inner)));
    stays(OnConnection::Waiting { object: None, refusal: Some("refused".into()), file: 7 });
    stays(Reply::Opened { capabilities: u64::MAX, inner: 9 });
    stays(Reply::Names(vec![NameEntry { bytes: vec![0xff], stat: None }]));
}

#[test]
fn an_info_arrives_with_all_its_settings() {
    let info = Info::new("x", "1", "A provider")
        .schemes(["x", "y"])
        .supported_flags(OpenFlags::READ | OpenFlags::from_bits(1 << 40))
        .threads(Threads::PerLibrary)
        .without_times()
        .setting(Setting::new("key", SettingKind::Text, "").secret().scope(Scope::OPEN).values(["a", "b"]))
        .setting(Setting::new("size", SettingKind::Size, "how much").default_value("4k").range(1..));
    assert_eq!(travelled(&info), info);
}

#[test]
fn values_of_settings_arrive_secrets_too() {
    let schema = [
        Setting::new("size", SettingKind::Size, "").default_value("64k"),
        Setting::new("key", SettingKind::Text, "").secret(),
    ];
    let settings = Settings::check(&schema, Scope::OPERATOR, &[("key".into(), "s3cret".into())]).unwrap();
    let arrived = travelled(&settings);
    assert_eq!((arrived.text("key"), arrived.size("size")), (Some("s3cret"), Some(65536)));
}

#[test]
fn a_time_arrives_to_the_nanosecond_before_1970_too() {
    let since = Duration::new(1 << 33, 1);
    for time in [SystemTime::UNIX_EPOCH + since, SystemTime::UNIX_EPOCH - since, SystemTime::UNIX_EPOCH] {
        let stat = Stat::of_kind(Kind::Regular).size(7).modified(time).version("v");
        assert_eq!(Stat::from(travelled(&WireStat::from(&stat))), stat);
    }
}

#[test]
fn what_a_status_cannot_say_is_left_out() {
    let stat =
        WireStat { kind: Kind::Stream, size: None, modified: Some(i128::MIN), version: "v".repeat(128) };
    assert_eq!(Stat::from(stat), Stat::of_kind(Kind::Stream));
}

#[test]
fn an_error_arrives_with_its_causes_and_its_code() {
    let error = Error::new(Code::ECONNREFUSED, "connect 10.0.0.1:7: refused").context("open x").retryable();
    let arrived = Error::from(travelled(&Failure::from(&error)));
    assert_eq!(arrived.code(), Code::ECONNREFUSED);
    assert!(arrived.is_retryable());
    assert_eq!(arrived.to_string(), "open x: connect 10.0.0.1:7: refused");
    let lie = Failure { code: -1, retryable: false, text: "\u{fc}".repeat(4096) };
    let error = Error::from(lie);
    assert_eq!(error.code(), Code::EIO);
    assert!(error.to_string().len() < 1000, "{error}");
}

#[test]
fn bytes_that_are_no_message_are_refused() {
    let mut whole = postcard::to_allocvec(&Call::Stop).unwrap();
    whole.push(0);
    assert_eq!(decoded::<Call>(&whole).unwrap_err().code(), Code::EIO);
    let name =
        postcard::to_allocvec(&Reply::Names(vec![NameEntry { bytes: vec![1; 9], stat: None }])).unwrap();
    for length in 0..name.len() {
        assert!(decoded::<Reply>(&name[..length]).is_err(), "{length}");
    }
    // A length that no memory has, a variant that there is not.
    assert!(decoded::<Reply>(&[5, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]).is_err());
    assert!(decoded::<Reply>(&[99]).is_err());
    assert!(decoded::<FromProcess>(&[2, 20, 1, 0xff]).is_err(), "a text that is not UTF-8");
}

/// Found: a megabyte of empty names became 60 MB in the host.
#[test]
fn a_message_takes_little_more_memory_than_its_texts_whatever_it_lists() {
    let empty = NameEntry { bytes: Vec::new(), stat: None };
    let names = Upcall::Names(vec![empty; CHUNK / 2 - 8]);
    let inner = InnerRequest {
        file: 7,
        descriptor: "mem:a".into(),
        flags: 3,
        expected_size: None,
        settings: vec![(String::new(), String::new()); CHUNK / 2 - 32],
    };
    let info = Info::new("x", "1", "").schemes(vec![""; CHUNK - 32]);
    for (message, decoded) in [
        (postcard::to_allocvec(&OnConnection::Upcall(names)), decoded::<OnConnection>),
        (postcard::to_allocvec(&OnConnection::Upcall(Upcall::Open(inner))), decoded::<OnConnection>),
        (postcard::to_allocvec(&OnConnection::Reply(Reply::Info(info))), decoded::<OnConnection>),
    ] {
        let message = message.unwrap();
        assert!(message.len() <= CHUNK, "it could be sent");
        assert_eq!(
            decoded(&message).unwrap_err().to_string(),
            "broke the protocol: a message has too many parts"
        );
    }
    // What is long only by its texts stays.
    let long = NameEntry { bytes: vec![b'x'; 60_000], stat: None };
    stays(OnConnection::Upcall(Upcall::Names(vec![long; 16])));
}
