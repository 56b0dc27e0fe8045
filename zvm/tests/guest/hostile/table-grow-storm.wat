;; exits: 1
;; Grows three tables again and again: they pay from the same budget as the memory.
(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (table $a 0 funcref) (table $b 0 funcref) (table $c 0 funcref)
  (func (export "_start") (local $n i32)
    (loop
      (drop (table.grow $a (ref.null func) (i32.const 1000)))
      (drop (table.grow $b (ref.null func) (i32.const 3000)))
      (drop (table.grow $c (ref.null func) (i32.const 9)))
      (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 1000))))
    (call $exit (i32.le_u (i32.add (table.size $a) (i32.add (table.size $b) (table.size $c))) (i32.const 524288)))))
