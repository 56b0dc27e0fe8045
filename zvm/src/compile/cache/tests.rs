//! What is never loaded.

use super::*;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::PathBuf;
use tempfile::TempDir;

const NAME: [u8; 32] = [7; 32];
const OTHER: [u8; 32] = [8; 32];
/// A program's.
const DIGEST: [u8; 32] = [9; 32];

/// A cache in a place of its own, with one entry.
struct Place {
    root: TempDir,
    cache: Cache,
}

impl Place {
    fn new() -> Place {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::open(&root.path().join("cache"), &root.path().join("key")).unwrap();
        cache.store(&NAME, &DIGEST, b"machine code").unwrap();
        Place { root, cache }
    }

    fn folder(&self) -> PathBuf {
        self.root.path().join("cache")
    }

    fn entry(&self, name: &[u8; 32]) -> PathBuf {
        self.folder().join(file_name(name))
    }

    fn again(&self) -> Result<Cache> {
        Cache::open(&self.folder(), &self.root.path().join("key"))
    }

    /// The entry is refused with these words, and gone afterwards.
    #[track_caller]
    fn refuses(&self, words: &str) {
        let error = self.cache.load(&NAME).err().unwrap();
        assert!(error.chain().contains(words), "{}", error.chain());
        assert!(fs::symlink_metadata(self.entry(&NAME)).is_err(), "still there");
        assert!(self.cache.load(&NAME).unwrap().is_none());
    }
}

fn bytes(entry: &Entry) -> Vec<u8> {
    let mut bytes = vec![0; entry.artifact.metadata().unwrap().len() as usize];
    std::os::unix::fs::FileExt::read_exact_at(&entry.artifact, &mut bytes, 0).unwrap();
    bytes
}

fn root_only() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        zvfs_test_support::skip("only root can give files away");
    }
    root
}

#[test]
fn an_entry_comes_back_as_it_was_also_to_the_next_process() {
    let place = Place::new();
    for cache in [place.cache.clone(), place.again().unwrap()] {
        let entry = cache.load(&NAME).unwrap().unwrap();
        assert_eq!((bytes(&entry).as_slice(), entry.digest), (b"machine code".as_slice(), DIGEST));
    }
    assert!(place.cache.load(&OTHER).unwrap().is_none());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let modes = [&place.folder(), &place.entry(&NAME), &place.root.path().join("key")].map(|path| mode(path));
    assert_eq!(modes, [0o700, 0o600, 0o600]);
}

/// It is mapped and run: neither a write nor a shorter file may change it afterwards, whoever gets hold of it.
#[test]
fn what_was_verified_cannot_be_changed() {
    let place = Place::new();
    let entry = place.cache.load(&NAME).unwrap().unwrap();
    fs::write(place.entry(&NAME), "other code, in the file on the disk").unwrap();
    assert_eq!(bytes(&entry), b"machine code");
    let again = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&entry.artifact));
    let file = File::options().read(true).write(true).open(again).unwrap();
    assert!((&file).write_all(b"other").is_err());
    assert!(file.set_len(1).is_err() && file.set_len(1 << 20).is_err());
}

/// Of several chunks, the last of them short.
#[test]
fn a_large_entry_comes_back_as_it_was() {
    let place = Place::new();
    for length in [CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 7] {
        let code: Vec<u8> = (0..length).map(|at| at as u8).collect();
        place.cache.store(&OTHER, &DIGEST, &code).unwrap();
        assert_eq!(bytes(&place.cache.load(&OTHER).unwrap().unwrap()), code);
    }
    let mut whole = fs::read(place.entry(&OTHER)).unwrap();
    *whole.last_mut().unwrap() ^= 1;
    fs::write(place.entry(&OTHER), whole).unwrap();
    assert!(place.cache.load(&OTHER).err().unwrap().chain().contains("MAC"));
}

