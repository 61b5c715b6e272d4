/*
 * What the files of this addon share: reading arguments and raising errors.
 * Node has no call for these few system calls; everything else is done in TypeScript.
 */
#ifndef KATA_ADDON_H
#define KATA_ADDON_H

#define NAPI_VERSION 8
#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes with the terminating zero, as in the kernel. */
#define PATH_BYTES 4096
/* The kernel copies at most one page of mount data, the smallest page being 4 KiB. */
#define MOUNT_DATA_BYTES 4096

/* Reads the arguments of a call into argv[count]; missing ones are undefined. */
void read_arguments(napi_env env, napi_callback_info info, size_t count, napi_value *argv);

/* Each returns false with an exception pending when the value does not fit. */
bool read_int(napi_env env, napi_value value, const char *name, int64_t least, int64_t most, int64_t *out);
/* `size` includes the terminating zero. A string with a zero byte inside is refused: the kernel would cut it. */
bool read_string(napi_env env, napi_value value, const char *name, char *out, size_t size);

/* An Error with `code` (ENOENT), `errno` (negative, as in Node) and `syscall`; not thrown. */
napi_value errno_error(napi_env env, int number, const char *syscall, const char *subject);
/* Throws that Error; returns NULL so that callers can return it. */
napi_value throw_errno(napi_env env, int number, const char *syscall, const char *subject);

napi_value vsock_connect(napi_env env, napi_callback_info info);
napi_value vhost_vsock_guest_cid(napi_env env, napi_callback_info info);
napi_value mount_fs(napi_env env, napi_callback_info info);
napi_value umount_fs(napi_env env, napi_callback_info info);
napi_value mount_flags(napi_env env, napi_callback_info info);
napi_value open_beneath(napi_env env, napi_callback_info info);
napi_value copy_mount(napi_env env, napi_callback_info info);
napi_value attach_mount(napi_env env, napi_callback_info info);
napi_value listen_unix(napi_env env, napi_callback_info info);
napi_value close_on_exec(napi_env env, napi_callback_info info);
napi_value memory_file(napi_env env, napi_callback_info info);
napi_value set_pipe_size(napi_env env, napi_callback_info info);
napi_value peer_credentials(napi_env env, napi_callback_info info);
napi_value in_network_namespace(napi_env env, napi_callback_info info);
napi_value create_network_namespace(napi_env env, napi_callback_info info);
napi_value create_tap(napi_env env, napi_callback_info info);
napi_value open_tap(napi_env env, napi_callback_info info);
napi_value listen_loopback(napi_env env, napi_callback_info info);
napi_value original_port(napi_env env, napi_callback_info info);
napi_value send_descriptor(napi_env env, napi_callback_info info);
napi_value datagram_socket(napi_env env, napi_callback_info info);
napi_value send_datagram(napi_env env, napi_callback_info info);
napi_value netlink_socket(napi_env env, napi_callback_info info);
napi_value netlink_exchange(napi_env env, napi_callback_info info);

#endif
