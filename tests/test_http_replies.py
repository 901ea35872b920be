"""Replies of a service that say too little, too much, or come without end."""

from __future__ import annotations

import json
import socket
import traceback

import pytest

import dfa
from dfa.errors import OracleError
from dfa.oracle.services.wire import exchanged
from http_servers import NAMES, parse, says, served
from oracles import random_images

IMAGES = random_images(5)


def oracle_of(service, **arguments):
    given = {"parse": parse, "classes": NAMES, "k": 5} | arguments
    return dfa.HttpOracle(service.url if hasattr(service, "url") else service, **given)


def test_a_service_that_sees_nothing_needs_a_class_for_that():
    with served() as service:
        service.fault = lambda number: says(b'{"labels": []}')
        with pytest.raises(
            OracleError, match=r"let it return a class of its own for that, such as \[\('nothing', 1\.0\)"
        ):
            oracle_of(service).scores(IMAGES[:1])


def test_the_beginning_of_a_secret_that_comes_back_is_not_shown(monkeypatch):
    token = "tok-0123456789/abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnop"
    monkeypatch.setenv("ITS_TOKEN", token)
    for reply in ({"labels": [{"name": f"echo {token}", "confidence": 0.5}]}, {"labels": token}):
        body = json.dumps(reply).replace("/", "\\/").encode()
        with served() as service:
            service.fault = lambda number, body=body: says(body)
            with pytest.raises(OracleError) as caught:
                oracle_of(service, token_env="ITS_TOKEN").scores(IMAGES[:1])
            shown = "".join(traceback.format_exception(caught.value))
            assert "***" in shown
            assert token[:9] not in shown


def test_a_service_that_drips_is_not_waited_for_without_end():
    def drips(handler):
        handler.wfile.write(handler.head(200, 10**6))
        while not handler.server.released.wait(0.02):
            handler.wfile.write(b" ")

    with served() as service:
        service.fault = lambda number: drips
        with pytest.raises(OracleError, match=r"the reply takes more than 0\.5 seconds in all; tried 1 times"):
            oracle_of(service, timeout=0.05, retries=0).scores(IMAGES[:1])
        service.released.set()


def test_a_reply_in_two_pieces_is_acknowledged_at_once():
    """Or a plain server, which waits for that with its second piece, takes 40 ms longer for each."""
    set_to = []

    class Sock:
        def __init__(self):
            self.pieces = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", b"{}"]

        def sendall(self, data):
            set_to.clear()

        def setsockopt(self, *option):
            set_to.append(option)

        def gettimeout(self):
            return 1.0

        def recv(self, most):
            assert set_to == ([(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)] if hasattr(socket, "TCP_QUICKACK") else [])
            return self.pieces.pop(0)

    assert exchanged(Sock(), b"POST / HTTP/1.1\r\n\r\n", b"").body == b"{}"


def test_a_page_in_place_of_json_is_told_as_such():
    with served() as service:
        service.fault = lambda number: says(b"<html>We are back soon</html>", "text/html")
        with pytest.raises(OracleError, match=r"does not call itself JSON, so parse was given bytes.*We are back soon"):
            oracle_of(service).scores(IMAGES[:1])


@pytest.mark.parametrize("name", ["tok-S3cr3t", "sk:abc", "1token", ""])
def test_what_is_no_name_of_a_variable_is_not_repeated(name):
    with pytest.raises(dfa.InvalidInputError, match="needs the name of an environment variable") as caught:
        dfa.HttpOracle("http://127.0.0.1/", parse=len, num_classes=3, k=2, token_env=name)
    assert not name or name not in str(caught.value)
