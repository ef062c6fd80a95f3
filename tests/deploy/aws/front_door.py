"""The internet on the loopback address: TLS under any name, and who issues tokens.

A CONNECT proxy that ends TLS for whatever host is asked for, with a certificate of its own
authority, and passes each request on: to the emulated account under that host's name, or to the
issuer of tokens. Whoever has it as `https_proxy`, and trusts the authority, calls addresses of AWS
as they are printed.
"""

from __future__ import annotations

import json
import socket
import socketserver
import ssl
import threading
import time
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
import trustme
from cryptography.hazmat.primitives.asymmetric import rsa

LIMIT_S = 60.0
LARGEST = 1 << 20


class Issuer:
    """An OpenID provider: discovery, its public keys, and tokens signed with RS256."""

    host = "login.example.org"
    url = f"https://{host}"

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.asked: list[str] = []

    def token(self, **claims: Any) -> str:
        """For the audience "models", an hour long, unless `claims` say otherwise."""
        now = int(time.time())
        given = {"iss": self.url, "aud": "models", "sub": "ann", "iat": now, "exp": now + 3600}
        return jwt.encode(given | claims, self._key, "RS256", headers={"kid": "1"})

    def answer(self, path: str) -> tuple[int, dict[str, Any]]:
        self.asked.append(path)
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key()))
        pages = {
            "/.well-known/openid-configuration": {
                "issuer": self.url, "jwks_uri": f"{self.url}/keys",
                "id_token_signing_alg_values_supported": ["RS256"],
            },
            "/keys": {"keys": [public | {"kid": "1", "use": "sig", "alg": "RS256"}]},
        }  # fmt: skip
        return (200, pages[path]) if path in pages else (404, {})


class FrontDoor:
    """The proxy, in threads of this process until `close`."""

    def __init__(self, account_url: str, directory: Path) -> None:
        self.issuer = Issuer()
        self.account = urlsplit(account_url)
        self.authority = directory / "authority.pem"
        self._ca = trustme.CA()
        self._ca.cert_pem.write_to_path(str(self.authority))
        self.certificate_for = cache(self._certificate_for)
        door = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.request.settimeout(LIMIT_S)
                door.carry(self.request)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def environment(self) -> dict[str, str]:
        """For curl, Python and the AWS SDK alike."""
        trust = dict.fromkeys(
            ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE"), str(self.authority)
        )
        return {"https_proxy": self.url, "no_proxy": "127.0.0.1,localhost", **trust}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def carry(self, client: socket.socket) -> None:
        """One tunnel, one request."""
        asked = _head(client)[0][0].split(b" ")
        if asked[0] != b"CONNECT":
            client.sendall(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
            return
        host = asked[1].decode().rpartition(":")[0]
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            inside = self.certificate_for(host).wrap_socket(client, server_side=True)
        except ssl.SSLError:
            return  # who called trusts somebody else
        with inside:
            lines, rest = _head(inside)
            given = {n.lower(): v for n, _, v in (line.partition(b":") for line in lines[1:])}
            length = int(given.get(b"content-length", 0))
            while len(rest) < length:
                rest += inside.recv(length - len(rest))
            if host == self.issuer.host:
                status, page = self.issuer.answer(lines[0].split(b" ")[1].decode())
                body = json.dumps(page).encode()
                inside.sendall(
                    b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
                    b"Connection: close\r\n\r\n%s" % (status, len(body), body)
                )
                return
            kept = [x for x in lines if not x.lower().startswith((b"connection:", b"expect:"))]
            kept += [b"Connection: close", b"X-Forwarded-Proto: https"]
            address = (self.account.hostname or "", self.account.port or 80)
            with socket.create_connection(address, LIMIT_S) as account:
                account.sendall(b"\r\n".join(kept) + b"\r\n\r\n" + rest)
                while block := account.recv(LARGEST):
                    inside.sendall(block)

    def _certificate_for(self, host: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(host).configure_cert(context)
        return context


def _head(connection: socket.socket) -> tuple[list[bytes], bytes]:
    """The lines of a request's head, and what came of its body with them."""
    read = b""
    while b"\r\n\r\n" not in read:
        block = connection.recv(65536)
        if not block or len(read) > LARGEST:
            raise ConnectionError("no whole request")
        read += block
    head, _, rest = read.partition(b"\r\n\r\n")
    return head.split(b"\r\n"), rest
