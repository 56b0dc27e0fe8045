//! Debian's names for what brings a program.

/// The package of a program or a file; its own name where they are the same, or where it is not in the table.
pub fn of(program: &str) -> &str {
    PACKAGES.iter().find(|(known, _)| *known == program).map_or(program, |(_, package)| package)
}

const PACKAGES: &[(&str, &str)] = &[
    ("abidiff", "abigail-tools"),
    ("apache2", "apache2-bin"),
    ("aria2c", "aria2"),
    ("cc", "gcc"),
    ("clang++", "clang"),
    ("dpkg-query", "dpkg"),
    ("diff", "diffutils"),
    ("fusermount3", "fuse3"),
    ("head", "coreutils"),
    ("ip", "iproute2"),
    ("mkfs.btrfs", "btrfs-progs"),
    ("mkfs.xfs", "xfsprogs"),
    ("mount", "mount"),
    ("nm", "binutils"),
    ("prlimit", "util-linux"),
    ("setpriv", "util-linux"),
    ("ssh-add", "openssh-client"),
    ("ssh-agent", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("sshd", "openssh-server"),
    ("tr", "coreutils"),
    ("unshare", "util-linux"),
    ("wasm-ld", "lld"),
    ("webfsd", "webfs"),
    ("/usr/bin/python3", "python3"),
    ("/usr/lib/python3/dist-packages/OpenSSL/SSL.py", "python3-openssl"),
    ("/usr/lib/python3/dist-packages/asyncssh/__init__.py", "python3-asyncssh"),
    ("/usr/lib/python3/dist-packages/pyftpdlib/servers.py", "python3-pyftpdlib"),
    ("/usr/lib/python3/dist-packages/whitenoise/base.py", "python3-whitenoise"),
    ("/usr/share/nginx/src/conf_flags", "nginx-dev"),
    ("/usr/include/wasm32-wasi/stdio.h", "wasi-libc libclang-rt-dev-wasm32"),
];
