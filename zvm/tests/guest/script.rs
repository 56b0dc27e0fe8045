//! A tiny language for guests that make calls and tell what came of them.
//!
//! Each line is a call with its arguments; each argument is a number, or a text in double quotes, which stands for its pointer
//! and its length. A line is the name of a WASI function, which tells 0 or its negated errno, or one of these, which tell
//! the call's result, or its negated errno:
//!
//! `read FD COUNT`, `write FD COUNT`, `pread FD COUNT OFFSET`, `pwrite FD COUNT OFFSET`: with one buffer at 4096
//! `seek FD OFFSET WHENCE`, `tell FD`, `size FD`
//! `open "PATH" HOW RIGHTS FLAGS`: from the root
//! `get8|get32|get64 ADDRESS`: tell what is there; `put8|put32|put64 ADDRESS VALUE`: tell nothing
//! `proc_exit CODE`

/// Where the calls have their buffer.
pub const BUFFER: usize = 4096;
/// Rights to open with.
pub const READ: u64 = 1 << 1;
pub const WRITE: u64 = 1 << 6;

/// Each function with its parameters: `i` and `I` for 32 and 64 bits.
pub const FUNCTIONS: [(&str, &str); 45] = [
    ("args_get", "ii"),
    ("args_sizes_get", "ii"),
    ("environ_get", "ii"),
    ("environ_sizes_get", "ii"),
    ("clock_res_get", "ii"),
    ("clock_time_get", "iIi"),
    ("fd_advise", "iIIi"),
    ("fd_allocate", "iII"),
    ("fd_close", "i"),
    ("fd_datasync", "i"),
    ("fd_fdstat_get", "ii"),
    ("fd_fdstat_set_flags", "ii"),
    ("fd_fdstat_set_rights", "iII"),
    ("fd_filestat_get", "ii"),
    ("fd_filestat_set_size", "iI"),
    ("fd_filestat_set_times", "iIIi"),
    ("fd_pread", "iiiIi"),
    ("fd_prestat_get", "ii"),
    ("fd_prestat_dir_name", "iii"),
    ("fd_pwrite", "iiiIi"),
    ("fd_read", "iiii"),
    ("fd_readdir", "iiiIi"),
    ("fd_renumber", "ii"),
    ("fd_seek", "iIii"),
    ("fd_sync", "i"),
    ("fd_tell", "ii"),
    ("fd_write", "iiii"),
    ("path_create_directory", "iii"),
    ("path_filestat_get", "iiiii"),
    ("path_filestat_set_times", "iiiiIIi"),
    ("path_link", "iiiiiii"),
    ("path_open", "iiiiiIIii"),
    ("path_readlink", "iiiiii"),
    ("path_remove_directory", "iii"),
    ("path_rename", "iiiiii"),
    ("path_symlink", "iiiii"),
    ("path_unlink_file", "iii"),
    ("poll_oneoff", "iiii"),
    ("proc_raise", "i"),
    ("sched_yield", ""),
    ("random_get", "ii"),
    ("sock_accept", "iii"),
    ("sock_recv", "iiiiii"),
    ("sock_send", "iiiii"),
    ("sock_shutdown", "ii"),
];

/// The script's own words, in terms of functions.
const WORDS: &str = r#"
(global $log (mut i32) (i32.const 65536))
(func $say (param i64)
  (i64.store (global.get $log) (local.get 0))
  (global.set $log (i32.add (global.get $log) (i32.const 8))))
(func $tell (param $errno i32) (param $result i64)
  (call $say (select
    (i64.sub (i64.const 0) (i64.extend_i32_u (local.get $errno)))
    (local.get $result)
    (local.get $errno))))
(func $one_buffer (param $count i32)
  (i32.store (i32.const 0) (i32.const 4096))
  (i32.store (i32.const 4) (local.get $count)))
(func $read (param $fd i32) (param $count i32)
  (call $one_buffer (local.get $count))
  (call $tell (call $fd_read (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)) (i64.load32_u (i32.const 8))))
(func $write (param $fd i32) (param $count i32)
  (call $one_buffer (local.get $count))
  (call $tell (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)) (i64.load32_u (i32.const 8))))
(func $pread (param $fd i32) (param $count i32) (param $at i64)
  (call $one_buffer (local.get $count))
  (call $tell
    (call $fd_pread (local.get $fd) (i32.const 0) (i32.const 1) (local.get $at) (i32.const 8))
    (i64.load32_u (i32.const 8))))
(func $pwrite (param $fd i32) (param $count i32) (param $at i64)
  (call $one_buffer (local.get $count))
  (call $tell
    (call $fd_pwrite (local.get $fd) (i32.const 0) (i32.const 1) (local.get $at) (i32.const 8))
    (i64.load32_u (i32.const 8))))
