//! Both ways below a root, by the same tables.

use super::*;
use rustix::fs::{FileType, fstat};
use std::fs::{File, create_dir, create_dir_all, read, rename, write};
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use tempfile::TempDir;

/// The ways to be tested: both, wherever the kernel lets us.
fn lookups() -> Vec<Lookup> {
    match openat2(rustix::fs::CWD, "/", OFlags::PATH, Mode::empty(), ResolveFlags::empty()) {
        Ok(_) => vec![Lookup::Kernel, Lookup::Walk],
        Err(errno) => {
            zvfs_test_support::skip(format_args!("the kernel's way: openat2: {errno}"));
            vec![Lookup::Walk]
        }
    }
}

/// Ends the other thread also if this one panics.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// `root/` with files and links, and `outside/secret` beside it.
struct House {
    base: TempDir,
    root: PathBuf,
}

impl House {
    fn new() -> House {
        let base = TempDir::new().unwrap();
        let root = base.path().join("root");
        let outside = base.path().join("outside");
        create_dir_all(root.join("dir/deep")).unwrap();
        create_dir(&outside).unwrap();
        write(outside.join("secret"), "secret").unwrap();
        write(root.join("file"), "file").unwrap();
        write(root.join("dir/inner"), "inner").unwrap();
        write(root.join("dir/deep/deepest"), "deepest").unwrap();
        write(root.join("..."), "three dots").unwrap();
        for (name, text) in [
            ("to-file", "file"),
            ("to-inner", "dir/inner"),
            ("to-dir", "dir"),
            ("to-dir-slash", "dir/"),
            ("dir/up", "../file"),
            ("dir/deep/up-twice", "../../to-inner"),
            ("chain", "to-dir/deep/up-twice"),
            ("out", "../outside/secret"),
            ("out-dir", "../outside"),
            ("dir/out-deep", "../../outside/secret"),
            ("in-by-way-of-out", "../root/file"),
            ("dangling", "nothing"),
            ("dangling-out", "../outside/new"),
            ("loop", "loop"),
            ("loop-a", "loop-b"),
            ("loop-b", "loop-a"),
            ("file-as-dir", "file/"),
        ] {
            symlink(text, root.join(name)).unwrap();
        }
        symlink(outside.join("secret"), root.join("absolute-out")).unwrap();
        symlink(root.join("file"), root.join("absolute-in")).unwrap();
        symlink(root.join("dir/"), root.join("dir/absolute-dir")).unwrap();
        symlink(&root, root.join("absolute-root")).unwrap();
        symlink(root.join("../outside/secret"), root.join("absolute-in-and-out")).unwrap();
        symlink(base.path().join("rootless/file"), root.join("absolute-beside")).unwrap();
        symlink(root.join("absolute-loop"), root.join("absolute-loop")).unwrap();
        symlink("/", root.join("slash")).unwrap();
        House { base, root }
    }

    fn roots(&self, lookup: Lookup) -> Roots {
        Roots::with(&[&self.root], |_| lookup).unwrap()
    }

    fn path(&self, below: &str) -> PathBuf {
        PathBuf::from(format!("{}/{below}", self.root.display()))
    }
}

fn content(roots: &Roots, path: &Path) -> Result<String, Errno> {
    let fd = roots.open(path, OFlags::RDONLY)?;
    if FileType::from_raw_mode(fstat(&fd)?.st_mode) == FileType::Directory {
        return Ok("directory".to_owned());
    }
    let mut text = String::new();
    File::from(fd).read_to_string(&mut text).unwrap();
    Ok(text)
}

#[test]
fn the_kernels_way_is_taken_where_it_is_there() {
    let house = House::new();
    assert_eq!(Roots::new([house.root.as_path()].into_iter()).unwrap().0[0].lookup, lookups()[0]);
}

