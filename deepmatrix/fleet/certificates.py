"""Certificates of a fleet: its own authority, and a certificate for each role, made and read.

Every connection is encrypted, and both ends show a certificate of this authority.
"""

from __future__ import annotations

import datetime
import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from deepmatrix.boundary.writing import write_bytes
from deepmatrix.errors import ArgumentError
from deepmatrix.invocation import command_line

if TYPE_CHECKING:
    from distributed.security import Security

Role = Literal["scheduler", "worker", "client"]

ROLES: Final[tuple[Role, ...]] = ("scheduler", "worker", "client")

#: The authority's certificate, which everyone has, and its key, which makes others.
AUTHORITY: Final = "authority.pem"
AUTHORITY_KEY: Final = "authority.key"

#: For how many days they are valid.
DAYS: Final = 365

#: A clock of another machine may be behind.
MARGIN: Final = datetime.timedelta(days=1)


def make_certificates(folder: Path) -> list[Path]:
    """Make an authority and the certificates of all roles in *folder*; return their files.

    Raises ArgumentError where it has an authority already: workers would not know the new one.
    """
    if (folder / AUTHORITY).exists():
        raise ArgumentError(
            f"{folder} has the certificates of a fleet",
            hint="name another folder, or remove this one: then every worker needs the new ones",
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n")  # keys belong into no repository
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("authority of a deepmatrix fleet")
    authority = (
        _builder(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = [_write_key(folder / AUTHORITY_KEY, key)]
    for role in ROLES:
        files += _make_pair(folder, role, authority, key)
    return [*files, _write(folder / AUTHORITY, authority)]  # last: then all are there


def context(folder: Path, role: Role) -> ssl.SSLContext:
    """Return what a role connects with. Raises ArgumentError where its certificates are wrong."""
    paths = {name: folder / name for name in (AUTHORITY, f"{role}.pem", f"{role}.key")}
    for path in paths.values():
        if not path.is_file() or not os.access(path, os.R_OK):
            raise ArgumentError(
                f"{path}: no such file, or it cannot be read",
                hint=f"name the folder with this fleet's certificates: a {role} needs "
                f"{', '.join(paths)}. For a new fleet "
                f"`{command_line('fleet', 'certificates', str(folder))}` makes all of them",
            )
    authority, certificate, key = paths.values()
    try:
        connecting = ssl.create_default_context(cafile=authority)
        connecting.load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        raise ArgumentError(
            f"{folder}: {', '.join(paths)} cannot be used together: {error.reason or error}",
            hint="copy them again from where they were made",
        ) from None
    connecting.check_hostname = False  # as Dask: a fleet's certificates name roles, not hosts
    _check_dates(certificate)
    return connecting


def _check_dates(path: Path) -> None:
    """Raise ArgumentError where a certificate is not valid now, by the clock of this machine."""
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    now = datetime.datetime.now(datetime.UTC)
    if not begin <= now <= end:
        raise ArgumentError(
            f"{path} is valid from {begin:%Y-%m-%d} to {end:%Y-%m-%d}, and here it is "
            f"{now:%Y-%m-%d}",
            hint="set the clock of this machine if it is wrong; else make new certificates in "
            f"another folder with `{command_line('fleet', 'certificates', 'FOLDER')}`: every "
            "machine of the fleet needs them",
        )


def security(folder: Path, role: Role) -> Security:
    """Return the certificates of a role, as Dask wants them. Raises ArgumentError."""
    from distributed.security import Security  # noqa: PLC0415 - slow

    context(folder, role)
    return Security(
        require_encryption=True,
        tls_ca_file=str(folder / AUTHORITY),
        **{
            f"tls_{role}_cert": str(folder / f"{role}.pem"),
            f"tls_{role}_key": str(folder / f"{role}.key"),
        },
    )


def _make_pair(
    folder: Path, role: Role, authority: x509.Certificate, authority_key: ec.EllipticCurvePrivateKey
) -> list[Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    # Every end of a fleet both listens and connects: workers are asked by the scheduler.
    uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    certificate = (
        _builder(_name(f"{role} of a deepmatrix fleet"), authority.subject, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )
    return [_write_key(folder / f"{role}.key", key), _write(folder / f"{role}.pem", certificate)]


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - MARGIN)
        .not_valid_after(now + datetime.timedelta(days=DAYS))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _write(path: Path, certificate: x509.Certificate) -> Path:
    write_bytes(path, certificate.public_bytes(serialization.Encoding.PEM))
    return path


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> Path:
    content = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.unlink(missing_ok=True)  # of a fleet that was not finished; or what another user put there
    # Nobody else may read it, not for a moment.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    return path
