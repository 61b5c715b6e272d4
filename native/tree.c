/* Mounts of another mount namespace: open_tree(2) copies them, move_mount(2) attaches the copy here. */
#define _GNU_SOURCE
#include "addon.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif

struct copy {
	napi_async_work work;
	napi_deferred deferred;
	char namespace[PATH_BYTES];
	char path[PATH_BYTES];
	bool recursive;
	int place;
	int tree;
	int failed;
	const char *call;
};

static void *fail(struct copy *c, const char *call)
{
	c->failed = errno;
	c->call = call;
	return NULL;
}

/* A thread of its own, which ends after this: only one with a root and working directory of its own may change namespace. */
static void *copy_there(void *data)
{
	struct copy *c = data;
	int other = open(c->namespace, O_RDONLY | O_CLOEXEC);
	if (other < 0)
		return fail(c, "open");
	int entered = unshare(CLONE_FS) < 0 ? -1 : setns(other, CLONE_NEWNS);
	if (entered < 0)
		fail(c, "setns");
	close(other);
	if (entered < 0)
		return NULL;
	c->place = open(c->path, O_PATH | O_CLOEXEC);
	if (c->place < 0)
		return fail(c, "open");
	unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (c->recursive ? AT_RECURSIVE : 0);
	c->tree = (int)syscall(SYS_open_tree, c->place, "", flags);
	if (c->tree < 0) {
		fail(c, "open_tree");
		close(c->place);
	}
	return NULL;
}

static void execute(napi_env env, void *data)
{
	struct copy *c = data;
	pthread_t thread;
	(void)env;
	int failed = pthread_create(&thread, NULL, copy_there, c);
	if (failed) {
		c->failed = failed;
		c->call = "pthread_create";
	} else {
		pthread_join(thread, NULL);
	}
}

static void settle(napi_env env, napi_status status, void *data)
{
	struct copy *c = data;
	napi_value result, value;
	if (status == napi_cancelled) {
		c->failed = EINTR;
		c->call = "open_tree";
	}
	if (c->failed) {
		napi_reject_deferred(env, c->deferred, errno_error(env, c->failed, c->call, c->path));
	} else {
		napi_create_object(env, &result);
		napi_create_int32(env, c->place, &value);
		napi_set_named_property(env, result, "place", value);
		napi_create_int32(env, c->tree, &value);
		napi_set_named_property(env, result, "tree", value);
		napi_resolve_deferred(env, c->deferred, result);
	}
	napi_delete_async_work(env, c->work);
	free(c);
}

/*
 * copyMount(namespace, path, recursive): a promise of {place, tree}: descriptors of `path` itself, as the mount namespace at
 * `namespace` has it, and of a copy of what is mounted there, attached nowhere.
 */
napi_value copy_mount(napi_env env, napi_callback_info info)
{
	napi_value argv[3], name, promise;
	read_arguments(env, info, 3, argv);
	struct copy *c = calloc(1, sizeof *c);
	if (!c)
		return throw_errno(env, ENOMEM, "calloc", "");
	if (!read_string(env, argv[0], "namespace", c->namespace, sizeof c->namespace) ||
	    !read_string(env, argv[1], "path", c->path, sizeof c->path)) {
		free(c);
		return NULL;
	}
	if (napi_get_value_bool(env, argv[2], &c->recursive) != napi_ok) {
		free(c);
		napi_throw_type_error(env, "ERR_INVALID_ARG_VALUE", "recursive: a boolean expected");
		return NULL;
	}
	napi_create_string_utf8(env, "copyMount", NAPI_AUTO_LENGTH, &name);
	if (napi_create_promise(env, &c->deferred, &promise) != napi_ok ||
	    napi_create_async_work(env, NULL, name, execute, settle, c, &c->work) != napi_ok ||
	    napi_queue_async_work(env, c->work) != napi_ok) {
		free(c);
		return throw_errno(env, ENOMEM, "napi_queue_async_work", "");
	}
	return promise;
}

/* attachMount(tree, target): mounts such a copy at `target`. The descriptor stays open. */
napi_value attach_mount(napi_env env, napi_callback_info info)
{
	char target[PATH_BYTES];
	napi_value argv[2];
	int64_t tree;

	read_arguments(env, info, 2, argv);
	if (!read_int(env, argv[0], "tree", 0, INT32_MAX, &tree) || !read_string(env, argv[1], "target", target, sizeof target))
		return NULL;
	if (syscall(SYS_move_mount, (int)tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return throw_errno(env, errno, "move_mount", target);
	return NULL;
}
