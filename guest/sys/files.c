/* Whole files, and what is known of them. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "sys.h"

/* Bytes of the first read; most files of /proc and /sys fit. */
#define FIRST_READ_BYTES 4096
#define DEFAULT_MODE 0600

/* Reads until end of file or `limit`; the bytes are malloc'd. -1 with errno set on failure. */
static ssize_t read_all(int fd, size_t limit, uint8_t **out) {
  size_t room = FIRST_READ_BYTES < limit ? FIRST_READ_BYTES : limit;
  size_t length = 0;
  uint8_t *data = malloc(room ? room : 1);
  while (data && length < limit) {
    if (length == room) {
      room = room * 2 < limit ? room * 2 : limit;
      uint8_t *grown = realloc(data, room);
      if (!grown) break;
      data = grown;
    }
    ssize_t count = read(fd, data + length, room - length);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      free(data);
      return -1;
    }
    if (count == 0) break;
    length += (size_t)count;
  }
  *out = data;
  return data ? (ssize_t)length : -1;
}

FUNCTION(read_file) {
  (void)self, (void)argc;
  int64_t limit;
  if (!int_argument(ctx, argv[1], 0, MAX_READ_BYTES, &limit)) return JS_EXCEPTION;
  const char *path = text_argument(ctx, argv[0]);
  if (!path) return JS_EXCEPTION;
  JSValue result;
  uint8_t *data = NULL;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  ssize_t length = fd < 0 ? -1 : read_all(fd, (size_t)limit, &data);
  if (length < 0) {
    result = throw_errno(ctx, "read", path);
  } else {
    result = JS_NewUint8ArrayCopy(ctx, data, (size_t)length);
    free(data);
  }
  if (fd >= 0) close(fd);
  JS_FreeCString(ctx, path);
  return result;
}

/* Writes everything, in one write(2) where the file takes it (those of /proc, /sys and cgroups do). */
static int write_all(int fd, const uint8_t *data, size_t length) {
  size_t done = 0;
  do {
    ssize_t count = write(fd, data + done, length - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return -1;
    done += (size_t)count;
  } while (done < length);
  return 0;
}

static int create(const char *path, const uint8_t *data, size_t length, mode_t mode) {
  mode_t mask = umask(0);
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, mode);
  int reason = errno;
  umask(mask);
  errno = reason;
  if (fd < 0) return -1;
  int result = write_all(fd, data, length);
  reason = errno;
  if (close(fd) < 0 && result == 0) return -1;
  errno = reason;
  return result;
}

FUNCTION(write_file) {
  (void)self;
  int64_t mode = DEFAULT_MODE;
  if (argc > 2 && !JS_IsUndefined(argv[2]) && !int_argument(ctx, argv[2], 0, 07777, &mode)) return JS_EXCEPTION;
  const char *path = text_argument(ctx, argv[0]);
  if (!path) return JS_EXCEPTION;
  JSValue result = JS_UNDEFINED;
  if (JS_IsString(argv[1])) {
    size_t length;
    const char *text = JS_ToCStringLen(ctx, &length, argv[1]);
    if (!text) result = JS_EXCEPTION;
    else if (create(path, (const uint8_t *)text, length, (mode_t)mode) < 0) result = throw_errno(ctx, "write", path);
    JS_FreeCString(ctx, text);
  } else {
    uint8_t *data;
    size_t length;
    if (!bytes_argument(ctx, argv[1], &data, &length)) result = JS_EXCEPTION;
    else if (create(path, data, length, (mode_t)mode) < 0) result = throw_errno(ctx, "write", path);
  }
  JS_FreeCString(ctx, path);
  return result;
}

static const char *type_of(mode_t mode) {
  if (S_ISREG(mode)) return "file";
  if (S_ISDIR(mode)) return "dir";
  if (S_ISLNK(mode)) return "link";
  if (S_ISFIFO(mode)) return "fifo";
  if (S_ISSOCK(mode)) return "socket";
  return S_ISCHR(mode) ? "char" : "block";
}

/* magic 0: lstat, 1: stat */
static JSValue status(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv, int magic) {
  (void)self, (void)argc;
  const char *path = text_argument(ctx, argv[0]);
  if (!path) return JS_EXCEPTION;
  struct stat st;
  JSValue result;
  if ((magic ? stat(path, &st) : lstat(path, &st)) < 0) {
    result = throw_errno(ctx, magic ? "stat" : "lstat", path);
  } else {
    result = JS_NewObject(ctx);
    JS_DefinePropertyValueStr(ctx, result, "type", JS_NewString(ctx, type_of(st.st_mode)), JS_PROP_C_W_E);
    set_int(ctx, result, "mode", st.st_mode);
    set_int(ctx, result, "size", st.st_size);
    set_int(ctx, result, "uid", st.st_uid);
    set_int(ctx, result, "gid", st.st_gid);
    set_int(ctx, result, "dev", (int64_t)st.st_dev);
    set_int(ctx, result, "ino", (int64_t)st.st_ino);
    set_int(ctx, result, "rdevMajor", major(st.st_rdev));
    set_int(ctx, result, "rdevMinor", minor(st.st_rdev));
  }
  JS_FreeCString(ctx, path);
  return result;
}

FUNCTION(stat_fs) {
  (void)self, (void)argc;
  const char *path = text_argument(ctx, argv[0]);
  if (!path) return JS_EXCEPTION;
  struct statfs st;
  JSValue result;
  if (statfs(path, &st) < 0) {
    result = throw_errno(ctx, "statfs", path);
  } else {
    result = JS_NewObject(ctx);
    set_int(ctx, result, "blockSize", st.f_frsize ? st.f_frsize : st.f_bsize);
    set_int(ctx, result, "blocks", (int64_t)st.f_blocks);
    set_int(ctx, result, "blocksFree", (int64_t)st.f_bfree);
    set_int(ctx, result, "blocksAvailable", (int64_t)st.f_bavail);
    set_int(ctx, result, "files", (int64_t)st.f_files);
    set_int(ctx, result, "filesFree", (int64_t)st.f_ffree);
  }
  JS_FreeCString(ctx, path);
  return result;
}

static const JSCFunctionListEntry functions[] = {
    JS_CFUNC_DEF("readFile", 2, read_file),
    JS_CFUNC_DEF("writeFile", 3, write_file),
    JS_CFUNC_MAGIC_DEF("lstat", 1, status, 0),
    JS_CFUNC_MAGIC_DEF("stat", 1, status, 1),
    JS_CFUNC_DEF("statfs", 1, stat_fs),
};

void files_module(JSContext *ctx, JSValueConst sys) { ADD(sys, functions); }
