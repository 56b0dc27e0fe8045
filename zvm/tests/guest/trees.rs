//! Folders of providers as directories of a guest: what it finds there, what it may do, and listings that lie.

use crate::job::*;
use crate::script::{self, READ, WRITE};
use std::collections::BTreeMap;
use std::io::SeekFrom;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use vfs_core::{
    Capabilities, Code, Entry, Error, File, Host, Info, Instance, Kind, Namespace, OpenFlags, Provider,
    Request, Result, Scope, Setting, SettingKind, Settings, Stat,
};

const DIRECTORY: u64 = 2;
const STALE: i64 = -72;

/// A provider whose folders and files are whatever a test says, true or not.
#[derive(Clone, Default)]
struct Grove(Arc<Mutex<Plants>>);

#[derive(Default)]
struct Plants {
    /// By the text behind `grove:`: what each folder lists, in this order.
    folders: BTreeMap<String, Vec<(String, Option<Stat>)>>,
    files: BTreeMap<String, (Vec<u8>, String)>,
    log: Vec<String>,
    /// The folder that each call said it is within.
    within: Vec<Option<String>>,
}

impl Grove {
    fn folder(self, path: &str, entries: &[(&str, Option<Stat>)]) -> Grove {
        let entries = entries.iter().map(|(name, stat)| ((*name).to_owned(), stat.clone())).collect();
        self.0.lock().unwrap().folders.insert(path.to_owned(), entries);
        self
    }

    fn file(self, path: &str, data: &str) -> Grove {
        self.0.lock().unwrap().files.insert(path.to_owned(), (data.into(), "1".to_owned()));
        self
    }

    fn log(&self) -> Vec<String> {
        self.0.lock().unwrap().log.clone()
    }

    /// A session that sees `grove:root` as `/data`.
    fn job(&self, quotas: &str) -> Job {
        let job = Job::new().key(&format!("Tree = grove:root, /data, ro, {quotas}"));
        job.registry.register(Box::new(self.clone())).unwrap();
        job
    }
}

fn folder() -> Option<Stat> {
    Some(Stat::of_kind(Kind::Directory))
}

fn file(size: u64) -> Option<Stat> {
    Some(Stat::of_kind(Kind::Regular).size(size).version("1"))
}

/// `a/`, with `deep.txt`, and `b.txt`; told in no order.
fn grove() -> Grove {
    Grove::default()
        .folder("root", &[("b.txt", file(5)), ("a", folder())])
        .folder("root/a", &[("deep.txt", file(4))])
        .file("root/b.txt", "hello")
        .file("root/a/deep.txt", "deep")
}

impl Provider for Grove {
    fn info(&self) -> Info {
        Info::new("grove", "1", "folders of a test")
            .supported_flags(OpenFlags::READ)
            .setting(Setting::new("within", SettingKind::Text, "the folder").scope(Scope::OPEN))
    }

    fn start(&self, _: Host, _: Settings) -> Result<Box<dyn Instance>> {
        Ok(Box::new(self.clone()))
    }
}

impl Instance for Grove {
    fn open(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        let mut plants = self.0.lock().unwrap();
        plants.log.push(format!("open {}", request.rest()));
        plants.within.push(request.settings().text("within").map(str::to_owned));
        let (data, version) = plants.files.get(request.rest()).ok_or_else(|| Error::from(Code::ENOENT))?;
        match version.as_str() {
            "pipe" => Ok(Box::new(Leaf { data: data.clone(), version: String::new(), at: None })),
            "broken" => Err(Error::new(Code::EIO, "the disk is gone")),
            _ => Ok(Box::new(Leaf { data: data.clone(), version: version.clone(), at: Some(0) })),
        }
    }

    fn namespace(&self) -> Option<&dyn Namespace> {
        Some(self)
    }
}

impl Namespace for Grove {
    fn stat(&self, _: &Request<'_>) -> Result<Stat> {
        Err(Code::ENOTSUP.into())
    }