(func $seek (param $fd i32) (param $by i64) (param $whence i32)
  (call $tell
    (call $fd_seek (local.get $fd) (local.get $by) (local.get $whence) (i32.const 8)) (i64.load (i32.const 8))))
(func $where (param $fd i32)
  (call $tell (call $fd_tell (local.get $fd) (i32.const 8)) (i64.load (i32.const 8))))
(func $size (param $fd i32)
  (call $tell (call $fd_filestat_get (local.get $fd) (i32.const 16)) (i64.load (i32.const 48))))
(func $open (param $path i32) (param $length i32) (param $how i32) (param $rights i64) (param $flags i32)
  (call $tell
    (call $path_open (i32.const 3) (i32.const 1) (local.get $path) (local.get $length) (local.get $how)
      (local.get $rights) (i64.const 0) (local.get $flags) (i32.const 8))
    (i64.load32_u (i32.const 8))))
(func $get8 (param i32) (call $say (i64.load8_u (local.get 0))))
(func $get32 (param i32) (call $say (i64.load32_u (local.get 0))))
(func $get64 (param i32) (call $say (i64.load (local.get 0))))
(func $put8 (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))
(func $put32 (param i32 i32) (i32.store (local.get 0) (local.get 1)))
(func $put64 (param i32 i64) (i64.store (local.get 0) (local.get 1)))
(func $flush
  (i32.store (i32.const 0) (i32.const 65536))
  (i32.store (i32.const 4) (i32.sub (global.get $log) (i32.const 65536)))
  (drop (call $fd_write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8))))
"#;

/// The words with their parameters.
const WORD_TYPES: [(&str, &str); 15] = [
    ("read", "ii"),
    ("write", "ii"),
    ("pread", "iiI"),
    ("pwrite", "iiI"),
    ("seek", "iIi"),
    ("tell", "i"),
    ("size", "i"),
    ("open", "iiiIi"),
    ("get8", "i"),
    ("get32", "i"),
    ("get64", "i"),
    ("put8", "ii"),
    ("put32", "ii"),
    ("put64", "iI"),
    ("proc_exit", "i"),
];

/// The program of a script. It writes what its lines told, each as 64 bits, to descriptor 2 at its end.
pub fn program(script: &str) -> String {
    let mut text = "(module\n".to_owned();
    let parameters = |types: &str| -> String {
        types.chars().map(|kind| if kind == 'i' { " i32" } else { " i64" }).collect()
    };
    for (name, types) in FUNCTIONS {
        text += &import(name, &format!("(param{}) (result i32)", parameters(types)));
    }
    text += &import("proc_exit", "(param i32)");
    text += "(memory (export \"memory\") 2)\n";
    text += WORDS;
    let (mut body, mut data, mut end) = (String::new(), String::new(), 1024);
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, mut rest) = line.split_once(' ').unwrap_or((line, ""));
        let word = WORD_TYPES.iter().find(|(word, _)| *word == name);
        let (_, types) =
            word.or(FUNCTIONS.iter().find(|(function, _)| *function == name)).unwrap_or_else(|| {
                panic!("no such call: {line}");
            });
        let mut values = Vec::new();
        while !rest.trim_start().is_empty() {
            rest = rest.trim_start();
            if let Some(quoted) = rest.strip_prefix('"') {
                let (string, after) = quoted.split_once('"').expect("a closing quote");
                data += &format!("(data (i32.const {end}) \"{string}\")\n");
                // An escape such as \ff stands for one byte.
                let length = string.len() - 2 * string.matches('\\').count();
                values.extend([end.to_string(), length.to_string()]);
                (end, rest) = (end + length, after);
            } else {
                let (value, after) = rest.split_once(' ').unwrap_or((rest, ""));
                values.push(value.to_owned());
                rest = after;
            }
        }
        assert_eq!(values.len(), types.len(), "arguments of: {line}");
        let values: String = types
            .chars()
            .zip(&values)
            .map(|(kind, value)| format!(" ({}.const {value})", if kind == 'i' { "i32" } else { "i64" }))
            .collect();
        body += &match (word, name) {
            (Some(_), "tell") => format!("(call $where{values})\n"),
            (Some(_), "proc_exit") => format!("(call $flush) (call $proc_exit{values})\n"),
            (Some(_), _) => format!("(call ${name}{values})\n"),
            (None, _) => format!("(call $tell (call ${name}{values}) (i64.const 0))\n"),
        };
    }
    assert!(end < BUFFER, "too many texts");
    text + &data + "(func (export \"_start\")\n" + &body + "(call $flush)))"
}

/// A module's import of one function.
pub fn import(name: &str, kind: &str) -> String {
    format!("(import \"wasi_snapshot_preview1\" \"{name}\" (func ${name} {kind}))\n")
}
