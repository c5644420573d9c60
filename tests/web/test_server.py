"""The page on a server: names, ports and proxies from the environment, IPv6, a login, and a sub-path behind a proxy."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from conftest import PROJECT
from fake_app import Served, served
from gradio_client import Client, handle_file
from PIL import Image
from printed import command

from lesion_demo.__main__ import parse
from lesion_demo.cli.app import port_number, root_path
from lesion_demo.errors import LesionDemoError
from lesion_demo.images.phantom import render_phantom
from lesion_demo.web.access import Access
from lesion_demo.web.launch import address_to_open, free_port, settle_environment

NAME = "demo.clinic.example"
LOGIN = {"LESION_USER": "ward-3", "LESION_PASSWORD": "a long password"}


def test_gradios_variables_are_what_the_options_are_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GRADIO_SERVER_NAME", "GRADIO_SERVER_PORT", "GRADIO_ROOT_PATH", "SPACE_ID"):
        monkeypatch.delenv(name, raising=False)
    args = parse(["app"])
    assert (args.host, args.port, args.root_path) == ("127.0.0.1", 7860, None)
    monkeypatch.setenv("GRADIO_SERVER_NAME", "0.0.0.0")
    monkeypatch.setenv("GRADIO_SERVER_PORT", "8123")
    monkeypatch.setenv("GRADIO_ROOT_PATH", "/lesion/")
    args = parse(["app"])
    assert (args.host, args.port, args.root_path) == ("0.0.0.0", 8123, "/lesion")
    args = parse(["app", "--host", "::1", "--port", "0", "--root-path", "https://demo.clinic.example/skin"])
    assert (args.host, args.port, args.root_path) == ("::1", 0, "https://demo.clinic.example/skin")


@pytest.mark.parametrize("text", ["-1", "65536", "http", "٣", "", "80.0"])
def test_what_is_no_port_is_said(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="0 to 65535"):
        port_number(text)


def test_a_port_from_the_environment_is_checked_as_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GRADIO_SERVER_PORT", "http")
    with pytest.raises(SystemExit):
        parse(["app"])
    assert "'http' is not a port" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["lesion", "javascript:alert(1)", "ftp://demo.clinic.example"])
def test_what_is_no_root_path_is_said(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="not a path"):
        root_path(text)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://localhost:80"),
        ("::", "http://[::1]:80"),
        ("[::]", "http://[::1]:80"),
        ("::1", "http://[::1]:80"),
        ("demo.clinic.example", "http://demo.clinic.example:80"),
    ],
)
def test_the_address_to_open_can_be_opened(host: str, address: str) -> None:
    assert address_to_open(host, 80) == address


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "[::1]", "[::]", "localhost"])
def test_a_free_port_is_found(host: str) -> None:
    port = free_port(host, 0)
    assert 0 < port < 65536
    assert free_port(host, port) == port


@pytest.mark.parametrize("host", ["127.0.0.1:80", "203.0.113.1", "nowhere.invalid", ""])
def test_a_host_that_cannot_be_served_on_is_said(host: str) -> None:
    if host:
        with pytest.raises(LesionDemoError, match="choose another --port or --host"):
            free_port(host, 0)


def test_a_port_that_is_taken_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for host in ("127.0.0.1", "::1", "0.0.0.0"):
            with pytest.raises(LesionDemoError, match="Cannot serve on"):
                free_port(host, taken.getsockname()[1])


def test_half_a_login_is_said_and_a_password_is_never_printed() -> None:
    for name in LOGIN:
        with pytest.raises(LesionDemoError, match="needs both"):
            Access.create("127.0.0.1", [], [], {name: "x"})
    access = Access.create("127.0.0.1", [], [], LOGIN)
    assert access.login == ("ward-3", "a long password")
    assert "password" not in repr(access)
    assert Access.create("127.0.0.1", [], [], {}).login is None


def test_proxies_are_taken_out_of_the_environment_in_either_case() -> None:
    environment = {"http_proxy": "a", "ALL_PROXY": "b", "no_proxy": "c", "HTTPS_PROXY": "d", "PATH": "e"}
    settle_environment(environment)
    assert environment == {"PATH": "e", "FORWARDED_ALLOW_IPS": ""}


PROXIES = {"http_proxy": "http://127.0.0.1:9", "all_proxy": "socks5://127.0.0.1:9", "no_proxy": "10.0.0.1,fd00::/8"}


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("picture") / "lesion.jpg"
    Image.fromarray(render_phantom(3, malignant=True, size=160)).save(path)
    return path


def test_starts_on_ipv6_behind_proxies_with_a_login_and_any_port(tmp_path: Path, picture: Path) -> None:
    """Everything at once, as each start takes seconds."""
    environment = {**PROXIES, **LOGIN, "GRADIO_SERVER_NAME": "::1", "GRADIO_SERVER_PORT": "0"}
    with served(tmp_path, environment=environment) as app:
        assert re.fullmatch(r"http://\[::1\]:\d+", app.address)
        with httpx.Client(base_url=app.address, trust_env=False) as visitor:
            assert visitor.get("/config").status_code == 401
            assert visitor.post("/gradio_api/upload", files={"files": b"x"}).status_code == 401
            assert visitor.post("/login", data={"username": "ward-3", "password": "wrong"}).status_code == 400
            said = visitor.post("/login", data={"username": "ward-3", "password": "a long password"})
            assert said.status_code == 200
            assert visitor.get("/config").status_code == 200
            visitor.get("/logout")
            assert visitor.get("/config").status_code == 401
        client = Client(
            app.address, auth=("ward-3", "a long password"), verbose=False, httpx_kwargs={"trust_env": False}
        )
        findings, _ = client.predict(handle_file(picture), api_name="/analyze")
        assert findings["verdict"]
        assert LOGIN["LESION_PASSWORD"] not in app.log.read_text()


# --- behind a proxy that shows the page below /lesion, with HTTPS ----------------------------------------------------


BEHIND = command("docs/hosting.md", "python app.py --root-path")[2:]


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("behind"), *BEHIND) as app:
        yield app


def test_pages_name_the_proxys_address_and_no_other(behind: Served) -> None:
    """Stands in for nginx where there is none: the request as nginx passes it on."""
    headers = {"Host": NAME, "X-Forwarded-Host": NAME, "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"}
    config = httpx.get(f"{behind.address}/config", headers=headers).raise_for_status().json()
    assert config["root"] == f"https://{NAME}/lesion"
    page = httpx.get(behind.address, headers=headers).raise_for_status().text
    assert f"https://{NAME}/lesion" in page
    assert "http://127.0.0.1" not in page
    forged = httpx.get(f"{behind.address}/config", headers={**headers, "X-Forwarded-Host": "evil.example"})
    assert "evil.example" not in forged.text


@contextmanager
def nginx(folder: Path, upstream: str) -> Iterator[tuple[int, Path]]:
    """The example's nginx before `upstream`, on a free port of this machine, and the certificate to trust."""
    places = os.pathsep.join([os.environ.get("PATH", ""), str(PROJECT / ".venv" / "nginx" / "usr" / "sbin")])
    program, openssl = shutil.which("nginx", path=places), shutil.which("openssl")
    if program is None or openssl is None:
        pytest.skip("nginx or openssl is not installed; the request that it passes on is tried by the test above")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subject = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
    made = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *subject]
    subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    example = (PROJECT / "docs" / "nginx.conf").read_text(encoding="utf-8")
    changes = {
        "listen [::]:443 ssl;": "",
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "/etc/ssl/demo.clinic.example.key": str(key),
        "/etc/ssl/demo.clinic.example.pem": str(certificate),
        "127.0.0.1:7860": upstream.removeprefix("http://"),
    }
    for before, after in changes.items():
        assert example.count(before) == 1, before
        example = example.replace(before, after)
    held = [f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")]
    log = f"access_log off; error_log {folder}/error.log;"
    start = f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log; events {{}}"
    (folder / "nginx.conf").write_text(f"{start}\nhttp {{ {log} {' '.join(held)}\n{example}\n}}\n", encoding="utf-8")
    process = subprocess.Popen([program, "-p", folder, "-c", folder / "nginx.conf"], stderr=subprocess.PIPE)
    try:
        yield port, certificate
        assert process.poll() is None, process.stderr and process.stderr.read().decode()
    finally:
        process.terminate()
        process.wait(20)


def test_the_nginx_example_serves_the_page_below_a_path_with_https(
    behind: Served, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo  # the name leads to this machine, for this process alone

    def local(host: str, *args: object, **more: object) -> object:
        return resolve("127.0.0.1" if host in (NAME, NAME.encode()) else host, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", local)
    with nginx(tmp_path, behind.address) as (port, certificate):
        trusted = ssl.create_default_context(cafile=str(certificate))
        address = f"https://{NAME}:{port}/lesion"
        transport = httpx.HTTPTransport(verify=trusted, retries=5)
        with httpx.Client(transport=transport, trust_env=False) as visitor:
            page = visitor.get(f"{address}/").raise_for_status()
            assert page.headers["x-content-type-options"] == "nosniff"
            assert visitor.get(address).headers["location"].endswith("/lesion/")
            config = visitor.get(f"{address}/config").raise_for_status().json()
            assert config["root"] == address
            assets = set(re.findall(r'(?:src|href)="[./]*(assets/[^"]+)"', page.text))
            assert assets
            for asset in sorted(assets)[:3]:
                visitor.get(f"{address}/{asset}").raise_for_status()
            assert visitor.get(f"{address}/gradio_api/runs").status_code == 404
            forged = visitor.get(f"{address}/config", headers={"X-Forwarded-Host": "evil.example"})
            assert "evil.example" not in forged.text
            guesses = [visitor.post(f"{address}/login", data={"username": "a", "password": "b"}) for _ in range(8)]
            assert guesses[-1].status_code == 429
        client = Client(f"{address}/", ssl_verify=trusted, verbose=False)
        findings, overlay = client.predict(handle_file(picture), api_name="/analyze")
        assert findings["verdict"]
        assert Path(overlay).stat().st_size > 0
