/* Datagrams to unix sockets, which Node has not: the journal and syslog take their messages so. Nothing here waits. */
#define _GNU_SOURCE
#include "addon.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* datagramSocket(): a descriptor to send from; Node does not poll it. */
napi_value datagram_socket(napi_env env, napi_callback_info info)
{
	napi_value result;

	(void)info;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return throw_errno(env, errno, "socket", "");
	napi_create_int32(env, fd, &result);
	return result;
}

/*
 * sendDatagram(fd, path, data): one message to whoever is bound to `path`, found anew each time: it may have been started again.
 * EAGAIN where it does not keep up, ENOENT or ECONNREFUSED where nobody is there, EMSGSIZE, EPROTOTYPE.
 */
napi_value send_datagram(napi_env env, napi_callback_info info)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	napi_value argv[3];
	int64_t fd;
	void *data;
	size_t length;
	ssize_t sent;

	read_arguments(env, info, 3, argv);
	if (!read_int(env, argv[0], "fd", 0, INT_MAX, &fd) ||
	    !read_string(env, argv[1], "path", address.sun_path, sizeof address.sun_path))
		return NULL;
	bool is_array = false;
	if (napi_is_typedarray(env, argv[2], &is_array) != napi_ok || !is_array) {
		napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "data: a Uint8Array expected");
		return NULL;
	}
	napi_typedarray_type type;
	if (napi_get_typedarray_info(env, argv[2], &type, &length, &data, NULL, NULL) != napi_ok || type != napi_uint8_array) {
		napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "data: a Uint8Array expected");
		return NULL;
	}
	do
		sent = sendto((int)fd, data, length, MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&address, sizeof address);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? throw_errno(env, errno, "sendto", address.sun_path) : NULL;
}
