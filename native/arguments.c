/* Arguments in, errors out. */
#include "addon.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MESSAGE_BYTES (PATH_BYTES + 128)

static const char *errno_name(int number)
{
	/* strerrorname_np is glibc only. These are the ones the host tells apart or a mount can give. */
	static const struct {
		int number;
		const char *name;
	} NAMES[] = {
		{EACCES, "EACCES"}, {EADDRINUSE, "EADDRINUSE"}, {EAGAIN, "EAGAIN"}, {EBADF, "EBADF"}, {EBUSY, "EBUSY"},
		{ECONNREFUSED, "ECONNREFUSED"}, {ECONNRESET, "ECONNRESET"}, {EEXIST, "EEXIST"}, {EFAULT, "EFAULT"},
		{EHOSTUNREACH, "EHOSTUNREACH"}, {EINTR, "EINTR"}, {EINVAL, "EINVAL"}, {EIO, "EIO"}, {EISDIR, "EISDIR"}, {ELOOP, "ELOOP"},
		{EMFILE, "EMFILE"}, {ENAMETOOLONG, "ENAMETOOLONG"}, {ENODEV, "ENODEV"}, {ENOENT, "ENOENT"}, {ENOMEM, "ENOMEM"},
		{ENOSPC, "ENOSPC"}, {ENOSYS, "ENOSYS"}, {ENOTBLK, "ENOTBLK"}, {ENOTDIR, "ENOTDIR"}, {ENOTSOCK, "ENOTSOCK"},
		{ENOTTY, "ENOTTY"}, {ENXIO, "ENXIO"}, {EPERM, "EPERM"}, {EROFS, "EROFS"}, {ESTALE, "ESTALE"}, {ETIMEDOUT, "ETIMEDOUT"},
		{EXDEV, "EXDEV"}, {EAFNOSUPPORT, "EAFNOSUPPORT"}, {EUCLEAN, "EUCLEAN"}, {EADDRNOTAVAIL, "EADDRNOTAVAIL"},
		{EPIPE, "EPIPE"}, {EPROTO, "EPROTO"}, {EPROTONOSUPPORT, "EPROTONOSUPPORT"}, {EOPNOTSUPP, "EOPNOTSUPP"},
		{EOVERFLOW, "EOVERFLOW"}, {ENOPROTOOPT, "ENOPROTOOPT"}, {ENOBUFS, "ENOBUFS"}, {EMSGSIZE, "EMSGSIZE"},
	};
	for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++)
		if (NAMES[i].number == number)
			return NAMES[i].name;
	return "UNKNOWN";
}

void read_arguments(napi_env env, napi_callback_info info, size_t count, napi_value *argv)
{
	napi_get_cb_info(env, info, &count, argv, NULL, NULL);
}

static bool refuse(napi_env env, const char *name, const char *expected)
{
	char message[160];
	snprintf(message, sizeof message, "%s: %s expected", name, expected);
	napi_throw_type_error(env, "ERR_INVALID_ARG_VALUE", message);
	return false;
}

bool read_int(napi_env env, napi_value value, const char *name, int64_t least, int64_t most, int64_t *out)
{
	double number;
	if (napi_get_value_double(env, value, &number) != napi_ok)
		return refuse(env, name, "a number");
	if (!(number >= (double)least && number <= (double)most) || (double)(int64_t)number != number)
		return refuse(env, name, "an integer in range");
	*out = (int64_t)number;
	return true;
}

bool read_string(napi_env env, napi_value value, const char *name, char *out, size_t size)
{
	size_t length;
	if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok)
		return refuse(env, name, "a string");
	if (length >= size)
		return refuse(env, name, "a shorter string");
	napi_get_value_string_utf8(env, value, out, size, &length);
	if (strlen(out) != length)
		return refuse(env, name, "a string without zero bytes");
	return true;
}

napi_value errno_error(napi_env env, int number, const char *syscall, const char *subject)
{
	char message[MESSAGE_BYTES];
	napi_value code, text, error, property;
	snprintf(message, sizeof message, "%s: %s, %s%s%s", errno_name(number), strerror(number), syscall, *subject ? " " : "", subject);
	napi_create_string_utf8(env, errno_name(number), NAPI_AUTO_LENGTH, &code);
	napi_create_string_utf8(env, message, NAPI_AUTO_LENGTH, &text);
	napi_create_error(env, code, text, &error);
	napi_create_int32(env, -number, &property);
	napi_set_named_property(env, error, "errno", property);
	napi_create_string_utf8(env, syscall, NAPI_AUTO_LENGTH, &property);
	napi_set_named_property(env, error, "syscall", property);
	return error;
}

napi_value throw_errno(napi_env env, int number, const char *syscall, const char *subject)
{
	napi_throw(env, errno_error(env, number, syscall, subject));
	return NULL;
}
