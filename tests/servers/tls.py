"""A door before another server, as a proxy stands before one: takes TLS, and hands on what is in it as it is.

    tls.py PORT [--name NAME ...] [--listen ADDRESS] [--days DAYS] [--plain]

PORT is where the other server listens on this machine. Ready: {"port": 40123, "ca": "…/ca.pem" or null}. The certificate bears
the names. With `--plain` there is no TLS, only another address than the server's own.
"""

import argparse
import asyncio
import contextlib
import ssl

import certificates
import lifeline


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("upstream", type=int)
    parser.add_argument("--name", action="append", default=[])
    parser.add_argument("--listen", default="127.0.0.1")
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--plain", action="store_true")
    return parser.parse_args()


async def copy(reader, writer):
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def serve(path, wanted):
    tls = ca = None
    if not wanted.plain:
        ca, certificate, _ = certificates.make(path, wanted.name or ["localhost", "127.0.0.1"], wanted.days)
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate)

    async def visit(reader, writer):
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", wanted.upstream)
        await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer))

    server = await asyncio.start_server(visit, wanted.listen, 0, ssl=tls)
    lifeline.announce(port=server.sockets[0].getsockname()[1], ca=ca)
    await asyncio.to_thread(lifeline.hold)
    server.close()


def main():
    wanted = options()
    with lifeline.folder("tls") as path:
        asyncio.run(serve(path, wanted))


if __name__ == "__main__":
    main()
