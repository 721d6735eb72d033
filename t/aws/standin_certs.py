"""Makes a certificate authority and server certificates for loopback, good ones and bad ones."""
from __future__ import annotations

import datetime
import ipaddress
import os
import ssl
import tempfile
import warnings

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

KINDS = ("good", "wrong-name", "expired", "self-signed", "tls-1.1")
DAY = datetime.timedelta(days=1)


class Authority:
    """A certificate authority that lives as long as the stand-in."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("Stand-in test authority")
        now = datetime.datetime.utcnow()
        usage = x509.KeyUsage(digital_signature=False, content_commitment=False, key_encipherment=False,
                              data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=True,
                              encipher_only=False, decipher_only=False)
        self._certificate = (
            _builder(self._name, self._name, self._key, now - DAY, now + 30 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256()))

    def pem(self) -> bytes:
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def server_context(self, kind: str) -> ssl.SSLContext:
        """A server-side TLS context of one of KINDS; `tls-1.1` has a good certificate and speaks TLS 1.1 only."""
        if kind not in KINDS:
            raise ValueError(f"unknown kind of certificate {kind!r}; known are {', '.join(KINDS)}")
        key = ec.generate_private_key(ec.SECP256R1())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if kind == "tls-1.1":
            _old_versions_only(context)
        else:
            context.minimum_version = ssl.TLSVersion.TLSv1_2
        _load(context, self._issue(kind, key), key)
        return context

    def _issue(self, kind: str, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
        now = datetime.datetime.utcnow()
        end = now - DAY if kind == "expired" else now + 30 * DAY
        subject = _name("localhost")
        issuer, signer = (subject, key) if kind == "self-signed" else (self._name, self._key)
        return (_builder(subject, issuer, key, now - 3 * DAY, end)
                .add_extension(x509.SubjectAlternativeName(_names(kind)), critical=False)
                .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
                .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
                               critical=False)
                .sign(signer, hashes.SHA256()))


def _old_versions_only(context: ssl.SSLContext) -> None:
    """Nothing above TLS 1.1, which today's OpenSSL speaks at security level 0 only."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1_1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("DEFAULT:@SECLEVEL=0")


def _names(kind: str) -> list[x509.GeneralName]:
    if kind == "wrong-name":
        return [x509.DNSName("elsewhere.invalid")]
    return [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
            x509.IPAddress(ipaddress.ip_address("::1"))]


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, start: datetime.datetime,
             end: datetime.datetime) -> x509.CertificateBuilder:
    return (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(start).not_valid_after(end))


def _load(context: ssl.SSLContext, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    """ssl reads certificates from files only; this one is gone as soon as it has been read."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "server.pem")
        with open(path, "wb") as out:
            out.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                        serialization.NoEncryption()))
            out.write(certificate.public_bytes(serialization.Encoding.PEM))
        context.load_cert_chain(path)
