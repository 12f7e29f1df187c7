#!/bin/bash
# Install reminderd from the checkout that contains this file, on Debian 12 or a system like it; upgrade it, or roll it
# back. Running it again is safe: it does what is left to do. docs/operations.md explains each step.
set -euo pipefail
umask 022

usage() {
    cat <<'END'
usage: deploy/install.sh [--domain NAME] [--no-backup] [--root DIR]     install this checkout, or upgrade to it
       deploy/install.sh --rollback [--root DIR]                        go back to the version before

  --domain NAME  the name by which the world finds this server; sets up Caddy for it
  --no-backup    upgrade without a copy of the database
  --root DIR     lay the files out below DIR, to look at: no user, package or service is touched
  --rollback     make the version before the current one the current one again
END
}

fail() {
    echo "install.sh: $*" >&2
    exit 1
}

wrong() {
    echo "install.sh: $*" >&2
    usage >&2
    exit 2
}

root='' domain='' backup=yes verb=install
while (($#)); do
    case $1 in
        --domain | --root)
            (($# > 1)) || wrong "$1: expected a value after it"
            [[ $1 == --root ]] && root=${2%/} || domain=$2
            shift
            ;;
        --no-backup) backup=no ;;
        --rollback) verb=rollback ;;
        -h | --help)
            usage
            exit 0
            ;;
        *) wrong "$1: unknown" ;;
    esac
    shift
done
[[ $domain =~ ^[A-Za-z0-9.-]*$ ]] || wrong "--domain $domain: expected a name like reminders.example.org"
[[ $root == '' || $root == /* ]] || wrong "--root $root: expected a path that begins with /"
[[ $root != '' || $(id -u) == 0 ]] || fail "must be run as root: sudo deploy/install.sh …"

source=$(cd "$(dirname "$0")/.." && pwd)
versions=$root/opt/reminderd/versions
current=$root/opt/reminderd/current
previous=$root/opt/reminderd/previous
config=$root/etc/reminderd/config.toml
user=reminderd
[[ $root == '' ]] || user=$(id -un)

# The folders of the checkout that are installed with the program.
parts=(pyproject.toml config.example.toml docs deploy/install.sh deploy/reminderd.sh deploy/reminderd.service deploy/Caddyfile)
[[ ! -e $source/deploy/requirements.txt ]] || parts+=(deploy/requirements.txt)

say() { echo "reminderd: $*"; }

# Run a command, but not if the tests install into another folder than /.
really() { [[ $root != '' ]] || "$@"; }

# True also if the service has failed, or systemd keeps restarting it: it is meant to run.
is_meant_to_run() { [[ $root == '' && $(systemctl is-active reminderd || true) != @(inactive|unknown) ]]; }

# Run a command of one of the versions, as the daemon's user.
run_version() { # version command…
    local place=$versions/$1
    shift
    if [[ $root == '' ]]; then
        REMINDERD_VERSION=$place sh "$place/deploy/reminderd.sh" "$@"
    else
        REMINDERD_CONFIG=$config CREDENTIALS_DIRECTORY=$root/etc/reminderd/secrets "$place/bin/reminderd" "$@"
    fi
}

# Print the version that a link leads to; nothing if there is no such link.
version_at() { [[ ! -L $1 ]] || basename "$(readlink "$1")"; }

point() { # link version
    ln -sfn "versions/$2" "$1.new"
    mv -fT "$1.new" "$1"
}

# Install a file that the admin may edit: replace it only if it was not edited since the last installation; otherwise put
# the new one next to it.
put_unless_edited() { # new file, place
    local left=$root/opt/reminderd/left/${2##*/}
    if [[ ! -e $2 ]] || cmp -s "$2" "$left"; then
        cp "$1" "$2"
    elif ! cmp -s "$1" "$left" && ! cmp -s "$1" "$2"; then
        cp "$1" "$2.new"
        say "$2 is yours and is left alone; the new one is $2.new"
    fi
    mkdir -p "${left%/*}"
    cp "$1" "$left"
}

