"""A real MLflow tracking server and model registry over SQLite, on a free port of the loopback interface.

    mlflow_server.py [--user=NAME --password=PASSWORD]

Ready: {"port": 40123, "version": "3.17.2"}. With a user, it asks everybody for a login, and that user may do everything.
"""

import argparse
import os
import re
import sys
import urllib.error
import urllib.request

import lifeline

ENVIRONMENT = {
    # Neither background jobs nor news about the user.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "PYTHONWARNINGS": "ignore",
}


def inherited():
    """The caller's environment without its own MLflow settings and proxies."""
    return {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_") and not k.lower().endswith("_proxy")}


def get(port, path):
    """The body, or nothing while the server is not there."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
            return response.read().decode()
    except (OSError, urllib.error.URLError):
        return None


def answering(log):
    """The port that the server chose and answers on. Its log names the port once it is bound."""
    with open(log, errors="replace") as lines:
        running = re.search(r"Uvicorn running on http://127\.0\.0\.1:(\d+)", lines.read())
    return running and get(int(running[1]), "/health") and int(running[1])


def login(path, user, password):
    """The settings of MLflow's own login, and the variables that it asks for."""
    settings = os.path.join(path, "login.ini")
    with open(settings, "w") as ini:
        ini.write(
            f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{path}/login.db\n"
            f"admin_username = {user}\nadmin_password = {password}\n"
            "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        )
    return {"MLFLOW_AUTH_CONFIG_PATH": settings, "MLFLOW_FLASK_SERVER_SECRET_KEY": password}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--user")
    parser.add_argument("--password")
    asked = parser.parse_args()
    with lifeline.folder("mlflow") as path:
        environment = inherited() | ENVIRONMENT
        log = os.path.join(path, "log")
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", "0", "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{path}/mlflow.db"]
        command += ["--default-artifact-root", f"file://{path}/artifacts"]
        if asked.user:
            command += ["--app-name", "basic-auth"]
            environment |= login(path, asked.user, asked.password)
        server = lifeline.start(command, log, cwd=path, env=environment)
        try:
            port = lifeline.wait_until(lambda: answering(log), server, log, seconds=180)
            # Behind a login even the version is told to those who have one only.
            lifeline.announce(port=port, version=get(port, "/version"))
            lifeline.hold(lambda: server.poll() is None)
        finally:
            lifeline.stop(server)


if __name__ == "__main__":
    try:
        main()
    except lifeline.NotStarted as error:
        sys.exit(str(error))
