/* The machine as a whole: mounts, clock, entropy, modules, swap, power. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <linux/random.h>

#include "sys.h"

/* Most bytes mixed into the entropy pool at once. */
#define MAX_ENTROPY_BYTES 65536
#define MAX_HOSTNAME_BYTES 64
/* finit_module: the file is compressed (kernels with CONFIG_MODULE_DECOMPRESS). */
#define MODULE_COMPRESSED 4

FUNCTION(mount_fs) {
  (void)self, (void)argc;
  int64_t flags;
  if (!int_argument(ctx, argv[3], 0, UINT32_MAX, &flags)) return JS_EXCEPTION;
  const char *source = text_argument(ctx, argv[0]);
  const char *target = source ? text_argument(ctx, argv[1]) : NULL;
  const char *type = target ? text_argument(ctx, argv[2]) : NULL;
  const char *data = type ? text_argument(ctx, argv[4]) : NULL;
  JSValue result = JS_EXCEPTION;
  if (data)
    result = mount(source, target, type, (unsigned long)flags, data) < 0 ? throw_errno(ctx, "mount", target)
                                                                         : JS_UNDEFINED;
  JS_FreeCString(ctx, source);
  JS_FreeCString(ctx, target);
  JS_FreeCString(ctx, type);
  JS_FreeCString(ctx, data);
  return result;
}

FUNCTION(unmount) {
  (void)self, (void)argc;
  int64_t flags;
  if (!int_argument(ctx, argv[1], 0, INT32_MAX, &flags)) return JS_EXCEPTION;
  const char *target = text_argument(ctx, argv[0]);
  if (!target) return JS_EXCEPTION;
  JSValue result = umount2(target, (int)flags) < 0 ? throw_errno(ctx, "umount", target) : JS_UNDEFINED;
  JS_FreeCString(ctx, target);
  return result;
}

FUNCTION(set_host_name) {
  (void)self, (void)argc;
  const char *name = text_argument(ctx, argv[0]);
  if (!name) return JS_EXCEPTION;
  errno = ENAMETOOLONG;
  bool fits = strlen(name) <= MAX_HOSTNAME_BYTES;
  JSValue result =
      !fits || sethostname(name, strlen(name)) < 0 ? throw_errno(ctx, "sethostname", name) : JS_UNDEFINED;
  JS_FreeCString(ctx, name);
  return result;
}

FUNCTION(set_time_of_day) {
  (void)self, (void)argc;
  int64_t seconds, micros;
  if (!int_argument(ctx, argv[0], 0, INT64_MAX, &seconds)) return JS_EXCEPTION;
  if (!int_argument(ctx, argv[1], 0, 999999, &micros)) return JS_EXCEPTION;
  struct timeval time = {.tv_sec = (time_t)seconds, .tv_usec = (suseconds_t)micros};
  return settimeofday(&time, NULL) < 0 ? throw_errno(ctx, "settimeofday", NULL) : JS_UNDEFINED;
}

/* What RNDADDENTROPY takes: bits of entropy, bytes, and the bytes themselves. */
static int add_entropy(const uint8_t *data, size_t length) {
  struct rand_pool_info *pool = malloc(sizeof(*pool) + length);
  if (!pool) return -1;
  pool->entropy_count = (int)length * 8;
  pool->buf_size = (int)length;
  memcpy(pool->buf, data, length);
  int fd = open("/dev/random", O_WRONLY | O_CLOEXEC);
  int result = fd < 0 ? -1 : ioctl(fd, RNDADDENTROPY, pool);
  if (result >= 0) result = ioctl(fd, RNDRESEEDCRNG);
  int reason = errno;
  if (fd >= 0) close(fd);
  free(pool);
  errno = reason;
  return result;
}

FUNCTION(reseed_random) {
  (void)self, (void)argc;
  uint8_t *data;
  size_t length;
  if (!bytes_argument(ctx, argv[0], &data, &length)) return JS_EXCEPTION;
  if (length == 0 || length > MAX_ENTROPY_BYTES) {
    errno = EINVAL;
    return throw_errno(ctx, "reseedRandom", NULL);
  }
  return add_entropy(data, length) < 0 ? throw_errno(ctx, "reseedRandom", NULL) : JS_UNDEFINED;
}

static bool ends_with(const char *text, const char *end) {
  size_t length = strlen(text), tail = strlen(end);
  return length >= tail && strcmp(text + length - tail, end) == 0;
}

FUNCTION(load_module) {
  (void)self, (void)argc;
  const char *path = text_argument(ctx, argv[0]);
  const char *parameters = path ? text_argument(ctx, argv[1]) : NULL;
  JSValue result = JS_EXCEPTION;
  if (parameters) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    long failed = fd < 0 ? -1 : syscall(SYS_finit_module, fd, parameters, ends_with(path, ".ko") ? 0 : MODULE_COMPRESSED);
    result = failed < 0 ? throw_errno(ctx, "finit_module", path) : JS_UNDEFINED;
    if (fd >= 0) close(fd);
  }
  JS_FreeCString(ctx, path);
  JS_FreeCString(ctx, parameters);
  return result;
}

FUNCTION(swap_on) {
  (void)self, (void)argc;
  const char *path = text_argument(ctx, argv[0]);
  if (!path) return JS_EXCEPTION;
  JSValue result = swapon(path, 0) < 0 ? throw_errno(ctx, "swapon", path) : JS_UNDEFINED;
  JS_FreeCString(ctx, path);
  return result;
}

/* Of fs/ext4/ext4.h, which no header of user space has: the file system grows to that many blocks, mounted as it is. */
#define EXT4_IOC_RESIZE_FS _IOW('f', 16, uint64_t)

FUNCTION(resize_ext4) {
  (void)self, (void)argc;
  int64_t blocks;
  if (!int_argument(ctx, argv[1], 1, INT64_MAX, &blocks)) return JS_EXCEPTION;
  const char *path = text_argument(ctx, argv[0]);
  if (!path) return JS_EXCEPTION;
  uint64_t wanted = (uint64_t)blocks;
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  int failed = fd < 0 ? -1 : ioctl(fd, EXT4_IOC_RESIZE_FS, &wanted);
  JSValue result = failed < 0 ? throw_errno(ctx, "resizeExt4", path) : JS_UNDEFINED;
  if (fd >= 0) close(fd);
  JS_FreeCString(ctx, path);
  return result;
}

void power_off(int status) {
  if (getpid() != 1) exit(status);
  sync();
  reboot(RB_POWER_OFF);
  for (;;) pause();
}

FUNCTION(reboot_machine) {
  (void)self, (void)argc;
  const char *how = text_argument(ctx, argv[0]);
  if (!how) return JS_EXCEPTION;
  if (strcmp(how, "restart") == 0 && getpid() == 1) {
    sync();
    reboot(RB_AUTOBOOT);
  }
  power_off(0);
}

static const JSCFunctionListEntry functions[] = {
    JS_CFUNC_DEF("mount", 5, mount_fs),
    JS_CFUNC_DEF("umount", 2, unmount),
    JS_CFUNC_DEF("sethostname", 1, set_host_name),
    JS_CFUNC_DEF("setTimeOfDay", 2, set_time_of_day),
    JS_CFUNC_DEF("reseedRandom", 1, reseed_random),
    JS_CFUNC_DEF("loadModule", 2, load_module),
    JS_CFUNC_DEF("swapon", 1, swap_on),
    JS_CFUNC_DEF("resizeExt4", 2, resize_ext4),
    JS_CFUNC_DEF("reboot", 1, reboot_machine),
};

void system_module(JSContext *ctx, JSValueConst sys) { ADD(sys, functions); }
