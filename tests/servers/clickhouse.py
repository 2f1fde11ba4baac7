"""ClickHouse servers of their own on free ports of the loopback interface: one, or the shards of one cluster.

    clickhouse.py SHARDS

Ready: {"http": [40123, …], "tcp": [40124, …]}. Each server knows the cluster `shards` of all of them. The user `default` needs
no password; `reader` has the password `pss-reader` and may only read; `hasty` may change settings and has
`skip_unavailable_shards` switched on, as a careless administrator would.
Each line that comes on standard input is a command, answered by one line: `kill 1` kills the second server, `start 1` starts
it again on the same ports over the same data.
"""

import os
import pwd
import shutil
import signal
import sys
import urllib.error
import urllib.request

import lifeline

CONFIG = """\
<yandex>
    <logger><level>warning</level><log>{path}/server.log</log><errorlog>{path}/error.log</errorlog></logger>
    <listen_host>127.0.0.1</listen_host>
    <http_port>{http}</http_port>
    <tcp_port>{tcp}</tcp_port>
    <path>{path}/data/</path>
    <tmp_path>{path}/tmp/</tmp_path>
    <users_config>users.xml</users_config>
    <default_profile>default</default_profile>
    <default_database>default</default_database>
    <timezone>{timezone}</timezone>
    <mark_cache_size>67108864</mark_cache_size>
    <remote_servers><shards>{shards}</shards></remote_servers>
    <query_log>
        <database>system</database><table>query_log</table><flush_interval_milliseconds>500</flush_interval_milliseconds>
    </query_log>
</yandex>
"""

SHARD = "<shard><replica><host>127.0.0.1</host><port>{port}</port></replica></shard>"

USERS = """\
<yandex>
    <profiles>
        <default><log_queries>1</log_queries><max_threads>2</max_threads></default>
        <readonly><readonly>2</readonly><log_queries>1</log_queries><max_threads>2</max_threads></readonly>
        <strict><readonly>1</readonly><max_threads>2</max_threads></strict>
        <hasty><skip_unavailable_shards>1</skip_unavailable_shards><max_threads>2</max_threads></hasty>
    </profiles>
    <quotas><default></default></quotas>
    <users>{users}</users>
</yandex>
"""

USER = """\
<{name}><password>{password}</password><networks><ip>127.0.0.1</ip></networks><profile>{profile}</profile>
<quota>default</quota></{name}>
"""

NAMES = [
    ("default", "", "default"),
    ("reader", "pss-reader", "readonly"),
    ("strict", "pss-strict", "strict"),
    ("hasty", "pss-hasty", "hasty"),
]


def owner():
    """Its packaged user runs it, as PostgreSQL's does."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("clickhouse")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def program():
    """Debian keeps servers where a user's PATH need not reach."""
    found = shutil.which("clickhouse-server", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin")
    if not found:
        raise lifeline.NotStarted("clickhouse-server is missing: install it, or run tests/run")
    return found


class Server:
    """One server with a folder of its own."""

    def __init__(self, path, ports, shards, timezone):
        self.path, (self.http, self.tcp), self.owner = path, ports, owner()
        self.process = None
        os.makedirs(path)
        users = "".join(USER.format(name=name, password=word, profile=profile) for name, word, profile in NAMES)
        texts = {
            "config.xml": CONFIG.format(path=path, http=self.http, tcp=self.tcp, shards=shards, timezone=timezone),
            "users.xml": USERS.format(users=users),
        }
        for name, text in texts.items():
            with open(os.path.join(path, name), "w") as file:
                file.write(text)
        if self.owner:
            os.chown(path, self.owner["user"], self.owner["group"])

    def start(self):
        self.log = os.path.join(self.path, "log")
        command = [program(), f"--config-file={self.path}/config.xml"]
        self.process = lifeline.start(command, self.log, cwd=self.path, **self.owner)
        lifeline.wait_until(self.ready, self.process, self.log, seconds=60)

    def ready(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/ping", timeout=1) as answer:
                return answer.read() == b"Ok.\n"
        except (OSError, urllib.error.URLError):
            return False

    def kill(self):
        if self.process:
            lifeline.stop(self.process, first=signal.SIGKILL)


def start(path, count, timezone):
    """All servers, on ports that were free a moment ago; another process can take one in between."""
    for remaining in range(4, -1, -1):
        ports = [(lifeline.free_port(), lifeline.free_port()) for _ in range(count)]
        shards = "".join(SHARD.format(port=tcp) for _, tcp in ports)
        servers = [
            Server(os.path.join(path, f"{remaining}-{number}"), ports[number], shards, timezone)
            for number in range(count)
        ]
        try:
            for server in servers:
                server.start()
            return servers
        except lifeline.NotStarted as error:
            for server in servers:
                server.kill()
            if not remaining or "Address already in use" not in str(error):
                raise


def obey(servers, line):
    """Carries out one line of standard input."""
    try:
        command, number = line.split()
        {"kill": Server.kill, "start": Server.start}[command](servers[int(number)])
        return {"done": line}
    except (KeyError, ValueError, IndexError, lifeline.NotStarted) as error:
        return {"failed": f"{line}: {error}"}


def main(count="1", timezone="UTC"):
    with lifeline.folder("clickhouse") as path:
        if os.geteuid() == 0:
            # Its user must be able to walk into the servers' folders.
            os.chmod(path, 0o755)
        servers = start(path, int(count), timezone)
        try:
            lifeline.announce(http=[server.http for server in servers], tcp=[server.tcp for server in servers])
            for command in lifeline.commands():
                lifeline.announce(**obey(servers, command))
        finally:
            for server in servers:
                server.kill()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except lifeline.NotStarted as error:
        sys.exit(str(error))
