//! The registry over providers of the host's own: schemes, aliases, instances, settings, flags.
#![cfg(feature = "host")]

mod probe;

use probe::Probe;
use std::error::Error as _;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::Ordering;
use vfs_core::{
    Code, Configuration, Control, Error, Info, OpenFlags, OpenOptions, Refusal, Registry, Threads,
};

fn registry(text: &str, provider: Probe) -> Registry {
    let registry = Registry::new(Configuration::parse(text).expect("a configuration"));
    registry.register(Box::new(provider)).expect("a provider");
    registry
}

fn read() -> OpenOptions {
    OpenOptions::new(OpenFlags::READ)
}

#[test]
fn an_alias_shows_the_provider_the_scheme_that_it_knows() {
    let probe = Probe::new("tcp").schemes(&["tcp", "netpipe"]);
    let log = probe.log();
    let text = "[alias]\nqueue = \"tcp\"\nlink = { provider = \"tcp\", scheme = \"netpipe\" }";
    let registry = registry(text, probe);
    for (descriptor, seen) in [
        ("tcp:a", "tcp:a"),
        ("TCP:a", "tcp:a"),
        ("netpipe:2:w", "netpipe:2:w"), // built in, and declared: as written
        ("NetPipe:2:w", "netpipe:2:w"),
        ("opaque:b|>c", "tcp:b|>c"), // built in, not declared: the first
        ("queue:q", "tcp:q"),
        ("Link:q", "netpipe:q"),
    ] {
        registry.open(descriptor, &read()).unwrap();
        assert_eq!(log.opened().last().unwrap(), seen, "{descriptor}");
    }
    assert_eq!(log.starts().len(), 1, "none of them has settings of its own");
}

#[test]
fn the_operators_alias_comes_before_the_built_in_one() {
    let probe = Probe::new("nats");
    let log = probe.log();
    registry("[alias]\nnetpipe = \"nats\"", probe).open("netpipe:2:w", &read()).unwrap();
    assert_eq!(log.opened(), ["nats:2:w"]);
}

#[test]
fn an_alias_to_a_scheme_that_the_provider_lacks_says_which_it_has() {
    let text = "[alias]\nlogs = { provider = \"object\", scheme = \"s4\" }";
    let error =
        registry(text, Probe::new("object").schemes(&["s3", "gs"])).open("logs:x", &read()).unwrap_err();
    assert_eq!(error.code(), Code::EPROTONOSUPPORT);
    assert!(matches!(refusal(&error), Some(Refusal::NotServed { .. })), "{error:?}");
    assert!(error.chain().contains("only s3, gs"), "{}", error.chain());
}

/// It was "not found: install it there", for a library that nobody has.
#[test]
fn an_alias_to_a_built_in_alias_says_which_provider_to_name() {
    let registry = registry("[alias]\nweb = \"https\"\nqueue = \"web\"", Probe::new("http"));
    for (descriptor, words) in [
        ("web:x", "`https` is an alias too: write web = { provider = \"http\", scheme = \"https\" }"),
        ("queue:x", "`web` is an alias too: an alias names a provider"),
    ] {
        let error = registry.open(descriptor, &read()).unwrap_err();
        assert_eq!(error.code(), Code::EINVAL, "{}", error.chain());
        assert!(error.chain().contains(words), "{}", error.chain());
    }
    let problems: Vec<String> = registry.problems().iter().map(Error::chain).collect();
    assert!(problems[0].starts_with("[alias] queue: `web` is an alias too"), "{problems:?}");
    assert!(problems[1].starts_with("[alias] web: `https` is an alias too: write web"), "{problems:?}");
}

/// A provider of the host's own was found under its name only, and never under its other schemes.
#[test]
fn a_registered_provider_serves_all_its_schemes_but_the_operators_aliases() {
    let probe = Probe::new("app").schemes(&["app", "app-body", "netpipe", "taken"]);
    let (log, other) = (probe.log(), Probe::new("other"));
    let others = other.log();
    let registry = registry("[alias]\ntaken = \"other\"", probe);
    registry.register(Box::new(other)).unwrap();
    for descriptor in ["app:a", "app-body:b", "NetPipe:c", "taken:d"] {
        registry.open(descriptor, &read()).unwrap();
    }
    assert_eq!(
        (log.opened(), others.opened()),
        (vec!["app:a".into(), "app-body:b".into(), "netpipe:c".into()], vec!["other:d".to_owned()])
    );
    assert!(registry.knows("App-Body") && !registry.knows("app-head"));
    // Which of two served it would be an accident.
    let error = registry.register(Box::new(Probe::new("third").schemes(&["third", "app-body"]))).unwrap_err();
    assert!(error.code() == Code::EEXIST && error.chain().contains("`app-body`"), "{}", error.chain());
}

