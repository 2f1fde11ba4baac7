"""An object store that speaks S3, on a free port of the loopback interface: moto's server.

    s3.py [--closed]

Ready: {"port": 40123, "key": "AKIA…", "secret": "…"}. Everybody may do everything. With `--closed` only who signs with that key
may, and what moto signs otherwise than S3 does (`=` and `/` in what is asked for) nobody. Each line that comes on standard input is a command, answered by one line: `bucket NAME` makes a bucket,
`put BUCKET FOLDER PREFIX` puts all files of a folder under a prefix, `remove BUCKET KEY` removes an object.
"""

import json
import os
import re
import sys
import urllib.request

import boto3
import lifeline
from botocore.config import Config

ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


def answering(log):
    """The port that the server chose. Its log names the port once it is bound."""
    with open(log, errors="replace") as lines:
        running = re.search(r"Running on http://127\.0\.0\.1:(\d+)", lines.read())
    return running and int(running[1])


def client(service, port, key, secret):
    """A client that knows nothing of this machine's own settings."""
    return boto3.client(
        service,
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(proxies={}, retries={"max_attempts": 1}),
    )


def let_in(port, closed):
    """A user who may do everything, by the keys that the server gives to it."""
    iam = client("iam", port, "nobody", "nothing")
    iam.create_user(UserName="rampkeeper")
    iam.put_user_policy(UserName="rampkeeper", PolicyName="all", PolicyDocument=json.dumps(ALL))
    key = iam.create_access_key(UserName="rampkeeper")["AccessKey"]
    if closed:
        url, plain = f"http://127.0.0.1:{port}/moto-api/reset-auth", {"Content-Type": "text/plain"}
        close = urllib.request.Request(url, data=b"0", method="POST", headers=plain)
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(close, timeout=5).read()
    return key["AccessKeyId"], key["SecretAccessKey"]


def put(s3, bucket, folder, prefix):
    """All files of a folder, by their paths in it. A link to a folder is followed."""
    for path, _, names in os.walk(folder, followlinks=True):
        for name in names:
            file = os.path.join(path, name)
            with open(file, "rb") as body:
                s3.put_object(Bucket=bucket, Key=f"{prefix}/{os.path.relpath(file, folder)}", Body=body)


def obey(s3, line):
    """Carries out one line of standard input."""
    commands = {
        "bucket": lambda name: s3.create_bucket(Bucket=name),
        "put": lambda bucket, folder, prefix: put(s3, bucket, folder, prefix),
        "remove": lambda bucket, key: s3.delete_object(Bucket=bucket, Key=key),
    }
    try:
        command, *arguments = line.split()
        commands[command](*arguments)
        return {"done": line}
    except Exception as error:  # whatever it is, the test must hear of it
        return {"failed": f"{line}: {error!r}"}


def main(*asked):
    with lifeline.folder("s3") as path:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        # As many requests are let in unseen.
        environment["INITIAL_NO_AUTH_ACTION_COUNT"] = "1000000000"
        log = os.path.join(path, "log")
        command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", "0"]
        server = lifeline.start(command, log, cwd=path, env=environment)
        try:
            port = lifeline.wait_until(lambda: answering(log), server, log, seconds=120)
            key, secret = let_in(port, "--closed" in asked)
            s3 = client("s3", port, key, secret)
            lifeline.announce(port=port, key=key, secret=secret)
            for line in lifeline.commands():
                lifeline.announce(**obey(s3, line))
        finally:
            lifeline.stop(server)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except lifeline.NotStarted as error:
        sys.exit(str(error))
