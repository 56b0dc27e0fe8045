//! Users whom the server lets do a part of what pipes need: each call says at once what else it needs.

use crate::common::*;
use std::fmt::Write;
use std::time::Instant;
use tempfile::TempDir;
use vfs_core::{Code, Control, Error, Finish, OpenFlags, OpenOptions, Registry};
use zvfs_engines::NatsServer;

/// What the names of pipes need.
const NAMES: &str = "'$KV.zvfs-names.>', '$JS.API.>'";

/// What a user may do, and what its reader and its writer of the pipe `a` do not get: `None` where that is nothing.
struct Case {
    publish: String,
    subscribe: &'static str,
    reader: Option<&'static str>,
    writer: Option<&'static str>,
}

fn cases() -> [Case; 7] {
    let case = |publish: String, subscribe, [reader, writer]: [&'static str; 2]| Case {
        publish,
        subscribe,
        reader: Some(reader),
        writer: Some(writer),
    };
    let (pipes, inboxes) = ("'zvfs.>'", "'zvfs.>', '_INBOX.>'");
    let all = format!("{pipes}, {NAMES}");
    [
        case(NAMES.to_owned(), inboxes, ["publish to zvfs.pipe.a.writers", "publish to zvfs.pipe.a.reader"]),
        case(format!("'zvfs.pipe.>', {NAMES}"), inboxes, ["publish to zvfs.end.", "publish to zvfs.end."]),
        case(all.clone(), "'_INBOX.>'", ["subscribe to zvfs.end.", "subscribe to zvfs.end."]),
        case(
            all.clone(),
            "'zvfs.end.>', '_INBOX.>'",
            ["subscribe to zvfs.pipe.a.reader", "subscribe to zvfs.pipe.a.writers"],
        ),
        case(pipes.to_owned(), inboxes, ["publish to $JS.API.", "publish to $JS.API."]),
        case(all, pipes, ["subscribe to _INBOX.", "subscribe to _INBOX."]),
        Case {
            writer: None,
            ..case(format!("{pipes}, '$JS.API.>'"), inboxes, ["publish to $KV.zvfs-names.reader.a", ""])
        },
    ]
}

/// Does all that an end does.
fn attempt(host: &Registry, descriptor: &str, flags: OpenFlags) -> Result<(), Error> {
    let control = Control::new();
    control.set_deadline(Some(Instant::now() + SLACK));
    let mut file = host.open(descriptor, &OpenOptions::new(flags).control(&control))?;
    if flags == OpenFlags::READ {
        return file.read(&mut [0; 8]).map(drop);
    }
    file.write_all(b"bytes")?;
    file.finish(Finish::Commit)
}

/// Once all of them waited for ever, and only the server's log knew why.
#[test]
fn what_a_user_may_not_do_is_eacces_and_says_what_to_allow() {
    let folder = TempDir::new().unwrap();
    let password = secret(folder.path(), "password", "S3CRET-enough");
    let mut users = "{ user: all, password: 'S3CRET-enough' }".to_owned();
    for (number, Case { publish, subscribe, .. }) in cases().iter().enumerate() {
        let permissions = format!("{{ publish: [{publish}], subscribe: [{subscribe}] }}");
        let user = format!("user: u{number}, password: 'S3CRET-enough', permissions: {permissions}");
        write!(users, ", {{ {user} }}").unwrap();
    }
    let configuration =
        format!("jetstream {{ store_dir: '$FOLDER/js' }}\nauthorization {{ users: [ {users} ] }}");
    let Some(server) = NatsServer::with(&configuration) else { return };
    let host = |user: &str| {
        let settings = format!("user = {user:?}, password-file = {password:?}");
        registry(&format!("servers = [{:?}], {settings}", server.address()))
    };
    let all = host("all");
    for (number, Case { reader, writer, .. }) in cases().iter().enumerate() {
        let roles =
            [(OpenFlags::READ, OpenFlags::WRITE, reader), (OpenFlags::WRITE, OpenFlags::READ, writer)];
        for (flags, others, words) in roles {
            let Some(words) = words else { continue };
            // What an early writer leaves under a name is not for the next pipe.
            let name = format!("{number}-{}", flags.bits());
            let descriptor = format!("nats:{name}");
            // Who cannot answer has to be asked.
            let is_answer = words.starts_with("publish to zvfs.end.");
            let _other = is_answer.then(|| all.open(&descriptor, &OpenOptions::new(others)).unwrap());
            let error = attempt(&host(&format!("u{number}")), &descriptor, flags).unwrap_err();
            let words = words.replace("pipe.a", &format!("pipe.{name}"));
            let words = words.replace("reader.a", &format!("reader.{name}"));
            refused::<()>(Err(error), Code::EACCES, &format!("does not let this user {words}"));
        }
    }
    let mut reader = all.open("nats:b", &OpenOptions::new(OpenFlags::READ)).unwrap();
    let writer = all.open("nats:b", &OpenOptions::new(OpenFlags::WRITE)).unwrap();
    goes_through(&mut reader, writer, b"bytes");
}
