;; Reads its standard input to the end, and writes it to its standard output in capitals.
(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (local $at i32) (local $count i32) (local $letter i32)
    (i32.store (i32.const 0) (i32.const 1024))
    (loop $more
      (i32.store (i32.const 4) (i32.const 4096))
      (if (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)) (then (call $exit (i32.const 1))))
      (local.set $count (i32.load (i32.const 8)))
      (if (local.get $count) (then
        (local.set $at (i32.const 0))
        (loop $letters
          (local.set $letter (i32.load8_u (i32.add (i32.const 1024) (local.get $at))))
          (if (i32.lt_u (i32.sub (local.get $letter) (i32.const 97)) (i32.const 26)) (then
            (i32.store8 (i32.add (i32.const 1024) (local.get $at)) (i32.sub (local.get $letter) (i32.const 32)))))
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br_if $letters (i32.lt_u (local.get $at) (local.get $count))))
        (i32.store (i32.const 4) (local.get $count))
        (if (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)) (then (call $exit (i32.const 1))))
        (br $more))))))
