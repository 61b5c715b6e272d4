/* Open descriptors: the bytes of containers and of the agent's channel pass through here. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sys.h"

/* Most chunks handed to the kernel at once; more are written in rounds. */
#define CHUNKS 64
/* What a pipe holds: each read, answer and wake-up costs the same however many bytes it moves, and four times the kernel's
   default doubles what a container can write under emulation. Pages are taken only while they hold bytes. */
#define PIPE_BYTES (256 * 1024)

FUNCTION(open_file) {
  (void)self;
  int64_t flags, mode = 0;
  if (!int_argument(ctx, argv[1], 0, INT32_MAX, &flags)) return JS_EXCEPTION;
  if (argc > 2 && !JS_IsUndefined(argv[2]) && !int_argument(ctx, argv[2], 0, 07777, &mode)) return JS_EXCEPTION;
  const char *path = text_argument(ctx, argv[0]);
  if (!path) return JS_EXCEPTION;
  int fd = open(path, (int)flags | O_CLOEXEC, (mode_t)mode);
  JSValue result = fd < 0 ? throw_errno(ctx, "open", path) : JS_NewInt32(ctx, fd);
  JS_FreeCString(ctx, path);
  return result;
}

FUNCTION(close_fd) {
  (void)self, (void)argc;
  int fd;
  if (!fd_argument(ctx, argv[0], &fd)) return JS_EXCEPTION;
  /* EINTR still closes on Linux. */
  return close(fd) < 0 && errno != EINTR ? throw_errno(ctx, "close", NULL) : JS_UNDEFINED;
}

/* Reads once. -1 with EAGAIN: nothing there yet. A pty whose other side is gone says EIO: that is its end of file. */
static ssize_t read_once(int fd, uint8_t *data, size_t room) {
  for (;;) {
    ssize_t count = read(fd, data, room);
    if (count >= 0) return count;
    if (errno == EIO) return 0;
    if (errno != EINTR) return -1;
  }
}

/* Bytes are read into one scratch buffer and copied out at their true length: a reader asks for much and mostly gets little. */
FUNCTION(read_fd) {
  static uint8_t *scratch;
  static size_t scratch_size;
  (void)self, (void)argc;
  int fd;
  int64_t room;
  if (!fd_argument(ctx, argv[0], &fd) || !int_argument(ctx, argv[1], 0, MAX_READ_BYTES, &room)) return JS_EXCEPTION;
  if ((size_t)room > scratch_size) {
    uint8_t *grown = realloc(scratch, (size_t)room);
    if (!grown) return JS_ThrowOutOfMemory(ctx);
    scratch = grown;
    scratch_size = (size_t)room;
  }
  ssize_t count = read_once(fd, scratch, (size_t)room);
  if (count >= 0) return JS_NewUint8ArrayCopy(ctx, scratch, (size_t)count);
  return errno == EAGAIN ? JS_NULL : throw_errno(ctx, "read", NULL);
}

/* readInto(fd, buffer): fills `buffer` as far as bytes are there. -1: nothing yet; 0: end of file. */
FUNCTION(read_into) {
  (void)self, (void)argc;
  int fd;
  uint8_t *data;
  size_t room, done = 0;
  if (!fd_argument(ctx, argv[0], &fd) || !bytes_argument(ctx, argv[1], &data, &room)) return JS_EXCEPTION;
  while (done < room) {
    ssize_t count = read_once(fd, data + done, room - done);
    /* What was read before an error or the end is delivered first; the next call meets it again. */
    if (count <= 0 && done > 0) break;
    if (count < 0) return errno == EAGAIN ? JS_NewInt32(ctx, -1) : throw_errno(ctx, "read", NULL);
    if (count == 0) break;
    done += (size_t)count;
  }
  return JS_NewInt64(ctx, (int64_t)done);
}

FUNCTION(write_fd) {
  (void)self, (void)argc;
  int fd;
  uint8_t *data;
  size_t length;
  if (!fd_argument(ctx, argv[0], &fd) || !bytes_argument(ctx, argv[1], &data, &length)) return JS_EXCEPTION;
  ssize_t count;
  do count = write(fd, data, length);
  while (count < 0 && errno == EINTR);
  if (count >= 0) return JS_NewInt64(ctx, count);
  return errno == EAGAIN ? JS_NewInt32(ctx, 0) : throw_errno(ctx, "write", NULL);
}

/* Reads up to CHUNKS elements of an array of Uint8Array, from `first`. Views: nothing of JavaScript may run before their use. */
static bool gather(JSContext *ctx, JSValueConst array, int64_t first, int64_t count, struct iovec *chunks) {
  for (int64_t i = 0; i < count; i++) {
    JSValue chunk = JS_GetPropertyInt64(ctx, array, first + i);
    uint8_t *data;
    size_t length;
    bool good = !JS_IsException(chunk) && bytes_argument(ctx, chunk, &data, &length);
    /* The array itself keeps the chunk alive. */
    JS_FreeValue(ctx, chunk);
    if (!good) return false;
    chunks[i].iov_base = data;
    chunks[i].iov_len = length;
  }
  return true;
}

