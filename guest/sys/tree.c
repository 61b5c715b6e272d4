/* Names in the file system: making, removing, linking, owning. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "sys.h"

/* Calls of the form f(path). */
enum { UNLINK, RMDIR, CHDIR, CHROOT };
static int path_call(int which, const char *path) {
  switch (which) {
    case UNLINK: return unlink(path);
    case RMDIR: return rmdir(path);
    case CHDIR: return chdir(path);
    default: return chroot(path);
  }
}

static JSValue with_path(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv, int magic) {
  static const char *const names[] = {"unlink", "rmdir", "chdir", "chroot"};
  (void)self, (void)argc;
  const char *path = text_argument(ctx, argv[0]);
  if (!path) return JS_EXCEPTION;
  JSValue result = path_call(magic, path) < 0 ? throw_errno(ctx, names[magic], path) : JS_UNDEFINED;
  JS_FreeCString(ctx, path);
  return result;
}

/* magic 0: rename(from, to), 1: symlink(target, path) */
static JSValue with_two_paths(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv, int magic) {
  (void)self, (void)argc;
  const char *first = text_argument(ctx, argv[0]);
  if (!first) return JS_EXCEPTION;
  const char *second = text_argument(ctx, argv[1]);
  JSValue result = JS_UNDEFINED;
  if (!second) result = JS_EXCEPTION;
  else if ((magic ? symlink(first, second) : rename(first, second)) < 0)
    result = throw_errno(ctx, magic ? "symlink" : "rename", magic ? second : first);
  JS_FreeCString(ctx, first);
  JS_FreeCString(ctx, second);
  return result;
}

/* magic 0: mkdir(path, mode), 1: chmod(path, mode). The mode is exact: the umask does not apply. */
static JSValue with_mode(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv, int magic) {
  (void)self, (void)argc;
  int64_t mode;
  if (!int_argument(ctx, argv[1], 0, 07777, &mode)) return JS_EXCEPTION;
  const char *path = text_argument(ctx, argv[0]);
  if (!path) return JS_EXCEPTION;
  mode_t mask = umask(0);
  int failed = magic ? chmod(path, (mode_t)mode) : mkdir(path, (mode_t)mode);
  int reason = errno;
  umask(mask);
  errno = reason;
  JSValue result = failed < 0 ? throw_errno(ctx, magic ? "chmod" : "mkdir", path) : JS_UNDEFINED;
  JS_FreeCString(ctx, path);
  return result;
}

FUNCTION(read_dir) {
  (void)self, (void)argc;
  const char *path = text_argument(ctx, argv[0]);
  if (!path) return JS_EXCEPTION;
  JSValue result;
  DIR *directory = opendir(path);
  if (!directory) {
    result = throw_errno(ctx, "readdir", path);
  } else {
    result = JS_NewArray(ctx);
    uint32_t count = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
      if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
      JS_DefinePropertyValueUint32(ctx, result, count++, JS_NewString(ctx, entry->d_name), JS_PROP_C_W_E);
    }
    closedir(directory);
  }
  JS_FreeCString(ctx, path);
  return result;
}

FUNCTION(read_link) {
  (void)self, (void)argc;
  const char *path = text_argument(ctx, argv[0]);
  if (!path) return JS_EXCEPTION;
  char target[PATH_MAX];
  ssize_t length = readlink(path, target, sizeof(target));
  JSValue result =
      length < 0 ? throw_errno(ctx, "readlink", path) : JS_NewStringLen(ctx, target, (size_t)length);
  JS_FreeCString(ctx, path);
  return result;
}

FUNCTION(link_owner) {
  (void)self, (void)argc;
  int64_t uid, gid;
  if (!int_argument(ctx, argv[1], -1, UINT32_MAX, &uid)) return JS_EXCEPTION;
  if (!int_argument(ctx, argv[2], -1, UINT32_MAX, &gid)) return JS_EXCEPTION;
  const char *path = text_argument(ctx, argv[0]);
  if (!path) return JS_EXCEPTION;
  JSValue result =
      lchown(path, (uid_t)uid, (gid_t)gid) < 0 ? throw_errno(ctx, "lchown", path) : JS_UNDEFINED;
  JS_FreeCString(ctx, path);
  return result;
}

FUNCTION(make_node) {
  (void)self, (void)argc;
  int64_t mode, high, low;
  if (!int_argument(ctx, argv[1], 0, 0177777, &mode)) return JS_EXCEPTION;
  if (!int_argument(ctx, argv[2], 0, UINT32_MAX, &high)) return JS_EXCEPTION;
  if (!int_argument(ctx, argv[3], 0, UINT32_MAX, &low)) return JS_EXCEPTION;
  const char *path = text_argument(ctx, argv[0]);
  if (!path) return JS_EXCEPTION;
  mode_t mask = umask(0);
  int failed = mknod(path, (mode_t)mode, makedev((unsigned)high, (unsigned)low));
  int reason = errno;
  umask(mask);
  errno = reason;
  JSValue result = failed < 0 ? throw_errno(ctx, "mknod", path) : JS_UNDEFINED;
  JS_FreeCString(ctx, path);
  return result;
}

static const JSCFunctionListEntry functions[] = {
    JS_CFUNC_MAGIC_DEF("unlink", 1, with_path, UNLINK),
    JS_CFUNC_MAGIC_DEF("rmdir", 1, with_path, RMDIR),
    JS_CFUNC_MAGIC_DEF("chdir", 1, with_path, CHDIR),
    JS_CFUNC_MAGIC_DEF("chroot", 1, with_path, CHROOT),
    JS_CFUNC_MAGIC_DEF("rename", 2, with_two_paths, 0),
    JS_CFUNC_MAGIC_DEF("symlink", 2, with_two_paths, 1),
    JS_CFUNC_MAGIC_DEF("mkdir", 2, with_mode, 0),
    JS_CFUNC_MAGIC_DEF("chmod", 2, with_mode, 1),
    JS_CFUNC_DEF("readdir", 1, read_dir),
    JS_CFUNC_DEF("readlink", 1, read_link),
    JS_CFUNC_DEF("lchown", 3, link_owner),
    JS_CFUNC_DEF("mknod", 4, make_node),
};

void tree_module(JSContext *ctx, JSValueConst sys) { ADD(sys, functions); }
