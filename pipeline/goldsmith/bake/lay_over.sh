#!/bin/bash
# lay_over.sh ROOT HOOKS: in a tree that lies in ROOT, do what diskimage-builder does from its first phase inside the tree
# to its last outside of it, with the elements that were unpacked into HOOKS.  Root's, in a mount namespace of its own;
# the scripts' words go to HOOKS/log.
set -eu
set -o pipefail

root=$1
hooks=$2
inside=/tmp/in_target.d

mounted() {
    mount -t proc proc "$root/proc"
    mount -t sysfs -o ro sysfs "$root/sys"
    mount --rbind --make-rslave /dev "$root/dev"
}

# As diskimage-builder: the tree's own lies beside while scripts run, and comes back unless one of them made a link.
resolver_aside() {
    if [ -L "$root/etc/resolv.conf" ] || [ -f "$root/etc/resolv.conf" ]; then
        mv "$root/etc/resolv.conf" "$root/etc/resolv.conf.ORIG"
        if [ -L "$root/etc/resolv.conf.ORIG" ]; then
            cp -P "$root/etc/resolv.conf.ORIG" "$root/etc/resolv.conf"
        else
            cat /etc/resolv.conf >"$root/etc/resolv.conf" 2>/dev/null || : >"$root/etc/resolv.conf"
        fi
    fi
}

resolver_back() {
    if [ -L "$root/etc/resolv.conf" ]; then
        rm -f "$root/etc/resolv.conf.ORIG"
    elif [ -L "$root/etc/resolv.conf.ORIG" ] || [ -f "$root/etc/resolv.conf.ORIG" ]; then
        mv -f "$root/etc/resolv.conf.ORIG" "$root/etc/resolv.conf"
    fi
}

# The phase that works on the tree from outside.
clean_up() (
    if [ ! -d "$hooks/cleanup.d" ]; then
        return
    fi
    # shellcheck disable=SC1091
    . "$hooks/variables"
    for file in "$hooks"/environment.d/*; do
        if [ -f "$file" ]; then
            # shellcheck disable=SC1090
            . "$file"
        fi
    done
    export TARGET_ROOT=$root TMP_HOOKS_PATH=$hooks
    find "$hooks/cleanup.d" -type f -printf '%f\n' | sort -n | while read -r script; do
        echo "== cleanup.d/$script"
        "$hooks/cleanup.d/$script" </dev/null
    done
)

mkdir -p "$root/proc" "$root/sys" "$root/dev" "$root/tmp"
mounted
# Lazily: with what is mounted below them, which cannot be undone one by one in a user's namespace.
trap 'umount --lazy "$root/proc" "$root/sys" "$root/dev"' EXIT
resolver_aside
cp -a "$hooks" "$root$inside"
status=0
chroot "$root" "$inside/run" </dev/null || status=$?
cp "$root$inside/log" "$hooks/log"
if [ "$status" -ne 0 ]; then
    exit "$status"
fi
cp "$root$inside/installed" "$hooks/installed"
rm -rf "${root:?}$inside"
clean_up >>"$hooks/log" 2>&1
resolver_back
find "$root/tmp" -mindepth 1 -maxdepth 1 -exec rm -rf --one-file-system '{}' +
find "$root/var/log" -type f -exec truncate --size=0 '{}' +
find "$root/root" -name '*.log' -type f -delete