    fn list(&self, request: &Request<'_>, each: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>) -> Result<()> {
        let path = request.rest();
        let within = request.settings().text("within").map(str::to_owned);
        {
            let mut plants = self.0.lock().unwrap();
            plants.log.push(format!("list {path}"));
            plants.within.push(within);
        }
        if path.ends_with("endless") {
            let mut number = 0_u64;
            while each(Entry { name: &number.to_string(), stat: file(1).as_ref() }).is_continue() {
                number += 1;
            }
            return Ok(());
        }
        if path.ends_with("/loop") {
            let _ = each(Entry { name: "loop", stat: folder().as_ref() });
            return Ok(());
        }
        if path.ends_with("broken") {
            let _ = each(Entry { name: "first", stat: file(1).as_ref() });
            return Err(Error::new(Code::ECONNRESET, "the server is gone"));
        }
        let entries = self.0.lock().unwrap().folders.get(path).cloned();
        for (name, stat) in entries.ok_or_else(|| Error::from(Code::ENOENT))? {
            if each(Entry { name: &name, stat: stat.as_ref() }).is_break() {
                break;
            }
        }
        Ok(())
    }
}

fn since_1970(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// An open file; without a position it is a pipe. Of one whose version is `@` and a number only the time is told.
struct Leaf {
    data: Vec<u8>,
    version: String,
    at: Option<usize>,
}

impl File for Leaf {
    fn capabilities(&self) -> Capabilities {
        let pipe = Capabilities::READABLE | Capabilities::STAT | Capabilities::CANCEL;
        if self.at.is_some() { pipe | Capabilities::SEEKABLE } else { pipe }
    }

    fn stat(&mut self) -> Result<Stat> {
        Ok(match self.at {
            Some(_) => {
                let stat = Stat::of_kind(Kind::Regular).size(self.data.len() as u64);
                match self.version.strip_prefix('@') {
                    Some(time) => stat.modified(since_1970(time.parse().unwrap())),
                    None => stat.version(self.version.clone()),
                }
            }
            None => Stat::of_kind(Kind::Stream),
        })
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        if self.version == "before" {
            self.version = "after".to_owned();
        }
        let data = self.data.get(self.at.unwrap_or(0)..).unwrap_or_default();
        let count = data.len().min(buf.len());
        buf[..count].copy_from_slice(&data[..count]);
        self.at = self.at.map(|at| at + count);
        Ok(count)
    }

    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => (self.at.unwrap_or(0) as u64).checked_add_signed(by),
            SeekFrom::End(by) => (self.data.len() as u64).checked_add_signed(by),
        };
        let at = at.ok_or(Code::EINVAL)?;
        self.at = usize::try_from(at).ok();
        Ok(at)
    }
}

/// The names and inodes of a listing that a guest wrote to its standard output.
fn listing(bytes: &[u8]) -> Vec<(String, u64)> {
    let (mut rest, mut names) = (bytes, Vec::new());
    while let Some((head, after)) = rest.split_first_chunk::<24>() {
        let number = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().unwrap());
        let length = (number(16) & 0xffff_ffff) as usize;
        if number(0) == 0 {
            break;
        }
        names.push((String::from_utf8(after[..length].to_vec()).unwrap(), number(8)));
        rest = &after[length..];
    }
    names
}

/// Lists a folder of the guest.
fn list(job: &Job, path: &str) -> Vec<(String, u64)> {
    job.told(&format!("open \"{path}\" {DIRECTORY} 0 0\n fd_readdir 4 4096 4000 0 8\n write 1 4000"));
    listing(&job.shelf.data("out"))
}

