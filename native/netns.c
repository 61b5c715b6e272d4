/* Network namespaces: doing something in another one, making one, and the devices and sockets only made from within. */
#define _GNU_SOURCE
#include "addon.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* /proc/self is the main thread's only in the main thread. */
#define OWN_NAMESPACE "/proc/thread-self/ns/net"
#define TUN_DEVICE "/dev/net/tun"
/* linux/netfilter_ipv4.h and linux/netfilter_ipv6/ip6_tables.h have the same number; they clash with netinet/in.h. */
#define ORIGINAL_DST 80

/* A thread left in a stranger's namespace would do everything else there: better none at all. */
static void go_back(int own)
{
	if (setns(own, CLONE_NEWNET) < 0)
		abort();
	close(own);
}

/*
 * inNetworkNamespace(path, callback): what the callback returns. It runs in the namespace, on this thread only, and what it
 * starts (processes, sockets) is born there. It must not wait, nor use libuv's thread pool, which would be born there too.
 */
napi_value in_network_namespace(napi_env env, napi_callback_info info)
{
	char path[PATH_BYTES];
	napi_value argv[2], undefined, result = NULL;
	napi_valuetype type;

	read_arguments(env, info, 2, argv);
	if (!read_string(env, argv[0], "path", path, sizeof path))
		return NULL;
	if (napi_typeof(env, argv[1], &type) != napi_ok || type != napi_function) {
		napi_throw_type_error(env, "ERR_INVALID_ARG_VALUE", "callback: a function expected");
		return NULL;
	}
	int own = open(OWN_NAMESPACE, O_RDONLY | O_CLOEXEC);
	if (own < 0)
		return throw_errno(env, errno, "open", OWN_NAMESPACE);
	int other = open(path, O_RDONLY | O_CLOEXEC);
	if (other < 0) {
		int failed = errno;
		close(own);
		return throw_errno(env, failed, "open", path);
	}
	int failed = setns(other, CLONE_NEWNET) < 0 ? errno : 0;
	close(other);
	if (failed) {
		close(own);
		return throw_errno(env, failed, "setns", path);
	}
	napi_get_undefined(env, &undefined);
	/* On an exception the result stays NULL, and the exception pending. */
	napi_call_function(env, undefined, argv[1], 0, NULL, &result);
	go_back(own);
	return result;
}

/* createNetworkNamespace(path): a new namespace, held by a bind mount at `path`, which must not exist. */
napi_value create_network_namespace(napi_env env, napi_callback_info info)
{
	char path[PATH_BYTES];
	napi_value argv[1];
	int failed = 0;

	read_arguments(env, info, 1, argv);
	if (!read_string(env, argv[0], "path", path, sizeof path))
		return NULL;
	int own = open(OWN_NAMESPACE, O_RDONLY | O_CLOEXEC);
	if (own < 0)
		return throw_errno(env, errno, "open", OWN_NAMESPACE);
	int file = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0);
	if (file < 0) {
		failed = errno;
		close(own);
		return throw_errno(env, failed, "open", path);
	}
	close(file);
	if (unshare(CLONE_NEWNET) < 0) {
		failed = errno;
		close(own);
	} else {
		if (mount(OWN_NAMESPACE, path, NULL, MS_BIND, NULL) < 0)
			failed = errno;
		go_back(own);
	}
	if (failed) {
		unlink(path);
		return throw_errno(env, failed, "unshare", path);
	}
	return NULL;
}

/* A descriptor of a queue of a tap device with room for virtio's header, or -1 with an exception. */
static int tap_queue(napi_env env, napi_callback_info info, int flags, char *name)
{
	struct ifreq request = {.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | flags)};
	napi_value argv[2];
	bool several = false;

	read_arguments(env, info, 2, argv);
	if (!read_string(env, argv[0], "name", request.ifr_name, sizeof request.ifr_name))
		return -1;
	memcpy(name, request.ifr_name, sizeof request.ifr_name);
	/* Absent: one queue. */
	napi_get_value_bool(env, argv[1], &several);
	if (several)
		request.ifr_flags |= IFF_MULTI_QUEUE;
	int fd = open(TUN_DEVICE, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		throw_errno(env, errno, "open", TUN_DEVICE);
		return -1;
	}
	if (ioctl(fd, TUNSETIFF, &request) < 0) {
		int failed = errno;
		close(fd);
		throw_errno(env, failed, "ioctl", name);
		return -1;
	}
	return fd;
}

