;; exits: 1
;; Grows its memory by every amount, a hundred thousand times: it never gets more than its budget, and each refusal is -1.
(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $n i32)
    (loop
      (drop (memory.grow (local.get $n)))
      (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 100000))))
    (call $exit (i32.le_u (memory.size) (i32.const 128)))))