#[test]
fn a_changed_byte_anywhere_is_refused() {
    let place = Place::new();
    let whole = fs::read(place.entry(&NAME)).unwrap();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(place.entry(&NAME), changed).unwrap();
        fs::set_permissions(place.entry(&NAME), Permissions::from_mode(0o600)).unwrap();
        let of_the_program = (super::DIGEST..super::DIGEST + 32).contains(&at);
        place.refuses(if at < MAC && !of_the_program { "header" } else { "MAC" });
    }
}

#[test]
fn a_truncated_or_longer_entry_is_refused() {
    let place = Place::new();
    let whole = fs::read(place.entry(&NAME)).unwrap();
    for length in 0..whole.len() {
        place.cache.store(&NAME, &DIGEST, b"machine code").unwrap();
        let file = File::options().write(true).open(place.entry(&NAME)).unwrap();
        file.set_len(length as u64).unwrap();
        place.refuses("");
    }
    place.cache.store(&NAME, &DIGEST, b"machine code").unwrap();
    File::options().append(true).open(place.entry(&NAME)).unwrap().write_all(b"x").unwrap();
    place.refuses("length");
}

#[test]
fn an_entry_of_another_program_is_refused() {
    let place = Place::new();
    place.cache.store(&OTHER, &DIGEST, b"another's code").unwrap();
    fs::rename(place.entry(&OTHER), place.entry(&NAME)).unwrap();
    place.refuses("another program");
}

#[test]
fn an_entry_under_another_key_is_refused() {
    let (place, other) = (Place::new(), Place::new());
    fs::copy(other.entry(&NAME), place.entry(&NAME)).unwrap();
    place.refuses("MAC");
}

#[test]
fn links_fifos_and_folders_are_no_entries() {
    let place = Place::new();
    let aside = place.root.path().join("aside");
    fs::rename(place.entry(&NAME), &aside).unwrap();
    symlink(&aside, place.entry(&NAME)).unwrap();
    place.refuses("link");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, place.entry(&NAME), mode).unwrap();
    place.refuses("not a regular file");
    fs::create_dir(place.entry(&NAME)).unwrap();
    assert!(place.cache.load(&NAME).is_err());
}

#[test]
fn an_entry_that_others_may_reach_is_refused() {
    let place = Place::new();
    fs::set_permissions(place.entry(&NAME), Permissions::from_mode(0o640)).unwrap();
    place.refuses("others");
}

#[test]
fn another_users_entry_is_refused() {
    if !root_only() {
        return;
    }
    let place = Place::new();
    chown(place.entry(&NAME), Some(12345), None).unwrap();
    place.refuses("others");
}

#[test]
fn a_folder_that_others_may_reach_is_refused_with_the_mend() {
    for mode in [0o750, 0o705, 0o770] {
        let place = Place::new();
        fs::set_permissions(place.folder(), Permissions::from_mode(mode)).unwrap();
        let error = place.again().unwrap_err();
        assert!(error.code() == Code::EACCES && error.to_string().contains("chmod 700"), "{error}");
    }
    let place = Place::new();
    fs::set_permissions(place.root.path(), Permissions::from_mode(0o777)).unwrap();
    assert!(place.again().unwrap_err().to_string().contains("chmod go-w"));
}

#[test]
fn another_users_folder_is_refused() {
    if !root_only() {
        return;
    }
    let place = Place::new();
    chown(place.folder(), Some(12345), None).unwrap();
    assert!(place.again().unwrap_err().to_string().contains("belongs to user 12345"));
    let place = Place::new();
    chown(place.root.path(), Some(12345), None).unwrap();
    assert!(place.again().unwrap_err().to_string().contains("belongs to user 12345"));
}

#[test]
fn a_link_in_the_folders_place_is_refused() {
    let place = Place::new();
    fs::rename(place.folder(), place.root.path().join("aside")).unwrap();
    symlink(place.root.path().join("aside"), place.folder()).unwrap();
    assert!(place.again().unwrap_err().to_string().contains("is a link"));
}

