"""For each rule of residue that reads files: a text in which it must find something, and texts in which it must not.

A rule without an entry finds any file of its names that is not empty.
"""

from __future__ import annotations

_KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nsecret-words\n"

#: rule to texts; the rule fires in each on its own
FOUL: dict[str, tuple[str, ...]] = {
    "passwords": ("root:$y$j9T$secret-words:20000:0:99999:7:::\n", "bin:*:1::::::\nops::20000:0:99999:7:::\n"),
    "authorized-keys": ("# mine\nssh-ed25519 AAAAsecret-words me@build\n",),
    "private-keys": (
        _KEY,
        "-----BEGIN PRIVATE KEY-----\n",
        "-----BEGIN RSA PRIVATE KEY-----\n",
        "-----BEGIN PGP PRIVATE KEY BLOCK-----\n",
        "# created\nAGE-SECRET-KEY-1QQQ\n",
        "PuTTY-User-Key-File-3: ssh-ed25519\n",
    ),
    "tls-keys": (_KEY, "text\n-----BEGIN EC PRIVATE KEY-----\n"),
    "openrc": ("export OS_USERNAME=me\nexport OS_PASSWORD='secret-words'\n", "OS_TOKEN=secret\n"),
    "registry-tokens": (
        '{"auths": {"registry.example": {"auth": "c2VjcmV0"}}}',
        "//registry.example/:_authToken=secret\n",
        "[pypi]\nusername = me\npassword = secret\n",
        '[registry]\ntoken = "secret"\n',
        "---\n:rubygems_api_key: secret\n",
        "<server><password>secret</password></server>",
    ),
    "repository-credentials": (
        "machine mirror.example login me password secret\n",
        "[r]\npassword=secret\n",
        "[main]\nproxy_password = secret\n",
    ),
    "url-credentials": ("deb http://me:secret@mirror.example/debian trixie main\n",),
    "network-secrets": (
        "[wifi-security]\npsk=secret\n",
        "[Interface]\nPrivateKey = secret\n",
        '  wifis:\n    w:\n      password: "secret"\n',
    ),
    "cloud-config-passwords": (
        "#cloud-config\npassword: secret\n",
        "users:\n  - name: me\n    passwd: $6$secret\n",
        "users:\n  - plain_text_passwd: 'secret'\n",
    ),
    "debconf-passwords": ("Name: mysql-server/root_password\nValue: secret\n",),
    "machine-id": ("0123456789abcdef0123456789abcdef\n",),
    "hostname": ("build-host\n", "localhost2\n"),
    "hosts": ("127.0.0.1 localhost\n10.1.2.3 mirror.example\n", "127.0.1.1 build-host\n", "fd00::1 build-host\n"),
    "pinned-nic": (
        "DEVICE=eth0\nHWADDR=52:54:00:12:34:56\n",
        "[ethernet]\nmac-address=52:54:00:12:34:56\n",
        'SUBSYSTEM=="net", ACTION=="add", ATTR{address}=="52:54:00:12:34:56", NAME="eth0"\n',
    ),
    "storage-identity": (
        "InitiatorName=iqn.1993-08.org.debian:01:abc\n",
        "0da4ed0a-2b3a-4a3f-9a3e-6f3a8b7c9d10\n",
        "nqn.2014-08.org.nvmexpress:uuid:0da4ed0a\n",
    ),
    "storage-devices": ("# made by LVM\nIDTYPE=sys_serial DEVNAME=/dev/vda2\n", "/3600a0b80000f1e42/\n"),
    "package-indexes": ("[global]\nindex-url = https://index.example/simple\n", "registry=https://index.example/\n"),
    "proxies": (
        'Acquire::http::Proxy "http://cache.example:3142";\n',
        'Acquire { http { Proxy "http://cache.example:3142"; }; };\n',
        "[main]\nproxy=http://cache.example:3128\n",
        "export https_proxy=http://cache.example:3128\n",
        'HTTP_PROXY="http://cache.example:3128"\n',
        "DefaultEnvironment=http_proxy=http://cache.example:3128\n",
        "http_proxy = http://cache.example:3128/\n",
    ),
    "build-mirrors": (
        "deb http://localhost:3142/debian trixie main\n",
        "deb [trusted=yes] http://10.0.0.1/debian trixie main\n",
        "deb http://me@172.20.1.1/debian trixie main\n",
        "Types: deb\nURIs: http://cache/debian\n",
        "[base]\nbaseurl=https://mirror.corp/rocky/\n",
        "deb http://mirror.office.internal:8081/debian trixie main\n",
        "deb file:/srv/debian trixie main\n",
        "URIs: copy:/srv/debian\n",
        "deb http://[fd00::1]/debian trixie main\n",
    ),
    "resolver": ("nameserver 10.0.2.3\n", "# made\nsearch office.example\nnameserver 127.0.0.53\n"),
}

