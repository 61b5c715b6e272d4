# Which containerd the node has, where it keeps its configuration, and in which form it wants it.
#   CONTAINERD         program to ask, as a path on the node; empty: none can be asked
#   CONFIG             its main configuration, below ROOT
#   CONFIG_VERSION     2 or 3 (or later): the form of what is written
#   DROP_IN            file that is written whole; empty: BLOCK_FILE is edited
#   BLOCK_FILE         file that gets a block of lines at its end
#   UNIT               systemd's name of the service
K3S_DIRECTORY=/var/lib/rancher/k3s/agent/etc/containerd
RKE2_DIRECTORY=/var/lib/rancher/rke2/agent/etc/containerd
MICROK8S_ARGUMENTS=/var/snap/microk8s/current/args
K0S_DIRECTORY=/etc/k0s

find_containerd() {
  DROP_IN='' BLOCK_FILE='' UNIT=containerd BASE_TEMPLATE=''
  [ -n "$TELL_CONTAINERD" ] || return 0
  [ -n "$DISTRIBUTION" ] || DISTRIBUTION=$(detect_distribution)
  case $DISTRIBUTION in
    containerd) find_plain ;;
    k3s) find_rancher "$K3S_DIRECTORY" k3s ;;
    rke2) find_rancher "$RKE2_DIRECTORY" rke2 ;;
    k0s) find_k0s ;;
    microk8s) find_microk8s ;;
    *) die "--distribution $DISTRIBUTION is not one of containerd, k3s, rke2, k0s, microk8s" ;;
  esac
}

# The distribution that runs its own containerd comes before a package that may be there besides.
detect_distribution() {
  if [ -d "$ROOT$RKE2_DIRECTORY" ]; then printf rke2
  elif [ -d "$ROOT$K3S_DIRECTORY" ]; then printf k3s
  elif [ -d "$ROOT$MICROK8S_ARGUMENTS" ]; then printf microk8s
  elif [ -f "$ROOT$K0S_DIRECTORY/containerd.toml" ] || [ -d "$ROOT/var/lib/k0s" ]; then printf k0s
  else printf containerd; fi
}

# Runs the node's containerd.
ask() {
  if [ -z "$ROOT" ]; then "$CONTAINERD" "$@"; else chroot "$ROOT" "$CONTAINERD" "$@"; fi
}

# The first of some programs that runs: the node's containerd.
choose_program() {
  if [ -n "$CONTAINERD" ]; then
    ask --version >/dev/null 2>&1 || die "$CONTAINERD --version fails: is it a containerd that runs on this node?"
    return 0
  fi
  for program in "$@"; do
    CONTAINERD=$program
    [ -x "$ROOT$program" ] && ask --version >/dev/null 2>&1 && return 0
  done
  CONTAINERD=''
}

# 1.6, 1.7, 2.1: what `containerd --version` says, cut after the second number; empty where nobody answers.
containerd_version() {
  [ -n "$CONTAINERD" ] || return 0
  ask --version 2>/dev/null | sed -n 's/^containerd[^ ]* [^ ]* v\{0,1\}\([0-9][0-9]*\.[0-9][0-9]*\).*/\1/p' | head -n 1
}

# The `version` of a file; nothing where it has none.
version_in() {
  [ ! -f "$1" ] || sed -n '/^[[:space:]]*\[/q; s/^[[:space:]]*version[[:space:]]*=[[:space:]]*\([0-9][0-9]*\).*/\1/p' "$1" | head -n 1
}

find_plain() {
  choose_program /usr/local/bin/containerd /usr/bin/containerd /usr/sbin/containerd /opt/containerd/bin/containerd
  CONFIG=$ROOT${CONTAINERD_CONFIG:-/etc/containerd/config.toml}
  daemon=$(containerd_version)
  if [ -z "$daemon" ] && [ -z "$CONFIG_VERSION" ] && [ -z "$(version_in "$CONFIG")" ]; then
    die "there is no containerd on this node: install containerd 1.6 or later first (apt-get install containerd), or name it
with --containerd FILE and --containerd-config FILE, or leave its configuration alone with --no-containerd"
  fi
  [ -n "$CONFIG_VERSION" ] || CONFIG_VERSION=$(version_in "$CONFIG")
  case ${daemon:-$CONFIG_VERSION} in
    1.[0-5]) die "containerd $daemon is too old: 1.6 is the first that kata-edge works with" ;;
    # An import replaces the whole section of a plugin before 2.0: the handlers in the main file would be gone.
    1.* | 1 | 2)
      # A file that says no version is of the first, in which the plugin has another name.
      [ -n "$CONFIG_VERSION" ] || if [ -f "$CONFIG" ]; then CONFIG_VERSION=1; else CONFIG_VERSION=2; fi
      BLOCK_FILE=$CONFIG
      ;;
    # One of another version than the main file's is not read, or makes the main file's sections unread.
    *)
      [ -n "$CONFIG_VERSION" ] || CONFIG_VERSION=3
      DROP_IN=$(dirname -- "$CONFIG")/conf.d/kata-edge.toml
      ;;
  esac
}

