"""Deploying is for this machine alone while there is no sign-in."""

from __future__ import annotations

import pytest

from ui.guard import is_loopback, judge

HERE = {"Host": "127.0.0.1:8501"}


@pytest.mark.parametrize("host", ["127.0.0.1:8501", "localhost:8501", "[::1]:8501", "localhost"])
def test_this_machine_may_deploy(host: str) -> None:
    assert judge(["127.0.0.1", "::1"], {"Host": host}) is None


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.1.7", "10.0.0.1"])
def test_a_server_that_others_reach_refuses(address: str) -> None:
    said = judge(["127.0.0.1", address], HERE)
    assert said is not None
    assert address in said


@pytest.mark.parametrize("host", ["advisor.example.com", "192.168.1.7:8501", "127.0.0.1.evil.com"])
def test_another_host_name_refuses(host: str) -> None:
    said = judge(["127.0.0.1"], {"Host": host})
    assert said is not None
    assert "no sign-in" in said


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "x-real-ip"])
def test_a_proxy_in_between_refuses(header: str) -> None:
    assert judge(["127.0.0.1"], {**HERE, header: "203.0.113.9"}) is not None


@pytest.mark.parametrize(
    ("host", "is_here"),
    [
        ("127.8.9.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("app.localhost", True),
        ("localhost.example.com", False),
        ("", False),
        ("0.0.0.0", False),
    ],
)
def test_loopback(host: str, is_here: bool) -> None:
    assert is_loopback(host) is is_here
