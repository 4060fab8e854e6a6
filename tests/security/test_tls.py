"""Verification of a server's certificate is on, stays on, and a company's own authority can be trusted."""

from __future__ import annotations

import inspect
import shutil
import ssl
import subprocess

import httpx
import pytest

from sippet_reconcile import ApiError, Client, InputError, TransientApiError

CALL = "8c1f3c52-0000-4000-8000-000000000001"
ANY = "an-invented-one"
PAGE = {"data": [{"type": "Call", "id": CALL, "attributes": {"status": "busy"}}]}

CONFIG = """
[ca]
default_ca = own
[own]
dir = {folder}
new_certs_dir = {folder}
database = {folder}/index.txt
serial = {folder}/serial
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
[req]
distinguished_name = name
prompt = no
[name]
CN = {name}
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = {alternative}
authorityKeyIdentifier = keyid
"""


class Authority:
    """A company's own authority that signs certificates for the tests."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "index.txt").write_text("")
        (folder / "serial").write_text("01")
        self.certificate = folder / "authority.pem"
        self.openssl("req", "-x509", "-nodes", "-keyout", folder / "authority.key", "-out", self.certificate,
                     "-days", "30", "-extensions", "authority", *self.new_key, config=self.config("Company"))  # fmt: skip

    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")

    def config(self, name, alternative="IP:127.0.0.1"):
        path = self.folder / f"{name}.cnf"
        path.write_text(CONFIG.format(folder=self.folder, name=name, alternative=alternative))
        return path

    def openssl(self, command, *words, config):
        done = subprocess.run(
            ["openssl", command, "-config", str(config), *map(str, words)], capture_output=True, text=True, check=False  # noqa: S607
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def context(
        self, name, alternative="IP:127.0.0.1", span=("20250101000000Z", "20990101000000Z"), signer=None
    ):
        """Return a server's context whose certificate this authority signed, or the server itself."""
        config = self.config(name, alternative)
        key, request, certificate = (self.folder / f"{name}.{ending}" for ending in ("key", "csr", "pem"))
        self.openssl("req", "-nodes", "-keyout", key, "-out", request, *self.new_key, config=config)
        signed_by = (
            ("-selfsign", "-keyfile", key)
            if signer == "itself"
            else ("-cert", self.certificate, "-keyfile", self.folder / "authority.key")
        )
        self.openssl("ca", "-batch", "-notext", "-in", request, "-out", certificate, *signed_by,
                     "-startdate", span[0], "-enddate", span[1], "-extensions", "server", config=config)  # fmt: skip
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    if shutil.which("openssl") is None:
        pytest.skip("the openssl program makes the certificates of these tests, and is not installed")
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def contexts(authority):
    return {
        "good": authority.context("good"),
        "self-signed": authority.context("selfsigned", signer="itself"),
        "another host": authority.context("otherhost", alternative="DNS:elsewhere.example"),
        "expired": authority.context("expired", span=("20200101000000Z", "20200201000000Z")),
        "not yet valid": authority.context("early", span=("20980101000000Z", "20990101000000Z")),
    }


def serve(raw, context):
    server = raw.serve(raw.http(200, PAGE), tls=context)
    server.url = server.url.replace("http:", "https:")
    return server


def refused(client):
    with pytest.raises(TransientApiError) as caught:
        client.get_calls([CALL])
    with pytest.raises(TransientApiError, match="certificate") as write:
        client.patch_call(CALL, {"status": "busy"})
    assert not write.value.may_have_been_applied
    return str(caught.value)


@pytest.mark.parametrize("kind", ["good", "self-signed"])
def test_a_certificate_of_nobody_known_is_refused_and_the_token_not_sent(raw, contexts, secret, kind):
    with (
        serve(raw, contexts[kind]) as server,
        Client(server.url, token=secret.token, sleep=lambda _: None) as client,
    ):
        said = refused(client)
        check = client.check()
    assert server.received == []
    for word in ("certificate is not accepted", "SSL_CERT_FILE", "PEM", "cannot be switched off"):
        assert word in said
    assert not check.ok
    assert "SSL_CERT_FILE" in check.problems[0]


