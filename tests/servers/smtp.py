"""A real mail server, on a free port of the loopback interface, which keeps what it accepts.

    smtp.py [OPTIONS]

Ready: {"port": 40123, "folder": "…", "ca": "…/ca.pem" or null}. Every accepted message is stored before it is answered, as
`folder/NNNN.json`: the envelope, the message as it came, and the message as Python's own `email` package reads it. That reading
is strict: a message with a defect is refused with 554, and the reply names it.
"""

import argparse
import asyncio
import email
import email.errors
import email.policy
import json
import os
import ssl

import certificates
import lifeline
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

STRICT = email.policy.SMTP.clone(raise_on_defect=True)


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--starttls", action="store_true", help="offer STARTTLS, and take no mail without it")
    parser.add_argument("--user", help="take mail only after AUTH as this user")
    parser.add_argument("--password", default="")
    parser.add_argument("--refuse", action="append", default=[], metavar="ADDRESS", help="answer 550 to this recipient")
    parser.add_argument("--defer", action="append", default=[], metavar="ADDRESS=N", help="answer 451 to this recipient N times")
    parser.add_argument("--slow", type=float, default=0, metavar="SECONDS", help="answer each message so much later")
    parser.add_argument("--answer", metavar="REPLY", help="answer this to every message and keep none")
    parser.add_argument("--busy", type=int, default=0, metavar="N", help="answer 451 to the first N messages")
    parser.add_argument("--vanish", type=int, default=0, metavar="N", help="store the first N messages, but hang up unanswered")
    return parser.parse_args()


def read(raw):
    """What the message says: decoded headers in their order, the nesting of its parts, and every leaf part decoded."""
    message = email.message_from_bytes(raw, policy=STRICT)
    parts = []
    for part in message.walk():
        if part.is_multipart():
            continue
        content = part.get_payload(decode=True)
        text = content.decode(part.get_content_charset("utf-8")) if part.get_content_maintype() == "text" else None
        parts.append(
            {
                "content_type": part.get_content_type(),
                "content_id": part["Content-ID"],
                "file_name": part.get_filename(),
                "text": text,
                "hex": content.hex(),
            }
        )
    headers = [[name, str(value)] for name, value in message.items()]
    return {"headers": headers, "structure": [part.get_content_type() for part in message.walk()], "parts": parts}


class Keeper:
    """Answers the commands that matter here, and stores what it accepts."""

    def __init__(self, path, wanted):
        self.path = path
        self.wanted = wanted
        self.asked = 0
        self.stored = 0
        self.deferred = {address: int(times) for address, times in (item.rsplit("=", 1) for item in wanted.defer)}

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        if address in self.wanted.refuse:
            return "550 5.1.1 No such mailbox here"
        if self.deferred.get(address, 0) > 0:
            self.deferred[address] -= 1
            return "451 4.7.1 Not yet, try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        self.asked += 1
        await asyncio.sleep(self.wanted.slow)
        if self.wanted.answer:
            return self.wanted.answer
        if self.asked <= self.wanted.busy:
            return "451 4.3.2 Busy, try again later"
        try:
            said = read(envelope.original_content)
        except (email.errors.MessageError, LookupError, ValueError) as error:
            return " ".join(f"554 5.6.0 Malformed message: {type(error).__name__} {error}".split())
        self.store(
            {
                "from": envelope.mail_from,
                "to": envelope.rcpt_tos,
                "tls": session.ssl is not None,
                "user": session.auth_data.decode() if session.authenticated else None,
                "raw": envelope.original_content.decode("utf-8", "replace"),
                **said,
            }
        )
        if self.stored <= self.wanted.vanish:
            server.transport.abort()
        return "250 2.0.0 Kept"

    def store(self, mail):
        """Under its final name only when complete: a reader never sees half a message."""
        self.stored += 1
        target = os.path.join(self.path, f"{self.stored:04}.json")
        with open(target + ".part", "w") as file:
            json.dump(mail, file)
        os.rename(target + ".part", target)


def authenticator(wanted):
    """Accepts the one user. What it returns becomes the session's `auth_data`."""

    def check(server, session, envelope, mechanism, data):
        known = isinstance(data, LoginPassword) and data == LoginPassword(wanted.user.encode(), wanted.password.encode())
        return AuthResult(success=known, handled=False, auth_data=data.login if known else None)

    return check


async def serve(path, wanted):
    mails = os.path.join(path, "mails")
    os.mkdir(mails)
    tls = ca = None
    if wanted.starttls:
        ca, certificate, _ = certificates.make(path)
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate)
    keeper = Keeper(mails, wanted)

    def session():
        return SMTP(
            keeper,
            hostname="localhost",
            tls_context=tls,
            require_starttls=wanted.starttls,
            authenticator=authenticator(wanted) if wanted.user else None,
            auth_required=bool(wanted.user),
            auth_require_tls=wanted.starttls,
            enable_SMTPUTF8=True,
        )

    server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", 0)
    lifeline.announce(port=server.sockets[0].getsockname()[1], folder=mails, ca=ca)
    await asyncio.to_thread(lifeline.hold)
    server.close()


if __name__ == "__main__":
    with lifeline.folder("smtp") as folder:
        asyncio.run(serve(folder, options()))