#[test]
fn an_aliass_settings_make_an_instance_of_its_own() {
    let probe = Probe::new("object").schemes(&["object", "s3"]);
    let log = probe.log();
    let text = "[provider.object]\nsettings = { root = \"/all\", depth = 2 }\n\
                [alias]\nlogs = { provider = \"object\", scheme = \"s3\", settings = { root = \"/logs\" } }\n\
                same = \"object\"";
    let registry = registry(text, probe);
    for descriptor in ["object:a", "logs:b", "same:c", "logs:d", "LOGS:e"] {
        registry.open(descriptor, &read()).unwrap();
    }
    // The provider's own section counts for the alias too, where the alias says nothing else.
    assert_eq!(log.starts(), ["depth=2 root=/all", "depth=2 root=/logs"]);
    assert_eq!(log.opened(), ["object:a", "s3:b", "object:c", "s3:d", "s3:e"]);
}

#[test]
fn unknown_settings_are_refused_with_what_was_meant_or_all_that_there_are() {
    let registry = registry("[provider.object]\nsettings = { rot = \"/x\" }", Probe::new("object"));
    let error = registry.open("object:x", &read()).unwrap_err();
    assert_eq!(error.code(), Code::EINVAL);
    for word in ["start provider `object`", "unknown setting `rot`", "did you mean `root`?"] {
        assert!(error.chain().contains(word), "`{word}` is not in `{}`", error.chain());
    }
    for (name, text, word) in [
        ("tier", "hot", "unknown setting `tier` (known: "),
        ("root", "/x", "only by the operator's configuration"),
        ("mode", "9x", "setting `mode`"),
    ] {
        let registry = self::registry("", Probe::new("object"));
        let error = registry.open("object:x", &read().setting(name, text)).unwrap_err();
        assert_eq!(error.code(), Code::EINVAL, "{name}");
        assert!(error.chain().contains(word), "{}", error.chain());
    }
}

#[test]
fn what_the_host_offers_reaches_only_who_declares_it() {
    let probe = Probe::new("object");
    let log = probe.log();
    let registry = registry("", probe);
    // `mode` and `node` are declared for each open; `job` and `broker` are not.
    let how = read().setting("mode", "7").offer("node", "n1").offer("job", "j1").offer("broker", "b1");
    registry.open("object:x", &how).unwrap();
    registry.open("object:x", &read().setting("node", "mine").offer("node", "n1")).unwrap();
    assert_eq!(log.open_settings(), ["mode=7 node=n1", "node=mine"]);
}

#[test]
fn a_secret_comes_from_a_file_or_the_environment_and_is_never_printed() {
    const SECRET: &str = "hunter2 and more";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    let mode = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o600);
    let section = |setting: &str| format!("[provider.object]\nsettings = {{ {setting} }}");
    let opened = |setting: &str| {
        let probe = Probe::new("object");
        let log = probe.log();
        let registry = registry(&section(setting), probe);
        let result = registry.open("object:x", &read()).map(drop);
        assert!(!format!("{registry:?} {:?}", registry.providers(&Control::new())).contains(SECRET));
        result.map(|()| log.starts())
    };
    let key = format!("key-file = {:?}", file.display().to_string());
    assert_eq!(opened(&key).unwrap(), [format!("key={SECRET}")], "one line feed at the end is the editor's");
    // The test program is run by cargo, which sets this one.
    let name = std::env::var("CARGO_PKG_NAME").unwrap();
    assert_eq!(opened("key-env = \"CARGO_PKG_NAME\"").unwrap(), [format!("key={name}")]);

    let absent = folder.path().join("absent").display().to_string();
    for (setting, code, words) in [
        (format!("key = {SECRET:?}"), Code::EINVAL, "write `key-file` or `key-env` instead"),
        (format!("key-file = {absent:?}"), Code::ENOENT, absent.as_str()),
        ("key-file = \"relative\"".to_owned(), Code::EINVAL, "absolute path"),
        ("key-file = 7".to_owned(), Code::EINVAL, "`key-file` is a text"),
        ("key-env = \"ZVFS_NO_SUCH_VARIABLE\"".to_owned(), Code::EINVAL, "ZVFS_NO_SUCH_VARIABLE"),
        (format!("{key}, key-env = \"CARGO_PKG_NAME\""), Code::EINVAL, "given twice"),
        ("root-file = \"/x\"".to_owned(), Code::EINVAL, "unknown setting `root-file`"),
    ] {
        let error = opened(&setting).unwrap_err();
        assert_eq!(error.code(), code, "{setting}");
        assert!(error.chain().contains(words), "{}", error.chain());
        assert!(!format!("{error:?}").contains(SECRET), "{error:?}");
    }
    std::fs::write(&file, "x".repeat(70_000)).unwrap();
    assert_eq!(opened(&key).unwrap_err().code(), Code::EFBIG);
    std::fs::write(&file, SECRET).unwrap();
    mode(0o644);
    let error = opened(&key).unwrap_err();
    assert_eq!(error.code(), Code::EACCES);
    assert!(error.chain().contains("chmod 600"), "{}", error.chain());
}

