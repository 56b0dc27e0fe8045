;; ends: fuel
;; Fills its whole memory for ever: each fill is paid by its bytes.
(module (memory (export "memory") 128)
  (func (export "_start") (loop (memory.fill (i32.const 0) (i32.const 7) (i32.const 8388608)) (br 0))))
