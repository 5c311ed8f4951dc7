#!/bin/bash
# Runs inside the image, in libguestfs's appliance: run NAME... installs what is missing of these packages, then does
# what diskimage-builder's dib-run-parts does for each phase, in one go: each program costs tens of milliseconds there.
# This folder is what diskimage-builder calls the hooks; it is removed from the image at the end.
set -eu
set -o pipefail

hooks=/tmp/in_target.d
export HOME=/root LC_ALL=C
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
unset TMPDIR
umask 022
exec </dev/null >>"$hooks/log" 2>&1

packages() {
    local missing=() package
    # shellcheck disable=SC1091
    . "$hooks/install_packages.sh"
    for package in "$@"; do
        has_package "$package" || missing+=("$package")
    done
    if [ "${#missing[@]}" -eq 0 ]; then
        return
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
    unset APT_CONFIG
}

static() {
    # As in a boot-time customisation: folders that are links in the image stay links.
    tar -C "$hooks/static" -cf - . |
        tar -C / -xpf - --no-same-owner --no-overwrite-dir --keep-directory-symlink
}

# PHASE: its scripts, which the file `scripts` has in their order, with environment.d sourced once before them.
phase() (
    # shellcheck disable=SC1091
    . "$hooks/variables"
    for file in "$hooks"/environment.d/*; do
        if [ -f "$file" ]; then
            # shellcheck disable=SC1090
            . "$file"
        fi
    done
    while read -r script <&3; do
        if [ "${script%%/*}" = "$1" ]; then
            started=${EPOCHREALTIME:-0}
            echo "== $script"
            "$hooks/$script" 3<&-
            echo "== $script: from $started to ${EPOCHREALTIME:-0}"
        fi
    done 3<"$hooks/scripts"
)

# A manifest has them as the package manager names them; architectures of rpm are the kernel's.
list_packages() {
    if [ -x /usr/bin/dpkg-query ]; then
        dpkg-query -W -f '${db:Status-Abbrev}\t${Package}\t${Version}\t${Architecture}\n'
    elif [ -x /usr/bin/rpm ]; then
        rpm -qa --qf 'ii\t%{NAME}\t%{EVR}\t%{ARCH}\n'
    fi
}

packages "$@"
phase pre-install.d
if [ -d "$hooks/static" ]; then
    static
fi
for name in install.d post-install.d finalise.d; do
    phase "$name"
done
list_packages >"$hooks/installed"