need_packages() {
    local missing=()
    python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3 python3-venv)
    [[ $domain == '' ]] || command -v caddy >/dev/null || missing+=(caddy)
    if ((${#missing[@]})); then
        say "installing ${missing[*]}"
        really apt-get update -q
        really apt-get install -q -y --no-install-recommends "${missing[@]}"
    fi
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "python3 is too old; expected 3.11 or later"
}

# Print the version's number and a hash of its content: two checkouts that differ are two versions.
name_of_source() {
    local number content
    number=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' "$source/reminderd/__init__.py")
    content=$(cd "$source" && find reminderd "${parts[@]}" -type f ! -name '*.pyc' -print0 |
        LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c 1-8)
    echo "$number-$content"
}

build() { # version
    local place=$versions/$1
    [[ -e $place/complete ]] && return
    say "building $1"
    rm -rf "$place"
    mkdir -p "$versions"
    python3 -m venv "$place"
    if [[ -e $source/deploy/requirements.txt ]]; then
        "$place/bin/pip" install -q --require-hashes -r "$source/deploy/requirements.txt"
    fi
    "$place/bin/pip" install -q "${source}[alerts,postgres]"
    (cd "$source" && cp -R --parents "${parts[@]}" "$place/")
    touch "$place/complete"
}

lay_out() { # version
    local place=$versions/$1
    id -u "$user" >/dev/null 2>&1 ||
        really useradd --system --user-group --home-dir /var/lib/reminderd --no-create-home --shell /usr/sbin/nologin "$user"
    install -d -m 0755 "$root/etc/reminderd" "$root/etc/systemd/system" "$root/usr/local/bin"
    install -d -m 0700 "$root/etc/reminderd/secrets"
    install -d -m 0700 -o "$user" -g "$(id -gn "$user")" "$root/var/lib/reminderd" "$root/var/lib/reminderd/backups"
    if [[ ! -e $config ]]; then
        sed -e 's|^url = "sqlite:///reminderd.db"|url = "sqlite:////var/lib/reminderd/reminderd.db"|' \
            -e "s|^public_base_url = \"\"|public_base_url = \"${domain:+https://$domain}\"|" \
            "$place/config.example.toml" >"$config.new"
        chmod 0640 "$config.new"
        really chgrp "$user" "$config.new"
        mv "$config.new" "$config"
        say "$config: made; set the provider, the clinic and the calling hours there"
    fi
    install -m 0755 "$place/deploy/reminderd.sh" "$root/usr/local/bin/reminderd"
    install -m 0644 "$place/deploy/reminderd.service" "$root/etc/systemd/system/reminderd.service"
    really systemctl daemon-reload
}

lay_out_caddy() { # version
    [[ $domain != '' ]] || return 0
    local new
    install -d "$root/etc/caddy" "$root/opt/reminderd/left"
    new=$(mktemp)
    sed "s|reminders\.example\.org|$domain|" "$versions/$1/deploy/Caddyfile" >"$new"
    # Debian's own file, as its package installed it: nobody has edited it.
    if [[ ! -e $root/opt/reminderd/left/Caddyfile ]] && grep -qs '^	root \* /usr/share/caddy$' "$root/etc/caddy/Caddyfile"; then
        mv "$root/etc/caddy/Caddyfile" "$root/etc/caddy/Caddyfile.debian"
    fi
    put_unless_edited "$new" "$root/etc/caddy/Caddyfile"
    chmod 0644 "$root/etc/caddy/Caddyfile"
    rm "$new"
    really caddy validate --config /etc/caddy/Caddyfile --adapter caddyfile >/dev/null 2>&1 ||
        fail "/etc/caddy/Caddyfile is not valid; see: caddy validate --config /etc/caddy/Caddyfile"
    really systemctl reload-or-restart caddy
}

# Print where the database is, as this version reads the configuration; fail if it rejects the configuration.
database_of() { # version
    local place
    place=$(run_version "$1" check-config | sed -n 's/^database: //p') && [[ $place != '' ]] || return 1
    if [[ $place == *://* ]]; then echo "$place"; else echo "$root${place#"$root"}"; fi
}

back_up() { # version that comes
    [[ $backup == yes ]] || return 0
    local database copy
    database=$(database_of "$(version_at "$current")") || return 1
    if [[ $database == *://* ]]; then
        say "$database is not backed up here, and not upgraded: see docs/postgresql.md"
        return 0
    fi
    if [[ ! -e $database ]]; then
        say "there is no database at $database, so none is backed up"
        return 0
    fi
    copy=$root/var/lib/reminderd/backups/before-$1-$(date +%Y%m%dT%H%M%S).db
    run_version "$(version_at "$current")" db backup "$copy" || return 1
    say "$database is backed up to $copy"
}

# Call this only while the daemon is stopped. A version that can't start is noticed before anything else has changed.
switch_to() { # version
    local old was_running=no
    old=$(version_at "$current")
    if is_meant_to_run; then was_running=yes; fi
    really systemctl stop reminderd
    if ! back_up "$1"; then
        [[ $was_running == no ]] || systemctl start reminderd
        fail "the backup failed, so nothing was changed; --no-backup upgrades without one"
    fi
    point "$previous" "$old"
    point "$current" "$1"
    lay_out "$1"
    start_again "$was_running"
}

start_again() { # yes if it ran before
    [[ $1 == yes ]] || return 0
    systemctl start reminderd || fail "it does not start: see journalctl -u reminderd; deploy/install.sh --rollback goes back"
    say "it runs"
}

forget_others() { # all but the current version and the one before
    local place name
    for place in "$versions"/*; do
        name=$(basename "$place")
        [[ $name == "$(version_at "$current")" || $name == "$(version_at "$previous")" ]] || rm -rf "$place"
    done
}

install_or_upgrade() {
    local new old
    need_packages
    new=$(name_of_source)
    old=$(version_at "$current")
    build "$new"
    if [[ $old == '' ]]; then
        point "$current" "$new"
        lay_out "$new"
        really systemctl enable --quiet reminderd
        say "$new is installed. Next: edit $config, then: reminderd check-config && systemctl start reminderd"
    elif [[ $old == "$new" ]]; then
        lay_out "$new"
        say "$new is installed already"
    else
        run_version "$new" check-config >/dev/null ||
            fail "the new version does not take $config as it is; nothing was changed"
        switch_to "$new"
        say "upgraded from $old to $new; deploy/install.sh --rollback goes back"
    fi
    lay_out_caddy "$new"
    forget_others
}

roll_back() {
    local now before
    now=$(version_at "$current")
    before=$(version_at "$previous")
    [[ $before != '' && -e $versions/$before/complete ]] || fail "there is no version to go back to"
    local was_running=no
    if is_meant_to_run; then was_running=yes; fi
    really systemctl stop reminderd
    point "$current" "$before"
    point "$previous" "$now"
    lay_out "$before"
    local database
    database=$(database_of "$before") ||
        fail "$before is back but does not take $config as it is, so it is not started." \
            "Correct that, or run this command again to return to $now, and start it."
    # Check that the old version can open the database, and that no newer version made it. Errors in rows don't matter.
    if [[ -e $database ]] && ! run_version "$before" db migrate >/dev/null; then
        say "$before is back but does not take the database, so it is not started." \
            "Restore the copy from before the upgrade, $root/var/lib/reminderd/backups/before-$now-….db" \
            "(docs/operations.md, Upgrade and roll back), or run this command again to return to $now, and start it."
        exit 1
    fi
    start_again "$was_running"
    say "rolled back from $now to $before"
}

if [[ $verb == rollback ]]; then roll_back; else install_or_upgrade; fi
