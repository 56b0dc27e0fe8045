;; Counts the lines, words and bytes of standard input and prints them as wc does. A word is what stands between white space.
;;
;; Memory, one page:
;;      0  the one iovec: address, length
;;      8  where fd_read and fd_write say how many bytes they moved
;;     64  the line to print, written from its end at 128 to its start
;;   1024  what was read, up to 32 KiB at once
(module
  (import "wasi_snapshot_preview1" "fd_read"
    (func $fd_read (param $fd i32) (param $iovecs i32) (param $count i32) (param $moved i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param $fd i32) (param $iovecs i32) (param $count i32) (param $moved i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit"
    (func $proc_exit (param $code i32)))

  (memory (export "memory") 1)

  (global $stdin i32 (i32.const 0))
  (global $stdout i32 (i32.const 1))
  (global $iovec i32 (i32.const 0))
  (global $moved i32 (i32.const 8))
  (global $line_end i32 (i32.const 128))
  (global $buffer i32 (i32.const 1024))
  (global $buffer_size i32 (i32.const 32768))

  (global $lines (mut i64) (i64.const 0))
  (global $words (mut i64) (i64.const 0))
  (global $bytes (mut i64) (i64.const 0))
  (global $in_word (mut i32) (i32.const 0))   ;; whether the last byte belonged to a word
  (global $line (mut i32) (i32.const 128))    ;; where the line to print begins

  (func $main (export "_start")
    (local $length i32)
    (loop $more
      (local.set $length (call $read))
      (if (local.get $length)                 ;; 0 is the end
        (then
          (call $count (local.get $length))
          (br $more))))
    (call $prepend (i32.const 10))            ;; the line, from its end: a line feed, the last number, a space, ...
    (call $prepend_number (global.get $bytes))
    (call $prepend (i32.const 32))
    (call $prepend_number (global.get $words))
    (call $prepend (i32.const 32))
    (call $prepend_number (global.get $lines))
    (call $write_line))

  ;; Fills the buffer from standard input, and returns how many bytes came.
  (func $read (result i32)
    (i32.store (global.get $iovec) (global.get $buffer))
    (i32.store offset=4 (global.get $iovec) (global.get $buffer_size))
    (call $check (call $fd_read (global.get $stdin) (global.get $iovec) (i32.const 1) (global.get $moved)))
    (i32.load (global.get $moved)))

  ;; Counts the first bytes of the buffer.
  (func $count (param $length i32)
    (local $at i32)
    (local $byte i32)
    (global.set $bytes (i64.add (global.get $bytes) (i64.extend_i32_u (local.get $length))))
    (loop $next
      (local.set $byte (i32.load8_u (i32.add (global.get $buffer) (local.get $at))))
      (if (i32.eq (local.get $byte) (i32.const 10))
        (then (global.set $lines (i64.add (global.get $lines) (i64.const 1)))))
      (if (call $is_space (local.get $byte))
        (then (global.set $in_word (i32.const 0)))
        (else
          (if (i32.eqz (global.get $in_word))
            (then (global.set $words (i64.add (global.get $words) (i64.const 1)))))
          (global.set $in_word (i32.const 1))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $at) (local.get $length)))))

  ;; Space, or one of tab, line feed, vertical tab, form feed, carriage return: 9 to 13.
  (func $is_space (param $byte i32) (result i32)
    (i32.or
      (i32.eq (local.get $byte) (i32.const 32))
      (i32.lt_u (i32.sub (local.get $byte) (i32.const 9)) (i32.const 5))))

  ;; Puts a byte before the line.
  (func $prepend (param $byte i32)
    (global.set $line (i32.sub (global.get $line) (i32.const 1)))
    (i32.store8 (global.get $line) (local.get $byte)))

  ;; Puts a number before the line, right-aligned in 7 columns or as many as it needs.
  (func $prepend_number (param $number i64)
    (local $end i32)
    (local.set $end (global.get $line))
    (loop $digit
      (call $prepend
        (i32.add (i32.const 48) (i32.wrap_i64 (i64.rem_u (local.get $number) (i64.const 10)))))
      (local.set $number (i64.div_u (local.get $number) (i64.const 10)))
      (br_if $digit (i64.ne (local.get $number) (i64.const 0))))
    (block $aligned
      (loop $pad
        (br_if $aligned
          (i32.ge_u (i32.sub (local.get $end) (global.get $line)) (i32.const 7)))
        (call $prepend (i32.const 32))
        (br $pad))))

  ;; Writes the line to standard output; a write may take less than it was given.
  (func $write_line
    (loop $rest
      (i32.store (global.get $iovec) (global.get $line))
      (i32.store offset=4 (global.get $iovec) (i32.sub (global.get $line_end) (global.get $line)))
      (call $check
        (call $fd_write (global.get $stdout) (global.get $iovec) (i32.const 1) (global.get $moved)))
      (global.set $line (i32.add (global.get $line) (i32.load (global.get $moved))))
      (br_if $rest (i32.lt_u (global.get $line) (global.get $line_end)))))

  ;; Ends the program if a call failed: its exit code is the call's errno.
  (func $check (param $errno i32)
    (if (local.get $errno)
      (then (call $proc_exit (local.get $errno)))))
)
