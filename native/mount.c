/* mount(2), umount2(2), statfs(2) for its flags, and openat2(2). */
#define _GNU_SOURCE
#include "addon.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FLAGS_MAX ((int64_t)UINT32_MAX)
#define MODE_MAX 07777

/*
 * mount(source, target, fstype, flags, data, directory)
 * `directory`, unless empty, is the working directory of this one call: relative names in `data` (overlay's lowerdir)
 * start there. The call runs on the main thread from start to end, so no other JavaScript sees the change;
 * nothing on libuv's own threads uses relative paths.
 */
napi_value mount_fs(napi_env env, napi_callback_info info)
{
	char source[PATH_BYTES], target[PATH_BYTES], fstype[64], data[MOUNT_DATA_BYTES], directory[PATH_BYTES];
	napi_value argv[6];
	int64_t flags;
	int back = -1, failed = 0;

	read_arguments(env, info, 6, argv);
	if (!read_string(env, argv[0], "source", source, sizeof source) ||
	    !read_string(env, argv[1], "target", target, sizeof target) ||
	    !read_string(env, argv[2], "fstype", fstype, sizeof fstype) ||
	    !read_int(env, argv[3], "flags", 0, FLAGS_MAX, &flags) ||
	    !read_string(env, argv[4], "data", data, sizeof data) ||
	    !read_string(env, argv[5], "directory", directory, sizeof directory))
		return NULL;

	if (*directory) {
		back = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (back < 0)
			return throw_errno(env, errno, "open", ".");
		if (chdir(directory) < 0) {
			failed = errno;
			close(back);
			return throw_errno(env, failed, "chdir", directory);
		}
	}
	if (mount(source, target, *fstype ? fstype : NULL, (unsigned long)flags, *data ? data : NULL) < 0)
		failed = errno;
	if (back >= 0) {
		if (fchdir(back) < 0 && failed == 0)
			failed = errno;
		close(back);
	}
	return failed ? throw_errno(env, failed, "mount", target) : NULL;
}

/* umount(target, flags) */
napi_value umount_fs(napi_env env, napi_callback_info info)
{
	char target[PATH_BYTES];
	napi_value argv[2];
	int64_t flags;

	read_arguments(env, info, 2, argv);
	if (!read_string(env, argv[0], "target", target, sizeof target) ||
	    !read_int(env, argv[1], "flags", 0, FLAGS_MAX, &flags))
		return NULL;
	if (umount2(target, (int)flags) < 0)
		return throw_errno(env, errno, "umount", target);
	return NULL;
}

/*
 * mountFlags(path): those bits of the mount at `path` that a remount of a bind would otherwise clear,
 * as MS_* (statfs has the same values for them).
 */
napi_value mount_flags(napi_env env, napi_callback_info info)
{
	char path[PATH_BYTES];
	napi_value argv[1], result;
	struct statfs found;

	read_arguments(env, info, 1, argv);
	if (!read_string(env, argv[0], "path", path, sizeof path))
		return NULL;
	if (statfs(path, &found) < 0)
		return throw_errno(env, errno, "statfs", path);
	napi_create_int64(env, (int64_t)found.f_flags & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC), &result);
	return result;
}

/* openBeneath(root, path, flags, mode): a descriptor. `path` cannot leave `root` and no part of it may be a link. */
napi_value open_beneath(napi_env env, napi_callback_info info)
{
	char root[PATH_BYTES], path[PATH_BYTES];
	napi_value argv[4], result;
	int64_t flags, mode;

	read_arguments(env, info, 4, argv);
	if (!read_string(env, argv[0], "root", root, sizeof root) || !read_string(env, argv[1], "path", path, sizeof path) ||
	    !read_int(env, argv[2], "flags", 0, FLAGS_MAX, &flags) || !read_int(env, argv[3], "mode", 0, MODE_MAX, &mode))
		return NULL;

	int base = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (base < 0)
		return throw_errno(env, errno, "open", root);
	struct open_how how = {
		.flags = (uint64_t)flags | O_CLOEXEC,
		.mode = (flags & O_CREAT) ? (uint64_t)mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	long fd = syscall(SYS_openat2, base, path, &how, sizeof how);
	int failed = errno;
	close(base);
	if (fd < 0)
		return throw_errno(env, failed, "openat2", path);
	napi_create_int64(env, fd, &result);
	return result;
}