@pytest.mark.parametrize(
    ("kind", "words"),
    [("another host", "not valid for '127.0.0.1'"), ("expired", "expired"), ("not yet valid", "not yet valid"), ("self-signed", "self")],
)  # fmt: skip
def test_a_company_authority_vouches_for_no_wrong_certificate(  # noqa: PLR0917 - fixtures
    raw, authority, contexts, monkeypatch, kind, words
):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    with (
        serve(raw, contexts[kind]) as server,
        Client(server.url, token=ANY, sleep=lambda _: None) as client,
    ):
        assert words in refused(client).replace("IP address mismatch, certificate is ", "")
    assert server.received == []


def test_a_company_authority_is_trusted_by_a_file(raw, authority, contexts, monkeypatch, secret):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    with serve(raw, contexts["good"]) as server, Client(server.url, token=secret.token) as client:
        assert client.get_calls([CALL])["status"].tolist() == ["busy"]
    assert secret.token.encode() in server.received[0]


def test_a_company_authority_is_trusted_beside_the_usual_ones_by_a_transport(raw, authority, contexts):
    trusted = ssl.create_default_context()
    trusted.load_verify_locations(authority.certificate)
    transport = httpx.HTTPTransport(verify=trusted)
    with (
        serve(raw, contexts["good"]) as server,
        Client(server.url, token=ANY, transport=transport) as client,
    ):
        assert len(client.get_calls([CALL])) == 1
    transport.close()


def test_no_variable_of_the_environment_switches_verification_off(raw, contexts, monkeypatch):
    for name in (
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "CURL_CA_BUNDLE",
        "REQUESTS_CA_BUNDLE",
        "HTTPX_SSL_CERT_FILE",
    ):
        monkeypatch.setenv(name, "")
    for name in ("PYTHONHTTPSVERIFY", "HTTPX_VERIFY", "SIPPET_VERIFY", "SIPPET_API_VERIFY", "SSL_VERIFY"):
        monkeypatch.setenv(name, "0")
    for name in ("GIT_SSL_NO_VERIFY", "NODE_TLS_REJECT_UNAUTHORIZED", "SIPPET_INSECURE"):
        monkeypatch.setenv(name, "1")
    with (
        serve(raw, contexts["self-signed"]) as server,
        Client(server.url, token=ANY, sleep=lambda _: None) as client,
    ):
        refused(client)
    assert server.received == []


@pytest.mark.parametrize("content", [None, b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])  # fmt: skip
def test_a_file_of_authorities_that_cannot_be_read_is_named_and_nothing_trusted(
    monkeypatch, tmp_path, content
):
    path = tmp_path / "company.pem"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with pytest.raises(InputError, match=r"SSL_CERT_FILE names .*company\.pem"):
        Client("https://api.example.com", token=ANY)


def test_no_argument_of_a_client_is_about_verification():
    assert set(inspect.signature(Client).parameters) == {
        "base_url", "token", "api_key", "timeout", "transport", "sleep", "clock", "now", "random",
    }  # fmt: skip
    for name in ("verify", "trust_env", "cert", "ssl", "insecure"):
        with pytest.raises(TypeError):
            Client("https://api.example.com", **{name: False})


def test_old_protocols_are_not_spoken():
    client = Client("https://api.example.com")
    context = client._wire._transport._pool._ssl_context
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_https_is_not_left_for_http(raw, authority, contexts, monkeypatch, secret):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    with raw.serve(raw.http(200, PAGE)) as plain:
        moved = raw.http(308, headers=[("location", f"{plain.url}/api/calls")])
        server = raw.serve(moved, tls=contexts["good"])
        with server, Client(server.url.replace("http:", "https:"), token=secret.token) as client:
            with pytest.raises(ApiError, match="redirect"):
                client.patch_call(CALL, {"status": "busy"})
            with pytest.raises(ApiError, match="redirect"):
                client.get_calls([CALL])
    assert plain.received == []
    assert len(server.received) == 2


@pytest.mark.parametrize("url", ["http://api.example.com", "http://192.0.2.7:8080", "http://127.0.0.1.example.com", "http://localhost.example.com", "HTTP://[2001:db8::1]", "http://0.0.0.0:1"])  # fmt: skip
def test_a_token_never_goes_to_another_machine_in_the_clear(url):
    with pytest.raises(InputError, match="in the clear"):
        Client(url, token=ANY)