#: rule to texts in which it finds nothing
CLEAN: dict[str, tuple[str, ...]] = {
    "passwords": (
        "root:*:20000:0:99999:7:::\nsshd:!:20000::::::\nnet:!*:1::::::\nold:!!:1::::::\nwas:!$y$j9T$x:1::::::\n",
        "root:x:0:0:root:/root:/bin/bash\n",
    ),
    "authorized-keys": ("# nobody\n\n",),
    "private-keys": ("-----BEGIN PUBLIC KEY-----\n", "ssh-ed25519 AAAA\n", "x" * 65536 + "BEGIN PRIVATE KEY"),
    "tls-keys": ("-----BEGIN CERTIFICATE-----\n",),
    "openrc": ("export OS_USERNAME=me\nexport OS_PASSWORD=$OS_PASSWORD_INPUT\n",),
    "registry-tokens": ('{"credsStore": "pass", "auths": {}}', "registry=https://index.example/\n"),
    "repository-credentials": ("[r]\nbaseurl=https://mirror.example/\n# password=none\ngpgcheck=1\n",),
    "url-credentials": ("deb http://mirror.example:8080/debian trixie main\n# http://me:secret@x/\n",),
    "network-secrets": ("network:\n  ethernets:\n    ens3: {dhcp4: true}\n", "[ipv4]\nmethod=auto\n"),
    "cloud-config-passwords": ("system_info:\n  default_user:\n    lock_passwd: True\nssh_pwauth: false\n",),
    "debconf-passwords": ("Name: x/password\nTemplate: x/password\nValue:\nOwners: x\n",),
    "machine-id": ("uninitialized\n", "\n"),
    "hostname": ("localhost\n", "localhost.localdomain\n", "# none\n"),
    "hosts": (
        "127.0.0.1\tlocalhost\n::1 localhost ip6-localhost\nff02::1 ip6-allnodes\nfe00::0 ip6-localnet\n# 10.0.0.1 x\n"
        "127.0.1.1 localhost\n",
    ),
    "pinned-nic": ("DEVICE=eth0\nBOOTPROTO=dhcp\n", "[ethernet]\n"),
    "storage-identity": ("GenerateName=yes\n",),
    "storage-devices": ("# none\n",),
    "package-indexes": ("[global]\nbreak-system-packages = true\n",),
    "proxies": (
        'Acquire::http::Proxy "DIRECT";\n// Acquire::http::Proxy "http://cache.example";\n',
        "# http_proxy=http://cache.example\nno_proxy=169.254.169.254\nNO_PROXY=169.254.169.254\n",
        "[main]\nproxy=_none_\n",
    ),
    "build-mirrors": (
        "deb http://mirror.example/debian trixie main\n# deb http://localhost/debian trixie main\n",
        "Types: deb\nURIs: mirror+file:///etc/apt/mirrors/debian.list\nSigned-By: /usr/share/keyrings/x.gpg\n",
        "[base]\nmirrorlist=https://mirrors.example/?arch=$basearch\n#baseurl=http://localhost/\n"
        "gpgkey=file:///etc/pki/rpm-gpg/KEY\n",
        "deb http://172.32.0.1/debian trixie main\n",
    ),
    "resolver": ("nameserver 127.0.0.53\noptions edns0\nsearch .\n", "# nameserver 10.0.2.3\n"),
}