/*
 * createTap(name, multiQueue): an Ethernet tap device that stays when nobody has it open; with several queues it is opened once
 * for each. EBUSY if it exists.
 */
napi_value create_tap(napi_env env, napi_callback_info info)
{
	char name[IFNAMSIZ];
	int failed = 0;
	int fd = tap_queue(env, info, IFF_TUN_EXCL, name);

	if (fd < 0)
		return NULL;
	if (ioctl(fd, TUNSETPERSIST, 1) < 0)
		failed = errno;
	close(fd);
	return failed ? throw_errno(env, failed, "ioctl", name) : NULL;
}

/* openTap(name, multiQueue): the descriptor of a queue of a tap device that exists. */
napi_value open_tap(napi_env env, napi_callback_info info)
{
	char name[IFNAMSIZ];
	napi_value result;
	int fd = tap_queue(env, info, 0, name);

	if (fd < 0)
		return NULL;
	napi_create_int32(env, fd, &result);
	return result;
}

/* listenLoopback(family, backlog): {fd, port} of a TCP listener on 127.0.0.1 (4) or ::1 (6), the port being the kernel's choice. */
napi_value listen_loopback(napi_env env, napi_callback_info info)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	napi_value argv[2], result, value;
	int64_t family, backlog;

	read_arguments(env, info, 2, argv);
	if (!read_int(env, argv[0], "family", 4, 6, &family) || !read_int(env, argv[1], "backlog", 1, 4096, &backlog))
		return NULL;
	struct sockaddr *address = family == 6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4;
	socklen_t size = family == 6 ? sizeof v6 : sizeof v4;
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return throw_errno(env, errno, "socket", "");
	if (bind(fd, address, size) < 0 || listen(fd, (int)backlog) < 0 || getsockname(fd, address, &size) < 0) {
		int failed = errno;
		close(fd);
		return throw_errno(env, failed, "bind", family == 6 ? "::1" : "127.0.0.1");
	}
	napi_create_object(env, &result);
	napi_create_int32(env, fd, &value);
	napi_set_named_property(env, result, "fd", value);
	/* Port and family lie at the same place in both. */
	napi_create_int32(env, ntohs(family == 6 ? v6.sin6_port : v4.sin_port), &value);
	napi_set_named_property(env, result, "port", value);
	return result;
}

/* originalPort(fd, family): the port a redirected TCP connection was made to. ENOENT where nothing was redirected. */
napi_value original_port(napi_env env, napi_callback_info info)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	napi_value argv[2], result;
	int64_t fd, family;

	read_arguments(env, info, 2, argv);
	if (!read_int(env, argv[0], "fd", 0, INT_MAX, &fd) || !read_int(env, argv[1], "family", 4, 6, &family))
		return NULL;
	void *address = family == 6 ? (void *)&v6 : (void *)&v4;
	socklen_t size = family == 6 ? sizeof v6 : sizeof v4;
	if (getsockopt((int)fd, family == 6 ? IPPROTO_IPV6 : IPPROTO_IP, ORIGINAL_DST, address, &size) < 0)
		return throw_errno(env, errno, "getsockopt", "SO_ORIGINAL_DST");
	napi_create_int32(env, ntohs(family == 6 ? v6.sin6_port : v4.sin_port), &result);
	return result;
}

/* sendDescriptor(socket, fd, data): writes `data` whole to a unix socket, the descriptor going with its first byte. */
napi_value send_descriptor(napi_env env, napi_callback_info info)
{
	char data[512];
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
	napi_value argv[3];
	int64_t socket, fd;

	read_arguments(env, info, 3, argv);
	if (!read_int(env, argv[0], "socket", 0, INT_MAX, &socket) || !read_int(env, argv[1], "fd", 0, INT_MAX, &fd) ||
	    !read_string(env, argv[2], "data", data, sizeof data))
		return NULL;
	struct iovec part = {.iov_base = data, .iov_len = strlen(data)};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	int passed = (int)fd;
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof passed);
	memcpy(CMSG_DATA(header), &passed, sizeof passed);
	ssize_t sent;
	do
		sent = sendmsg((int)socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return throw_errno(env, errno, "sendmsg", "");
	return (size_t)sent == part.iov_len ? NULL : throw_errno(env, EAGAIN, "sendmsg", "only in part");
}
