"""A MariaDB server of its own, on a free port of the loopback interface.

    mariadb.py [--tls=NAME ...] [SETTING=VALUE ...]

Ready: {"port": 40123, "ca": "…/ca.pem" or null}. With `--tls` it also takes TLS, by a certificate with these names. The user
`root` needs no password; every other must give its own.
"""

import os
import pwd
import shutil
import signal
import subprocess
import sys

import certificates
import lifeline

# Throw-away data: nothing is gained by waiting for the disk.
SETTINGS = {
    "bind-address": "127.0.0.1",
    "skip-name-resolve": "1",
    "innodb-flush-log-at-trx-commit": "0",
    "innodb-flush-method": "nosync",
    "innodb-buffer-pool-size": "256M",
    "innodb-log-file-size": "64M",
    "max-connections": "100",
    "performance-schema": "off",
    "local-infile": "1",
    "tmp-table-size": "128M",
    "max-heap-table-size": "128M",
}

USERS = """\
CREATE USER IF NOT EXISTS 'root'@'127.0.0.1' IDENTIFIED BY '';
GRANT ALL ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;
"""


def owner():
    """Its packaged user runs it, as PostgreSQL's does."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("mysql")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def program(name):
    """Debian keeps servers where a user's PATH need not reach."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin:/usr/local/sbin")
    if not found:
        raise lifeline.NotStarted(f"{name} is missing: install mariadb-server, or run tests/run")
    return found


def make(path, owner):
    """A data folder with the system's tables."""
    data = os.path.join(path, "data")
    os.makedirs(data)
    if owner:
        for folder in (path, data):
            os.chown(folder, owner["user"], owner["group"])
    command = [program("mariadb-install-db"), "--no-defaults", f"--datadir={data}", f"--tmpdir={path}"]
    command += ["--auth-root-authentication-method=normal", "--skip-test-db", "--innodb-flush-method=nosync"]
    made = subprocess.run(command, capture_output=True, text=True, cwd=path, **owner)
    if made.returncode != 0:
        raise lifeline.NotStarted(f"mariadb-install-db ended with {made.returncode}:\n{made.stdout}{made.stderr}")
    users = os.path.join(path, "users.sql")
    with open(users, "w") as file:
        file.write(USERS)
    return data, users


def start(path, data, users, settings, owner):
    """The first start that gets its port; another process can take a free one in between."""
    log = os.path.join(path, "log")
    for remaining in range(9, -1, -1):
        port = lifeline.free_port()
        pid_file = os.path.join(path, "pid")
        command = [program("mariadbd"), "--no-defaults", f"--datadir={data}", f"--tmpdir={path}", f"--port={port}"]
        command += [f"--socket={os.path.join(path, 'socket')}", f"--pid-file={pid_file}", f"--init-file={users}"]
        command += [f"--{name}={value}" for name, value in settings.items()]
        server = lifeline.start(command, log, cwd=path, **owner)

        def ready():
            return "ready for connections" in lifeline.tail(log)

        try:
            lifeline.wait_until(ready, server, log, seconds=60)
            return server, port
        except lifeline.NotStarted:
            lifeline.stop(server, first=signal.SIGKILL)
            if not remaining or "Address already in use" not in lifeline.tail(log):
                raise
            os.remove(log)


def main(*arguments):
    names = [argument.removeprefix("--tls=") for argument in arguments if argument.startswith("--tls=")]
    settings = SETTINGS | dict(argument.split("=", 1) for argument in arguments if not argument.startswith("--"))
    with lifeline.folder("mariadb") as path:
        own = owner()
        data, users = make(path, own)
        ca = None
        if names:
            ca, certificate, key = certificates.make(path, names)
            for file in (ca, certificate, key):
                if own:
                    os.chown(file, own["user"], own["group"])
            settings |= {"ssl-cert": certificate, "ssl-key": key, "ssl-ca": ca}
        server, port = start(path, data, users, settings, own)
        try:
            lifeline.announce(port=port, ca=ca)
            lifeline.hold(lambda: server.poll() is None)
        finally:
            lifeline.stop(server, first=signal.SIGKILL)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except lifeline.NotStarted as error:
        sys.exit(str(error))
