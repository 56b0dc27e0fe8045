;; ends: fuel
;; Before `_start`, in the start section.
(module (memory (export "memory") 1) (func $f (loop (br 0))) (start $f) (func (export "_start")))