#[test]
fn paths_stay_below_the_root() {
    let house = House::new();
    let long = "n".repeat(256);
    let longer = ["n"; 4096].join("/");
    let table: &[(&str, Result<&str, Errno>)] = &[
        ("file", Ok("file")),
        ("./file", Ok("file")),
        ("//dir///inner", Ok("inner")),
        ("dir/../file", Ok("file")),
        ("dir/deep/../../file", Ok("file")),
        ("dir/./deep/./deepest", Ok("deepest")),
        ("...", Ok("three dots")),
        ("", Ok("directory")),
        (".", Ok("directory")),
        ("dir", Ok("directory")),
        ("dir/", Ok("directory")),
        ("dir/..", Ok("directory")),
        ("to-file", Ok("file")),
        ("to-inner", Ok("inner")),
        ("to-dir/inner", Ok("inner")),
        ("to-dir-slash/inner", Ok("inner")),
        ("to-dir", Ok("directory")),
        ("to-dir/", Ok("directory")),
        ("to-dir/../file", Ok("file")),
        ("dir/up", Ok("file")),
        ("chain", Ok("inner")),
        ("file/", Err(Errno::NOTDIR)),
        ("file/.", Err(Errno::NOTDIR)),
        ("file/..", Err(Errno::NOTDIR)),
        ("file/x", Err(Errno::NOTDIR)),
        ("to-file/", Err(Errno::NOTDIR)),
        ("file-as-dir", Err(Errno::NOTDIR)),
        ("nothing", Err(Errno::NOENT)),
        ("nothing/x", Err(Errno::NOENT)),
        ("dir/nothing", Err(Errno::NOENT)),
        ("dangling", Err(Errno::NOENT)),
        ("loop", Err(Errno::LOOP)),
        ("loop-a", Err(Errno::LOOP)),
        ("loop/x", Err(Errno::LOOP)),
        ("..", Err(Errno::XDEV)),
        ("../", Err(Errno::XDEV)),
        ("../outside/secret", Err(Errno::XDEV)),
        ("../root/file", Err(Errno::XDEV)),
        ("dir/../../outside/secret", Err(Errno::XDEV)),
        ("dir/../../root/file", Err(Errno::XDEV)),
        ("out", Err(Errno::XDEV)),
        ("out-dir", Err(Errno::XDEV)),
        ("out-dir/secret", Err(Errno::XDEV)),
        ("to-dir/out-deep", Err(Errno::XDEV)),
        ("in-by-way-of-out", Err(Errno::XDEV)),
        ("dangling-out", Err(Errno::XDEV)),
        ("absolute-out", Err(Errno::XDEV)),
        // Absolute links into the root were refused.
        ("absolute-in", Ok("file")),
        ("dir/absolute-dir/absolute-dir/inner", Ok("inner")),
        ("absolute-root", Ok("directory")),
        ("absolute-root/to-dir/up", Ok("file")),
        ("absolute-root/absolute-root/../file", Err(Errno::XDEV)),
        ("absolute-in/", Err(Errno::NOTDIR)),
        ("absolute-in-and-out", Err(Errno::XDEV)),
        ("absolute-beside", Err(Errno::XDEV)),
        ("absolute-root/out", Err(Errno::XDEV)),
        ("absolute-loop", Err(Errno::LOOP)),
        ("slash", Err(Errno::XDEV)),
        ("slash/etc/passwd", Err(Errno::XDEV)),
        (&long, Err(Errno::NAMETOOLONG)),
        (&longer, Err(Errno::NAMETOOLONG)),
    ];
    for lookup in lookups() {
        let roots = house.roots(lookup);
        for (below, wanted) in table {
            let found = content(&roots, &house.path(below));
            assert_eq!(found.as_deref(), wanted.as_ref().copied(), "{lookup:?}: {below:.50}");
        }
    }
}

#[test]
fn a_path_of_almost_the_longest_length_opens() {
    let house = House::new();
    let mut below = PathBuf::new();
    for _ in 0..15 {
        below.push("d".repeat(250));
    }
    create_dir_all(house.root.join(&below)).unwrap();
    below.push("file");
    write(house.root.join(&below), "far down").unwrap();
    for lookup in lookups() {
        assert_eq!(
            content(&house.roots(lookup), &house.root.join(&below)).unwrap(),
            "far down",
            "{lookup:?}"
        );
    }
}