/* Writes until done or the descriptor would block; `*done` counts the bytes. False on an error before the first byte. */
static bool write_chunks(int fd, struct iovec *chunks, int count, bool *blocked, int64_t *done) {
  while (count > 0) {
    if (chunks->iov_len == 0) {
      chunks++, count--;
      continue;
    }
    ssize_t written = writev(fd, chunks, count);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      *blocked = true;
      return errno == EAGAIN || *done > 0;
    }
    *done += written;
    size_t rest = (size_t)written;
    while (count > 0 && rest >= chunks->iov_len) {
      rest -= chunks->iov_len;
      chunks++, count--;
    }
    if (count > 0 && rest > 0) {
      chunks->iov_base = (uint8_t *)chunks->iov_base + rest;
      chunks->iov_len -= rest;
    }
  }
  return true;
}

/* writev(fd, chunks): bytes written, of all chunks together, when everything is written or the descriptor would block. */
FUNCTION(write_vector) {
  (void)self, (void)argc;
  int fd;
  int64_t length, done = 0;
  if (!fd_argument(ctx, argv[0], &fd)) return JS_EXCEPTION;
  if (!JS_IsArray(argv[1])) return JS_ThrowTypeError(ctx, "not an array");
  if (JS_GetLength(ctx, argv[1], &length)) return JS_EXCEPTION;
  struct iovec chunks[CHUNKS];
  bool blocked = false;
  for (int64_t first = 0; first < length && !blocked; first += CHUNKS) {
    int64_t count = length - first < CHUNKS ? length - first : CHUNKS;
    if (!gather(ctx, argv[1], first, count, chunks)) return JS_EXCEPTION;
    if (!write_chunks(fd, chunks, (int)count, &blocked, &done)) return throw_errno(ctx, "writev", NULL);
  }
  return JS_NewInt64(ctx, done);
}

FUNCTION(write_at) {
  (void)self, (void)argc;
  int fd;
  uint8_t *data;
  size_t length;
  int64_t offset;
  if (!fd_argument(ctx, argv[0], &fd) || !bytes_argument(ctx, argv[1], &data, &length)) return JS_EXCEPTION;
  if (!int_argument(ctx, argv[2], 0, INT64_MAX, &offset)) return JS_EXCEPTION;
  ssize_t count;
  do count = pwrite(fd, data, length, (off_t)offset);
  while (count < 0 && errno == EINTR);
  return count < 0 ? throw_errno(ctx, "pwrite", NULL) : JS_NewInt64(ctx, count);
}

FUNCTION(make_pipe) {
  (void)self, (void)argc, (void)argv;
  int ends[2];
  /* O_NONBLOCK belongs to the open file, so both ends start with it; spawn clears it on what a child gets. */
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) return throw_errno(ctx, "pipe", NULL);
  /* Where the kernel's limits forbid it, the pipe keeps its 64 KiB and is only slower. */
  fcntl(ends[0], F_SETPIPE_SZ, PIPE_BYTES);
  JSValue pair = JS_NewArray(ctx);
  JS_DefinePropertyValueUint32(ctx, pair, 0, JS_NewInt32(ctx, ends[0]), JS_PROP_C_W_E);
  JS_DefinePropertyValueUint32(ctx, pair, 1, JS_NewInt32(ctx, ends[1]), JS_PROP_C_W_E);
  return pair;
}

FUNCTION(set_non_blocking) {
  (void)self, (void)argc;
  int fd;
  if (!fd_argument(ctx, argv[0], &fd)) return JS_EXCEPTION;
  int flags = fcntl(fd, F_GETFL);
  if (flags >= 0) flags = fcntl(fd, F_SETFL, JS_ToBool(ctx, argv[1]) ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
  return flags < 0 ? throw_errno(ctx, "fcntl", NULL) : JS_UNDEFINED;
}

FUNCTION(truncate_fd) {
  (void)self, (void)argc;
  int fd;
  int64_t size;
  if (!fd_argument(ctx, argv[0], &fd) || !int_argument(ctx, argv[1], 0, INT64_MAX, &size)) return JS_EXCEPTION;
  return ftruncate(fd, (off_t)size) < 0 ? throw_errno(ctx, "ftruncate", NULL) : JS_UNDEFINED;
}

static const JSCFunctionListEntry functions[] = {
    JS_CFUNC_DEF("open", 3, open_file),         JS_CFUNC_DEF("close", 1, close_fd),
    JS_CFUNC_DEF("read", 2, read_fd),           JS_CFUNC_DEF("readInto", 2, read_into),
    JS_CFUNC_DEF("write", 2, write_fd),         JS_CFUNC_DEF("writev", 2, write_vector),
    JS_CFUNC_DEF("pwrite", 3, write_at),        JS_CFUNC_DEF("pipe", 0, make_pipe),
    JS_CFUNC_DEF("setNonBlocking", 2, set_non_blocking), JS_CFUNC_DEF("ftruncate", 2, truncate_fd),
};

void descriptors_module(JSContext *ctx, JSValueConst sys) { ADD(sys, functions); }
