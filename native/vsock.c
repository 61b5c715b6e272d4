/* AF_VSOCK: Node's own sockets know only TCP and unix. */
#define _GNU_SOURCE
#include "addon.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <linux/vhost.h>
#include <linux/vm_sockets.h>
#include <unistd.h>

#define TIMEOUT_MS_MAX 600000

struct connection {
	napi_async_work work;
	napi_deferred deferred;
	struct sockaddr_vm address;
	struct timeval timeout;
	int fd;
	int failed;
};

/* On a thread of libuv's pool: a blocking connect that the kernel ends after the timeout. */
static void connect_blocking(napi_env env, void *data)
{
	struct connection *c = data;
	(void)env;
	c->fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0) {
		c->failed = errno;
		return;
	}
	if (setsockopt(c->fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &c->timeout, sizeof c->timeout) == 0 &&
	    connect(c->fd, (struct sockaddr *)&c->address, sizeof c->address) == 0)
		return;
	c->failed = errno;
	close(c->fd);
}

static void settle(napi_env env, napi_status status, void *data)
{
	struct connection *c = data;
	napi_value value;
	if (status == napi_cancelled)
		c->failed = EINTR;
	if (c->failed) {
		napi_reject_deferred(env, c->deferred, errno_error(env, c->failed, "connect", "vsock"));
	} else {
		napi_create_int32(env, c->fd, &value);
		napi_resolve_deferred(env, c->deferred, value);
	}
	napi_delete_async_work(env, c->work);
	free(c);
}

/* vsockConnect(cid, port, timeoutMs): a promise of a connected descriptor, which the caller owns. */
napi_value vsock_connect(napi_env env, napi_callback_info info)
{
	napi_value argv[3], name, promise;
	int64_t cid, port, timeout;

	read_arguments(env, info, 3, argv);
	if (!read_int(env, argv[0], "cid", 0, UINT32_MAX, &cid) || !read_int(env, argv[1], "port", 0, UINT32_MAX, &port) ||
	    !read_int(env, argv[2], "timeoutMs", 1, TIMEOUT_MS_MAX, &timeout))
		return NULL;
	struct connection *c = calloc(1, sizeof *c);
	if (!c)
		return throw_errno(env, ENOMEM, "calloc", "");
	c->address = (struct sockaddr_vm){.svm_family = AF_VSOCK, .svm_cid = (unsigned)cid, .svm_port = (unsigned)port};
	c->timeout = (struct timeval){.tv_sec = timeout / 1000, .tv_usec = timeout % 1000 * 1000};
	napi_create_string_utf8(env, "vsockConnect", NAPI_AUTO_LENGTH, &name);
	if (napi_create_promise(env, &c->deferred, &promise) != napi_ok ||
	    napi_create_async_work(env, NULL, name, connect_blocking, settle, c, &c->work) != napi_ok ||
	    napi_queue_async_work(env, c->work) != napi_ok) {
		free(c);
		return throw_errno(env, ENOMEM, "napi_queue_async_work", "");
	}
	return promise;
}

/* vhostVsockGuestCid(fd, cid): claims the context id for the open /dev/vhost-vsock; EADDRINUSE when it is taken. */
napi_value vhost_vsock_guest_cid(napi_env env, napi_callback_info info)
{
	napi_value argv[2];
	int64_t fd, cid;

	read_arguments(env, info, 2, argv);
	if (!read_int(env, argv[0], "fd", 0, INT32_MAX, &fd) || !read_int(env, argv[1], "cid", 3, UINT32_MAX - 1LL, &cid))
		return NULL;
	uint64_t wanted = (uint64_t)cid;
	if (ioctl((int)fd, VHOST_VSOCK_SET_GUEST_CID, &wanted) < 0)
		return throw_errno(env, errno, "ioctl", "VHOST_VSOCK_SET_GUEST_CID");
	return NULL;
}
