"""Reads a file by a library, and prints what that took in nanoseconds: by the clock, and of the processors. The open counts, the start does not.

Arguments: zvfs or fsspec; in-order or in-no-order; the file's name; its size, that of a piece, and how many pieces are read in no order;
the operator's file for zvfs, a file system's options in JSON for fsspec.
"""

import json
import signal
import sys
import time

# A library that needs longer is no row, whatever it waits for. By the signal, since its own calls may not end.
LONGEST = 120
signal.signal(signal.SIGALRM, lambda *_: sys.exit(f"not done after {LONGEST} s"))
signal.alarm(LONGEST)

library, how, name, *numbers, options = sys.argv[1:]
size, piece, count = map(int, numbers)
buffer = bytearray(piece)

if library == "zvfs":
    import zvfs

    system = zvfs.Registry(text=options)
else:
    import fsspec

    # What a file system imports for its first file is part of its start too.
    system = fsspec.filesystem(**json.loads(options))


def in_order():
    with system.open(name, "rb", **({"buffering": 0} if library == "zvfs" else {})) as file:
        done = 0
        while got := file.readinto(buffer):
            done += got
    assert done == size, f"{done} of {size} bytes"


def in_no_order():
    offsets = [number * 0x9E3779B97F4A7C15 % 2**64 % (size // piece) * piece for number in range(count)]
    # A cache of whole blocks would be for nothing.
    with system.open(name, "rb", **({"buffering": 0} if library == "zvfs" else {"cache_type": "none"})) as file:
        for offset in offsets:
            if library == "zvfs":
                got = file.readinto_at(buffer, offset)
            else:
                file.seek(offset)
                got = file.readinto(buffer)
            assert got == piece, f"{got} bytes at {offset}"


start, processors = time.perf_counter_ns(), time.process_time_ns()
in_order() if how == "in-order" else in_no_order()
print(time.perf_counter_ns() - start, time.process_time_ns() - processors)