#[test]
fn only_a_path_written_below_the_root_counts() {
    let house = House::new();
    let root = house.root.to_str().unwrap();
    for lookup in lookups() {
        let roots = house.roots(lookup);
        for path in [
            house.base.path().join("outside/secret"),
            house.base.path().to_owned(),
            PathBuf::from("/"),
            PathBuf::from("/etc/passwd"),
            PathBuf::from(format!("{root}x/file")),
            PathBuf::from(format!("{}/outside/../root/file", house.base.path().display())),
            PathBuf::from(format!("/..{root}/file")),
        ] {
            assert_eq!(content(&roots, &path), Err(Errno::XDEV), "{lookup:?}: {}", path.display());
        }
        for path in [format!("/{root}/./file"), format!("{root}//file")] {
            assert_eq!(content(&roots, Path::new(&path)).unwrap(), "file", "{lookup:?}: {path}");
        }
    }
}

#[test]
fn a_root_may_itself_be_a_link_and_is_compared_as_written() {
    let house = House::new();
    let written = house.base.path().join("written");
    symlink("root", &written).unwrap();
    symlink(written.join("file"), house.root.join("by-written")).unwrap();
    for lookup in lookups() {
        let roots = Roots::with(&[&written], |_| lookup).unwrap();
        assert_eq!(content(&roots, &written.join("file")).unwrap(), "file");
        assert_eq!(content(&roots, &house.root.join("file")), Err(Errno::XDEV));
        assert_eq!(content(&roots, &written.join("out")), Err(Errno::XDEV));
        // Links in it may begin with either name.
        assert_eq!(content(&roots, &written.join("absolute-in")).unwrap(), "file");
        assert_eq!(content(&roots, &written.join("by-written")).unwrap(), "file");
    }
}

#[test]
fn of_several_roots_each_allows_its_own() {
    let house = House::new();
    let (base, dir) = (house.base.path(), house.root.join("dir"));
    let outside = base.join("outside");
    for lookup in lookups() {
        let roots = Roots::with(&[&dir, &outside], |_| lookup).unwrap();
        assert_eq!(content(&roots, &dir.join("inner")).unwrap(), "inner");
        assert_eq!(content(&roots, &outside.join("secret")).unwrap(), "secret");
        // Below both, but the link leads from one to the other.
        assert_eq!(content(&roots, &dir.join("out-deep")), Err(Errno::XDEV));
        assert_eq!(content(&roots, &house.root.join("file")), Err(Errno::XDEV));

        let nested = Roots::with(&[base, &dir], |_| lookup).unwrap();
        assert_eq!(content(&nested, &dir.join("out-deep")).unwrap(), "secret");
    }
}

#[test]
fn a_root_that_is_no_folder_is_named() {
    let house = House::new();
    let (file, absent) = (house.root.join("file"), house.root.join("absent"));
    assert_eq!(Roots::new([file.as_path()].into_iter()).unwrap_err(), (file.as_path(), Errno::NOTDIR));
    assert_eq!(Roots::new([absent.as_path()].into_iter()).unwrap_err(), (absent.as_path(), Errno::NOENT));
}

#[test]
fn without_a_root_links_lead_anywhere() {
    let house = House::new();
    for roots in [Roots::new([].into_iter()).unwrap(), Roots::new([Path::new("/")].into_iter()).unwrap()] {
        for (below, text) in
            [("file", "file"), ("out", "secret"), ("absolute-out", "secret"), ("../outside/secret", "secret")]
        {
            assert_eq!(content(&roots, &house.path(below)).unwrap(), text, "{below}");
            // The walk as well, which ATOMIC goes.
            let place = roots.place(&house.path(below), true).unwrap();
            let mut found = String::new();
            File::from(place.open(OFlags::RDONLY).unwrap()).read_to_string(&mut found).unwrap();
            assert_eq!(found, text, "{below}");
        }
    }
}

