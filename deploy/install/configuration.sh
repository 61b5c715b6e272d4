# The default configuration.toml, and what the operator chose at an earlier install.
CONFIGURATION=/etc/kata-containers/configuration.toml
SEARCHED="$CONFIGURATION /usr/share/defaults/kata-containers/configuration.toml /opt/kata/share/defaults/kata-containers/configuration.toml
/etc/kata-containers/runtime-rs/configuration.toml /usr/share/defaults/kata-containers/runtime-rs/configuration.toml
/opt/kata/share/defaults/kata-containers/runtime-rs/configuration.toml"
# The operator's choices for the package's scripts: lines NAME=value.
CHOICES=/etc/kata-edge/install.conf
CHOICE_NAMES='HANDLER DISTRIBUTION CONTAINERD CONTAINERD_CONFIG CONFIG_VERSION CONFIG_PATH LINKS TELL_CONTAINERD'

# Command line before file before the last install before the default.
remembered_choices() {
  for file in "$ROOT$CHOICES" "$VAR/choices"; do
    [ -f "$file" ] || continue
    while IFS='=' read -r name value; do
      case " $CHOICE_NAMES " in *" $name "*) ;; *) continue ;; esac
      case $name in
        HANDLER) : "${HANDLER:=$value}" ;;
        DISTRIBUTION) : "${DISTRIBUTION:=$value}" ;;
        CONTAINERD) : "${CONTAINERD:=$value}" ;;
        CONTAINERD_CONFIG) : "${CONTAINERD_CONFIG:=$value}" ;;
        CONFIG_VERSION) : "${CONFIG_VERSION:=$value}" ;;
        CONFIG_PATH) : "${CONFIG_PATH:=$value}" ;;
        LINKS) : "${LINKS:=$value}" ;;
        TELL_CONTAINERD) [ "$value" != no ] || TELL_CONTAINERD='' ;;
      esac
    done <"$file"
  done
  : "${HANDLER:=kata}"
  : "${LINKS:=/usr/local/bin}"
  # What was said, before anything is found out: containerd may be another at the next install.
  CHOSEN="HANDLER=$HANDLER
CONTAINERD_CONFIG=$CONTAINERD_CONFIG
CONFIG_PATH=$CONFIG_PATH
LINKS=$LINKS"
}

check_options() {
  case $HANDLER in
    '' | -* | *- | *[!a-z0-9-]*) die "--handler $HANDLER: a RuntimeClass's handler is made of a-z, 0-9 and - and begins and ends with a letter or digit" ;;
  esac
  for path in "$CONFIG_PATH" "$CONTAINERD_CONFIG" "$LINKS" "$CONTAINERD"; do
    case $path in
      '') ;;
      *[\"\\]*) die "$path: a path with \" or \\ cannot be written to containerd's configuration" ;;
      /*) ;;
      *) die "$path must be an absolute path" ;;
    esac
  done
  case $CONFIG_VERSION in '' | [1-4]) ;; *) die "--config-version $CONFIG_VERSION is not one of 1, 2, 3, 4" ;; esac
  [ -z "$CONFIG_PATH" ] || [ -f "$ROOT$CONFIG_PATH" ] || die "--config-path $CONFIG_PATH is not a file"
}

remember_choices() {
  [ -z "$DRY" ] || return 0
  printf '%s\n' "$CHOSEN" >"$VAR/choices"
  rm -f "$VAR/uninstalling"
}

# An operator's file is never touched; a default of an earlier version that nobody has edited is renewed.
# VAR/configuration has the checksum of what was written: it outlives an uninstall that keeps the file.
write_configuration() {
  default=$TREE/share/defaults/kata-containers/configuration.toml
  [ -f "$default" ] || return 0
  for file in $SEARCHED; do
    [ -f "$ROOT$file" ] || continue
    if [ "$file" = "$CONFIGURATION" ] && configuration_is_ours; then continue; fi
    [ ! -f "$VAR/configuration" ] ||
      notice "$file has been edited: it stays; the new default is $(on_node "$OPT")/current/share/defaults/kata-containers/configuration.toml"
    return 0
  done
  if [ -f "$ROOT$CONFIGURATION" ] && cmp -s -- "$default" "$ROOT$CONFIGURATION"; then return 0; fi
  doing "write the default $CONFIGURATION" || return 0
  make_parents "$ROOT$CONFIGURATION"
  cp -- "$default" "$ROOT$CONFIGURATION.new"
  chmod 0644 "$ROOT$CONFIGURATION.new"
  mv -f -- "$ROOT$CONFIGURATION.new" "$ROOT$CONFIGURATION"
  sum_of "$ROOT$CONFIGURATION" >"$VAR/configuration"
}

configuration_is_ours() {
  [ -f "$VAR/configuration" ] && [ -f "$ROOT$CONFIGURATION" ] &&
    [ "$(sum_of "$ROOT$CONFIGURATION")" = "$(cat "$VAR/configuration")" ]
}

remove_configuration() {
  [ -z "$KEEP_CONFIGURATION" ] || return 0
  if configuration_is_ours; then
    doing "remove $CONFIGURATION" || return 0
    rm -f -- "$ROOT$CONFIGURATION"
  elif [ -f "$VAR/configuration" ] && [ -f "$ROOT$CONFIGURATION" ]; then
    warn "$CONFIGURATION has been edited: it stays"
  fi
  [ -n "$DRY" ] || rm -f -- "$VAR/configuration"
}