#[test]
fn a_key_in_the_folder_or_open_to_others_or_of_another_form_is_refused() {
    let place = Place::new();
    let inside = Cache::open(&place.folder(), &place.folder().join("key")).unwrap_err();
    assert!(inside.to_string().contains("outside"), "{inside}");
    let key = place.root.path().join("key");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    assert!(place.again().unwrap_err().to_string().contains("chmod 600"));
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    fs::write(&key, "short").unwrap();
    assert!(place.again().unwrap_err().to_string().contains("not a key of 32 bytes"));
    fs::remove_file(&key).unwrap();
    symlink("elsewhere", &key).unwrap();
    assert!(place.again().unwrap_err().to_string().contains("link"));
    // A new key: what the old one said is worth nothing.
    fs::remove_file(&key).unwrap();
    assert!(place.again().unwrap().load(&NAME).is_err());
}

#[test]
fn writers_at_the_same_time_leave_one_whole_entry() {
    let place = Place::new();
    let code = vec![9; 1 << 20];
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..8 {
                    place.cache.store(&OTHER, &DIGEST, &code).unwrap();
                    assert_eq!(bytes(&place.cache.load(&OTHER).unwrap().unwrap()), code);
                }
            });
        }
    });
    let names = fs::read_dir(place.folder()).unwrap().count();
    assert_eq!(names, 2, "temporary files are left");
}

#[test]
fn several_processes_that_make_the_key_agree() {
    let root = tempfile::tempdir().unwrap();
    let (folder, key) = (root.path().join("cache"), root.path().join("key"));
    let caches: Vec<Cache> = std::thread::scope(|scope| {
        let open = || Cache::open(&folder, &key).unwrap();
        let openers: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        openers.into_iter().map(|opener| opener.join().unwrap()).collect()
    });
    caches[0].store(&NAME, &DIGEST, b"code").unwrap();
    assert!(caches.iter().all(|cache| cache.load(&NAME).unwrap().is_some()));
}

#[test]
fn the_least_recently_used_entry_goes_first_and_an_abandoned_file_too() {
    let place = Place::new();
    let cache = place.cache.clone().limit(4 * 1200);
    let code = vec![1; 1000];
    let abandoned = place.folder().join(".new-0123");
    fs::write(&abandoned, "half").unwrap();
    let set = |path: &Path, age: u64| {
        let time = std::time::SystemTime::now() - std::time::Duration::from_secs(age);
        File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    };
    set(&abandoned, 7200);
    for number in 0..4 {
        cache.store(&[number; 32], &DIGEST, &code).unwrap();
        set(&place.entry(&[number; 32]), 1000 - u64::from(number));
    }
    // Used, so it is the newest.
    assert!(cache.load(&[0; 32]).unwrap().is_some());
    set(&place.entry(&NAME), 2000);
    cache.store(&[9; 32], &DIGEST, &code).unwrap();
    let kept: Vec<bool> = [0, 1, 2, 3, 9].map(|number| place.entry(&[number; 32]).exists()).into();
    assert_eq!(kept, [true, false, true, true, true]);
    assert!(!place.entry(&NAME).exists() && !abandoned.exists());
}

#[test]
fn an_artifact_over_half_of_the_limit_is_not_kept() {
    let place = Place::new();
    let error = place.cache.clone().limit(2000).store(&OTHER, &DIGEST, &[0; 1000]).unwrap_err();
    assert_eq!(error.code(), Code::EFBIG);
    assert!(place.entry(&NAME).exists());
}

#[test]
fn a_full_disk_leaves_nothing() {
    let place = Place::new();
    // As a full disk does: some bytes are taken, then none.
    let written = place.cache.folder.write("full.zvm", |file| {
        file.write_all(b"some")?;
        Err(std::io::Error::from_raw_os_error(28))
    });
    assert_eq!(written.unwrap_err().code(), Code::ENOSPC);
    assert_eq!(fs::read_dir(place.folder()).unwrap().count(), 1);
}