#[test]
fn a_hosts_default_counts_where_the_operator_says_nothing() {
    let text = "[provider.object]\nsettings = { depth = 2 }\n\
                [alias]\nlogs = { provider = \"object\", settings = { key-env = \"CARGO_PKG_NAME\" } }";
    let mut configuration = Configuration::parse(text).unwrap();
    for (setting, text) in [("depth", "9"), ("key", "hunter2")] {
        configuration.add_default("object", setting, text);
    }
    assert!(!format!("{configuration:?}").contains("hunter2"));
    assert!(configuration.sets("Object", "depth") && !configuration.sets("object", "key"));
    assert!(configuration.sets("logs", "key") && configuration.sets("logs", "depth"));
    assert!(!configuration.sets("absent", "key"));

    let probe = Probe::new("object").schemes(&["object"]);
    let log = probe.log();
    let registry = Registry::new(configuration);
    registry.register(Box::new(probe)).unwrap();
    registry.open("object:a", &read()).unwrap();
    registry.open("logs:a", &read()).unwrap();
    assert_eq!(log.starts(), ["depth=2 key=hunter2", "depth=2 key=vfs-core"]);
}

#[test]
fn a_scheme_leads_where_its_alias_says() {
    let text = "[alias]\nnetpipe = \"nats\"\nLink = { provider = \"tcp\", scheme = \"NetPipe\" }";
    let configuration = Configuration::parse(text).unwrap();
    for (scheme, provider, shown) in [
        ("netpipe", "nats", None),
        ("OPAQUE", "tcp", None),
        ("link", "tcp", Some("netpipe")),
        ("s3", "object", None),
        ("other", "other", None),
    ] {
        assert_eq!(configuration.leads_to(scheme), (provider.to_owned(), shown.map(str::to_owned)));
    }
}

#[test]
fn a_configurations_debug_form_shows_no_setting() {
    let text = "[provider.object]\nsettings = { key = \"hunter2\" }\n[alias]\nq1 = { provider = \"object\", settings = { key = \"hunter3\" } }";
    let shown = format!("{:?}", Configuration::parse(text).unwrap());
    assert!(!shown.contains("hunter"), "{shown}");
}

#[test]
fn a_flag_that_the_provider_does_not_honour_is_enotsup_before_it_is_asked() {
    let probe = Probe::new("object");
    let log = probe.log();
    let registry = registry("", probe);
    for flags in [OpenFlags::WRITE, OpenFlags::from_bits(1 << 20), OpenFlags::READ | OpenFlags::WRITE] {
        let error = registry.open("object:x", &OpenOptions::new(flags)).unwrap_err();
        assert_eq!(error.code(), Code::ENOTSUP, "{flags:?}");
    }
    assert_eq!(log.opened(), Vec::<String>::new());
    // A hint is passed on, known or not.
    registry
        .open(
            "object:x",
            &OpenOptions::new(OpenFlags::READ | OpenFlags::SEQUENTIAL | OpenFlags::from_bits(1 << 50)),
        )
        .unwrap();
}

#[test]
fn bad_descriptors_are_refused_without_repeating_them() {
    let registry = registry("", Probe::new("object"));
    let long = format!("object:{}", "x".repeat(1 << 20));
    for (descriptor, code) in [
        ("object:a\0b", Code::EINVAL),
        ("object:\x1b[2J", Code::EINVAL),
        ("object:a\nb", Code::EINVAL),
        ("no scheme", Code::EINVAL),
        ("", Code::EINVAL),
        (long.as_str(), Code::ENAMETOOLONG),
    ] {
        let error = registry.open(descriptor, &read()).unwrap_err();
        assert_eq!(error.code(), code);
        assert!(
            !error.chain().contains(char::is_control) && error.chain().len() < 1000,
            "{:?}",
            error.chain()
        );
    }
}

