;; ends: trap: call stack exhausted
;; Calls itself without an end.
(module (memory (export "memory") 1)
  (func $f (param i64 i64 i64 i64) (call $f (local.get 3) (local.get 0) (local.get 1) (local.get 2)) (call $f (local.get 0) (local.get 0) (local.get 0) (local.get 0)))
  (func (export "_start") (call $f (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4))))