#[test]
fn creating_follows_the_same_rules() {
    for lookup in lookups() {
        let house = House::new();
        let roots = house.roots(lookup);
        let create = |below: &str| {
            roots.open(&house.path(below), OFlags::WRONLY | OFlags::CREATE).map(|fd| {
                rustix::io::write(&fd, b"made").unwrap();
            })
        };
        for (below, found_at) in
            [("new", "new"), ("to-dir/new", "dir/new"), ("dangling", "nothing"), ("dir/../new2", "new2")]
        {
            create(below).unwrap();
            assert_eq!(read(house.root.join(found_at)).unwrap(), b"made", "{lookup:?}: {below}");
        }
        for (below, errno) in [
            ("dangling-out", Errno::XDEV),
            ("../outside/new", Errno::XDEV),
            ("out-dir/new", Errno::XDEV),
            ("nothing-here/new", Errno::NOENT),
            ("file/new", Errno::NOTDIR),
            ("dir", Errno::ISDIR),
            ("new/", Errno::ISDIR),
            ("loop", Errno::LOOP),
        ] {
            let found = create(below).unwrap_err();
            let either = [errno, Errno::NOTDIR]; // `new/` is a file by now
            assert!(
                found == errno || (below == "new/" && either.contains(&found)),
                "{lookup:?}: {below}: {found}"
            );
        }
        assert!(!house.base.path().join("outside/new").exists());
        let exclusive = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        for below in ["file", "to-file", "dangling", "loop", "out"] {
            assert_eq!(
                roots.open(&house.path(below), exclusive).unwrap_err(),
                Errno::EXIST,
                "{lookup:?}: {below}"
            );
        }
    }
}

#[test]
fn places_lie_below_the_root_too() {
    for lookup in lookups() {
        let house = House::new();
        let roots = house.roots(lookup);
        let name = |below: &str, follow| {
            roots.place(&house.path(below), follow).map(|place| place.name().to_owned())
        };
        assert_eq!(name("chain", true).unwrap(), "inner");
        assert_eq!(name("chain", false).unwrap(), "chain");
        assert_eq!(name("out", false).unwrap(), "out");
        assert_eq!(name("dangling", true).unwrap(), "nothing");
        for (below, errno) in [
            ("out", Errno::XDEV),
            ("out-dir/x", Errno::XDEV),
            ("../outside/x", Errno::XDEV),
            ("", Errno::ISDIR),
            ("..", Errno::XDEV),
            ("dir/", Errno::ISDIR),
            ("loop", Errno::LOOP),
            ("file/x", Errno::NOTDIR),
        ] {
            assert_eq!(name(below, true).unwrap_err(), errno, "{lookup:?}: {below}");
        }
    }
}

#[test]
fn looking_at_a_path_follows_links_but_opens_nothing() {
    let house = House::new();
    for lookup in lookups() {
        let roots = house.roots(lookup);
        let look = |below: &str| {
            let fd = roots.open(&house.path(below), OFlags::PATH)?;
            Ok(FileType::from_raw_mode(fstat(&fd)?.st_mode))
        };
        assert_eq!(look("to-inner"), Ok(FileType::RegularFile), "{lookup:?}");
        assert_eq!(look("to-dir"), Ok(FileType::Directory), "{lookup:?}");
        assert_eq!(look("out"), Err(Errno::XDEV), "{lookup:?}");
        assert_eq!(look("dangling"), Err(Errno::NOENT), "{lookup:?}");
        let list = |below: &str| roots.open(&house.path(below), OFlags::RDONLY | OFlags::DIRECTORY).map(drop);
        assert_eq!(list("to-dir"), Ok(()), "{lookup:?}");
        assert_eq!(list("to-file"), Err(Errno::NOTDIR), "{lookup:?}");
        assert_eq!(list("out-dir"), Err(Errno::XDEV), "{lookup:?}");
    }
}