fn names(job: &Job, path: &str) -> Vec<String> {
    list(job, path).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn a_folder_is_shown_sorted_and_its_files_are_read() {
    let grove = grove();
    assert_eq!(names(&grove.job("99, 9999"), "data"), [".", "..", "a", "b.txt"]);
    assert_eq!(names(&grove.job("99, 9999"), "data/a"), [".", "..", "deep.txt"]);
    let job = grove.job("99, 9999");
    let told = job.told(&format!(
        "open \"data/b.txt\" 0 {READ} 0\n size 4\n read 4 3\n get8 4096\n read 4 9\n read 4 9\n seek 4 -1 2\n read 4 9
        pread 4 2 1\n get8 4096\n open \"data/a/../a/./deep.txt\" 0 {READ} 0\n read 5 9\n open \"data/none\" 0 {READ} 0"
    ));
    assert_eq!(told, [4, 5, 3, i64::from(b'h'), 2, 0, 4, 1, 2, i64::from(b'e'), 5, 4, NOENT]);
}

#[test]
fn what_is_not_looked_at_is_neither_listed_nor_opened() {
    let grove = grove();
    grove.job("99, 9999").told("open \"data\" 2 0 0");
    assert_eq!(grove.log(), ["list root"]);
    grove
        .job("99, 9999")
        .told("path_filestat_get 3 0 \"data/a/deep.txt\" 16\n path_filestat_get 3 0 \"data/a\" 16");
    assert_eq!(grove.log()[1..], ["list root", "list root/a"]);
}

/// A stranger's report: a folder that became a link while the guest ran was followed, out of the tree.
#[test]
fn a_provider_is_told_in_which_folder_no_link_counts() {
    let grove = grove();
    names(&grove.job("99, 9999"), "data/a");
    grove.job("99, 9999").told(&format!("open \"data/a/deep.txt\" 0 {READ} 0"));
    let within = grove.0.lock().unwrap().within.clone();
    assert_eq!(within, vec![Some("grove:root".to_owned()); 5]);
}

#[test]
fn one_file_is_open_once_however_many_descriptors_are_on_it() {
    let grove = grove();
    let open = format!("open \"data/b.txt\" 0 {READ} 0\n");
    let told = grove
        .job("99, 9999")
        .told(&format!("{open}{open}fd_close 4\n read 5 2\n fd_close 5\n{open}read 4 9\n read 5 1"));
    assert_eq!(told, [4, 5, 0, 2, 0, 4, 5, BADF]);
    assert_eq!(grove.log()[1..], ["open root/b.txt", "open root/b.txt"]);
}

#[test]
fn a_tree_is_only_read() {
    let job = grove().job("99, 9999").key("Scratch = 1m");
    let told = job.told(&format!(
        "open \"data/b.txt\" 0 {WRITE} 0\n open \"data/b.txt\" 8 {READ} 0\n open \"data/new\" 1 {WRITE} 0
        path_create_directory 3 \"data/new\"\n path_unlink_file 3 \"data/b.txt\"\n path_remove_directory 3 \"data/a\"
        path_rename 3 \"data/b.txt\" 3 \"x\"\n path_symlink \"b.txt\" 3 \"data/l\"\n path_link 3 0 \"data/b.txt\" 3 \"y\"
        open \"mine\" 1 {WRITE} 0\n path_rename 3 \"mine\" 3 \"data/mine\""
    ));
    assert_eq!(told, [ROFS, ROFS, ROFS, ROFS, ROFS, ROFS, ROFS, ROFS, ROFS, 4, ROFS]);
}

#[test]
fn quotas_are_sums_over_all_files() {
    // Two opens and two reads; the next of either is one too many.
    let job = grove().job("5, 7");
    let report = job.run(&script::program(&format!(
        "open \"data/b.txt\" 0 {READ} 0\n open \"data/a/deep.txt\" 0 {READ} 0\n read 4 9\n read 5 9\n read 5 9
        fd_close 4\n open \"data/b.txt\" 0 {READ} 0"
    )));
    assert_eq!(end(&report), (0, "ok"));
    // b.txt, then the listing of a and deep.txt: 3 gets, and 2 reads: 5 bytes, and 2 of the other's 4.
    assert_eq!(job.log(), [4, 5, 5, 2, DQUOT, 0, DQUOT]);
    let tree = report.channels.last().unwrap();
    assert_eq!((&*tree.alias, tree.counts.gets, tree.counts.get_bytes), ("/data", 5, 7));
    assert_eq!(format!("{:?}", tree.exhausted), "[Gets]");
    assert!(tree.network, "grove is not one of the local schemes");
}

#[test]
fn a_file_that_is_not_what_was_listed_is_stale() {
    let grove = grove().folder("root", &[("b.txt", file(6)), ("c", file(1)), ("d", file(1)), ("e", None)]);
    let grove = grove.file("root/c", "c").file("root/d", "d");
    grove.0.lock().unwrap().files.get_mut("root/c").unwrap().1 = "2".to_owned();
    let script: String = ["b.txt", "c", "d", "e"]
        .iter()
        .fold(String::new(), |script, name| script + &format!("open \"data/{name}\" 0 {READ} 0\n"));
    assert_eq!(grove.job("99, 9999").told(&script), [STALE, STALE, 4, NOENT]);
}

/// Found: over sftp, which has no version tags, a file that was replaced by one of the same size was read on as if it were the same.
#[test]
fn a_file_without_a_tag_is_stale_when_its_time_is_another() {
    let listed = |time: SystemTime| Some(Stat::of_kind(Kind::Regular).size(1).modified(time));
    let finer = since_1970(5) + Duration::from_millis(700);
    let names = [("d", listed(since_1970(5))), ("e", listed(since_1970(4))), ("f", listed(finer))];
    let grove = names.iter().fold(grove().folder("root", &names), |grove, (name, _)| {
        let grove = grove.file(&format!("root/{name}"), "x");
        grove.0.lock().unwrap().files.get_mut(&format!("root/{name}")).unwrap().1 = "@5".to_owned();
        grove
    });
    let open = |name: &str| format!("open \"data/{name}\" 0 {READ} 0\n");
    let told = grove.job("99, 9999").told(&(open("d") + &open("e") + &open("f")));
    assert_eq!(told, [4, STALE, 5]);
}

/// A stranger's report: what somebody had written to an open file was given to the next open of it, instead of ESTALE.
#[test]
fn a_file_that_is_open_and_has_changed_is_stale_to_the_next_open() {
    let listed = Some(Stat::of_kind(Kind::Regular).size(5).version("before"));
    let grove = grove().folder("root", &[("b.txt", listed)]);
    // It is another one after the first read.
    grove.0.lock().unwrap().files.get_mut("root/b.txt").unwrap().1 = "before".to_owned();
    let open = format!("open \"data/b.txt\" 0 {READ} 0\n");
    let told =
        grove.job("99, 9999").told(&format!("{open}{open}read 4 2\n{open}read 5 9\nfd_close 4\n{open}"));
    assert_eq!(told, [4, 5, 2, STALE, 5, 0, STALE]);
    assert_eq!(grove.log()[1..], ["open root/b.txt"]);
}

#[test]
fn a_file_without_positions_is_refused_and_a_broken_one_ends_the_session() {
    let grove = grove().folder("root", &[("pipe", file(1)), ("broken", file(1)), ("gone", file(1))]);
    let grove = grove.file("root/pipe", "p").file("root/broken", "b");
    for name in ["pipe", "broken"] {
        grove.0.lock().unwrap().files.get_mut(&format!("root/{name}")).unwrap().1 = name.to_owned();
    }
    let told =
        grove.job("99, 9999").told(&format!("open \"data/pipe\" 0 {READ} 0\n open \"data/gone\" 0 {READ} 0"));
    assert_eq!(told, [NOTSUP, NOENT]);
    let report = grove.job("99, 9999").run(&script::program(&format!("open \"data/broken\" 0 {READ} 0")));
    assert_eq!(report.exit_code.number(), 5);
    assert!(
        report.state.starts_with("tree /data: ") && report.state.contains("the disk is gone"),
        "{report:?}"
    );
}

/// What leads out of a folder, what no guest can open, what is told twice: none of it may be seen, and the note says how many.
#[test]
fn names_that_lie_are_left_out_and_noted() {
    let long = "x".repeat(256);
    let grove = grove().folder(
        "root",
        &[
            ("../x", file(1)),
            ("..", folder()),
            (".", folder()),
            ("", file(1)),
            ("a/b", file(1)),
            ("nul\0", file(1)),
            (&long, file(1)),
            ("link", None),
            ("device", Some(Stat::of_kind(Kind::Device))),
            ("twice", file(1)),
            ("twice", folder()),
            ("twice", file(2)),
            ("good", file(1)),
        ],
    );
    let job = grove.job("99, 9999");
    let report = job.run(&script::program("open \"data\" 2 0 0\n fd_readdir 4 4096 4000 0 8\n write 1 4000"));
    let shown: Vec<String> = listing(&job.shelf.data("out")).into_iter().map(|(name, _)| name).collect();
    assert_eq!(shown, [".", "..", "good", "twice"]);
    assert_eq!(report.notes.len(), 1, "{report:?}");
    assert!(report.notes[0].starts_with("tree /data: left out of /data: 11 (links"), "{report:?}");
    // The folder is what is shown of the three.
    assert_eq!(grove.job("99, 9999").told("open \"data/twice\" 2 0 0"), [4]);
}

#[test]
fn a_listing_without_an_end_ends_the_session() {
    let endless = Grove::default().folder("root", &[("endless", folder())]);
    let report =
        endless.job("99, 9999, 1000").run(&script::program(&format!("open \"data/endless/5\" 0 {READ} 0")));
    let text = "tree /data: list grove:root/endless: the tree has more than 1000 names";
    assert!(
        report.exit_code.number() == 5 && report.state.contains("more than 1000 names"),
        "{text}: {report:?}"
    );
    // Folders that lead to themselves cost one name each.
    let circle = Grove::default().folder("root", &[("loop", folder())]);
    let path = "loop/".repeat(50);
    let job = circle.job("9999, 9999, 20");
    let report = job.run(&script::program(&format!("open \"data/{path}\" 2 0 0")));
    assert!(report.exit_code.number() == 5 && report.state.contains("more than 20 names"), "{report:?}");
    assert_eq!(circle.job("9999, 9999, 60").told(&format!("open \"data/{path}\" 2 0 0")), [4]);
}

#[test]
fn half_a_listing_is_never_shown() {
    let grove = Grove::default().folder("root", &[("broken", folder()), ("missing", folder())]);
    let report =
        grove.job("99, 9999").run(&script::program(&format!("open \"data/broken/first\" 0 {READ} 0")));
    assert!(report.exit_code.number() == 5 && report.state.contains("the server is gone"), "{report:?}");
    assert_eq!(grove.job("99, 9999").told(&format!("open \"data/missing/x\" 0 {READ} 0")), [NOENT]);
}

#[test]
fn a_folder_that_is_not_there_fails_before_anything_runs() {
    let report = Grove::default().job("99, 9999").run(&script::program("sched_yield"));
    assert_eq!(report.exit_code.number(), 14, "{report:?}");
    assert!(report.state.contains("tree /data: list grove:root"), "{report:?}");
    let report = grove().job("99, 9999, 1").run(&script::program("sched_yield"));
    assert!(report.exit_code.number() == 14 && report.state.contains("more than 1 names"), "{report:?}");
}

#[test]
fn what_the_manifest_makes_keeps_its_name() {
    let job = grove().job("99, 9999").file("own", crate::shelf::Book::new("mine!!"));
    let job = job.channel("test:own, /data/b.txt, 1, 9, 99, 0, 0").key("Preopen = /data/a, sub");
    let told = job.told(&format!(
        "open \"data/b.txt\" 0 {READ} 0\n size 5\n fd_readdir 4 4096 4000 0 8\n write 1 4000"
    ));
    assert_eq!(told, [5, 6, 0, 4000]);
    let shown: Vec<String> = listing(&job.shelf.data("out")).into_iter().map(|(name, _)| name).collect();
    assert_eq!(shown, [".", "..", "deep.txt"]);
}

#[test]
fn inodes_are_the_same_in_each_run_and_times_are_0() {
    let (one, other) = (list(&grove().job("99, 9999"), "data"), list(&grove().job("99, 9999"), "data"));
    assert_eq!(one, other);
    let mut inodes: Vec<u64> = one[2..].iter().map(|(_, inode)| *inode).collect();
    inodes.dedup();
    assert!(inodes.len() == 2 && inodes.iter().all(|inode| *inode > 1 << 62), "{inodes:?}");
    let told = grove()
        .job("99, 9999")
        .told("path_filestat_get 3 0 \"data/b.txt\" 16\n get64 56\n get64 64\n get64 72");
    assert_eq!(told, [0, 0, 0, 0]);
}

#[test]
fn a_digest_is_of_all_that_was_read_of_the_tree() {
    let job = grove().job("99, 9999").key("Digest = blake3");
    let report = job.run(&script::program(&format!(
        "open \"data/b.txt\" 0 {READ} 0\n open \"data/a/deep.txt\" 0 {READ} 0\n read 4 9\n read 5 9"
    )));
    let digest = report.channels.last().unwrap().digest.clone();
    assert_eq!(digest, Some(blake3::hash(b"hellodeep").to_hex().to_string()));
}
