/* SPDX-License-Identifier: Apache-2.0 */
#include "bytes.h"
#include <stdlib.h>
#include <string.h>

bool bytes_resize(struct bytes *bytes, uint64_t size, uint64_t limit) {
    if (size > limit || size > SIZE_MAX / 2) return false;
    if (size > bytes->room) {
        size_t room = bytes->room * 2 > size ? bytes->room * 2 : (size_t)size;
        char *data = realloc(bytes->data, room);
        if (!data) return false;
        bytes->data = data;
        bytes->room = room;
    }
    if (size > bytes->size) memset(bytes->data + bytes->size, 0, (size_t)size - bytes->size);
    bytes->size = (size_t)size;
    return true;
}

bool bytes_write(struct bytes *bytes, uint64_t offset, const void *from, size_t size, uint64_t limit) {
    if (size == 0) return true;
    if (offset > limit || size > limit - offset) return false;
    if (offset + size > bytes->size && !bytes_resize(bytes, offset + size, limit)) return false;
    memcpy(bytes->data + offset, from, size);
    return true;
}

size_t bytes_read(const struct bytes *bytes, uint64_t offset, void *to, uint64_t size) {
    if (offset >= bytes->size) return 0;
    size_t count = bytes->size - (size_t)offset;
    if (count > size) count = (size_t)size;
    memcpy(to, bytes->data + offset, count);
    return count;
}

bool bytes_copy(struct bytes *bytes, const void *from, size_t size) {
    struct bytes copy = {0};
    if (!bytes_write(&copy, 0, from, size, SIZE_MAX)) return false;
    *bytes = copy;
    return true;
}

bool bytes_equal(const struct bytes *bytes, const void *other, size_t size) {
    return bytes->size == size && (size == 0 || memcmp(bytes->data, other, size) == 0);
}

void bytes_free(struct bytes *bytes) {
    free(bytes->data);
    *bytes = (struct bytes){0};
}
