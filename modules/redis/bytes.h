/* SPDX-License-Identifier: Apache-2.0
 * Bytes that grow, up to a limit. All zero: none. */
#ifndef ZVM_BYTES_H
#define ZVM_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
    char *data;
    size_t size, room;
};

/* Makes the size `size`; zeros fill what is new. False: over `limit`, or out of memory; nothing changed. */
bool bytes_resize(struct bytes *bytes, uint64_t size, uint64_t limit);

/* Writes at `offset`, behind the end too. False: as bytes_resize. */
bool bytes_write(struct bytes *bytes, uint64_t offset, const void *from, size_t size, uint64_t limit);

/* Reads at `offset`. Returns the count, 0 from the end on. */
size_t bytes_read(const struct bytes *bytes, uint64_t offset, void *to, uint64_t size);

/* A copy of `size` bytes. False: out of memory. */
bool bytes_copy(struct bytes *bytes, const void *from, size_t size);

bool bytes_equal(const struct bytes *bytes, const void *other, size_t size);

/* Frees them; then there are none. */
void bytes_free(struct bytes *bytes);

#endif
