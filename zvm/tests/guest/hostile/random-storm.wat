;; ends: fuel
;; fuel: 1000000
;; Asks for all the randomness that its memory takes, for ever.
(module (import "wasi_snapshot_preview1" "random_get" (func $get (param i32 i32) (result i32)))
  (memory (export "memory") 128)
  (func (export "_start") (loop (drop (call $get (i32.const 0) (i32.const 8388608))) (br 0))))
