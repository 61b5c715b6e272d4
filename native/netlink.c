/* netlink(7): one request, or batch of them, and its answers. What they mean is read in TypeScript. */
#define _GNU_SOURCE
#include "addon.h"

#include <errno.h>
#include <limits.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

/* Largest answer in one datagram; the kernel sends dumps in parts of at most 32 KiB. */
#define DATAGRAM_BYTES (64 * 1024)
/* Largest answer in all: some ten thousand routes. */
#define MAX_ANSWER_BYTES (4 * 1024 * 1024)
/* The kernel answers at once; this only keeps a surprise from stopping this process for ever. */
#define TIMEOUT_SECONDS 5
/* Most messages of one batch. */
#define MAX_ANSWERS 64

/* netlinkSocket(protocol): a descriptor of the namespace this thread is in. */
napi_value netlink_socket(napi_env env, napi_callback_info info)
{
	struct timeval timeout = {.tv_sec = TIMEOUT_SECONDS};
	napi_value argv[1], result;
	int64_t protocol;
	int on = 1;

	read_arguments(env, info, 1, argv);
	if (!read_int(env, argv[0], "protocol", 0, 31, &protocol))
		return NULL;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, (int)protocol);
	if (fd < 0)
		return throw_errno(env, errno, "socket", "netlink");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) < 0) {
		int failed = errno;
		close(fd);
		return throw_errno(env, failed, "setsockopt", "netlink");
	}
	/* Errors with words, and without a copy of the request. Older kernels have neither, and need not. */
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
	napi_create_int32(env, fd, &result);
	return result;
}

/* How many of the messages end a request; a failed one counts for all that are awaited. -1: not netlink. */
static int64_t ends(const uint8_t *data, size_t length, int64_t awaited)
{
	int64_t found = 0;
	for (size_t at = 0; length - at >= sizeof(struct nlmsghdr);) {
		struct nlmsghdr header;
		memcpy(&header, data + at, sizeof header);
		if (header.nlmsg_len < sizeof header || header.nlmsg_len > length - at)
			return -1;
		if (header.nlmsg_type == NLMSG_ERROR || header.nlmsg_type == NLMSG_DONE) {
			int32_t code = 0;
			if (header.nlmsg_len >= sizeof header + sizeof code)
				memcpy(&code, data + at + sizeof header, sizeof code);
			if (code < 0)
				return awaited;
			found++;
		}
		size_t step = NLMSG_ALIGN(header.nlmsg_len);
		if (step > length - at)
			break;
		at += step;
	}
	return found;
}

/* Sends the request and collects into *answer (malloc'd); its length, or -1 with errno set. */
static ssize_t exchange(int fd, const uint8_t *request, size_t length, int64_t awaited, uint8_t **answer)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	size_t used = 0;
	if (sendto(fd, request, length, 0, (struct sockaddr *)&kernel, sizeof kernel) < 0)
		return -1;
	while (awaited > 0) {
		if (used + DATAGRAM_BYTES > MAX_ANSWER_BYTES) {
			errno = EOVERFLOW;
			return -1;
		}
		uint8_t *grown = realloc(*answer, used + DATAGRAM_BYTES);
		if (!grown)
			return -1;
		*answer = grown;
		ssize_t count = recv(fd, grown + used, DATAGRAM_BYTES, 0);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return -1;
		int64_t found = ends(grown + used, (size_t)count, awaited);
		if (found < 0) {
			errno = EPROTO;
			return -1;
		}
		used += (size_t)count;
		awaited -= found;
	}
	return (ssize_t)used;
}

/*
 * netlinkExchange(fd, request, answers): all messages of the answer, up to `answers` ends (NLMSG_ERROR, NLMSG_DONE) or
 * the first error.
 */
napi_value netlink_exchange(napi_env env, napi_callback_info info)
{
	napi_value argv[3], result;
	int64_t fd, awaited;
	void *request, *copy;
	size_t length;
	uint8_t *answer = NULL;
	bool is_buffer = false;

	read_arguments(env, info, 3, argv);
	if (!read_int(env, argv[0], "fd", 0, INT_MAX, &fd) || !read_int(env, argv[2], "answers", 1, MAX_ANSWERS, &awaited))
		return NULL;
	if (napi_is_buffer(env, argv[1], &is_buffer) != napi_ok || !is_buffer ||
	    napi_get_buffer_info(env, argv[1], &request, &length) != napi_ok) {
		napi_throw_type_error(env, "ERR_INVALID_ARG_VALUE", "request: a Uint8Array expected");
		return NULL;
	}
	ssize_t count = exchange((int)fd, request, length, awaited, &answer);
	int failed = errno;
	if (count >= 0)
		napi_create_buffer_copy(env, (size_t)count, answer, &copy, &result);
	free(answer);
	return count < 0 ? throw_errno(env, failed, "netlink", "") : result;
}
