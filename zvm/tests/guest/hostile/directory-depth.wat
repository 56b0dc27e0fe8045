;; ends: fuel
;; Makes a directory in a directory in a directory, as deep as its scratch space lets it, and links that lead to one another.
(module
  (import "wasi_snapshot_preview1" "path_create_directory" (func $mkdir (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_symlink" (func $symlink (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_filestat_get" (func $stat (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 0) "l/l/l/l")
  (func (export "_start") (local $n i32)
    (drop (call $symlink (i32.const 0) (i32.const 7) (i32.const 3) (i32.const 0) (i32.const 1)))
    (loop
      (i32.store16 (i32.add (i32.const 1024) (i32.mul (i32.rem_u (local.get $n) (i32.const 2000)) (i32.const 2))) (i32.const 0x2f61))
      (drop (call $mkdir (i32.const 3) (i32.const 1024) (i32.mul (i32.rem_u (local.get $n) (i32.const 2000)) (i32.const 2))))
      (drop (call $stat (i32.const 3) (i32.const 1) (i32.const 0) (i32.const 7) (i32.const 16384)))
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br 0))))
