/* Shared by the files of the C module: how arguments are read, how a failed system call is thrown. */
#ifndef KATA_SYS_H
#define KATA_SYS_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "quickjs.h"

/* Largest single read from a descriptor or file that a caller may ask for, bytes. */
#define MAX_READ_BYTES (64 * 1024 * 1024)
/* Every function here is one of JavaScript. */
#define FUNCTION(name) static JSValue name(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)

/* error.c */
/* Throws SysError with errno's name; `what` is the call, `detail` its object (may be NULL). */
JSValue throw_errno(JSContext *ctx, const char *what, const char *detail);
void error_module(JSContext *ctx, JSValueConst sys);

/* arguments.c: each returns false after having thrown. */
/* A string without NUL bytes; free with JS_FreeCString. */
const char *text_argument(JSContext *ctx, JSValueConst value);
bool int_argument(JSContext *ctx, JSValueConst value, int64_t low, int64_t high, int64_t *out);
bool fd_argument(JSContext *ctx, JSValueConst value, int *fd);
/* A view of a Uint8Array, valid until JavaScript runs again. */
bool bytes_argument(JSContext *ctx, JSValueConst value, uint8_t **data, size_t *length);
void set_int(JSContext *ctx, JSValueConst object, const char *name, int64_t value);

/* process.c */
/* A NULL-terminated copy of a property that is a list of texts; NULL after having thrown. */
char **strings_of(JSContext *ctx, JSValueConst object, const char *name);
void free_strings(char **strings);
/* The three descriptors of `stdio`; each becomes a private copy above 2, so that none overwrites another on its way. */
bool stdio_of(JSContext *ctx, JSValueConst options, int copies[3]);

/* One per concern: adds its functions to `sys`. */
void text_module(JSContext *ctx);
void files_module(JSContext *ctx, JSValueConst sys);
void tree_module(JSContext *ctx, JSValueConst sys);
void descriptors_module(JSContext *ctx, JSValueConst sys);
void splice_module(JSContext *ctx, JSValueConst sys);
void compare_module(JSContext *ctx, JSValueConst sys);
void socket_module(JSContext *ctx, JSValueConst sys);
void netlink_module(JSContext *ctx, JSValueConst sys);
void process_module(JSContext *ctx, JSValueConst sys);
void terminal_module(JSContext *ctx, JSValueConst sys);
void enter_module(JSContext *ctx, JSValueConst sys);
void system_module(JSContext *ctx, JSValueConst sys);
void poll_module(JSContext *ctx, JSValueConst sys);

/* poll.c */
/* Blocks SIGCHLD and makes the descriptor that reports it. -1 with errno set on failure. */
int watch_children(void);
/* Whether a child may have ended since the last call. */
bool children_changed(void);
/* One line to standard error. */
void log_line(const char *text, size_t length);

/* system.c */
/* Powers the VM off as PID 1, exits with `status` as an ordinary process. */
void power_off(int status) __attribute__((noreturn));

#define ADD(sys, list) JS_SetPropertyFunctionList(ctx, sys, list, sizeof(list) / sizeof((list)[0]))

#endif
