#!/bin/sh
# Applies goldsmith's elements to this instance, once.  Made by `goldsmith cloud-config`; what it carries is at its end.
#
# cloud-init runs it as a boothook: at every boot, in its network stage, before any of its modules and before
# network-online.target.  No part of user-data runs earlier: with a datasource on the network, user-data is only
# looked at after the network is up.  So the network is configured anew at the end, within the same boot.
#
# It does what diskimage-builder does inside an image: environment.d, static files, then the scripts of each phase in
# the order of their names, and boot.d last.  A script there asks for what only a running guest needs:
#     touch "$GOLDSMITH_BOOT/network"    the network's configuration has changed
#     touch "$GOLDSMITH_BOOT/reboot"     only a reboot makes it real; it is done once, and at once
# Nothing is changed where the image is not of the release it was made for, or a package is missing.
digest=@DIGEST@
distribution=@DISTRIBUTION@
release=@RELEASE@

state=/var/lib/goldsmith/cloud-config
work=$state/work
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
GOLDSMITH_BOOT=$work/wanted
export PATH LC_ALL GOLDSMITH_BOOT
umask 022

[ ! -e "$state/$digest.done" ] || exit 0

say() {
    echo "goldsmith cloud-config: $*"
}

die() {
    say "$*; it is tried again at the next boot"
    rm -rf "$work"
    exit 1
}

# @PACKAGES@

run_phase() {
    for script in "$work/$1"/*; do
        [ -x "$script" ] || continue
        say "$1/${script##*/}"
        # shellcheck disable=SC2016
        bash -c '
            . "$0/variables"
            for file in "$0"/environment.d/*; do
                [ ! -r "$file" ] || . "$file"
            done
            exec "$1"' "$work" "$script" </dev/null || die "$1/${script##*/} failed"
    done
}

apply_network() {
    if systemctl is-enabled --quiet systemd-networkd.service; then
        # A restarted networkd keeps the routes that router advertisements gave under the old configuration.  Nothing of
        # a NIC survives that it goes down; networkd brings it up again.
        for nic in /sys/class/net/*/device; do
            nic=${nic%/device}
            [ ! -e "$nic" ] || ip link set dev "${nic##*/}" down
        done
        systemctl restart systemd-networkd.service || die "systemd-networkd did not come up again"
        # What is ordered after network-online.target waits for cloud-init, so for this.
        /usr/lib/systemd/systemd-networkd-wait-online --timeout=30 ||
            say "not every NIC was configured within 30 s"
        return
    fi
    # A manager that has not been started yet finds its new configuration when it is.
    for unit in networking.service NetworkManager.service dhcpcd.service; do
        if systemctl is-active --quiet "$unit"; then
            systemctl restart "$unit" || say "$unit did not come up again without an error"
        fi
    done
}

mkdir -p "$state" && rm -rf "$work" && mkdir "$work" || exit 1
sed '1,/^__PAYLOAD__$/d' "$0" | base64 -d | tar -xzf - -C "$work" || die "what it carries is damaged"
mkdir -p "$GOLDSMITH_BOOT" || exit 1

id=$(. /etc/os-release && echo "$ID")
versions=$(. /etc/os-release && echo "${VERSION_CODENAME:-} ${VERSION_ID:-} ${VERSION_ID%%.*}")
case "$id/ $versions " in
    "$distribution/"*" $release "*) ;;
    *) die "made for $distribution $release, and this is $id $versions: nothing was changed" ;;
esac
command -v bash >/dev/null || die "there is no bash in this image: nothing was changed"
missing=
while read -r package; do
    has_package "$package" || missing="$missing $package"
done <"$work/packages"
if [ -n "$missing" ]; then
    [ -e "$work/may-install" ] ||
        die "packages are missing:$missing: nothing was changed (goldsmith cloud-config --packages lets it install them)"
    # shellcheck disable=SC2086
    install_missing $missing || die "could not install$missing"
fi

run_phase pre-install.d
if [ -d "$work/static" ]; then
    say static
    tar -C "$work/static" -cf - . |
        tar -C / -xpf - --no-same-owner --no-overwrite-dir --keep-directory-symlink || die "static files failed"
fi
for phase in install.d post-install.d finalise.d boot.d; do
    run_phase "$phase"
done

if [ -e "$GOLDSMITH_BOOT/reboot" ]; then
    # The stamp comes first: whatever happens now, there is one reboot and no more.
    rm -rf "$work"
    touch "$state/$digest.done" || exit 1
    sync
    say "rebooting, once: an element needs it"
    # Nothing of the user's own has run yet, so all of it runs after the reboot; without this file, part handlers too.
    rm -f /var/lib/cloud/instance/sem/consume_data
    systemctl reboot || exit 1
    # cloud-init must not go on in the meantime; systemd ends it, and this with it.
    exec sleep 300
fi
[ ! -e "$GOLDSMITH_BOOT/network" ] || apply_network
rm -rf "$work"
touch "$state/$digest.done" || exit 1
say applied
exit 0
