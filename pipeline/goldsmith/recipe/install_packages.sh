#!/bin/sh
# Packages of the image, from its own package manager; what is applied at boot and what is applied offline use it.

has_package() {
    if command -v dpkg-query >/dev/null; then
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
    else
        rpm -q "$1" >/dev/null 2>&1
    fi
}

# Services must not be started by package scripts: this early, systemd would wait for us and we for it.
install_missing() {
    policy=/usr/sbin/policy-rc.d
    status=0
    if command -v apt-get >/dev/null; then
        [ -e "$policy" ] && policy=
        if [ -n "$policy" ]; then
            printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 0755 "$policy"
        fi
        apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -qy --no-install-recommends install "$@" || status=1
        [ -z "$policy" ] || rm -f "$policy"
    elif command -v dnf >/dev/null; then
        dnf -qy install "$@" || status=1
    else
        yum -qy install "$@" || status=1
    fi </dev/null
    return "$status"
}
