//! Whole processes, as a user runs them: `zvfs cp` and `zvfs cat` against cp(1), rclone and cat(1).

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use zvfs_benches::{cost, heading, pair, pair_of_processes, provider_folder};
use zvfs_test_support::have;

const ZVFS: &str = env!("CARGO_BIN_EXE_zvfs");
const MIB: usize = 256;
const FILES: u64 = 20_000;
const FOLDERS: u64 = 200;
/// Bytes of each.
const SMALL: usize = 1024;
const ROUNDS: usize = 7;
const PIPE: &str = "tcp://127.0.0.1:47731";
const SOCAT_LISTEN: &str = "TCP-LISTEN:47732,bind=127.0.0.1,reuseaddr";
const SOCAT_CONNECT: &str = "TCP:127.0.0.1:47732,retry=100,interval=0.01";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let (source, target) = (folder.path().join("source"), folder.path().join("target"));
    let block: Vec<u8> = (0..1 << 20).map(|at: u32| at.wrapping_mul(2_654_435_761) as u8).collect();
    let mut file = fs::File::create(&source)?;
    for _ in 0..MIB {
        file.write_all(&block)?;
    }

    heading(&format!("copy {MIB} MiB, each MiB"), "zvfs", "cp and cat");
    let to_file = |mut command: Command| {
        command.args([&source, &target]);
        run_to_end(&mut command);
        let _ = fs::remove_file(&target);
    };
    pair("file to file", MIB as u64, || to_file(zvfs("cp")), || to_file(Command::new("cp")));

    let holed = folder.path().join("holed");
    make_holed(&holed)?;
    let of_holed = |mut command: Command| {
        run_to_end(command.args([&holed, &target]));
        let _ = fs::remove_file(&target);
    };
    pair("the same, a file of holes", MIB as u64, || of_holed(zvfs("cp")), || of_holed(Command::new("cp")));

    let to_pipe = |mut command: Command| drain(command.arg(&source));
    pair("file to pipe", MIB as u64, || to_pipe(zvfs("cat")), || to_pipe(Command::new("cat")));

    if have(&["socat"]) {
        heading(&format!("copy {MIB} MiB from file to file over loopback, each MiB"), "zvfs cp", "socat");
        let (source, target) = (source.display().to_string(), target.display().to_string());
        let config = |same_host: &str| -> std::io::Result<PathBuf> {
            let path = folder.path().join(format!("same-host-{same_host}.toml"));
            let tcp = format!("[provider.tcp]\nsettings = {{ same-host = {same_host:?} }}\n");
            fs::write(&path, format!("provider-path = [{:?}]\n[provider.file]\n{tcp}", provider_folder()))?;
            Ok(path)
        };
        let (in_memory, over_tcp) = (config("on")?, config("off")?);
        let ours = |config: &Path, pipe: &str| {
            let cp = || {
                let mut command = Command::new(ZVFS);
                command.arg("--config").arg(config).arg("cp");
                command
            };
            over_network(cp(), [pipe, &target], cp(), [&source, pipe], &target);
        };
        let peer = || {
            let (to, from) = (format!("CREATE:{target}"), format!("FILE:{source}"));
            let (reader, writer) = (socat(), socat());
            over_network(reader, [SOCAT_LISTEN, &to], writer, [&from, SOCAT_CONNECT], &target);
        };
        pair("by a netpipe over TCP", MIB as u64, || ours(&over_tcp, PIPE), peer);
        // Every byte is seen, so nothing goes by sendfile.
        let with_crc = format!("{PIPE}?crc=on");
        pair("the same with CRC", MIB as u64, || ours(&over_tcp, &with_crc), peer);
        pair("by a netpipe, in memory after 16 MiB", MIB as u64, || ours(&in_memory, PIPE), peer);
    }

    folders()?;

    heading("nothing but a start", "zvfs cat of an empty file", "cat of it");
    let empty = folder.path().join("empty");
    fs::write(&empty, "")?;
    let start = |mut command: Command| drain(command.arg(Path::new(&empty)));
    pair("process", 1, || start(zvfs("cat")), || start(Command::new("cat")));
    Ok(())
}

/// As large, with 64 KiB of data in each MiB.
fn make_holed(path: &Path) -> std::io::Result<()> {
    let file = fs::File::create(path)?;
    file.set_len((MIB as u64) << 20)?;
    (0..MIB as u64).try_for_each(|at| file.write_all_at(&[b'x'; 64 << 10], at << 20))
}

/// A tree of many small files, against cp(1) and rclone.
fn folders() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let (source, target) = (folder.path().join("source"), folder.path().join("target"));
    for sub in 0..FOLDERS {
        let sub = source.join(sub.to_string());
        fs::create_dir_all(&sub)?;
        for name in 0..FILES / FOLDERS {
            fs::write(sub.join(name.to_string()), [b'x'; SMALL])?;
        }
    }
    let copied = |mut command: Command| {
        let cost = cost(command.args([&source, &target]));
        let _ = fs::remove_dir_all(&target);
        cost
    };
    let command = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments);
        command
    };
    let ours = || {
        let mut command = zvfs("cp");
        command.arg("-rT");
        copied(command)
    };
    heading(&format!("copy {FILES} files of {SMALL} bytes, each file"), "zvfs cp -r", "the peer's");
    pair_of_processes("cp -r", FILES, ROUNDS, ours, || copied(command("cp", &["-rT"])));
    if have(&["rclone"]) {
        pair_of_processes("rclone copy", FILES, ROUNDS, ours, || {
            copied(command("rclone", &["copy", "--quiet"]))
        });
    }
    Ok(())
}

fn socat() -> Command {
    let mut command = Command::new("socat");
    command.args(["-u", "-b", "65536"]);
    command
}

/// Runs a reader and a writer side by side.
fn over_network(mut reader: Command, to: [&str; 2], mut writer: Command, from: [&str; 2], target: &str) {
    let reading = reader.args(to).spawn();
    let Ok(mut reading) = reading else { panic!("{reader:?} does not start") };
    run_to_end(writer.args(from));
    assert!(reading.wait().is_ok_and(|status| status.success()), "{reader:?} failed");
    let _ = fs::remove_file(target);
}

fn zvfs(subcommand: &str) -> Command {
    let mut command = Command::new(ZVFS);
    command.arg("--provider-path").arg(provider_folder()).arg(subcommand);
    command
}

fn run_to_end(command: &mut Command) {
    let status = command.status();
    assert!(status.is_ok_and(|status| status.success()), "{command:?} failed");
}

/// Runs a command and takes all that it writes.
fn drain(command: &mut Command) {
    let child = command.stdout(Stdio::piped()).spawn();
    let Ok(mut child) = child else { panic!("{command:?} does not start") };
    let mut buf = vec![0; 1 << 20];
    if let Some(mut stdout) = child.stdout.take() {
        while stdout.read(&mut buf).is_ok_and(|count| count > 0) {}
    }
    assert!(child.wait().is_ok_and(|status| status.success()), "{command:?} failed");
}
