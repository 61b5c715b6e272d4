/* rtnetlink(7): one request, all of its answers, over one socket for good: a pod's start makes a dozen requests. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <linux/netlink.h>

#include "sys.h"

/* Largest answer in one datagram; the kernel sends dumps in parts of at most 32 KiB. */
#define DATAGRAM_BYTES (64 * 1024)
/* Largest answer in all. */
#define MAX_ANSWER_BYTES (4 * 1024 * 1024)
/* The kernel answers at once; this only keeps a surprise from stopping the agent for ever. */
#define TIMEOUT_SECONDS 5

/* -1: none yet, or the last request has failed and further answers may be on their way. */
static int route_socket = -1;

enum state { MORE, DONE, FAILED };

static int open_socket(void) {
  struct timeval timeout = {.tv_sec = TIMEOUT_SECONDS};
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0) {
    close(fd);
    return -1;
  }
  return fd;
}

/* Looks at the messages of one datagram. FAILED: errno is what the kernel said. */
static enum state scan(const uint8_t *data, size_t length, bool acknowledged) {
  size_t at = 0;
  while (length - at >= sizeof(struct nlmsghdr)) {
    struct nlmsghdr header;
    memcpy(&header, data + at, sizeof(header));
    if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > length - at) {
      errno = EPROTO;
      return FAILED;
    }
    if (header.nlmsg_type == NLMSG_ERROR || header.nlmsg_type == NLMSG_DONE) {
      int32_t code = 0;
      if (header.nlmsg_len >= sizeof(header) + sizeof(code)) memcpy(&code, data + at + sizeof(header), sizeof(code));
      errno = -code;
      return code < 0 ? FAILED : DONE;
    }
    if (!(header.nlmsg_flags & NLM_F_MULTI) && !acknowledged) return DONE;
    size_t step = NLMSG_ALIGN(header.nlmsg_len);
    if (step > length - at) break;
    at += step;
  }
  return MORE;
}

/* Sends the request and collects into *answer (malloc'd) ; -1 with errno set on failure. */
static ssize_t exchange(int fd, const uint8_t *request, size_t length, uint8_t **answer) {
  struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  struct nlmsghdr header;
  size_t used = 0;
  if (length < sizeof(header)) {
    errno = EINVAL;
    return -1;
  }
  memcpy(&header, request, sizeof(header));
  if (sendto(fd, request, length, 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0) return -1;
  for (;;) {
    if (used + DATAGRAM_BYTES > MAX_ANSWER_BYTES) {
      errno = EOVERFLOW;
      return -1;
    }
    uint8_t *grown = realloc(*answer, used + DATAGRAM_BYTES);
    if (!grown) return -1;
    *answer = grown;
    ssize_t count = recv(fd, grown + used, DATAGRAM_BYTES, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return -1;
    enum state state = scan(grown + used, (size_t)count, header.nlmsg_flags & NLM_F_ACK);
    used += (size_t)count;
    if (state == FAILED) return -1;
    if (state == DONE) return (ssize_t)used;
  }
}

FUNCTION(netlink_route) {
  (void)self, (void)argc;
  uint8_t *request, *answer = NULL;
  size_t length;
  if (!bytes_argument(ctx, argv[0], &request, &length)) return JS_EXCEPTION;
  if (route_socket < 0) route_socket = open_socket();
  if (route_socket < 0) return throw_errno(ctx, "netlink", NULL);
  ssize_t count = exchange(route_socket, request, length, &answer);
  JSValue result;
  if (count < 0) {
    result = throw_errno(ctx, "netlink", NULL);
    close(route_socket);
    route_socket = -1;
  } else {
    result = JS_NewUint8ArrayCopy(ctx, answer, (size_t)count);
  }
  free(answer);
  return result;
}

static const JSCFunctionListEntry functions[] = {
    JS_CFUNC_DEF("netlinkRoute", 1, netlink_route),
};

void netlink_module(JSContext *ctx, JSValueConst sys) { ADD(sys, functions); }
