#!/bin/bash
# initramfs.sh SCRIPT ROOT WORK TAR: in the tree ROOT, which lacks a kernel's initramfs, run SCRIPT, which makes it.  What is
# made is packed into TAR, and ROOT stays as it is: the work is done on an overlay in the empty folder WORK.  Exits 75 where
# there can be none.  Without WORK and TAR it is done in ROOT itself.  Root's, in a mount namespace of its own.
set -eu
set -o pipefail

script=$1
root=$2
work=${3-}
tar=${4-}
no_overlay=75

made_in() (
    mount -t proc proc "$1/proc"
    mount -t sysfs -o ro sysfs "$1/sys"
    mount --rbind --make-rslave /dev "$1/dev"
    # Lazily: with what is mounted below them, which cannot be undone one by one in a user's namespace.
    trap 'umount --lazy "$1/proc" "$1/sys" "$1/dev"' EXIT
    chroot "$1" /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C \
        SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" bash -c "$(cat "$script")" </dev/null
)

if [ -z "$work" ]; then
    made_in "$root"
    exit
fi
mkdir "$work/upper" "$work/work" "$work/merged"
mount -t overlay -o "lowerdir=$root,upperdir=$work/upper,workdir=$work/work" overlay "$work/merged" || exit "$no_overlay"
trap 'umount --lazy "$work/merged"' EXIT
made_in "$work/merged"
find "$work/upper/tmp" "$work/upper/var/tmp" -mindepth 1 -delete 2>/dev/null || true
# How an overlay notes that a file was removed.
if [ -n "$(find "$work/upper" -type c -print -quit)" ]; then
    exit "$no_overlay"
fi
tar -C "$work/upper" --numeric-owner -cf "$tar" .
