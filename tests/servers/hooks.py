"""A web server, on a free port of the loopback interface, which keeps what is posted to it: chats' webhooks and heartbeats.

    hooks.py [OPTIONS]

Ready: {"port": 40123, "folder": "…"}. Every request is stored before it is answered, as `folder/NNNN.json`: method, path, query,
headers, body. What is posted beneath `/slack/` is read as strictly as Slack reads it: beyond one of its bounds, the answer is 400
with Slack's own word. A HEAD of `/` is answered, and not stored.
"""

import argparse
import http.server
import json
import os
import socketserver
import sys
import threading
import time
import urllib.parse

import lifeline

#: https://docs.slack.dev/reference/block-kit/blocks: what a message may have at most.
BLOCKS, HEADER, SECTION, TEXT = 50, 150, 3000, 40_000


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--answer", action="append", default=[], metavar="STATUS[:RETRY_AFTER]", help="answer the next request so")
    parser.add_argument("--always", type=int, metavar="STATUS", help="answer every other request so")
    parser.add_argument("--slow", type=float, default=0, metavar="SECONDS", help="answer so much later")
    parser.add_argument("--vanish", type=int, default=0, metavar="N", help="keep the first N requests, but hang up unanswered")
    return parser.parse_args()


def fault_of(body):
    """What Slack would say of a message; nothing if it takes it."""
    try:
        message = json.loads(body)
    except ValueError:
        return "invalid_payload"
    if not isinstance(message, dict) or not isinstance(message.get("text"), str) or not message["text"]:
        return "no_text"
    blocks = message.get("blocks")
    if len(message["text"]) > TEXT or not isinstance(blocks, list) or not 1 <= len(blocks) <= BLOCKS:
        return "invalid_blocks"
    for block in blocks:
        kind = block.get("type")
        texts = block.get("elements") if kind == "context" else [block.get("text")]
        if kind not in ("header", "section", "context") or not texts or len(texts) > 10:
            return "invalid_blocks"
        longest = HEADER if kind == "header" else SECTION
        for text in texts:
            plain = text.get("type") == "plain_text"
            if not plain and (kind == "header" or text.get("type") != "mrkdwn"):
                return "invalid_blocks"
            # `verbatim` is for markup alone.
            if plain and "verbatim" in text:
                return "invalid_blocks"
            if not isinstance(text.get("text"), str) or not 1 <= len(text["text"]) <= longest:
                return "invalid_blocks"
    return None


class Keeper(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_HEAD(self):
        self.respond(200, b"")

    def do_GET(self):
        self.keep(b"")

    def do_POST(self):
        self.keep(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def keep(self, body):
        server = self.server
        path, _, query = self.path.partition("?")
        with server.one_at_a_time:
            server.kept += 1
            number = server.kept
            said = server.wanted.answer.pop(0) if server.wanted.answer else server.wanted.always
            # Under its final name only when complete: a reader never sees half a request.
            target = os.path.join(server.folder, f"{number:04}.json")
            with open(target + ".part", "w") as file:
                request = {"method": self.command, "path": path, "query": dict(urllib.parse.parse_qsl(query))}
                headers = {name.lower(): value for name, value in self.headers.items()}
                json.dump({**request, "headers": headers, "body": body.decode()}, file)
            os.rename(target + ".part", target)
        time.sleep(server.wanted.slow)
        if number <= server.wanted.vanish:
            self.close_connection = True
            return
        status, _, retry_after = str(said or 200).partition(":")
        fault = fault_of(body) if path.startswith("/slack/") and status == "200" else None
        if fault:
            self.respond(400, fault.encode())
        else:
            self.respond(int(status), b"ok" if status == "200" else b"not now", retry_after)

    def respond(self, status, words, retry_after=""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(words)))
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(words)


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        # A program that is killed hangs up; that is no fault of ours.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


if __name__ == "__main__":
    with lifeline.folder("hooks") as folder:
        server = Server(("127.0.0.1", 0), Keeper)
        server.folder, server.wanted, server.kept = os.path.join(folder, "requests"), options(), 0
        server.one_at_a_time = threading.Lock()
        os.mkdir(server.folder)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        lifeline.announce(port=server.server_port, folder=server.folder)
        lifeline.hold()
        server.shutdown()
