/* Descriptors: a listener Node must not touch, who is at the other end, and which a child may not inherit. */
#define _GNU_SOURCE
#include "addon.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* listenUnix(path, backlog): the descriptor of a listening socket with mode 0600, which Node does not poll. */
napi_value listen_unix(napi_env env, napi_callback_info info)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	napi_value argv[2], result;
	int64_t backlog;

	read_arguments(env, info, 2, argv);
	if (!read_string(env, argv[0], "path", address.sun_path, sizeof address.sun_path) ||
	    !read_int(env, argv[1], "backlog", 1, 4096, &backlog))
		return NULL;
	if (address.sun_path[0] != '/')
		return throw_errno(env, EINVAL, "bind", address.sun_path);

	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return throw_errno(env, errno, "socket", "");
	/* bind gives the file the mode of the socket, less umask: no moment in which it is wider. */
	if (fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, (int)backlog) < 0) {
		int failed = errno;
		close(fd);
		return throw_errno(env, failed, "bind", address.sun_path);
	}
	napi_create_int32(env, fd, &result);
	return result;
}

/* memoryFile(name): the descriptor of a file that is memory only, and gone when nobody has it open. */
napi_value memory_file(napi_env env, napi_callback_info info)
{
	char name[64];
	napi_value argv[1], result;

	read_arguments(env, info, 1, argv);
	if (!read_string(env, argv[0], "name", name, sizeof name))
		return NULL;
	int fd = memfd_create(name, MFD_CLOEXEC);
	if (fd < 0)
		return throw_errno(env, errno, "memfd_create", name);
	napi_create_int32(env, fd, &result);
	return result;
}

/* setPipeSize(fd, bytes): how many bytes the pipe holds from now on, at least as many as asked for. */
napi_value set_pipe_size(napi_env env, napi_callback_info info)
{
	napi_value argv[2], result;
	int64_t fd, bytes;

	read_arguments(env, info, 2, argv);
	if (!read_int(env, argv[0], "fd", 0, INT32_MAX, &fd) || !read_int(env, argv[1], "bytes", 1, INT32_MAX, &bytes))
		return NULL;
	int size = fcntl((int)fd, F_SETPIPE_SZ, (int)bytes);
	if (size < 0)
		return throw_errno(env, errno, "fcntl", "F_SETPIPE_SZ");
	napi_create_int32(env, size, &result);
	return result;
}

/*
 * closeOnExec(): no descriptor from 3 on passes to a child unless it is handed over. Node opens its own so, but what
 * this process was started with may be inherited from anywhere.
 */
napi_value close_on_exec(napi_env env, napi_callback_info info)
{
	(void)info;
	if (syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
		return NULL;
	/* Before Linux 5.11. */
	DIR *open_files = opendir("/proc/self/fd");
	if (!open_files)
		return throw_errno(env, errno, "opendir", "/proc/self/fd");
	for (struct dirent *entry; (entry = readdir(open_files));) {
		int fd = atoi(entry->d_name);
		if (fd > 2)
			fcntl(fd, F_SETFD, FD_CLOEXEC);
	}
	closedir(open_files);
	return NULL;
}

/* peerCredentials(fd): {pid, uid, gid} of the process that connected or, for a client, that listens. */
napi_value peer_credentials(napi_env env, napi_callback_info info)
{
	struct ucred peer;
	socklen_t size = sizeof peer;
	napi_value argv[1], result, value;
	int64_t fd;

	read_arguments(env, info, 1, argv);
	if (!read_int(env, argv[0], "fd", 0, INT32_MAX, &fd))
		return NULL;
	if (getsockopt((int)fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return throw_errno(env, errno, "getsockopt", "SO_PEERCRED");
	napi_create_object(env, &result);
	napi_create_int32(env, peer.pid, &value);
	napi_set_named_property(env, result, "pid", value);
	napi_create_uint32(env, peer.uid, &value);
	napi_set_named_property(env, result, "uid", value);
	napi_create_uint32(env, peer.gid, &value);
	napi_set_named_property(env, result, "gid", value);
	return result;
}
