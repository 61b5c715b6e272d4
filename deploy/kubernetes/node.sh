#!/bin/sh
# What the DaemonSet's pod does on its node, whose file system is at /host: installs, labels the node, waits.
# Environment: NODE_NAME, HANDLER, RESTART=yes|no, UNINSTALL=yes|no, and what Kubernetes gives every pod.
set -eu

ROOT=${HOST_ROOT:-/host}
HERE=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
ACCOUNT=${ACCOUNT_DIRECTORY:-/var/run/secrets/kubernetes.io/serviceaccount}
READY=${READY_FILE:-/tmp/installed}
LABEL=katacontainers.io/kata-runtime

restart=--no-restart
[ "${RESTART:-no}" != yes ] || restart=--restart

# By the Node that has just been installed: the image has none of its own that could run.
label() {
  TOKEN=$(cat "$ACCOUNT/token") CERTIFICATE=$(cat "$ACCOUNT/ca.crt") NODE_NAME=$NODE_NAME \
    chroot "$ROOT" "/opt/kata-edge/current/lib/node" /opt/kata-edge/current/deploy/kubernetes/label.cjs "$LABEL" "$1"
}

# The label goes first: no pod comes any more. Where pods still run everything stays, but for the label.
ended() {
  trap '' TERM INT
  kill "$waiting" 2>/dev/null || :
  [ "${UNINSTALL:-no}" = yes ] || exit 0
  label '' || echo "the node's label could not be removed" >&2
  "$HERE/install.sh" uninstall --root "$ROOT" "$restart" && exit 0
  exit 1
}

"$HERE/install.sh" install --root "$ROOT" --handler "${HANDLER:-kata}" --link-directory "${LINK_DIRECTORY:-/usr/local/bin}" "$restart"
label true
: >"$READY"
echo 'installed; waiting'
sleep 2147483647 &
waiting=$!
trap ended TERM INT
while :; do
  wait "$waiting" || :
  sleep 2147483647 &
  waiting=$!
done
