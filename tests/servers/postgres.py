"""A PostgreSQL cluster of its own, on a free port of the loopback interface.

    postgres.py BIN_DIR [--tls=NAME ...] [SETTING=VALUE ...]

Ready: {"port": 40123, "ca": "…/ca.pem" or null}. With `--tls` it also takes TLS, by a certificate with these names. The
superuser `postgres` needs no password; every other role must give its own, as in production.
Each line that comes on standard input is a command, answered by one line: `crash` kills the server without a checkpoint,
`start` starts it again on the same port over the same data.
"""

import os
import pwd
import signal
import subprocess
import sys

import certificates
import lifeline

HBA = """\
host all postgres 127.0.0.1/32 trust
host all all      127.0.0.1/32 scram-sha-256
"""

# Throw-away data: nothing is gained by waiting for the disk.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "log_min_messages": "warning",
    "logging_collector": "off",
}


def owner():
    """PostgreSQL refuses to run as root: then its packaged user runs it."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


class Cluster:
    """One data folder, and at most one server over it."""

    def __init__(self, bin_dir, path, settings):
        self.postgres = os.path.join(bin_dir, "postgres")
        self.data = os.path.join(path, "data")
        self.log = os.path.join(path, "log")
        self.settings = SETTINGS | settings
        self.owner = owner()
        self.port = None
        self.server = None
        if self.owner:
            os.chown(path, self.owner["user"], self.owner["group"])
        command = [os.path.join(bin_dir, "initdb"), "-D", self.data, "-U", "postgres", "-A", "trust"]
        command += ["-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        made = subprocess.run(command, capture_output=True, text=True, cwd=path, **self.owner)
        if made.returncode != 0:
            raise lifeline.NotStarted(f"initdb ended with {made.returncode}:\n{made.stdout}{made.stderr}")
        with open(os.path.join(self.data, "pg_hba.conf"), "w") as hba:
            hba.write(HBA)

    def take_tls(self, path, names):
        """A certificate with these names; returns the file of its authority."""
        ca, certificate, key = certificates.make(path, names)
        for file in (certificate, key):
            if self.owner:
                os.chown(file, self.owner["user"], self.owner["group"])
        self.settings |= {"ssl": "on", "ssl_cert_file": certificate, "ssl_key_file": key}
        return ca

    def start(self):
        """Keeps its port once it has one. The first start tries another port when its own was taken meanwhile."""
        for remaining in [0] if self.port else range(9, -1, -1):
            port = self.port or lifeline.free_port()
            command = [self.postgres, "-D", self.data, "-p", str(port)]
            for name, value in self.settings.items():
                command += ["-c", f"{name}={value}"]
            self.server = lifeline.start(command, self.log, cwd=self.data, **self.owner)
            try:
                lifeline.wait_until(self.ready, self.server, self.log, seconds=60)
            except lifeline.NotStarted:
                self.crash()
                if not remaining or "could not bind" not in lifeline.tail(self.log):
                    raise
            else:
                self.port = port
                return

    def ready(self):
        """The server says so in its own pid file: a stranger on the same port cannot be taken for it."""
        try:
            with open(os.path.join(self.data, "postmaster.pid")) as lines:
                lines = lines.read().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[0] == str(self.server.pid) and lines[7].strip() == "ready"

    def crash(self):
        """SIGQUIT: the server and its backends end at once, leaving recovery to the next start."""
        lifeline.stop(self.server, first=signal.SIGQUIT)

    def obey(self, command):
        """Carries out one line of standard input."""
        actions = {"crash": self.crash, "start": self.start}
        try:
            actions[command]()
            return {"done": command}
        except (KeyError, lifeline.NotStarted) as error:
            return {"failed": f"{command}: {error}"}


def main(bin_dir, *arguments):
    names = [argument.removeprefix("--tls=") for argument in arguments if argument.startswith("--tls=")]
    settings = dict(argument.split("=", 1) for argument in arguments if not argument.startswith("--"))
    with lifeline.folder("postgres") as path:
        cluster = Cluster(bin_dir, path, settings)
        ca = cluster.take_tls(path, names) if names else None
        try:
            cluster.start()
            lifeline.announce(port=cluster.port, ca=ca)
            for command in lifeline.commands():
                lifeline.announce(**cluster.obey(command))
        finally:
            if cluster.server:
                cluster.crash()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except lifeline.NotStarted as error:
        sys.exit(str(error))
