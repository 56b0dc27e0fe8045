/* SPDX-License-Identifier: Apache-2.0 */
#include "reply.h"
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A walk over a value. Without a context nothing is sent: the value is only looked at. */
struct walk {
    RedisModuleCtx *ctx;
    const char *data;
    size_t size, at, values;
    size_t start; /* of the value that was begun last */
};

/* A line without its end; the walk is behind that. A CR before the LF belongs to the end. */
struct line {
    const char *text;
    size_t size;
};

/* The longest number as text, and more. */
enum { NUMBER_MAX = 64 };

/* How much of a line a message repeats. */
enum { QUOTE_MAX = 40 };

static int next_line(struct walk *walk, struct line *line) {
    const char *start = walk->data + walk->at;
    const char *end = walk->at < walk->size ? memchr(start, '\n', walk->size - walk->at) : NULL;
    if (!end) return 0;
    line->text = start;
    line->size = (size_t)(end - start);
    walk->at += line->size + 1;
    if (line->size > 0 && start[line->size - 1] == '\r') line->size--;
    return 1;
}

/* The line as a string for strtoll and strtod, which would skip white space. */
static int to_number_text(struct line line, char out[NUMBER_MAX]) {
    if (line.size == 0 || line.size >= NUMBER_MAX || memchr(line.text, 0, line.size) || strchr(" \t\v\f\r", line.text[0])) return 0;
    memcpy(out, line.text, line.size);
    out[line.size] = '\0';
    return 1;
}

static int to_integer(struct line line, long long *out) {
    char text[NUMBER_MAX], *end;
    if (!to_number_text(line, text)) return 0;
    errno = 0;
    *out = strtoll(text, &end, 10);
    return *end == '\0' && errno == 0;
}

/* strtod takes hexadecimal digits too, and makes an infinity of what is too large. */
static int to_double(struct line line, double *out) {
    static const char *const words[] = {"inf", "-inf", "nan"};
    char text[NUMBER_MAX], *end;
    if (!to_number_text(line, text)) return 0;
    *out = strtod(text, &end);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(text, words[i]) == 0) return 1;
    return *end == '\0' && strspn(text, "+-.0123456789eE") == line.size && isfinite(*out);
}

/* Codes by which a server moves a client to another one, or has it try again, log in or send its script: a client that believed a guest
 * in this would go where the guest says, with its password. */
static int is_servers_code(struct line line) {
    static const char *const codes[] = {
        "ASK", "BUSY", "CLUSTERDOWN", "EXECABORT", "LOADING", "MASTERDOWN", "MISCONF", "MOVED", "NOAUTH", "NOPERM", "NOPROTO",
        "NOREPLICAS", "NOSCRIPT", "READONLY", "TRYAGAIN", "UNBLOCKED", "WRONGPASS",
    };
    size_t size = 0; /* up to whatever a client may take for the code's end */
    while (size < line.size && (isalnum((unsigned char)line.text[size]) || line.text[size] == '_')) size++;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (strlen(codes[i]) == size && !strncasecmp(codes[i], line.text, size)) return 1;
    return 0;
}

/* A simple string or an error, which Redis takes with a NUL at its end. */
static const char *send_line(struct walk *walk, char kind, struct line line) {
    char *text;
    if (memchr(line.text, 0, line.size) || memchr(line.text, '\r', line.size)) return "a NUL or a CR within a line";
    if (kind == '-' && (line.size == 0 || (unsigned char)line.text[0] <= ' ')) return "an error begins with a code: -CODE text";
    if (kind == '-' && is_servers_code(line)) return "an error with a code that only the server may use";
    if (!walk->ctx) return NULL;
    text = strndup(line.text, line.size);
    if (kind == '+')
        RedisModule_ReplyWithSimpleString(walk->ctx, text ? text : "");
    else
        RedisModule_ReplyWithError(walk->ctx, text ? text : "ERR out of memory");
    free(text);
    return NULL;
}

static const char *send_bulk(struct walk *walk, long long size) {
    const char *bulk = walk->data + walk->at;
    if (size < 0 || (unsigned long long)size > walk->size - walk->at) return "a bulk string that is longer than what follows";
    walk->at += (size_t)size;
    if (walk->at < walk->size && walk->data[walk->at] == '\r') walk->at++;
    if (walk->at >= walk->size || walk->data[walk->at] != '\n') return "no line end after a bulk string";
    walk->at++;
    if (walk->ctx) RedisModule_ReplyWithStringBuffer(walk->ctx, bulk, (size_t)size);
    return NULL;
}