#[test]
fn two_registries_are_independent() {
    let (one, other) = (Registry::new(Configuration::default()), Registry::new(Configuration::default()));
    one.register(Box::new(Probe::new("object"))).unwrap();
    one.open("object:x", &read()).unwrap();
    assert_eq!(other.open("object:x", &read()).unwrap_err().code(), Code::EPROTONOSUPPORT);
    // A clone is the same registry.
    one.clone().register(Box::new(Probe::new("mine"))).unwrap();
    one.open("mine:x", &read()).unwrap();
    assert_eq!(one.register(Box::new(Probe::new("mine"))).unwrap_err().code(), Code::EEXIST);
}

#[test]
fn a_provider_without_a_name_or_schemes_is_not_registered() {
    let registry = Registry::new(Configuration::default());
    for probe in [
        Probe::new("Upper"),
        Probe::new(""),
        Probe::new("fine").schemes(&[]),
        Probe::new("fine").schemes(&["x"]),
    ] {
        assert_eq!(registry.register(Box::new(probe)).unwrap_err().code(), Code::EINVAL);
    }
}

#[test]
fn schemes_that_strangers_made_up_leave_nothing_behind() {
    let registry = registry("", Probe::new("object"));
    for number in 0..100 {
        registry.open(&format!("made-up{number}:x"), &read()).unwrap_err();
    }
    let names: Vec<_> = registry.providers(&Control::new()).into_iter().map(|listing| listing.name).collect();
    assert_eq!(names, ["object"]);
}

#[test]
fn a_failed_start_is_tried_again_and_a_good_one_kept() {
    let probe = Probe::new("object");
    let log = probe.log();
    log.failing.store(true, Ordering::SeqCst);
    let registry = registry("", probe);
    assert_eq!(registry.open("object:x", &read()).unwrap_err().code(), Code::EBUSY);
    log.failing.store(false, Ordering::SeqCst);
    for _ in 0..3 {
        registry.open("object:x", &read()).unwrap();
    }
    assert_eq!(log.starts().len(), 1);
}

#[test]
fn an_open_file_outlives_its_registry_and_its_instance_ends_after_it() {
    let probe = Probe::new("object").threads(Threads::PerLibrary);
    let log = probe.log();
    let registry = registry("", probe);
    let mut file = registry.open("object:x", &read()).unwrap();
    drop(registry);
    assert_eq!(file.read(&mut [0; 4]).unwrap(), 0);
    assert_eq!(log.events(), ["start", "open"]);
    drop(file);
    assert_eq!(log.events(), ["start", "open", "close", "stop"]);
}

#[test]
fn a_count_that_cannot_be_is_eio_also_in_process() {
    let registry = registry("", Probe::new("object").supported_flags(OpenFlags::READ | OpenFlags::WRITE));
    let mut file =
        registry.open("object:too-much", &OpenOptions::new(OpenFlags::READ | OpenFlags::WRITE)).unwrap();
    assert_eq!(file.read(&mut [0; 4]).unwrap_err().code(), Code::EIO);
    assert_eq!(file.write_all(b"four").unwrap_err().code(), Code::EIO);
    let mut file = registry.open("object:nothing", &OpenOptions::new(OpenFlags::WRITE)).unwrap();
    assert_eq!(file.write_all(b"four").unwrap_err().code(), Code::EIO, "or it would be asked for ever");
}

#[test]
fn the_listing_says_what_serves_what_and_why() {
    let registry =
        registry("[provider.absent]\n[alias]\nq1 = \"object\"\nq2 = \"object\"", Probe::new("object"));
    let listing = registry.providers(&Control::new());
    let [absent, object] = &listing[..] else { panic!("{listing:?}") };
    assert_eq!(
        (absent.name.as_str(), absent.info.as_ref().unwrap_err().code()),
        ("absent", Code::EPROTONOSUPPORT)
    );
    assert_eq!(object.aliases, ["q1", "q2"]);
    assert_eq!((object.path.as_ref(), object.reason.as_str()), (None, "the host's own"));
    assert_eq!(object.info.as_ref().unwrap(), &Info::clone(&Probe::new("object").info));
}

fn refusal(error: &Error) -> Option<&Refusal> {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(refusal) = inner.downcast_ref() {
            return Some(refusal);
        }
        cause = inner.source();
    }
    None
}
