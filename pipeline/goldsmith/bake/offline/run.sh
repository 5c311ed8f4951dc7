#!/bin/bash
# Runs inside the image, in libguestfs's appliance: run PHASE, run static, or run packages NAME...
# This folder is what diskimage-builder calls the hooks; it is removed from the image at the end.
set -eu

hooks=/tmp/in_target.d
export HOME=/root LC_ALL=C
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
unset TMPDIR
umask 022
exec </dev/null >>"$hooks/log" 2>&1

echo "== $*"
case $1 in
    packages)
        shift
        . "$hooks/install_packages.sh"
        missing=()
        for package in "$@"; do
            has_package "$package" || missing+=("$package")
        done
        if [ "${#missing[@]}" -eq 0 ]; then
            exit 0
        fi
        if [ ! -e "$hooks/may-install" ]; then
            echo "missing: ${missing[*]}"
            exit 10
        fi
        if [ -e "$hooks/apt.conf" ]; then
            export APT_CONFIG=$hooks/apt.conf
            mkdir -p "$hooks/lists/partial" "$hooks/archives/partial"
        fi
        install_missing "${missing[@]}"
        ;;
    static)
        # As in a boot-time customisation: folders that are links in the image stay links.
        tar -C "$hooks/static" -cf - . |
            tar -C / -xpf - --no-same-owner --no-overwrite-dir --keep-directory-symlink
        ;;
    *)
        # shellcheck disable=SC1091
        . "$hooks/variables"
        exec "$hooks/dib-run-parts" "$hooks/$1"
        ;;
esac