static const char *send_value(struct walk *walk, int depth);

static const char *send_many(struct walk *walk, char kind, long long count, int depth) {
    /* Each element takes two bytes at least, so a count that lies is found before Redis is told of it. */
    if (count < 0 || (unsigned long long)count > walk->size - walk->at) return "a count that is more than what follows";
    if (depth == REPLY_DEPTH_MAX) return "too deep";
    if (walk->ctx) {
        if (kind == '*') RedisModule_ReplyWithArray(walk->ctx, (long)count);
        if (kind == '~') RedisModule_ReplyWithSet(walk->ctx, (long)count);
        if (kind == '%') RedisModule_ReplyWithMap(walk->ctx, (long)count);
    }
    for (long long left = kind == '%' ? 2 * count : count; left > 0; left--) {
        const char *wrong = send_value(walk, depth + 1);
        if (wrong) return wrong;
    }
    return NULL;
}

static const char *send_number(struct walk *walk, char kind, struct line line, int depth) {
    long long number;
    if (!to_integer(line, &number)) return "not a number of 64 bits";
    if (kind == '$') return send_bulk(walk, number);
    if (kind != ':') return send_many(walk, kind, number, depth);
    if (walk->ctx) RedisModule_ReplyWithLongLong(walk->ctx, number);
    return NULL;
}

static const char *send_value(struct walk *walk, int depth) {
    struct line line;
    double number;
    char kind;
    walk->start = walk->at;
    if (walk->at == walk->size) return "it ends where a value should follow";
    if (++walk->values > REPLY_VALUES_MAX) return "too many values";
    kind = walk->data[walk->at++];
    if (!memchr("+-:$*~%_#,", kind, 10)) return "a value begins with one of + - : $ * ~ % _ # ,";
    if (!next_line(walk, &line)) return "a line without an end";
    switch (kind) {
        case '+':
        case '-': return send_line(walk, kind, line);
        case '_':
            if (line.size) return "a null has nothing after its _";
            if (walk->ctx) RedisModule_ReplyWithNull(walk->ctx);
            return NULL;
        case '#':
            if (line.size != 1 || (line.text[0] != 't' && line.text[0] != 'f')) return "a boolean is #t or #f";
            if (walk->ctx) RedisModule_ReplyWithBool(walk->ctx, line.text[0] == 't');
            return NULL;
        case ',':
            if (!to_double(line, &number)) return "not a decimal number that a double holds, inf, -inf or nan";
            if (walk->ctx) RedisModule_ReplyWithDouble(walk->ctx, number);
            return NULL;
        default: return send_number(walk, kind, line, depth);
    }
}

/* The first bytes of a line, for a message: what is not printable is a dot. */
static void quote(const char *from, size_t size, char out[QUOTE_MAX + 1]) {
    size_t count = 0;
    for (; count < size && count < QUOTE_MAX && from[count] != '\n' && from[count] != '\r'; count++)
        out[count] = from[count] >= ' ' && from[count] <= '~' ? from[count] : '.';
    out[count] = '\0';
}

bool reply_check(const struct bytes *text, struct reply_fault *fault) {
    struct walk walk = {.data = text->data, .size = text->size};
    const char *wrong = send_value(&walk, 0);
    char quoted[QUOTE_MAX + 1];
    if (!wrong && walk.at == walk.size) return true;
    if (!wrong) {
        wrong = "something follows the value";
        walk.start = walk.at;
    }
    if (walk.start == walk.size) {
        snprintf(fault->text, sizeof fault->text, "byte %zu: %s", walk.start, wrong);
    } else {
        quote(text->data + walk.start, text->size - walk.start, quoted);
        snprintf(fault->text, sizeof fault->text, "byte %zu, '%s': %s", walk.start, quoted, wrong);
    }
    return false;
}

void reply_send(RedisModuleCtx *ctx, enum reply_form form, const struct bytes *text) {
    struct walk walk = {.ctx = ctx, .data = text->data, .size = text->size};
    switch (form) {
        case REPLY_NONE: RedisModule_ReplyWithNull(ctx); break;
        case REPLY_BULK: RedisModule_ReplyWithStringBuffer(ctx, text->data ? text->data : "", text->size); break;
        case REPLY_RESP: send_value(&walk, 0); break;
    }
}
