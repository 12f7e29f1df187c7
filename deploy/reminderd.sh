#!/bin/sh
# Run a command of reminderd as its own user, with its configuration and secrets: `reminderd list`, `reminderd show 7`.
# deploy/install.sh puts it into /usr/local/bin. It asks for root by sudo, as only root can read the secrets.
set -eu
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "reminderd: must be run as root" >&2 && exit 1; }
    exec sudo -- "$0" "$@"
fi
# Another configuration could send the secrets anywhere: a user who may run this, but is not root, can't choose one.
if [ "${SUDO_USER:-root}" != root ]; then
    if env | grep -q '^REMINDERD_CONFIG=\|^REMINDERD__'; then
        echo "reminderd: \$REMINDERD_CONFIG and \$REMINDERD__… are for root alone, as in sudo -i" >&2
        exit 2
    fi
    for argument; do
        case $argument in
            --config | --config=*)
                echo "reminderd: --config is for root alone, as in sudo -i" >&2
                exit 2
                ;;
        esac
    done
fi
user=${REMINDERD_USER:-reminderd}
version=${REMINDERD_VERSION:-/opt/reminderd/current}
secrets=${REMINDERD_SECRETS:-/etc/reminderd/secrets}
REMINDERD_CONFIG=${REMINDERD_CONFIG:-/etc/reminderd/config.toml}
LOGNAME=${SUDO_USER:-${LOGNAME:-root}} # for the audit: who is at the keyboard
STATE_DIRECTORY=/var/lib/reminderd # as StateDirectory=reminderd does for the unit
export REMINDERD_CONFIG LOGNAME STATE_DIRECTORY

# As LoadCredential=secret:/etc/reminderd/secrets does for the unit: a copy in memory for the daemon's user only.
trap : HUP INT TERM # the command ends by itself; then the copy is removed
CREDENTIALS_DIRECTORY=$(mktemp -d /run/reminderd.XXXXXXXX)
export CREDENTIALS_DIRECTORY
trap 'rm -rf "$CREDENTIALS_DIRECTORY"' EXIT
chmod 0711 "$CREDENTIALS_DIRECTORY"
for secret in "$secrets"/*; do
    if [ -f "$secret" ]; then
        install -m 0400 -o "$user" "$secret" "$CREDENTIALS_DIRECTORY/secret_${secret##*/}"
    fi
done
status=0
setpriv --reuid="$user" --regid="$user" --init-groups --no-new-privs "$version/bin/reminderd" "$@" || status=$?
exit "$status"
