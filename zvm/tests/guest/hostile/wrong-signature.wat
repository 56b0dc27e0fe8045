;; ends: trap: indirect call type mismatch
(module (memory (export "memory") 1)
  (type $t (func (param i64 i64)))
  (table funcref (elem $f))
  (func $f)
  (func (export "_start") (call_indirect (type $t) (i64.const 1) (i64.const 2) (i32.const 0))))
