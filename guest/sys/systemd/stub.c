/*
 * Stands in for libsystemd in the guest, where there is no systemd: every function crun links to says so.
 * crun is run with --cgroup-manager=cgroupfs and so never needs a true answer. Versions: stub.map.
 */
#define ENOSYS 38

#define ABSENT(name) \
  int name(void); \
  int name(void) { return -ENOSYS; }

ABSENT(sd_journal_send_with_location)
ABSENT(sd_notify)
ABSENT(sd_bus_call)
ABSENT(sd_bus_default_system)
ABSENT(sd_bus_default_user)
ABSENT(sd_bus_error_free)
ABSENT(sd_bus_error_get_errno)
ABSENT(sd_bus_message_append)
ABSENT(sd_bus_message_append_strv)
ABSENT(sd_bus_message_close_container)
ABSENT(sd_bus_message_new_method_call)
ABSENT(sd_bus_message_open_container)
ABSENT(sd_bus_message_read)
ABSENT(sd_bus_message_unref)
ABSENT(sd_bus_process)
ABSENT(sd_bus_unref)
ABSENT(sd_bus_wait)
ABSENT(sd_bus_match_signal_async)
ABSENT(sd_notify_barrier)
