;; ends: fuel
;; Tail calls for ever take no stack, but fuel.
(module (memory (export "memory") 1) (func $f (return_call $f)) (func (export "_start") (return_call $f)))
