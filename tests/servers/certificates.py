"""An authority, and a certificate of it for a server: a client that knows the authority can check the server in earnest."""

import datetime
import ipaddress
import os


def named(name):
    """A name in a certificate: of a host, or an address."""
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def make(path, names=("localhost", "127.0.0.1"), days=7):
    """Writes `ca.pem`, `server.pem` (certificate and key) and `server.key` into the folder; returns their paths."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    now = datetime.datetime.now(datetime.timezone.utc)

    def certificate(name, key, issuer, issuer_key, extensions):
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = x509.CertificateBuilder(
            subject_name=subject,
            issuer_name=issuer or subject,
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now - datetime.timedelta(days=1),
            not_valid_after=now + datetime.timedelta(days=days, hours=1),
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(issuer_key, hashes.SHA256())

    def write(name, *items):
        target = os.path.join(path, name)
        # PostgreSQL takes no key that others may read.
        with open(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
            file.write(b"".join(items))
        return target

    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca = certificate("Rampkeeper test authority", ca_key, None, ca_key, [x509.BasicConstraints(ca=True, path_length=0)])
    leaf = certificate(
        names[0],
        key,
        ca.subject,
        ca_key,
        [
            x509.BasicConstraints(ca=False, path_length=None),
            x509.SubjectAlternativeName([named(name) for name in names]),
        ],
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return (
        write("ca.pem", ca.public_bytes(pem)),
        write("server.pem", leaf.public_bytes(pem), private),
        write("server.key", private),
    )
