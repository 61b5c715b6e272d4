/* Waiting: poll(2) with SIGCHLD as one more descriptor, the clocks, and the log. */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "sys.h"

/* Most descriptors polled at once; the process may not open more anyway. */
#define MAX_ENTRIES 65536
/* Longest line of the log, bytes; the rest is cut. */
#define MAX_LINE_BYTES 4096

static int child_fd = -1;
/* Children may have ended before the first poll. */
static bool changed = true;

int watch_children(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  if (sigprocmask(SIG_BLOCK, &set, NULL) < 0) return -1;
  return child_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

bool children_changed(void) {
  bool result = changed;
  changed = false;
  return result;
}

static void drain_signals(void) {
  struct signalfd_siginfo info[8];
  while (read(child_fd, info, sizeof(info)) > 0) continue;
  changed = true;
}

/* One array for all calls: there is one loop. The last entry is the children's. */
static struct pollfd *entries_for(int64_t count) {
  static struct pollfd *entries;
  static int64_t room;
  if (count + 1 > room) {
    struct pollfd *grown = realloc(entries, (size_t)(count + 1) * 2 * sizeof(*entries));
    if (!grown) return NULL;
    entries = grown;
    room = (count + 1) * 2;
  }
  entries[count] = (struct pollfd){.fd = child_fd, .events = POLLIN};
  return entries;
}

static bool read_entry(JSContext *ctx, JSValueConst list, int64_t index, struct pollfd *entry) {
  JSValue item = JS_GetPropertyInt64(ctx, list, index);
  JSValue fd = JS_GetPropertyStr(ctx, item, "fd");
  JSValue events = JS_GetPropertyStr(ctx, item, "events");
  int64_t number;
  bool good = fd_argument(ctx, fd, &entry->fd) && int_argument(ctx, events, 0, INT16_MAX, &number);
  if (good) entry->events = (short)number;
  JS_FreeValue(ctx, events);
  JS_FreeValue(ctx, fd);
  JS_FreeValue(ctx, item);
  return good;
}

FUNCTION(poll_fds) {
  (void)self, (void)argc;
  int64_t count, timeout;
  if (JS_GetLength(ctx, argv[0], &count)) return JS_EXCEPTION;
  if (count > MAX_ENTRIES) return JS_ThrowRangeError(ctx, "poll: more than %d entries", MAX_ENTRIES);
  if (!int_argument(ctx, argv[1], -1, INT32_MAX, &timeout)) return JS_EXCEPTION;
  struct pollfd *entries = entries_for(count);
  if (!entries) return JS_ThrowOutOfMemory(ctx);
  for (int64_t i = 0; i < count; i++)
    if (!read_entry(ctx, argv[0], i, &entries[i])) return JS_EXCEPTION;
  int ready = poll(entries, (nfds_t)count + 1, (int)timeout);
  if (ready < 0 && errno != EINTR) return throw_errno(ctx, "poll", NULL);
  if (ready > 0 && entries[count].revents) drain_signals();
  JSValue list = JS_NewArray(ctx);
  for (int64_t i = 0; i < count; i++) {
    JSValue revents = JS_NewInt32(ctx, ready > 0 ? entries[i].revents : 0);
    JS_DefinePropertyValueUint32(ctx, list, (uint32_t)i, revents, JS_PROP_C_W_E);
  }
  return list;
}

/* magic 0: now(), 1: wallClock() */
static JSValue clock_ms(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv, int magic) {
  (void)self, (void)argc, (void)argv;
  struct timespec time;
  clock_gettime(magic ? CLOCK_REALTIME : CLOCK_MONOTONIC, &time);
  return JS_NewFloat64(ctx, (double)time.tv_sec * 1000 + (double)(time.tv_nsec / 1000) / 1000);
}

void log_line(const char *text, size_t length) {
  if (length > MAX_LINE_BYTES) length = MAX_LINE_BYTES;
  struct iovec parts[] = {{(char *)text, length}, {"\n", 1}};
  /* A console that is gone is no reason to end. */
  if (writev(STDERR_FILENO, parts, 2) < 0) return;
}

FUNCTION(log_text) {
  (void)self, (void)argc;
  size_t length;
  const char *text = JS_ToCStringLen(ctx, &length, argv[0]);
  if (!text) return JS_EXCEPTION;
  log_line(text, length);
  JS_FreeCString(ctx, text);
  return JS_UNDEFINED;
}

static const JSCFunctionListEntry functions[] = {
    JS_CFUNC_DEF("poll", 2, poll_fds),
    JS_CFUNC_MAGIC_DEF("now", 0, clock_ms, 0),
    JS_CFUNC_MAGIC_DEF("wallClock", 0, clock_ms, 1),
    JS_CFUNC_DEF("log", 1, log_text),
};

void poll_module(JSContext *ctx, JSValueConst sys) { ADD(sys, functions); }
