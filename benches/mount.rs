//! A folder of `file` by `zvfs mount`, against the folder itself and against rclone's mount of it. The kernel keeps what was read of all
//! three; of both mounts it is dropped before each round, so that their programs are asked again.

use rustix::fs::{Advice, fadvise};
use std::error;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use zvfs_benches::{heading, keep, pair_timed, provider_folder};
use zvfs_test_support::have;

const MIB: u64 = 1 << 20;
const SIZE: u64 = 256 * MIB;
/// At random, of the folder; and of rclone, which waits 20 ms at each for the reads between (`--vfs-read-wait`).
const READS: u64 = 2_000;
const READS_OF_RCLONE: u64 = 50;
const NAMES: u64 = 10_000;
/// What a mount may take to appear.
const PATIENCE: Duration = Duration::from_secs(30);

type Failure = Box<dyn error::Error>;

fn main() -> Result<(), Failure> {
    if !have(&["fusermount3"]) {
        return Ok(());
    }
    let tree = tree()?;
    let ours = Mount::of(tree.path(), |at| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zvfs-mount"));
        command.env_remove("ZVFS_CONFIG").arg("--provider-path").arg(provider_folder());
        command.arg("mount").arg(tree.path()).arg(at);
        command
    })?;
    compare(("the folder itself", READS), ours.path(), tree.path())?;
    if have(&["rclone"]) {
        let rclone = Mount::of(tree.path(), |at| {
            let mut command = Command::new("rclone");
            command.args(["--config", "/dev/null", "mount", "--read-only"]).arg(tree.path()).arg(at);
            command
        })?;
        compare(("rclone's mount of it", READS_OF_RCLONE), ours.path(), rclone.path())?;
    }
    Ok(())
}

fn tree() -> Result<TempDir, Failure> {
    let tree = tempfile::tempdir()?;
    let content: Vec<u8> =
        (0..SIZE / 8).flat_map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()).collect();
    fs::write(tree.path().join("large"), content)?;
    fs::create_dir(tree.path().join("many"))?;
    for name in 0..NAMES {
        fs::write(tree.path().join("many").join(name.to_string()), "")?;
    }
    Ok(tree)
}

fn compare((peer, reads): (&str, u64), ours: &Path, theirs: &Path) -> Result<(), Failure> {
    heading("a folder of files", "zvfs mount", peer);
    let row = |name: &str, operations: u64, work: &dyn Fn(&Path) -> Result<Duration, Failure>| {
        // A failure would leave no row to believe.
        let timed =
            |at: &Path| work(at).unwrap_or_else(|error| panic!("{name} in {}: {error}", at.display()));
        pair_timed(name, operations, || timed(ours), || timed(theirs));
    };
    row("read in order, each MiB", SIZE / MIB, &in_order);
    row("4 KiB at random", reads, &|at| at_random(at, reads));
    row("10,000 names, each", NAMES, &names);
    row("10,000 names with their sizes, each", NAMES, &names_and_sizes);
    Ok(())
}

fn in_order(at: &Path) -> Result<Duration, Failure> {
    let mut file = afresh(at)?;
    let (mut buf, begun) = (vec![0; MIB as usize], Instant::now());
    while file.read(&mut buf)? > 0 {}
    Ok(begun.elapsed())
}

fn at_random(at: &Path, reads: u64) -> Result<Duration, Failure> {
    let file = afresh(at)?;
    let (mut buf, mut place, begun) = ([0; 4096], 1_u64, Instant::now());
    for _ in 0..reads {
        place = place.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        file.read_exact_at(&mut buf, (place >> 33) % (SIZE / 4096) * 4096)?;
    }
    Ok(begun.elapsed())
}

/// The large file. What the kernel keeps of a mount is dropped; the file below stays in its memory, so that no disk is measured.
fn afresh(at: &Path) -> Result<File, Failure> {
    let file = File::open(at.join("large"))?;
    if is_mount(at)? {
        fadvise(&file, 0, None, Advice::DontNeed)?;
    }
    Ok(file)
}

fn names(at: &Path) -> Result<Duration, Failure> {
    let begun = Instant::now();
    let count = fs::read_dir(at.join("many"))?.count() as u64;
    (count == NAMES).then(|| begun.elapsed()).ok_or_else(|| format!("{count} names").into())
}

fn names_and_sizes(at: &Path) -> Result<Duration, Failure> {
    let begun = Instant::now();
    for entry in fs::read_dir(at.join("many"))? {
        keep(entry?.metadata()?.len());
    }
    Ok(begun.elapsed())
}

fn is_mount(at: &Path) -> Result<bool, Failure> {
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    Ok(table.lines().any(|line| line.split(' ').nth(4) == at.to_str()))
}

/// A mount, until it is dropped.
struct Mount {
    at: TempDir,
    program: Child,
}

impl Mount {
    fn of(tree: &Path, command: impl Fn(&Path) -> Command) -> Result<Mount, Failure> {
        let at = tempfile::tempdir()?;
        let program = command(at.path()).stdin(Stdio::null()).spawn()?;
        let mut mount = Mount { at, program };
        let begun = Instant::now();
        while !is_mount(mount.path())? {
            if mount.program.try_wait()?.is_some() || begun.elapsed() > PATIENCE {
                return Err(format!("{} is not mounted", tree.display()).into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(mount)
    }

    fn path(&self) -> &Path {
        self.at.path()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("fusermount3").args(["-u", "-z"]).arg(self.at.path()).status();
        let _ = self.program.wait();
    }
}