# k3s and RKE2 write their configuration at every start, from a template where there is one.
find_rancher() {
  UNIT=$2
  [ "$2" = k3s ] || UNIT=rke2-server
  for agent in k3s-agent rke2-agent; do
    case $agent in "$2"-agent) [ ! -e "$ROOT/etc/systemd/system/$agent.service" ] || UNIT=$agent ;; esac
  done
  directory=$ROOT$1
  CONFIG=$directory/config.toml
  # Its containerd does not run on the template, so that there is nothing to ask.
  CONTAINERD=''
  [ -n "$CONFIG_VERSION" ] || CONFIG_VERSION=$(version_in "$CONFIG")
  [ -n "$CONFIG_VERSION" ] || die "$2 has not written $(on_node "$CONFIG") yet, which tells the form it wants: start $2 once, or say it by
--config-version 2 (containerd 1.7) or 3 (containerd 2)"
  if [ "$CONFIG_VERSION" -ge 3 ]; then name=config-v3.toml; else name=config.toml; fi
  if [ -f "$CONFIG" ] && grep '^[[:space:]]*imports' "$CONFIG" | grep -q -F "/$name.d/"; then
    DROP_IN=$directory/$name.d/kata-edge.toml
  else
    BLOCK_FILE=$directory/$name.tmpl
    BASE_TEMPLATE='{{ template "base" . }}'
  fi
}

# k0s merges what is in containerd.d into its own configuration, plugin by plugin, key by key.
find_k0s() {
  UNIT=k0sworker
  [ ! -e "$ROOT/etc/systemd/system/k0scontroller.service" ] || UNIT=k0scontroller
  CONFIG=$ROOT$K0S_DIRECTORY/containerd.toml
  choose_program /var/lib/k0s/bin/containerd
  [ -n "$CONFIG_VERSION" ] || CONFIG_VERSION=$(version_in "$CONFIG")
  if [ -z "$CONFIG_VERSION" ]; then
    case $(containerd_version) in 1.*) CONFIG_VERSION=2 ;; 2.*) CONFIG_VERSION=3 ;; *) die "k0s has not unpacked its containerd yet: start it once, or say
--config-version 2 (containerd 1.7) or 3 (containerd 2)" ;; esac
  fi
  CONTAINERD=''
  DROP_IN=$ROOT$K0S_DIRECTORY/containerd.d/kata-edge.toml
}

find_microk8s() {
  UNIT=snap.microk8s.daemon-containerd
  CONFIG=$ROOT$MICROK8S_ARGUMENTS/containerd-template.toml
  [ -f "$CONFIG" ] || die "$(on_node "$CONFIG") is not there: is MicroK8s installed completely?"
  [ -n "$CONFIG_VERSION" ] || CONFIG_VERSION=$(version_in "$CONFIG")
  [ -n "$CONFIG_VERSION" ] || die "$(on_node "$CONFIG") says no version: say --config-version 2 or 3"
  CONTAINERD=''
  BLOCK_FILE=$CONFIG
}

say_restart() {
  [ -n "$TELL_CONTAINERD" ] && [ -n "${CHANGED:-}" ] || return 0
  if [ "$RESTART" = ask ] && [ -t 0 ] && [ -t 1 ] && [ -d "$ROOT/run/systemd/system" ] && [ -z "$ROOT" ]; then
    printf 'Restart %s now? Running pods go on. [y/N] ' "$UNIT"
    read -r answer || answer=n
    case $answer in y | Y | yes) RESTART=yes ;; esac
  fi
  if [ "$RESTART" = yes ] && [ -d "$ROOT/run/systemd/system" ]; then
    notice "restarting $UNIT"
    if [ -z "$ROOT" ]; then systemctl restart "$UNIT"; else chroot "$ROOT" systemctl restart "$UNIT"; fi
  else
    notice "containerd has to be restarted to notice it: systemctl restart $UNIT (running pods go on)"
  fi
}
