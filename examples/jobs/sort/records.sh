#!/bin/sh
# Makes the job's input: part-1.txt to part-4.txt, 10,000 records each, the same ones every time.
set -e
cd "$(dirname "$0")"
awk 'BEGIN {
    key = 20261122
    for (part = 1; part <= 4; part++)
        for (n = 1; n <= 10000; n++) {
            key = key * 16807 % 2147483647
            printf "%07x record %d of part %d, and what else it holds\n", key % 268435456, n, part > ("part-" part ".txt")
        }
}'
