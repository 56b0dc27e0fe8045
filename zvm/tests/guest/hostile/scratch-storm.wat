;; ends: fuel
;; Makes files, writes and removes them for ever, and never gets more than its scratch space.
(module
  (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_allocate" (func $allocate (param i32 i64 i64) (result i32)))
  (import "wasi_snapshot_preview1" "path_link" (func $link (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 0) "\00\00\01\00\00\00\01\00")
  (func (export "_start") (local $n i32)
    (loop
      (i32.store (i32.const 64) (i32.add (i32.const 0x41414141) (local.get $n)))
      (drop (call $open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 4) (i32.const 1) (i64.const 66) (i64.const 0) (i32.const 0) (i32.const 16)))
      (drop (call $write (i32.load (i32.const 16)) (i32.const 0) (i32.const 1) (i32.const 24)))
      (drop (call $allocate (i32.load (i32.const 16)) (i64.const 0) (i64.const 0x7fffffffffffffff)))
      (drop (call $link (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 4) (i32.const 3) (i32.const 65) (i32.const 3)))
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br 0))))
