/* SPDX-License-Identifier: Apache-2.0
 *
 * What a header line may consist of, by RFC 9110. Servers pass on what a guest writes as it is; over HTTP/2 one byte too many costs the
 * client the whole answer. */
#ifndef ZVM_HEADER_FIELD_H
#define ZVM_HEADER_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

/* How many of the bytes, from the first on, may stand in a name: letters, digits, and signs that separate nothing. */
static inline size_t header_name_bytes(const unsigned char *bytes, size_t size) {
    static const char signs[] = "!#$%&'*+-.^_`|~";
    size_t i;
    for (i = 0; i < size; i++) {
        unsigned char byte = bytes[i];
        bool is_plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9');
        if (!is_plain && (byte == '\0' || !strchr(signs, byte))) break;
    }
    return i;
}

/* The same for a value: all but control characters. A tab is none, and bytes from 0x80 on have no meaning of their own. */
static inline size_t header_value_bytes(const unsigned char *bytes, size_t size) {
    size_t i;
    for (i = 0; i < size; i++)
        if ((bytes[i] < 0x20 && bytes[i] != '\t') || bytes[i] == 0x7f) break;
    return i;
}

/* The headers of a CGI program that say one thing, once (RFC 3875, 6.3). */
enum { HEADER_STATUS = 1, HEADER_TYPE = 2, HEADER_LOCATION = 4 };

/* Which of these a name is; 0: another. */
static inline unsigned header_said_once(const unsigned char *name, size_t size) {
    static const struct {
        const char *name;
        size_t size;
        unsigned which;
    } known[] = {{"Status", 6, HEADER_STATUS}, {"Content-Type", 12, HEADER_TYPE}, {"Location", 8, HEADER_LOCATION}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (size == known[i].size && strncasecmp((const char *)name, known[i].name, size) == 0) return known[i].which;
    return 0;
}

/* Whether a value is blank. A Location that is, leads nowhere. */
static inline bool header_value_is_blank(const unsigned char *bytes, size_t size) {
    size_t i;
    for (i = 0; i < size; i++)
        if (bytes[i] != ' ' && bytes[i] != '\t') return false;
    return true;
}

#endif
