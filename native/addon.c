/* Names the functions of the addon. host/native.ts gives their types. */
#include "addon.h"

static const struct {
	const char *name;
	napi_callback call;
} FUNCTIONS[] = {
	{"vsockConnect", vsock_connect},
	{"vhostVsockGuestCid", vhost_vsock_guest_cid},
	{"mount", mount_fs},
	{"umount", umount_fs},
	{"mountFlags", mount_flags},
	{"openBeneath", open_beneath},
	{"copyMount", copy_mount},
	{"attachMount", attach_mount},
	{"listenUnix", listen_unix},
	{"closeOnExec", close_on_exec},
	{"memoryFile", memory_file},
	{"setPipeSize", set_pipe_size},
	{"peerCredentials", peer_credentials},
	{"inNetworkNamespace", in_network_namespace},
	{"createNetworkNamespace", create_network_namespace},
	{"createTap", create_tap},
	{"openTap", open_tap},
	{"listenLoopback", listen_loopback},
	{"originalPort", original_port},
	{"sendDescriptor", send_descriptor},
	{"datagramSocket", datagram_socket},
	{"sendDatagram", send_datagram},
	{"netlinkSocket", netlink_socket},
	{"netlinkExchange", netlink_exchange},
};

NAPI_MODULE_INIT()
{
	for (size_t i = 0; i < sizeof FUNCTIONS / sizeof FUNCTIONS[0]; i++) {
		napi_value function;
		if (napi_create_function(env, FUNCTIONS[i].name, NAPI_AUTO_LENGTH, FUNCTIONS[i].call, NULL, &function) != napi_ok ||
		    napi_set_named_property(env, exports, FUNCTIONS[i].name, function) != napi_ok)
			return NULL;
	}
	return exports;
}