/// Links lead to the folder that is held to, and from there on none is followed, wherever it leads.
#[test]
fn within_a_folder_no_link_is_followed() {
    let table: &[(&str, Result<&str, Errno>)] = &[
        ("to-dir", Ok("directory")),
        ("to-dir/", Ok("directory")),
        ("to-dir/inner", Ok("inner")),
        ("to-dir/deep/deepest", Ok("deepest")),
        ("to-dir/deep/../inner", Ok("inner")),
        ("to-dir/nothing", Err(Errno::NOENT)),
        ("to-dir/inner/x", Err(Errno::NOTDIR)),
        ("to-dir/up", Err(Errno::LOOP)),
        ("to-dir/out-deep", Err(Errno::LOOP)),
        ("to-dir/deep/up-twice", Err(Errno::LOOP)),
        ("to-dir/absolute-dir/inner", Err(Errno::LOOP)),
        ("to-dir/..", Err(Errno::XDEV)),
        ("to-dir/../file", Err(Errno::XDEV)),
        ("dir/inner", Err(Errno::XDEV)),
        ("file", Err(Errno::XDEV)),
    ];
    for lookup in lookups() {
        let house = House::new();
        let below = house.roots(lookup);
        let whole = Roots::new([].into_iter()).unwrap();
        for roots in [&below, &whole].map(|roots| roots.within(&house.path("to-dir")).unwrap()) {
            for (below, wanted) in table {
                let found = content(&roots, &house.path(below));
                assert_eq!(found.as_deref(), wanted.as_ref().copied(), "{lookup:?}: {below}");
            }
            let place = |follow| roots.place(&house.path("to-dir/up"), follow).map(drop);
            assert_eq!((place(false), place(true)), (Ok(()), Err(Errno::LOOP)), "{lookup:?}");
            let create = OFlags::WRONLY | OFlags::CREATE;
            roots.open(&house.path("to-dir/deep/new"), create).unwrap();
            assert_eq!(roots.open(&house.path("to-dir/up"), create).unwrap_err(), Errno::LOOP, "{lookup:?}");
        }
        for (folder, errno) in
            [("out-dir", Errno::XDEV), ("to-file", Errno::NOTDIR), ("nothing", Errno::NOENT)]
        {
            assert_eq!(below.within(&house.path(folder)).unwrap_err(), errno, "{lookup:?}: {folder}");
        }
    }
}

/// While one thread swaps a folder and a link that leads out, nobody who opens below it ever reads the outside file.
#[test]
fn a_swap_race_never_leads_out() {
    const OPENS: u32 = 20_000;
    let house = House::new();
    let root = &house.root;
    create_dir_all(root.join("real/sub")).unwrap();
    write(root.join("real/secret"), "inside").unwrap();
    write(root.join("real/sub/x"), "inside").unwrap();
    symlink("../outside", root.join("evil")).unwrap();
    rename(root.join("real"), root.join("swap")).unwrap();
    for lookup in lookups() {
        let roots = house.roots(lookup);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    // swap is the folder, the link, or nothing at all.
                    rename(root.join("swap"), root.join("real")).unwrap();
                    rename(root.join("evil"), root.join("swap")).unwrap();
                    rename(root.join("swap"), root.join("evil")).unwrap();
                    rename(root.join("real"), root.join("swap")).unwrap();
                }
            });
            let _done = Done(&done);
            let (mut inside, mut refused) = (0, 0);
            for round in 0.. {
                let below = ["swap/secret", "swap/sub/../secret", "swap/../swap/secret"][round as usize % 3];
                match content(&roots, &house.path(below)) {
                    Ok(text) => {
                        assert_eq!(text, "inside", "{lookup:?}: {below}");
                        inside += 1;
                    }
                    Err(Errno::XDEV | Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => refused += 1,
                    Err(errno) => panic!("{lookup:?}: {below}: {errno}"),
                }
                // Both outcomes must have been seen, or nothing was raced.
                if round >= OPENS && inside > 0 && refused > 0 || round >= 50 * OPENS {
                    break;
                }
            }
            assert!(inside > 0 && refused > 0, "{lookup:?}: {inside} inside, {refused} refused");
        });
    }
}
