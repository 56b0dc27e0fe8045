;; ends: fuel
;; Asks for a table of 2^32 - 1 elements, which is refused, and paid for all the same.
(module (memory (export "memory") 1) (table $a 0 funcref)
  (func (export "_start") (loop (drop (table.grow $a (ref.null func) (i32.const -1))) (br 0))))
